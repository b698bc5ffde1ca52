"""``selfheal report learning``: what was learned over all runs, and what is worth fixing next."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import Field

from selfheal.artifacts import Deployment, Diagnoses, Diagnosis, Pattern, Patterns
from selfheal.artifacts.envelope import read_artifact
from selfheal.artifacts.model import AnomalyKind, Model, Severity
from selfheal.artifacts.times import RunTimes
from selfheal.learning.ledger import SUCCESSFUL, confidence
from selfheal.learning.library import read_library
from selfheal.reports.blocks import Block, Chart, Column, Facts, Table
from selfheal.reports.model import Report

WEIGHTS: dict[Severity, float] = {"critical": 1.0, "high": 0.6, "medium": 0.3, "low": 0.1}


T = TypeVar("T", bound=Model)


class PatternRow(Model):
    """A pattern's record. `success` is the posterior mean, `low` and `high` its 95 % interval."""

    id: str
    name: str
    success: float
    low: float
    high: float
    tried: int
    merged: int
    taken_back: int
    comes_from: str
    state: str


class EffectRow(Model):
    """One anomaly after its fix. `effect` is the relative decrease of the measure.

    `beyond_control`: it is what the other operations of the same hours do not share.
    """

    run_id: str
    operation: str
    measure: str
    before: float | None
    after: float | None
    effect: float | None
    low: float | None
    high: float | None
    beyond_control: str
    verdict: str


class IncidentRow(Model):
    """One run that found a cause: seconds at work until it was found, explained, proven, shipped.

    Each figure is of its own phases; `waited` is for people's decisions. None: the phase
    did not run.
    """

    run_id: str
    begun: str
    causes: int
    detect: float | None
    diagnose: float | None
    fix: float | None
    deploy: float | None
    waited: float
    outcome: str


class WorthRow(Model):
    """A cause that is not healed. `worth` = severity · affected requests · chance to heal."""

    title: str
    kind: AnomalyKind
    severity: Severity
    affected: int
    chance: float
    worth: float
    run_id: str
    diagnosis_id: str


class LearningReport(Report):
    TITLE: ClassVar[str] = "Learning"
    QUESTION: ClassVar[str] = "What was learned, what did it do, and what is worth fixing next?"

    patterns: list[PatternRow] = Field(default_factory=list)
    effects: list[EffectRow] = Field(default_factory=list)
    incidents: list[IncidentRow] = Field(default_factory=list)
    next: list[WorthRow] = Field(default_factory=list)

    def blocks(self) -> Sequence[Block]:
        retired = sum(each.state != "in service" for each in self.patterns)
        better = sum(each.verdict == "success" for each in self.effects)
        facts = [
            ("patterns", str(len(self.patterns))),
            ("retired", str(retired)),
            ("incidents", str(len(self.incidents))),
            ("effects shown in production", f"{better} of {len(self.effects)}"),
            ("open causes", str(len(self.next))),
        ]
        blocks: list[Block] = [Facts(facts)]
        if self.patterns:
            blocks.append(self._intervals())
        return [
            *blocks,
            Table.of("patterns", "Patterns, the most trusted first", _PATTERNS, self.patterns),
            Table.of("effects", "What the fixes did in production", _EFFECTS, self.effects),
            Table.of("incidents", "Seconds at work per incident", _INCIDENTS, self.incidents),
            Table.of("next", "Worth fixing next", _NEXT, self.next),
        ]

    def _intervals(self) -> Chart:
        shown = self.patterns[:25]
        return Chart(
            "bars",
            "success",
            "Success of patterns: lower bound, mean and upper bound",
            {
                "labels": [each.name for each in shown],
                "unit": "share",
                "series": [
                    {"name": "at least", "values": [each.low for each in shown]},
                    {"name": "mean", "values": [each.success for each in shown]},
                    {"name": "at most", "values": [each.high for each in shown]},
                ],
            },
        )


_PATTERNS = (
    Column("name", "pattern"),
    Column("success", "success", "share"),
    Column("low", "at least", "share"),
    Column("high", "at most", "share"),
    Column("tried", "tried", "count"),
    Column("merged", "merged", "count"),
    Column("taken_back", "taken back", "count"),
    Column("comes_from", "from"),
    Column("state", "state"),
    Column("id", "id"),
)
_EFFECTS = (
    Column("operation", "operation"),
    Column("measure", "measure"),
    Column("before", "before", "number"),
    Column("after", "after", "number"),
    Column("effect", "better by", "share"),
    Column("low", "at least", "share"),
    Column("high", "at most", "share"),
    Column("beyond_control", "control"),
    Column("verdict", "verdict", "grade"),
    Column("run_id", "run"),
)
_INCIDENTS = (
    Column("run_id", "run"),
    Column("begun", "begun", "time"),
    Column("causes", "causes", "count"),
    Column("detect", "parse and detect (s)", "number"),
    Column("diagnose", "diagnose (s)", "number"),
    Column("fix", "fix and prove (s)", "number"),
    Column("deploy", "deploy and watch (s)", "number"),
    Column("waited", "waited for people (s)", "number"),
    Column("outcome", "outcome"),
)
_NEXT = (
    Column("title", "cause"),
    Column("kind", "kind"),
    Column("severity", "severity", "grade"),
    Column("affected", "affected requests", "count"),
    Column("chance", "chance to heal", "share"),
    Column("worth", "worth", "number"),
    Column("run_id", "run"),
    Column("diagnosis_id", "id"),
)
_NOTES = [
    "Success is the posterior mean under Beta(1, 1) with its central 95 % interval; later uses "
    "weigh more.",
    "Better by: the relative decrease of the measure. Where there is a control, what the other "
    "operations of the same hours share of it is taken off.",
    "Worth is severity (critical 1, high 0.6, medium 0.3, low 0.1) times affected requests times "
    "the chance to heal: how often a candidate for this kind was proven and held, with one "
    "success and one failure assumed beforehand.",
]


def build(artifacts: Path, times: Iterable[RunTimes]) -> LearningReport:
    """The report over the runs of an artifacts folder, oldest first; empty where none taught."""
    library = read_library(artifacts)
    effects: list[EffectRow] = []
    incidents: list[IncidentRow] = []
    unhealed: dict[str, WorthRow] = {}
    last = ""
    for timed in times:
        folder = artifacts / "runs" / timed.run_id
        diagnoses = _payload(folder / "diagnosis.json", "diagnosis", Diagnoses)
        if diagnoses is None:
            continue
        last = timed.run_id
        deployment = _payload(folder / "deployment.json", "deployment", Deployment)
        own = _effects(folder, timed.run_id)
        effects += own
        if diagnoses.diagnoses:
            incidents.append(_incident(timed, len(diagnoses.diagnoses), deployment))
        healed = deployment is not None and deployment.outcome == "deployed"
        for diagnosis in diagnoses.diagnoses:
            unhealed.pop(_same_cause(diagnosis), None)
            if not healed and diagnosis.verdict == "code_cause":
                row = _worth(diagnosis, timed.run_id, library)
                unhealed[_same_cause(diagnosis)] = row
    patterns = [_pattern(each) for each in library.patterns]
    nothing = not (patterns or incidents)
    return LearningReport(
        report="learning",
        run_id=last or "of none",
        empty="no run has found a cause yet, and the pattern library is empty" if nothing else None,
        notes=_NOTES,
        patterns=patterns,
        effects=effects,
        incidents=incidents,
        next=sorted(unhealed.values(), key=lambda each: (-each.worth, each.title)),
    )


def _payload(path: Path, name: str, kind: type[T]) -> T | None:
    if not path.is_file():
        return None
    found = read_artifact(path, name)
    return found if isinstance(found, kind) else None


def _pattern(pattern: Pattern) -> PatternRow:
    low, high = pattern.confidence_interval
    return PatternRow(
        id=pattern.id,
        name=pattern.name,
        success=pattern.confidence,
        low=low,
        high=high,
        tried=pattern.outcomes.tried,
        merged=pattern.outcomes.merged,
        taken_back=pattern.outcomes.rolled_back,
        comes_from=pattern.origin or ("history" if pattern.mined else "own fixes"),
        state="in service" if pattern.retired is None else f"retired: {pattern.retired.reason}",
    )


def _effects(folder: Path, run_id: str) -> list[EffectRow]:
    """What the learn phase measured live; it is no artifact, for a repetition measures anew."""
    path = folder / "measurements" / "learning.json"
    if not path.is_file():
        return []
    told: dict[str, Any] = json.loads(path.read_text("utf-8"))
    verdicts = {
        each["anomaly_id"]: each["verdict"]
        for each in (told.get("assessments") or {}).get("verdicts", [])
    }
    found = []
    for each in told.get("improvements") or []:
        if each["measure"] is None:
            continue
        low, high = each["interval"] or (None, None)
        found.append(
            EffectRow(
                run_id=run_id,
                operation=each["operation"],
                measure=each["measure"],
                before=each["comparison"]["before"],
                after=each["comparison"]["after"],
                effect=each["improvement"],
                low=low,
                high=high,
                beyond_control="taken off" if each.get("controlled") else "none",
                verdict=verdicts.get(each["anomaly_id"], "undecided"),
            )
        )
    return found


def _incident(timed: RunTimes, causes: int, deployment: Deployment | None) -> IncidentRow:
    def of(*phases: str) -> float | None:
        known = [timed.phases[phase] for phase in phases if phase in timed.phases]
        return round(sum(known), 3) if known else None

    return IncidentRow(
        run_id=timed.run_id,
        begun=timed.started_at,
        causes=causes,
        detect=of("parse", "detect"),
        diagnose=of("diagnose"),
        fix=of("fix", "validate"),
        deploy=of("deploy", "learn"),
        waited=timed.waited,
        outcome="not reached" if deployment is None else deployment.outcome.replace("_", " "),
    )


def _same_cause(diagnosis: Diagnosis) -> str:
    place = diagnosis.locations[0] if diagnosis.locations else None
    where = f"{place.file} {place.function}" if place else diagnosis.operation
    return f"{diagnosis.kind} {where}"


def _worth(diagnosis: Diagnosis, run_id: str, library: Patterns) -> WorthRow:
    outcomes = [
        entry.outcome
        for pattern in library.patterns
        if pattern.applicability.kind == diagnosis.kind and pattern.origin is None
        for entry in pattern.provenance
    ]
    chance, _ = confidence(sum(each in SUCCESSFUL for each in outcomes), len(outcomes))
    impact = diagnosis.impact
    worth = WEIGHTS[impact.severity] * max(impact.affected_requests, 1) * chance
    return WorthRow(
        title=diagnosis.title,
        kind=diagnosis.kind,
        severity=impact.severity,
        affected=impact.affected_requests,
        chance=chance,
        worth=float(f"{worth:.4g}"),
        run_id=run_id,
        diagnosis_id=diagnosis.id,
    )
