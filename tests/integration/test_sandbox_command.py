"""A suite that a command of the project's own runs: its exit code is the judge, and is told so."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from selfheal import config
from selfheal.artifacts import Candidate
from selfheal.artifacts.validation import Check
from selfheal.repair.diff import patch_of
from selfheal.sandbox.bench import Bench
from selfheal.sandbox.evidence import Subject, passed, verdict_of

CODE = "def last(xs):\n    return xs[len(xs)]\n"
HEALED = CODE.replace("len(xs)", "len(xs) - 1")
CHECKS = "from ends import last\n\nassert last([1, 2]) == 2, 'last'\n"
RED = CHECKS + "assert last([3, 4]) == 3, 'red for long'\n"
HANGING = CHECKS + "while True:\n    pass\n"
INCIDENT = ["checks.py::last"]


def bench(folder: Path, checks: str) -> Bench:
    repository = folder / "repository"
    repository.mkdir()
    (repository / "ends.py").write_text(CODE)
    (repository / "checks.py").write_text(checks)
    script = "git init -q . && git add . && git -c user.name=a -c user.email=a@b commit -qm one"
    subprocess.run(["sh", "-c", script], cwd=repository, check=True)
    tests = config.TestsConfig(command=["{python}", "checks.py"])
    limits = config.ValidateConfig(timeout_seconds=3)
    return Bench(repository, folder / "bench", tests, limits, incident=INCIDENT)


def proof(bench: Bench, after: str) -> dict[str, Check]:
    candidate = Candidate(
        id="candidate",
        diagnosis_id="diagnosis",
        strategy="search",
        rank=1,
        score=1.0,
        files=["ends.py"],
        patch=patch_of({"ends.py": CODE}, {"ends.py": after}),
        explanation="",
        base_commit="HEAD",
    )
    subject = Subject(
        diagnosis_id="diagnosis",
        kind="error",
        operation="last",
        anomaly_ids=[],
        candidate_ids=["candidate"],
        bad_commit="HEAD",
        test=INCIDENT[0],
        tests=INCIDENT,
    )
    found = bench.prove(candidate, subject, bench.apply(candidate).files)
    return {check.name: check for check in found.checks}


def test_a_command_that_fails_before_and_succeeds_after_is_a_proof_and_says_by_what(
    tmp_path: Path,
) -> None:
    checks = proof(bench(tmp_path, CHECKS), HEALED)

    assert passed(checks.values())
    assert "by its exit code" in checks["regression_test"].summary
    assert "checks.py" in checks["regression_test"].summary
    assert checks["shuffled_runs"].verdict == "unavailable"


@pytest.mark.parametrize(
    ("suite", "after", "verdict", "told"),
    [
        (CHECKS, CODE.replace("len(xs)", "0"), "failed", "still fails with the fix"),
        (RED, HEALED, "failed", "still fails with the fix, of whatever in it"),
        (HANGING, HEALED, "timed_out", "it came to no result within its time limit"),
    ],
)
def test_a_command_that_fails_or_does_not_end_proves_nothing(
    tmp_path: Path, suite: str, after: str, verdict: str, told: str
) -> None:
    found = verdict_of(proof(bench(tmp_path, suite), after).values())

    assert found[0] == verdict
    assert told in found[1]
