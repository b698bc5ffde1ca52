"""What documents and docstrings say of the code is held against it; what is not sure is passed over."""

from __future__ import annotations

import ast
from textwrap import indent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.analysis.documented_code import Claim, claims
from selfheal.repair.edit import Splice, spliced

GOOGLE = '''\
def total(items, tax=0.2, *, rounded=True):
    """The sum of prices.

    Args:
        items: what is in the cart,
            all of it
        rate (float): of the value, default 0.1
        rounded (bool): to cents. Defaults to False.

    Returns:
        euros
    """
'''
NUMPY = '''\
class Cart:
    def total(self, items, tax=0.2, currency="EUR"):
        """The sum of prices.

        Parameters
        ----------
        items : list
            what is in the cart
        tax : float, optional
            of the value (default: 0.1)
        discount : float
            is no more
        currency : str
            Default is ``'USD'``.

        Returns
        -------
        float
        """
'''
REST = '''\
def total(items, tax=0.2):
    """The sum of prices.

    :param items: what is in the cart
    :param float rate: of the value,
        default=0.1
    :returns: euros
    """
'''
CODE = 'LIMIT = 2500\nMODE = "fast"\n\n\nclass Settings:\n    page_size: int = 50\n\n\ndef find(query, limit=20, *, exact=False):\n    return []\n'
DOCUMENT = """\
# Notes

At most `LIMIT` (1,000) items; `MODE = "slow"` or `MODE` is 'slow'. `LIMIT` is 2500.

## `find(query, count=20)`

| Setting | Meaning | Default |
|---|---|---|
| `page_size` | items a page | 20 |
| `other` | nothing | 20 |

- `notes.find(query, limit=10)` looks
"""


def mended(texts: dict[str, str], found: list[Claim]) -> dict[str, str]:
    splices = [
        Splice(path=each.file, start=each.start, stop=each.stop, text=each.replacement or "")
        for each in found
    ]
    return {
        path: spliced(text, [each for each in splices if each.path == path])
        for path, text in texts.items()
    }


@pytest.mark.parametrize(
    ("text", "told", "after"),
    [
        (
            GOOGLE,
            [
                ("parameter not in code", "rate", "rate"),
                ("default not in code", "rounded", "False"),
            ],
            [
                (
                    "rate (float): of the value, default 0.1",
                    "tax (float): of the value, default 0.2",
                ),
                ("Defaults to False", "Defaults to True"),
            ],
        ),
        (
            NUMPY,
            [
                ("default not in code", "tax", "0.1"),
                ("parameter not in code", "discount", "discount"),
                ("default not in code", "currency", "'USD'"),
            ],
            [
                ("(default: 0.1)", "(default: 0.2)"),
                ("        discount : float\n            is no more\n", ""),
                ("``'USD'``", '``"EUR"``'),
            ],
        ),
        (
            REST,
            [("parameter not in code", "rate", "rate")],
            [("float rate", "float tax"), ("default=0.1", "default=0.2")],
        ),
    ],
)
def test_docstrings_are_mended_within_their_style(
    text: str, told: list[tuple[str, str, str]], after: list[tuple[str, str]]
) -> None:
    """Only names, values and entries change; what is renamed gets its default as well."""
    found = claims({"cart.py": text}, [])
    assert [(each.drift, each.name, each.told) for each in found] == told
    for each in found:
        assert each.told.strip("'") in text.splitlines()[each.line - 1]
    wanted = text
    for old, new in after:
        assert old in wanted
        wanted = wanted.replace(old, new)
    assert mended({"cart.py": text}, found)["cart.py"] == wanted
    assert claims({"cart.py": wanted}, []) == []


def test_a_parameter_that_alone_is_missing_is_told_of_by_its_type_and_default() -> None:
    text = GOOGLE.replace("tax=0.2", "rate=0.1, size: int = 3").replace("False.", "True.")
    (found,) = claims({"cart.py": text}, [])
    assert (found.drift, found.name) == ("parameter not in docstring", "size")
    after = mended({"cart.py": text}, [found])["cart.py"]
    assert "default 0.1\n        size (int): Defaults to 3.\n        rounded" in after
    assert claims({"cart.py": after}, []) == []


def test_a_default_behind_a_comma_is_read() -> None:
    text = 'def f(a, b="rc"):\n    """Make.\n\n    :param a: one\n    :param b: a prefix, defaults to \'old\'\n    """\n'
    (found,) = claims({"cart.py": text}, [])
    assert (found.drift, found.told, found.actual) == ("default not in code", "'old'", '"rc"')


def test_a_raw_docstring_is_read_as_it_is_written() -> None:
    text = 'def f(a):\n    r"""Digits \\d.\n\n    :param x: one\n    """\n'
    (found,) = claims({"cart.py": text}, [])
    assert (found.name, found.replacement) == ("x", "a")


@pytest.mark.parametrize(
    "text",
    [
        GOOGLE.replace("rounded=True", "**options"),
        GOOGLE.replace("rate (float)", "tax (float)").replace("0.1", "a tenth").replace("False", "the usual"),
        'def f(a, b):\n    """Says.\n\n    Args:\n        x: one\n        y: two\n    """\n',
        'def f(a):\n    """Escaped \\\\d.\n\n    Args:\n        x: one\n    """\n',
        'def f(alpha=0.95):\n    """Says.\n\n    Args:\n        alpha: default 95% of all\n    """\n',
        'def f(mode="fast"):\n    """Says.\n\n    Args:\n        mode: defaults to what is usual\n    """\n',
        "def f(:\n",
    ],
)  # fmt: skip
def test_what_is_not_sure_is_no_claim(text: str) -> None:
    assert claims({"cart.py": text}, []) == []


def test_values_and_signatures_of_documents_are_those_of_the_code() -> None:
    texts = {"notes.py": CODE, "README.md": DOCUMENT}
    found = claims(texts, ["README.md"])
    assert [(each.drift, each.name, each.line) for each in found] == [
        ("value not in code", "LIMIT", 3),
        ("value not in code", "MODE", 3),
        ("value not in code", "MODE", 3),
        ("signature not in code", "find", 5),
        ("value not in code", "page_size", 9),
        ("signature not in code", "notes.find", 12),
    ]
    after = mended(texts, found)
    assert "`LIMIT` (2,500) items; `MODE = \"fast\"` or `MODE` is 'fast'." in after["README.md"]
    assert "## `find(query, limit=20, *, exact=False)`" in after["README.md"]
    assert "| items a page | 50 |" in after["README.md"]
    assert claims(after, ["README.md"]) == []


def test_a_name_of_two_places_and_a_call_in_a_list_say_nothing() -> None:
    texts = {"a.py": CODE, "b.py": "LIMIT = 3\n", "README.md": "`LIMIT` is 7.\n\n- `find(q, 7)`\n"}
    assert claims(texts, ["README.md"]) == []


def test_docstrings_of_other_files_are_not_read_where_some_are_named() -> None:
    texts = {"a.py": GOOGLE, "b.py": REST, "README.md": "`LIMIT` is 7.\n", "c.py": "LIMIT = 8\n"}
    found = claims(texts, ["README.md"], within={"b.py"})
    assert [each.file for each in found] == ["README.md", "b.py"]


names = st.lists(st.from_regex(r"[a-z]{2,5}", fullmatch=True).filter(lambda n: n not in ("self", "as", "is", "in", "if", "or", "not", "and", "for", "def", "del", "try", "from", "pass", "with", "elif", "else", "none")), min_size=1, max_size=4, unique=True)  # fmt: skip
values = st.sampled_from(["1", "2.5", '"x"', "True", "None", "(1, 2)"])


@given(names, st.lists(values, min_size=4, max_size=4), st.lists(values, min_size=4, max_size=4))
def test_a_mended_docstring_is_quiet_and_the_code_is_as_it_was(
    parameters: list[str], real: list[str], told: list[str]
) -> None:
    pairs = list(zip(parameters, real, told, strict=False))
    try:
        signature = ", ".join(f"{name}={value}" for name, value, _ in pairs)
        ast.parse(f"def f({signature}): ...")
    except SyntaxError:
        return
    body = "Says.\n\nArgs:\n" + "".join(f"    {n}: it. Defaults to `{v}`.\n" for n, _, v in pairs)
    text = f"# é\ndef f({signature}):\n{indent(f'''{chr(34) * 3}{body}{chr(34) * 3}''', '    ')}\n    return 1\n"
    found = claims({"a.py": text}, [])
    after = mended({"a.py": text}, found)["a.py"]
    assert claims({"a.py": after}, []) == []
    (before,), (left,) = (ast.parse(each).body for each in (text, after))
    assert isinstance(before, ast.FunctionDef)
    assert isinstance(left, ast.FunctionDef)
    assert ast.dump(before.args) == ast.dump(left.args)
    assert after.endswith("return 1\n")
