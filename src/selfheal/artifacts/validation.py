"""validation.json: what was proven of each candidate, and which one is chosen."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from selfheal.artifacts.model import Model
from selfheal.artifacts.patch import Search

CheckVerdict = Literal["passed", "failed", "timed_out", "error", "not_run", "unavailable"]
CandidateVerdict = Literal["passed", "failed", "timed_out", "error", "not_run"]


class Check(Model):
    """One question asked of a candidate.

    `counts` holds exact, repeatable numbers (tests, statements, covered lines).
    `measurements` cites the file with clock times, relative to the run folder.
    """

    name: str
    verdict: CheckVerdict
    summary: str
    required: bool = True
    counts: dict[str, Any] = Field(default_factory=dict)
    measurements: str | None = None


class Result(Model):
    candidate_id: str
    diagnosis_id: str
    verdict: CandidateVerdict
    reason: str
    checks: list[Check]


class CausalProof(Model):
    """The four points for a suspect commit: ``ok``, ``anomalous``, ``unavailable`` or not asked.

    It is convicted by ok / anomalous / ok / ok alone; `reproducer` says what was run.
    """

    commit: str
    reproducer: str
    good: str | None
    bad: str | None
    without_commit: str | None
    with_fix: str | None
    convicted: bool
    reason: str


class Selection(Model):
    """The choice for one diagnosis. `tried` counts the candidates that were run until it stood.

    `cause` is the proof of the diagnosis's suspect commit, which the chosen fix completes.
    `weak_suite` says why tests leave open whether another change that passed is the right one.
    """

    diagnosis_id: str
    candidate_id: str | None
    reason: str
    tried: int
    cause: CausalProof | None = None
    weak_suite: str | None = None


class Composition(Model):
    """Several selected candidates merged into one change and proven again as a whole."""

    id: str
    candidate_ids: list[str]
    patch: str


class Validation(Model):
    """The payload of validation.json.

    `selected` is a candidate's id, or the composition's where several diagnoses are
    healed at once, or None; `reason` says why. `searches` tell by strategy what was tried
    before and why it fell. `isolation` names how code was confined.
    """

    results: list[Result]
    selected: str | None
    reason: str
    selections: list[Selection] = Field(default_factory=list)
    searches: list[Search] = Field(default_factory=list)
    composition: Composition | None = None
    isolation: str
