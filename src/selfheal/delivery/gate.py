"""The gate of a rollout step: is the new release well, and is the trouble gone?

Two kinds of questions are asked of live telemetry, the new release against the old
one that serves beside it:

* guards, on what the new release did since this step began: are its errors or its
  latency worse overall (`selfheal.analysis.guards`), and do its instances live;
* the anomalies that the change shall heal, each by its own detector
  (`selfheal.analysis.judge`), on all that both did since the rollout began, for the
  code is the same at every step.

A gate looks several times, so each look may only cry wolf at a part of the level
(Bonferroni: significance / looks). It fails as soon as one question is answered
badly and passes once all are answered well. Whatever is still open at the deadline
is `undecided` or `no_data`, and neither promotes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from selfheal.artifacts import Anomaly, Dataset
from selfheal.artifacts.dataset import write_tables
from selfheal.artifacts.deployment import Gate, GateState
from selfheal.config import GateConfig

if TYPE_CHECKING:
    from selfheal.analysis import Judgement

LOOKS = 5
JUDGED_KINDS = frozenset({"performance", "error", "behavioral"})

_AS_WORSE: dict[str, GateState] = {
    "anomalous": "fail",
    "quiet": "pass",
    "inconclusive": "undecided",
    "no_data": "no_data",
}


class Observed(Protocol):
    """What a gate watches: two releases that serve side by side."""

    @property
    def old(self) -> str: ...
    @property
    def new(self) -> str: ...

    def step_began_ns(self) -> int:
        """When traffic was last shifted, in Unix nanoseconds."""
        ...

    def observe(self, scratch: Path) -> Dataset | None:
        """The telemetry of both since the rollout began, None where there is none yet."""
        ...

    def dead(self) -> list[str]:
        """The instances of the new release that ended by themselves."""
        ...


@dataclass
class Answers:
    """The state of every question, and the evidence with live numbers behind it."""

    states: dict[str, GateState] = field(default_factory=dict)
    evidence: dict[str, Any] = field(default_factory=dict)

    def add(self, question: str, state: GateState, evidence: Mapping[str, Any]) -> None:
        self.states[question] = state
        self.evidence[question] = {"state": state, **evidence}

    @property
    def state(self) -> GateState:
        """The worst answer: fail, then no_data, then undecided, then pass."""
        for worst in ("fail", "no_data", "undecided"):
            if worst in self.states.values():
                return worst
        return "pass" if self.states else "no_data"


def watch(
    target: Observed, anomalies: Sequence[Anomaly], config: GateConfig, scratch: Path
) -> tuple[Gate, dict[str, Any]]:
    """Watch one step until every question is answered, at the most `step_seconds`.

    Returns the gate, whose words and states equal circumstances repeat, and what was
    measured: per look the seconds since the start and the evidence of each answer.
    """
    began = time.monotonic()
    careful = config.model_copy(update={"significance": config.significance / LOOKS})
    looks: list[dict[str, Any]] = []
    answers = Answers()
    for look in range(1, LOOKS + 1):
        time.sleep(max(0.0, began + config.step_seconds * look / LOOKS - time.monotonic()))
        answers = ask(target, anomalies, careful, scratch / str(look))
        looks.append({"seconds": time.monotonic() - began, "answers": answers.evidence})
        if answers.state in ("pass", "fail"):
            break
    return verdict(answers), {"looks": looks}


def verdict(answers: Answers) -> Gate:
    """The gate that a set of answers makes."""
    state = answers.state
    if state == "pass":
        reason = "no guard is worse than the old release and every trouble is gone"
    elif not answers.states:
        reason = "no telemetry arrived"
    else:
        concerned = sorted(name for name, found in answers.states.items() if found == state)
        said = {
            "fail": "answered badly",
            "undecided": "not decided in time",
            "no_data": "without data",
        }[state]
        reason = f"{said}: {', '.join(concerned)}"
    return Gate(state=state, judgements=dict(sorted(answers.states.items())), reason=reason)


def ask(
    target: Observed, anomalies: Sequence[Anomaly], config: GateConfig, scratch: Path
) -> Answers:
    """Ask every question once of the telemetry that is there now."""
    from selfheal.analysis import guards

    answers = Answers()
    dead = target.dead()
    answers.add("instances", "fail" if dead else "pass", {"ended": dead})
    dataset = target.observe(scratch)
    asked = [anomaly for anomaly in anomalies if anomaly.kind in JUDGED_KINDS]
    if dataset is None:
        for question in ("error_rate", "latency", *(anomaly.id for anomaly in asked)):
            answers.add(question, "no_data", {})
        return answers
    fresh = since(dataset, target.new, target.step_began_ns(), scratch)
    judged = guards(fresh, baseline=target.old, candidate=target.new, gate=config)
    for name, judgement in judged.items():
        answers.add(name, _AS_WORSE[judgement.state], told(judgement))
    for anomaly in asked:
        state, evidence = is_healed(anomaly, dataset, target.old, target.new)
        answers.add(anomaly.id, state, evidence)
    return answers


def is_healed(
    anomaly: Anomaly, dataset: Dataset, old: str, new: str
) -> tuple[GateState, dict[str, Any]]:
    """Whether the trouble is gone in `new`, by the anomaly's own detector.

    Errors and behaviour: the detector must be quiet about `new`. A slow operation was
    slow in `old` already, so `new` being no worse proves nothing: `old` must show the
    anomaly against `new`, as it did against the good release.
    """
    from selfheal.analysis import judge

    worse = judge(anomaly, dataset, baseline=old, candidate=new)
    evidence: dict[str, Any] = {"new_against_old": told(worse)}
    if anomaly.kind != "performance" or worse.state == "anomalous":
        return _AS_WORSE[worse.state], evidence
    better = judge(anomaly, dataset, baseline=new, candidate=old)
    evidence["old_against_new"] = told(better)
    if better.state == "anomalous":
        return "pass", evidence
    return ("no_data" if better.state == "no_data" else "undecided"), evidence


def since(dataset: Dataset, release: str, began_ns: int, scratch: Path) -> Dataset:
    """The dataset without what `release` did before `began_ns`; other releases keep all."""
    times = {"spans": "start_ns", "logs": "time_ns", "errors": "time_ns", "metrics": "time_ns"}
    tables = {
        name: dataset.arrow(
            f"SELECT * FROM {name} WHERE release IS DISTINCT FROM ? OR {column} >= ?",
            [release, began_ns],
        )
        for name, column in times.items()
        if name in dataset.tables
    }
    tables |= {
        name: dataset.arrow(f'SELECT * FROM "{name}"')
        for name in dataset.tables
        if name not in times
    }
    return write_tables(tables, scratch, "since")


def told(judgement: Judgement) -> dict[str, Any]:
    """A judgement for the measurements."""
    return {
        "judgement": judgement.state,
        "reason": judgement.reason,
        "evidence": dict(judgement.evidence),
    }
