"""patterns.json: what works, with the ledger that says how often."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from selfheal.artifacts.canonical import short_id
from selfheal.artifacts.diagnosis import Diagnosis
from selfheal.artifacts.model import AnomalyKind, Model


class Applicability(Model):
    """When a pattern may help: the kind of anomaly and facts about it (exception type, slow pattern)."""

    kind: AnomalyKind
    context: dict[str, Any] = Field(default_factory=dict)


class Outcomes(Model):
    tried: int = 0
    validated: int = 0
    merged: int = 0
    rolled_back: int = 0


class EditTemplate(Model):
    """What fixes had in common: Python text before and after, with holes (``HOLE_1`` …).

    `holes` says of each hole what stood there: a `name`, a `literal`, any `expression`, a
    `statement`, or an `identifier` (of an attribute or a keyword). `support` counts the
    changes that it was made of.
    """

    form: Literal["expression", "statements"]
    before: str
    after: str
    holes: dict[str, str] = Field(default_factory=dict)
    support: int = 1


class Provenance(Model):
    """One use of the pattern: it counts once however often a run is resumed.

    `commit` and `pull_request` are what was shipped of it, `templates` what its change
    looks like with its variables as holes.
    """

    run_id: str
    candidate_id: str
    operation: str
    outcome: str
    commit: str | None = None
    pull_request: int | None = None
    templates: list[EditTemplate] = Field(default_factory=list)


class Mined(Model):
    """Where a pattern of a repository's history comes from, and how it did on later commits.

    `matched` places of later fixed files look like its `before`; `right` of them were
    changed into just its `after` by the later fix. None: there was no later commit.
    """

    commits: list[str]
    matched: int | None = None
    right: int | None = None


class Retirement(Model):
    """Why a pattern proposes nothing any more; `by` is a person, or selfheal itself."""

    by: str
    reason: str


class Pattern(Model):
    """`confidence` is the posterior mean of success, `confidence_interval` its central 95 %.

    `templates` are generalised from its accepted fixes. `mined` tells of a pattern that
    comes from a history of commits, `origin` of one that was imported (the repository's
    name), `retired` of one that proposes nothing any more. What shipped in the runs
    `pardoned` is not held against it: a person took it back into service after them.
    """

    id: str
    name: str
    applicability: Applicability
    edit: dict[str, Any]
    outcomes: Outcomes
    confidence: float
    confidence_interval: tuple[float, float]
    provenance: list[Provenance]
    templates: list[EditTemplate] = Field(default_factory=list)
    mined: Mined | None = None
    origin: str | None = None
    retired: Retirement | None = None
    pardoned: list[str] = Field(default_factory=list)


class Insight(Model):
    """One finding for people; `basis` says what it was computed from."""

    title: str
    text: str
    basis: str


class Patterns(Model):
    """The payload of patterns.json: the library after this run."""

    patterns: list[Pattern]
    insights: list[Insight] = Field(default_factory=list)


def trouble_context(diagnosis: Diagnosis) -> dict[str, Any]:
    """The facts that tell one trouble of a kind from another: exception type, slow pattern."""
    exception = str(diagnosis.evidence.get("exception_type") or "").rpartition(".")[2]
    facts = {"exception_type": exception, "slow_pattern": diagnosis.evidence.get("slow_pattern")}
    return {name: str(value) for name, value in facts.items() if value}


def pattern_id(
    kind: AnomalyKind, context: dict[str, Any], strategy: str, template: str | None
) -> str:
    """The id of the pattern that a candidate is a use of, whoever computes it.

    `kind` and `context` are the trouble's; `template` is the strategy's variant, as
    ``edit["template"]`` of the candidate names it.
    """
    return short_id("pattern", kind, context, strategy, template)
