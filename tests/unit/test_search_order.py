"""Of edits that pass, those stand first that put back what stood there when all was well."""

from __future__ import annotations

from selfheal.repair import Edit, Splice
from selfheal.sandbox.search_choice import restores

GOOD = "def f(a, b):\n    return a + b\n"
BAD = "def f(a, b):\n    return a + a\n"


def changed(text: str) -> Edit:
    start = BAD.index("a + a")
    splice = Splice(path="app.py", start=start, stop=start + 5, text=text)
    return Edit(strategy="search", template="t", explanation="", fit=0.5, splices=[splice])


def test_an_edit_restores_where_its_lines_stood_in_the_good_release() -> None:
    sources, good = {"app.py": BAD}, {"app.py": GOOD}
    assert restores(changed("a + b"), sources, good)
    assert not restores(changed("b + a"), sources, good)
    assert not restores(changed("a + b"), sources, {})


def test_a_line_is_restored_though_its_like_stands_elsewhere_in_the_file() -> None:
    twin = "def g(a, b):\n    return a + b\n"
    sources, good = {"app.py": BAD + twin}, {"app.py": GOOD + twin}
    assert restores(changed("a + b"), sources, good)


def test_a_copy_of_a_line_that_still_stands_restores_nothing() -> None:
    twin = "def g(a, b):\n    return b + a\n"
    sources, good = {"app.py": BAD + twin}, {"app.py": GOOD + twin}
    assert not restores(changed("b + a"), sources, good)
