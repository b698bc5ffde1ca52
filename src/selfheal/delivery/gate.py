"""The gate of a rollout step: is the new release well, and is the trouble gone?

Two kinds of questions are asked of live telemetry, the new release against the old
one that serves beside it:

* guards: do its instances live; are its errors or its latency worse overall, since
  this step began (`selfheal.analysis.guards`); does it raise errors that the old one
  does not, since the rollout began;
* the anomalies that the change shall heal, each by its own detector
  (`selfheal.analysis.judge`), on all that both did since the rollout began, for the
  code is the same at every step.

A gate looks several times, so each look may only cry wolf at a part of the level
(Bonferroni: significance / looks). It fails as soon as one question is answered
badly and passes once all are answered well. Whatever is still open at the deadline
is `undecided` or `no_data`, and neither promotes.

That an error is gone can only be concluded from requests that did not raise it, and
few of them reach a small share of the traffic. The evidence asked for is in proportion
to what is at stake: with the share s of the traffic, at the level significance ** s.
As n requests without an error of rate r have the probability (1 - r) ** n, the number
of requests asked for is s times that of the last step, so that steps last about equally
long, and the last one, on which the old release is given up, asks for the full level.
"""

from __future__ import annotations

import json
import shutil
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

LOOKS = 8
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

    def share(self) -> float:
        """The percentage of new sessions that the new release gets now."""
        ...

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
    looks: list[dict[str, Any]] = []
    answers = Answers()
    for look in range(1, LOOKS + 1):
        time.sleep(max(0.0, began + config.step_seconds * look / LOOKS - time.monotonic()))
        try:
            answers = ask(target, anomalies, config, scratch / str(look))
        finally:
            shutil.rmtree(scratch / str(look), ignore_errors=True)
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
        for question in ("error_rate", "latency", "new_errors", *(anomaly.id for anomaly in asked)):
            answers.add(question, "no_data", {})
        return answers
    careful = config.model_copy(update={"significance": config.significance / LOOKS})
    fresh = since(dataset, target.new, target.step_began_ns(), scratch)
    answers.add("new_errors", *new_errors(dataset, target.old, target.new, careful))
    judged = guards(fresh, baseline=target.old, candidate=target.new, gate=careful)
    for name, judgement in judged.items():
        answers.add(name, _AS_WORSE[judgement.state], told(judgement))
    level = config.significance ** (target.share() / 100)
    for anomaly in asked:
        state, evidence = is_healed(anomaly, dataset, target.old, target.new, gone_level=level)
        answers.add(anomaly.id, state, evidence)
    return answers


def is_healed(
    anomaly: Anomaly, dataset: Dataset, old: str, new: str, *, gone_level: float | None = None
) -> tuple[GateState, dict[str, Any]]:
    """Whether the trouble is gone in `new`, by the anomaly's own detector.

    Errors and behaviour: the detector must be quiet about `new`, whose silence counts at
    `gone_level` (default: the detector's own); an error must not have turned into
    another one. A slow operation was slow in `old` already, so `new` being no worse
    proves nothing: `old` must show the anomaly against `new`, as it did against the good
    release.
    """
    from selfheal.analysis import judge

    gone = (
        {} if anomaly.kind == "performance" or gone_level is None else {"significance": gone_level}
    )
    worse = judge(anomaly, dataset, baseline=old, candidate=new, parameters=gone)
    evidence: dict[str, Any] = {"new_against_old": told(worse)}
    state = _AS_WORSE[worse.state]
    if state != "fail" and anomaly.kind == "performance":
        better = judge(anomaly, dataset, baseline=new, candidate=old)
        evidence["old_against_new"] = told(better)
        open_state: GateState = "no_data" if better.state == "no_data" else "undecided"
        state = "pass" if better.state == "anomalous" else open_state
    if state == "pass" and anomaly.kind == "error":
        level = (
            gone_level if gone_level is not None else anomaly.detector.parameters["significance"]
        )
        failures = failures_of(anomaly, dataset, old, new)
        evidence["failures"] = failures
        state = "pass" if failures["p_value"] <= level else "undecided"
    return state, evidence


def new_errors(
    dataset: Dataset, old: str, new: str, config: GateConfig
) -> tuple[GateState, dict[str, Any]]:
    """Whether some error, by its fingerprint, is more frequent in `new` than beside it in `old`.

    One exact test for each fingerprint seen in `new`, Bonferroni over them.
    """
    from selfheal.analysis.statistics.rates import rate_is_higher

    counted = dataset.rows(
        "SELECT release, count(*) AS requests FROM spans WHERE release IN (?, ?) "
        "AND (kind IN ('server', 'consumer') OR parent_span_id IS NULL) GROUP BY release",
        [old, new],
    )
    requests = {row["release"]: row["requests"] for row in counted}
    if old not in requests or new not in requests:
        return "no_data", {"requests": requests}
    found = dataset.rows(
        """
        SELECT fingerprint, any_value(exception_type) AS exception_type,
            count(*) FILTER (release = $old) AS old, count(*) FILTER (release = $new) AS new
        FROM errors WHERE release IN ($old, $new)
        GROUP BY fingerprint HAVING count(*) FILTER (release = $new) > 0 ORDER BY fingerprint
        """,
        {"old": old, "new": new},
    )
    for row in found:
        p_value = rate_is_higher(row["old"], requests[old], row["new"], requests[new])
        row["p_value"] = min(1.0, p_value * len(found))
    worse = [row for row in found if row["p_value"] <= config.significance]
    return ("fail" if worse else "pass"), {"requests": requests, "errors": found}


def failures_of(anomaly: Anomaly, dataset: Dataset, old: str, new: str) -> dict[str, Any]:
    """Failed requests of the operation in both releases.

    `p_value` is of an exact test that the old release fails more often than the new one;
    0 where the old one's requests did not fail, so that there is nothing to fall.
    """
    from selfheal.analysis.statistics.rates import rate_is_higher

    rows = dataset.rows(
        """
        SELECT release, count(*) AS requests,
            count(*) FILTER (status = 'error' OR coalesce(http_status, 0) >= 500) AS failed
        FROM spans WHERE service = ? AND operation = ? AND release IN (?, ?) GROUP BY release
        """,
        [anomaly.service, anomaly.operation, old, new],
    )
    counts = {row["release"]: (row["failed"], row["requests"]) for row in rows}
    before, after = counts.get(old, (0, 0)), counts.get(new, (0, 0))
    p_value = rate_is_higher(*after, *before) if before[0] else 0.0
    return {"old": list(before), "new": list(after), "p_value": p_value}


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
    """A judgement for the measurements, in JSON types; what is not a number is null."""
    from pydantic_core import to_json

    evidence = to_json(dict(judgement.evidence), inf_nan_mode="null", fallback=str)
    return {
        "judgement": judgement.state,
        "reason": judgement.reason,
        "evidence": json.loads(evidence),
    }
