"""A commit is convicted by what runs say, and innocent ones are cleared by the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from selfheal_handlers.diagnosis._examples import make_repository

from selfheal.artifacts.diagnosis import Diagnosis, Impact, Location, SuspectCommit
from selfheal.codebase.history import History
from selfheal.config import TestsConfig
from selfheal.diagnosis.conviction import Conviction, revised, with_fix
from selfheal.sandbox.conviction import Court, FailingTests, settle_all

OWN = "def total(values):\n    return sum(values)\n\n\ndef mean(values):\n    return total(values) / len(values)\n"
DECOY = OWN.replace("sum(values)", "sum(list(values))")
BROKEN = DECOY.replace("/ len(values)", "// len(values)")
LATER = BROKEN.replace("def mean", "def count(values):\n    return len(values)\n\n\ndef mean")
CHECK = "import sys\nfrom own import mean\nsys.exit(0 if mean([1, 2]) == 1.5 else 1)\n"
CHECKED = TestsConfig(command=["{python}", "tests/check.py"])
STAGES = (
    ("Totals and means", {"own.py": OWN, "README.md": "One\n"}),
    ("Describe", {"README.md": "Two\n"}),
    ("Take any iterable", {"own.py": DECOY}),
    ("Whole numbers are enough", {"own.py": BROKEN}),
    (
        "Count, and a check",
        {
            "own.py": LATER,
            "tests/check.py": CHECK.replace("import sys", "import sys\nsys.path.insert(0, '.')"),
        },
    ),
)


def court(
    tmp_path: Path, commits: list[str], bad: str = "", vendored: tuple[str, ...] = ()
) -> Court:
    repository = tmp_path / "repository"
    return Court(
        History(repository),
        repository,
        tmp_path / "work",
        CHECKED,
        FailingTests(["tests/check.py"]),
        bad or commits[-1],
        vendored=vendored,
    )


@pytest.fixture
def commits(tmp_path: Path) -> list[str]:
    return make_repository(tmp_path / "repository", STAGES)


def test_the_guilty_commit_is_proven_and_a_decoy_in_the_same_file_is_cleared(
    tmp_path: Path, commits: list[str]
) -> None:
    """The test that shows the trouble was written after it: its file is taken to every point."""
    (found,) = settle_all([court(tmp_path, commits)], [(commits[0], [commits[2], commits[3]])])
    assert found.proven
    assert not found.convicted
    assert (found.commit, found.cleared, found.first_bad) == (commits[3], [commits[2]], False)
    assert with_fix(found.model_dump(mode="json"), "ok").convicted
    assert not with_fix(found.model_dump(mode="json"), "anomalous").convicted


def test_where_all_suspects_are_innocent_the_first_bad_commit_is_found(
    tmp_path: Path, commits: list[str]
) -> None:
    found = court(tmp_path, commits).settle(commits[0], [commits[2]])
    assert (found.commit, found.first_bad, found.proven) == (commits[3], True, True)


def test_without_a_release_to_compare_the_history_is_searched(
    tmp_path: Path, commits: list[str]
) -> None:
    found = court(tmp_path, commits).settle(None, [])
    assert (found.commit, found.good_commit, found.proven) == (commits[3], commits[2], True)


def test_a_trouble_of_before_the_range_convicts_nobody(tmp_path: Path, commits: list[str]) -> None:
    found = court(tmp_path, commits).settle(commits[3], [commits[4]])
    assert (found.older, found.proven, found.commit) == (True, False, None)


def test_a_trouble_that_does_not_show_convicts_nobody(tmp_path: Path, commits: list[str]) -> None:
    repository = tmp_path / "healthy"
    healthy = make_repository(
        repository, [*STAGES[:3], ("Check", STAGES[4][1] | {"own.py": DECOY})]
    )
    asked = Court(
        History(repository), repository, tmp_path / "w", CHECKED, FailingTests(["x"]), healthy[-1]
    )
    found = asked.settle(healthy[0], [healthy[2]])
    assert (found.good, found.bad, found.proven) == ("ok", "ok", False)
    assert "does not show" in found.reason


@pytest.mark.parametrize("exempt", ["ignored", "vendored"])
def test_ignored_revisions_and_vendored_code_are_never_convicted(
    tmp_path: Path, exempt: str
) -> None:
    name = "vendor/own.py" if exempt == "vendored" else "own.py"
    check = {
        "tests/check.py": CHECK.replace("import sys", "import sys\nsys.path[:0] = ['.', 'vendor']")
    }
    base = [("Totals", {name: OWN} | check), ("Whole numbers", {name: BROKEN})]
    if exempt == "ignored":
        guilty = make_repository(tmp_path / "first", base)[-1]
        base.append(("Pass over", {".git-blame-ignore-revs": f"{guilty}\n"}))
    made = make_repository(tmp_path / "repository", base)
    found = court(tmp_path, made, vendored=("vendor/",)).settle(made[0], [])
    assert (found.bad, found.commit, found.proven) == ("anomalous", None, False)


def test_a_commit_that_later_ones_build_on_stays_unproven(tmp_path: Path) -> None:
    rebuilt = BROKEN.replace("// len(values)", "// max(len(values), 1)")
    check = {"tests/check.py": CHECK.replace("import sys", "import sys\nsys.path.insert(0, '.')")}
    stages = [
        ("Means", {"own.py": OWN} | check),
        ("Whole", {"own.py": BROKEN}),
        ("Empty", {"own.py": rebuilt}),
    ]
    made = make_repository(tmp_path / "repository", stages)
    found = court(tmp_path, made).settle(made[0], [made[1]])
    assert (found.commit, found.without_commit, found.proven) == (made[1], "unavailable", False)


def diagnosis() -> Diagnosis:
    suspects = [
        SuspectCommit(sha=sha, score=0.8, reason=f"changes {sha}") for sha in ("aaa", "bbb")
    ]
    impact = Impact(severity="high", affected_requests=1, all_requests=1, share=1, explanation="")
    return Diagnosis(
        id="d",
        anomaly_ids=["a"],
        kind="error",
        service="s",
        operation="o",
        title="t",
        verdict="code_cause",
        reason="aaa changes aaa.",
        locations=[
            Location(file="own.py", line=2, function="f", score=0.6),
            Location(file="own.py", line=9, function="g", score=0.5),
        ],
        suspect_commits=suspects,
        root_service="s",
        impact=impact,
        complexity="low",
        recommendations=[],
        good_commit="000",
        bad_commit="fff",
        evidence={"spectrum": [{"file": "own.py", "line": 9, "function": "g", "score": 0.5}]},
    )


def conviction(**points: object) -> Conviction:
    return Conviction.model_validate({"reproducer": "the failing test t", **points})


def test_what_a_proven_commit_wrote_becomes_more_suspicious() -> None:
    found = conviction(good="ok", bad="anomalous", without_commit="ok", commit="bbb")
    culprit = diagnosis().suspect_commits[1]
    after = revised(diagnosis(), found, culprit, lambda _, line: line == 9)
    assert [each.sha for each in after.suspect_commits] == ["bbb"]
    assert after.suspect_commits[0].score == 0.99
    assert [each.function for each in after.locations] == ["g", "f"]
    assert after.evidence["spectrum"][0]["score"] == 0.75
    assert after.evidence["not_convicted"][0]["sha"] == "aaa"
    assert after.evidence["conviction"]["commit"] == "bbb"


def test_cleared_suspects_are_none_and_an_older_trouble_accuses_no_code() -> None:
    cleared = conviction(good="ok", bad="anomalous", cleared=["aaa"], reason="none")
    after = revised(diagnosis(), cleared, None, lambda *_: False)
    assert [each.sha for each in after.suspect_commits] == ["bbb"]
    older = conviction(good="anomalous", bad="anomalous")
    after = revised(diagnosis(), older, None, lambda *_: False)
    assert (after.verdict, after.suspect_commits) == ("no_code_cause", [])
    assert after.recommendations == []
