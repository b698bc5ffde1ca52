"""deployment.json: how the change was shipped, step by step."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from selfheal.artifacts.model import Model

Outcome = Literal["deployed", "rolled_back", "awaiting_approval", "rejected", "not_deployed"]
GateState = Literal["pass", "fail", "undecided", "no_data"]


class PullRequest(Model):
    """`url` is where it lies: a path in the local forge, or a web address."""

    title: str
    url: str
    number: int
    branch: str
    base: str
    body_sha256: str


class ApprovalRecord(Model):
    """`subject_sha256` is what a person decided on: the bytes of validation.json."""

    state: Literal["approved", "rejected", "waiting", "automatic"]
    by: str | None = None
    reason: str = ""
    subject_sha256: str | None = None


class CiRun(Model):
    verdict: Literal["passed", "failed", "timed_out", "not_run"]
    command: list[str] = Field(default_factory=list)
    exit_code: int | None = None
    summary: str


class Merge(Model):
    merged: bool
    commit: str | None = None
    base: str | None = None
    reason: str = ""


class Gate(Model):
    """`judgements` maps each question (a detector or guard) to its state."""

    state: GateState
    judgements: dict[str, GateState]
    reason: str
    measurements: str | None = None


class RolloutStep(Model):
    percent: int
    gate: Gate


class Deployment(Model):
    """The payload of deployment.json. What was not reached is None, with `reason` saying why."""

    candidate_id: str | None
    branch: str | None = None
    commit: str | None = None
    commits: list[str] = Field(default_factory=list)
    pull_request: PullRequest | None = None
    approval: ApprovalRecord | None = None
    ci: CiRun | None = None
    merge: Merge | None = None
    rollout: list[RolloutStep] = Field(default_factory=list)
    rollback: dict[str, Any] | None = None
    outcome: Outcome
    reason: str
