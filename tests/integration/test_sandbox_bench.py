"""The bar for candidates, on a real repository: nothing passes that was not shown."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from selfheal import config
from selfheal.artifacts import Candidate
from selfheal.artifacts.validation import Check
from selfheal.repair.diff import patch_of
from selfheal.sandbox.bench import Bench
from selfheal.sandbox.checks import coverage_check
from selfheal.sandbox.evidence import Subject, TestedCandidate
from selfheal.sandbox.examples import examples_check

SUITE = """\
import app

def test_double():
    assert app.double(2) == 4

def test_known_failure():
    assert app.double(2) == 5
"""
APP = "def double(x):\n    return 2 * x\n\ndef first(xs):\n    return xs[0]\n"
TEST = "import app\n\ndef test_empty():\n    assert app.first([]) is None\n"
HEALED = APP.replace("return xs[0]", "return xs[0] if xs else None")
FILES = {
    "app.py": APP,
    "tests/test_app.py": SUITE,
    "conftest.py": "import sys\nsys.path.insert(0, '.')\n",
}
NODE = "tests/test_empty.py::test_empty"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    path = tmp_path / "repository"
    for name, text in FILES.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    script = "git init -q . && git add . && git -c user.name=a -c user.email=a@b commit -qm one"
    subprocess.run(["sh", "-c", script], cwd=path, check=True)
    tests = config.TestsConfig(sources=["."])
    return Bench(path, tmp_path / "bench", tests, config.ValidateConfig(timeout_seconds=30))


def candidate(**after: str) -> Candidate:
    names = {
        "app": "app.py",
        "test": "tests/test_empty.py",
        "suite": "tests/test_app.py",
        "settings": "pytest.ini",
    }
    files = {names[key]: text for key, text in after.items()}
    return Candidate(
        id="candidate",
        diagnosis_id="diagnosis",
        strategy="guard",
        rank=1,
        score=1.0,
        files=sorted(files),
        patch=patch_of(FILES, files),
        explanation="",
        base_commit="HEAD",
    )


def subject(test: str | None = NODE) -> Subject:
    return Subject(
        diagnosis_id="diagnosis",
        kind="error",
        operation="first",
        anomaly_ids=[],
        candidate_ids=["candidate"],
        bad_commit="HEAD",
        test=test,
    )


def prove(bench: Bench, proposed: Candidate, test: str | None = NODE) -> TestedCandidate:
    applied = bench.apply(proposed)
    return bench.prove(proposed, subject(test), applied.files)


def checks(tested: TestedCandidate) -> dict[str, Check]:
    return {check.name: check for check in tested.checks}


def test_a_fix_passes_and_what_failed_before_is_known(bench: Bench) -> None:
    tested = prove(bench, candidate(app=HEALED, test=TEST))
    made = checks(tested)
    assert (made["regression_test"].verdict, made["suite"].verdict) == ("passed", "passed")
    assert made["suite"].counts == {
        "passed": 2,
        "skipped": 0,
        "new_failures": 0,
        "known_failures": 1,
    }
    assert coverage_check(tested, 1.0).counts == {"executable": 1, "covered": 1}


def test_a_small_edit_that_only_switches_code_off_is_refused(bench: Bench) -> None:
    exits = APP.replace("    return xs[0]", "    if not xs:\n        return None\n    return xs[0]")
    proposed = candidate(app=exits, test=TEST)
    searched = proposed.model_copy(update={"strategy": "search"})
    check = coverage_check(prove(bench, searched), 0.0)
    assert (check.verdict, check.required) == ("failed", True)
    assert "app.py:5" in check.summary
    assert coverage_check(prove(bench, proposed), 0.0).verdict == "passed"

    both = TEST + "\ndef test_one():\n    assert app.first([3]) == 3\n"
    tested = candidate(app=exits, test=both).model_copy(update={"strategy": "search"})
    assert coverage_check(prove(bench, tested), 0.0).verdict == "passed"


@pytest.mark.parametrize(
    "docstring",
    [
        '""">>> first([3])\n    3\n    """',
        '"""The first one.\n\n    >>> first([3])\n    3"""',
        '"""The first one.\n\n    >>> first([3])\n    3\n    """',
    ],
)
def test_an_example_of_the_documentation_that_no_longer_holds_fails(
    bench: Bench, docstring: str
) -> None:
    """Whether it stands on the first line of a docstring or ends beside its quotes."""
    documented = APP.replace("    return xs[0]\n", f"    {docstring}\n    return xs[0]\n")
    (bench.repository / "app.py").write_text(documented)
    script = "git -c user.name=a -c user.email=a@b commit -qam documented"
    subprocess.run(["sh", "-c", script], cwd=bench.repository, check=True)

    def proven(code: str) -> Check:
        files = {"app.py": documented.replace("return xs[0]", code), "tests/test_empty.py": TEST}
        patch = patch_of(FILES | {"app.py": documented}, files)
        proposed = candidate(app=HEALED, test=TEST).model_copy(update={"patch": patch})
        return checks(prove(bench, proposed))["examples"]

    assert proven("return xs[0] if xs else None").verdict == "passed"
    wrong = proven("return None")
    assert (wrong.verdict, wrong.counts) == ("failed", {"examples": 1, "broken": 1})
    assert "`first([3])` in app.py" in wrong.summary


def test_examples_that_tell_nothing_are_unavailable_and_the_check_says_why() -> None:
    one, other = ("app.py", "f(1)", "2"), ("app.py", "f(2)", "4")
    failed_before = examples_check({one: False}, {one: False})
    assert (failed_before.verdict, failed_before.required) == ("unavailable", False)
    assert "no example that held" in failed_before.summary
    none_ran = examples_check({one: True, other: True}, {})
    assert none_ran.verdict == "unavailable"
    assert "none of 2 documented examples could be run" in none_ran.summary
    assert examples_check({one: True, other: False}, {one: True, other: False}).counts == {
        "examples": 1,
        "broken": 0,
    }


def test_a_patch_that_heals_nothing_fails_and_the_suite_is_not_run(bench: Bench) -> None:
    tested = prove(bench, candidate(app=APP + "# nothing\n", test=TEST))
    assert [(check.name, check.verdict) for check in tested.checks] == [
        ("regression_test", "failed")
    ]
    assert "still fails" in tested.checks[0].summary


def test_a_test_that_passes_without_the_fix_shows_nothing(bench: Bench) -> None:
    trivial = "def test_empty():\n    pass\n"
    tested = prove(bench, candidate(app=HEALED, test=trivial))
    assert tested.checks[0].verdict == "failed"
    assert "shows nothing" in tested.checks[0].summary


def test_a_test_that_cannot_be_collected_without_the_fix_shows_nothing(bench: Bench) -> None:
    test = "from app import helper\n\ndef test_empty():\n    assert helper() is None\n"
    healed = HEALED + "\ndef helper():\n    return first([])\n"
    tested = prove(bench, candidate(app=healed, test=test))
    assert tested.checks[0].verdict == "error"
    assert "cannot collect" in tested.checks[0].summary


def test_a_new_failure_of_the_suite_is_named(bench: Bench) -> None:
    broken = HEALED.replace("2 * x", "x")
    suite = checks(prove(bench, candidate(app=broken, test=TEST)))["suite"]
    assert suite.verdict == "failed"
    assert "tests/test_app.py::test_double" in suite.summary


def test_a_failure_that_does_not_repeat_is_flaky_not_new(bench: Bench, tmp_path: Path) -> None:
    flaky = (
        "import pathlib\n\ndef test_empty():\n    import app\n    assert app.first([]) is None\n\n"
        "def test_flaky():\n    mark = pathlib.Path('mark')\n"
        "    seen = mark.exists()\n    mark.touch()\n    assert seen\n"
    )
    suite = checks(prove(bench, candidate(app=HEALED, test=flaky)))["suite"]
    assert (suite.verdict, suite.counts["new_failures"]) == ("passed", 0)


def test_a_fix_that_hangs_is_timed_out(bench: Bench) -> None:
    hanging = APP.replace("return xs[0]", "while not xs: pass\n    return xs[0]")
    bench.config = config.ValidateConfig(timeout_seconds=4)
    tested = prove(bench, candidate(app=hanging, test=TEST))
    assert tested.checks[0].verdict == "timed_out"


def test_a_fix_that_ends_the_test_run_early_does_not_pass(bench: Bench) -> None:
    liar = APP.replace("return xs[0]", "import os; print('2 passed'); os._exit(0)")
    tested = prove(bench, candidate(app=liar, test=TEST))
    assert tested.checks[0].verdict == "failed"


def test_tests_that_vanish_from_the_run_are_missed(bench: Bench) -> None:
    hidden = "[pytest]\naddopts = --deselect tests/test_app.py::test_double\n"
    suite = checks(prove(bench, candidate(app=HEALED, test=TEST, settings=hidden)))["suite"]
    assert suite.verdict == "failed"
    assert "no longer run" in suite.summary


def test_the_suite_is_graded_as_it_was_before_the_patch(bench: Bench) -> None:
    adapted = SUITE.replace("app.double(2) == 4", "app.double(2) == 6")
    wrong = HEALED.replace("2 * x", "3 * x")
    suite = checks(prove(bench, candidate(app=wrong, test=TEST, suite=adapted)))["suite"]
    assert suite.verdict == "failed"
    assert "tests/test_app.py::test_double" in suite.summary


def test_what_does_not_apply_or_weakens_a_test_is_rejected(bench: Bench) -> None:
    stale = candidate(app=HEALED).model_copy(
        update={"patch": patch_of({"app.py": "other\n"}, {"app.py": "thing\n"})}
    )
    (refused,) = bench.apply(stale).checks
    assert (refused.name, refused.verdict) == ("applies", "failed")
    weaker = bench.apply(candidate(app=HEALED, suite=SUITE.replace("== 4", "!= 3")))
    assert [check.verdict for check in weaker.checks] == ["passed", "failed"]


def test_without_a_regression_test_it_is_unavailable_not_passed(bench: Bench) -> None:
    made = checks(prove(bench, candidate(app=HEALED), test=None))
    assert (made["regression_test"].verdict, made["regression_test"].required) == (
        "unavailable",
        False,
    )


def test_the_repository_is_left_as_it_was(bench: Bench) -> None:
    before = sorted(path for path in bench.repository.rglob("*") if path.is_file())
    prove(bench, candidate(app=HEALED, test=TEST))
    assert sorted(path for path in bench.repository.rglob("*") if path.is_file()) == before
    assert not list(bench.folder.glob("tree-*"))


def test_a_new_test_that_passes_only_sometimes_is_refused(bench: Bench) -> None:
    flaky = (
        "import pathlib\nimport app\n\ndef test_empty():\n    assert app.first([]) is None\n"
        "    count = pathlib.Path('count')\n    seen = len(count.read_text()) if count.exists() else 0\n"
        "    count.write_text('x' * (seen + 1))\n    assert seen % 7 != 3\n"
    )
    made = checks(prove(bench, candidate(app=HEALED, test=flaky)))
    assert made["shuffled_runs"].verdict == "failed"
    assert made["shuffled_runs"].counts == {"tests": 1, "runs": 20, "passed": 17}


def test_new_tests_that_lean_on_each_other_are_refused(bench: Bench) -> None:
    leaning = (
        "import app\nseen = []\n\ndef test_empty():\n    assert app.first([]) is None\n    seen.append(1)\n\n"
        "def test_after():\n    assert seen\n"
    )
    made = checks(prove(bench, candidate(app=HEALED, test=leaning)))
    assert made["suite"].verdict == "passed"
    assert made["shuffled_runs"].verdict == "failed"


def test_what_the_new_tests_do_not_notice_of_the_fix_is_told(bench: Bench) -> None:
    asks_more = TEST + "    assert app.first([7]) == 7\n"
    bench.config = config.ValidateConfig(timeout_seconds=30, shuffled_runs=0)
    for test, killed, survivors in ((TEST, 1, 2), (asks_more, 3, 0)):
        mutants = checks(prove(bench, candidate(app=HEALED, test=test)))["mutants"]
        assert (mutants.verdict, mutants.required) == ("passed", False)
        assert mutants.counts["killed"] == killed
        assert len(mutants.counts["survivors"]) == survivors


def test_a_test_that_fails_now_and_then_without_the_patch_is_flaky(bench: Bench) -> None:
    """It fails twice with the patch, and on the unpatched release by turns."""
    by_turns = (
        "\nimport pathlib\ndef test_by_turns():\n    count = pathlib.Path('turn')\n"
        "    seen = len(count.read_text()) if count.exists() else 0\n"
        "    count.write_text('x' * (seen + 1))\n    assert app.first([1, 2]) == 2 or seen % 2 == 0\n"
    )
    shell = "cat >> tests/test_app.py && git -c user.name=a -c user.email=a@b commit -qam two"
    subprocess.run(["sh", "-c", shell], cwd=bench.repository, check=True, input=by_turns.encode())
    assert bench._unsteady("HEAD", ["tests/test_app.py::test_by_turns"])
    assert not bench._unsteady("HEAD", ["tests/test_app.py::test_double"])
    assert not bench._unsteady("HEAD", ["tests/test_app.py::test_known_failure"])


def test_a_suite_that_does_not_end_without_a_patch_is_tried_once_and_told(bench: Bench) -> None:
    endless = "def test_endless():\n    while True:\n        pass\n"
    (bench.repository / "tests" / "test_endless.py").write_text(endless)
    script = "git add . && git -c user.name=a -c user.email=a@b commit -qm two"
    subprocess.run(["sh", "-c", script], cwd=bench.repository, check=True)
    bench.config = config.ValidateConfig(timeout_seconds=3)
    first = prove(bench, candidate(app=HEALED, test=TEST))
    runs = dict(bench.seconds)
    second = prove(bench, candidate(app=HEALED.replace("None", "[]"), test=TEST))

    for tested in (first, second):
        (check,) = [each for each in tested.checks if each.verdict == "timed_out"]
        assert check.name == "suite"
        assert "without any patch it does not end within 3 s" in check.summary
    assert bench.seconds == runs


def test_the_suite_with_a_patch_is_limited_by_its_time_without_one(bench: Bench) -> None:
    bench.config = config.ValidateConfig(timeout_seconds=1000)
    known = bench.baseline("HEAD")
    bench.baselines = {"HEAD": known.model_copy(update={"seconds": 20.0})}
    assert bench.limit("HEAD") == 290
    bench.baselines = {"HEAD": known.model_copy(update={"seconds": 500.0})}
    assert bench.limit("HEAD") == 1000
    bench.baselines = {"HEAD": known.model_copy(update={"seconds": 0.0})}
    assert bench.limit("HEAD") == 1000
