"""Which candidates are proven: in the order of rank, and never without the revert of a hunk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from selfheal.artifacts import Candidate
from selfheal.artifacts.validation import Check
from selfheal.config import ValidateConfig
from selfheal.sandbox.bench import Bench
from selfheal.sandbox.changes import ChangedFile
from selfheal.sandbox.evidence import Applied, AppliedCandidate, Subject, Tested, TestedCandidate
from selfheal.sandbox.rounds import run_in_rank_order
from selfheal.sandbox.suite import SuiteResult


class Proofs:
    """Stands for the bench: the candidates in `sound` pass, which it would tell by their tests."""

    def __init__(self, sound: set[str]) -> None:
        self.sound, self.config = sound, ValidateConfig()

    def baseline(self, _commit: str) -> SuiteResult:
        return SuiteResult(state="passed", seconds=0.0)

    def prove(
        self, candidate: Candidate, _subject: Subject, _files: Sequence[ChangedFile]
    ) -> TestedCandidate:
        verdict = "passed" if candidate.id in self.sound else "failed"
        check = Check.model_validate({"name": "suite", "verdict": verdict, "summary": ""})
        return TestedCandidate(candidate_id=candidate.id, checks=[check])


def proven(strategies: dict[str, str], sound: set[str]) -> Tested:
    """The proofs of candidates by name, in the order of rank, each with its strategy."""
    candidates = [
        Candidate(
            id=name,
            diagnosis_id="d",
            strategy=strategy,
            rank=rank,
            score=1.0,
            files=[],
            patch="",
            explanation="",
            base_commit="base",
        )
        for rank, (name, strategy) in enumerate(strategies.items(), start=1)
    ]
    given: dict[str, Any] = {"anomaly_ids": [], "bad_commit": "base", "operation": "get"}
    subject = Subject(diagnosis_id="d", kind="error", candidate_ids=list(strategies), **given)
    applied = Applied(
        candidates={name: AppliedCandidate(candidate_id=name, checks=[]) for name in strategies}
    )
    return run_in_rank_order(cast(Bench, Proofs(sound)), [subject], candidates, applied)


FIVE = {"a": "search", "b": "search", "c": "search", "d": "revert_hunk", "e": "revert_hunk"}


def test_the_best_revert_of_a_hunk_is_proven_beside_better_ranked_ones_that_pass() -> None:
    assert set(proven(FIVE, {"a", "b", "d"}).candidates) == {"a", "b", "d"}
    assert set(proven(FIVE, {"a", "d"}).candidates) == {"a", "b", "c", "d"}


def test_a_revert_that_was_proven_is_not_followed_by_another() -> None:
    strategies = {"a": "revert_hunk", "b": "search", "c": "search", "d": "revert_hunk"}
    assert set(proven(strategies, {"a", "b"}).candidates) == {"a", "b"}
