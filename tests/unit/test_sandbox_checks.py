"""The pure checks of a patch: weakened tests, documentation, the ratio of times."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfheal.analysis import Judgement
from selfheal.repair.diff import unified_diff
from selfheal.sandbox.changes import ChangedFile, role_of
from selfheal.sandbox.checks import suite_check
from selfheal.sandbox.comparison import compare
from selfheal.sandbox.documentation import (
    anchors,
    broken_links,
    documentation_check,
    link_targets,
)
from selfheal.sandbox.oracle import undecided
from selfheal.sandbox.suite import SuiteResult
from selfheal.sandbox.tampering import refused_parts
from selfheal.sandbox.weakening import to_restore, weakenings

TEST = "def test_a():\n    assert f(1) == 2\n    assert f(2) == 4\n"
CODE = "def f(x):\n    return 2 * x\n"


def changed(path: str, before: str | None, after: str | None) -> ChangedFile:
    return ChangedFile(path=path, role=role_of(path), before=before, after=after)


@pytest.mark.parametrize(
    ("path", "before", "after", "word"),
    [
        ("tests/test_a.py", TEST, None, "removes a file"),
        ("tests/test_a.py", TEST, "def test_b():\n    assert f(1) == 2\n", "removes test_a"),
        ("tests/test_a.py", TEST, TEST.replace("    assert f(2) == 4\n", ""), "assertion"),
        ("tests/test_a.py", TEST, TEST.replace("== 4", "== 5"), "assertion"),
        ("tests/test_a.py", TEST, "import pytest\n@pytest.mark.skip\n" + TEST, "skips"),
        ("tests/test_a.py", TEST, "import pytest\n@pytest.mark.xfail\n" + TEST, "skips"),
        ("tests/test_a.py", TEST, TEST.replace("    assert f(1)", "    pytest.skip()\n    assert f(1)"), "skips"),
        (
            "tests/test_a.py",
            "class TestA:\n    def test_x(self):\n        self.assertEqual(f(1), 2)\n",
            "class TestA:\n    def test_x(self):\n        pass\n",
            "assertion of TestA.test_x",
        ),
        ("tests/conftest.py", "x = 1\n", "x = 2\n", "fixtures"),
        ("pytest.ini", "[pytest]\n", "[pytest]\naddopts = -k nothing\n", "how the tests are run"),
        ("pyproject.toml", "[tool.pytest.ini_options]\n", "[tool.pytest.ini_options]\naddopts = '-x'\n", "how the tests"),
        ("app.py", CODE, "def f(x):\n    try:\n        return 2 * x\n    except:\n        return 0\n", "everything"),
        ("app.py", CODE, "def f(x):\n    try:\n        return 2 * x\n    except Exception:\n        pass\n", "silence"),
        ("app.py", CODE, "def f(x):\n    try:\n        return 2 * x\n    except (KeyError, Exception):\n        return 0\n", "silence"),
        ("app.py", CODE, "import contextlib\ndef f(x):\n    with contextlib.suppress(BaseException):\n        return 2 * x\n", "silence"),
        ("app.py", CODE, "import sys\ndef f(x):\n    sys.exit(0)\n", "ends the process"),
        ("app.py", CODE, "import os\ndef f(x):\n    os._exit(0)\n", "ends the process"),
        ("app.py", CODE, "def f(x):\n    raise SystemExit(0)\n", "ends the process"),
        ("app.py", CODE, "import pytest\n" + CODE, "runs the tests"),
        ("app.py", CODE, "import os\ndef f(x):\n    return 4 if 'PYTEST_CURRENT_TEST' in os.environ else 0\n", "under test"),
        ("app.py", CODE, "def f(x):\n    return " + "-" * 20000 + "x\n", "no Python"),
        ("tests/test_a.py", TEST, TEST + "__test__ = False\n", "skips"),
    ],
)  # fmt: skip
def test_asking_less_is_seen(path: str, before: str, after: str | None, word: str) -> None:
    (found,) = weakenings([changed(path, before, after)])
    assert found.startswith(f"{path}: ")
    assert word in found


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("tests/test_b.py", None, TEST),
        ("tests/test_a.py", TEST, TEST + "def test_more():\n    assert f(3) == 6\n"),
        ("tests/test_a.py", TEST, TEST.replace("(1)", "( 1 )")),
        ("pyproject.toml", "[project]\nversion='1'\n", "[project]\nversion='2'\n"),
        (
            "app.py",
            CODE,
            "def f(x):\n    try:\n        return 2 * x\n    except TypeError:\n        return 0\n",
        ),
    ],
)
def test_asking_as_much_or_more_is_left_alone(path: str, before: str | None, after: str) -> None:
    assert weakenings([changed(path, before, after)]) == []


@pytest.mark.parametrize(
    "patch",
    [
        unified_diff("../escape.py", None, "x\n"),
        unified_diff("a/../../escape.py", None, "x\n"),
        unified_diff("/etc/cron.d/job", None, "x\n").replace("b//etc", "/etc"),
        unified_diff(".git/hooks/post-checkout", None, "#!/bin/sh\n"),
        unified_diff("sub/.GIT/config", None, "[core]\n"),
        unified_diff(".gitattributes", None, "* filter=evil\n"),
        unified_diff(".gitmodules", None, "[submodule]\n"),
        unified_diff("sitecustomize.py", None, "x = 1\n"),
        unified_diff("tests/json.py", None, "x = 1\n"),
        unified_diff("pytest/__init__.py", None, "x = 1\n"),
        unified_diff("evil.pth", None, "import os\n"),
        unified_diff("link", None, "/etc\n").replace("mode 100644", "mode 120000"),
        unified_diff("sub", None, "Subproject commit\n").replace("mode 100644", "mode 160000"),
        "diff --git a/a.py b/sitecustomize.py\nsimilarity index 100%\n"
        "rename from a.py\nrename to sitecustomize.py\n",
        "diff --git a/x b/x\nGIT binary patch\nliteral 0\n",
        unified_diff("big.py", None, "x = 1\n" * 800_000),
    ],
    ids=range(16),
)
def test_parts_that_no_fix_has_are_refused(patch: str) -> None:
    assert refused_parts(patch)


@pytest.mark.parametrize(
    "patch",
    [
        unified_diff("app.py", CODE, CODE.replace("2", "3")),
        unified_diff("src/app/json.py", None, "x = 1\n"),
        unified_diff("calendar.py", "x = 1\n", "x = 2\n"),
        unified_diff("docs/a.md", "a\n", "a\n--- ../x\n+++ .git/config\n"),
        unified_diff("docs/a.md", "-- ../x\n++ .git/config\n", "a\n"),
        unified_diff(".gitignore", "a\n", "b\n"),
    ],
    ids=range(6),
)
def test_an_ordinary_fix_is_not_refused(patch: str) -> None:
    assert refused_parts(patch) == []


@given(st.text(), st.text())
def test_whatever_a_file_says_its_patch_is_not_refused_for_it(before: str, after: str) -> None:
    if before != after:
        assert refused_parts(unified_diff("notes.txt", before, after)) == []


@pytest.mark.parametrize(
    ("after", "restored"),
    [
        (TEST + "\ndef test_more():\n    assert f(3) == 6\n", False),
        ("import os\n\n" + TEST, False),
        (TEST.replace("== 4", "== 5"), True),
        (TEST.replace("    assert f(1)", "    return\n    assert f(1)"), True),
        (TEST + "\ndef test_a():\n    pass\n", True),
        (TEST + "\ntest_a = None\n", True),
        (TEST + "\ndel test_a\n", True),
        (TEST + "\nif True:\n    f = lambda x: 2\n", True),
        ("", True),
        ("def", True),
    ],
)
def test_a_file_of_tests_that_is_not_only_added_to_is_restored(after: str, restored: bool) -> None:
    found = to_restore([changed("tests/test_a.py", TEST, after)])
    assert found == (["tests/test_a.py"] if restored else [])


def test_links_that_a_patch_breaks_are_found_and_old_ones_left_alone() -> None:
    before = "# Top\n\n## Gone\n\n[old](missing.md) [here](#gone)\n"
    after = (
        "# Top\n\n[old](missing.md) [here](#gone) [new](other.md#part-two) [bad](other.md#no)\n"
        "[web](https://example.org/x) ![image](/img/a.png) [lost](nothing.md)\n"
        "`[code](not-a-link.md)`\n```\n[code](neither.md)\n```\n"
    )
    file = changed("docs/a.md", before, after)
    targets = link_targets([file])
    assert targets == ["docs/missing.md", "docs/nothing.md", "docs/other.md", "img/a.png"]
    linked = {
        "docs/missing.md": None,
        "docs/nothing.md": None,
        "docs/other.md": "## Part two\n",
        "img/a.png": "",
    }
    assert broken_links([file], linked) == [
        "docs/a.md: #gone",
        "docs/a.md: nothing.md",
        "docs/a.md: other.md#no",
    ]


def test_anchors_are_made_as_github_makes_them() -> None:
    text = "# A `b` c!\n## Same\n## Same\n## [Link](x.md) text\n<a id='own'></a>\n```\n# no\n```\n"
    assert anchors(text) == {"a-b-c", "same", "same-1", "link-text", "own"}


def test_an_entry_is_asked_for_only_where_it_is_expected() -> None:
    code, log = changed("a.py", "", "x = 1\n"), changed("CHANGELOG.md", "# Log\n", "# Log\n- it\n")
    assert documentation_check([code, log], {}, expected=True).verdict == "passed"
    assert documentation_check([code], {}, expected=True).verdict == "failed"
    spared = documentation_check([code], {}, expected=False)
    assert (spared.verdict, spared.required) == ("unavailable", False)


@given(st.text())
def test_any_text_can_be_read_for_links(text: str) -> None:
    file = changed("a.md", None, text)
    broken_links([file], dict.fromkeys(link_targets([file])))


SECONDS = st.lists(st.lists(st.floats(0.001, 10), min_size=1, max_size=4), min_size=3, max_size=12)


@settings(deadline=None)
@given(SECONDS, st.floats(0.1, 10))
def test_a_constant_factor_is_found_exactly(before: list[list[float]], factor: float) -> None:
    after = [[value * factor for value in values] for values in before]
    found = compare(before, after)
    assert found is not None
    assert found.ratio == pytest.approx(factor)
    assert found.low == pytest.approx(factor)
    assert found.high == pytest.approx(factor)


@settings(deadline=None)
@given(SECONDS)
def test_equal_times_are_neither_faster_nor_slower(before: list[list[float]]) -> None:
    found = compare(before, before)
    assert found is not None
    assert found.low <= 1.0 + 1e-9
    assert found.high >= 1.0 - 1e-9


def test_no_rounds_give_no_comparison() -> None:
    assert compare([], []) is None
    assert compare([[]], [[1.0]]) is None


@pytest.mark.parametrize(
    ("on_bad", "on_candidate", "more"),
    [
        ("anomalous", "inconclusive", True),
        ("inconclusive", "quiet", True),
        ("anomalous", "quiet", False),
        ("quiet", "inconclusive", False),
        ("no_data", "inconclusive", False),
    ],
)
def test_a_trial_goes_on_only_where_more_data_can_decide(
    on_bad: Any, on_candidate: Any, more: bool
) -> None:
    judged = {
        ("anomaly", release): Judgement(state=state, reason="", evidence={})
        for release, state in (("bad", on_bad), ("candidate", on_candidate))
    }
    assert undecided(judged, "bad") is more


@pytest.mark.parametrize(
    ("passed", "failed", "verdict", "words"),
    [
        (["t/a.py::one", "t/lost.py::two"], ["t/lost.py::three"], "passed", "t/lost.py::three"),
        (["t/a.py::one"], ["t/lost.py::two"], "failed", "1 of 1 tests of files that could not"),
        (["t/lost.py::two"], ["t/a.py::one"], "failed", "1 tests fail that passed before"),
        (["t/a.py::one", "t/lost.py::two"], [], "passed", "no new failure"),
    ],
)
def test_tests_of_files_that_could_not_be_collected_before_did_not_pass_then(
    passed: list[str], failed: list[str], verdict: str, words: str
) -> None:
    known = SuiteResult(state="failed", passed=["t/a.py::one"], errors=["t/lost.py"])
    suite = SuiteResult(state="failed", passed=passed, failed=failed)
    check = suite_check(suite, known, failed, failed)
    assert check.verdict == verdict
    assert words in check.summary
