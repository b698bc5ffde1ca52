"""The gate of a rollout step: is the new release well, and is the trouble gone?

Two kinds of questions are asked of live telemetry, the new release against the old
one that serves beside it:

* guards: do its instances live; are its errors or its latency worse overall, does it
  raise errors that the old one does not, since this step began
  (`selfheal.delivery.guards`); where that is configured and the target can
  tell, does it need more of the machine for the same work (`selfheal.delivery.saturation`);
* the anomalies that the change shall heal, each by its own detector
  (`selfheal.analysis.judge`), on all that both did since the rollout began, for the
  code is the same at every step.

Guards are sequential tests, which may be looked at at any time; the level at which they
convict is shared by the guards and the steps (Bonferroni), so that a well release is
rolled back with at most the configured probability in the whole rollout. A detector
that compares latencies is asked at a part of its level for each look.

A gate fails as soon as one question is answered badly and passes once all are answered
well. Whatever is still open at the deadline is `undecided` or `no_data`; neither promotes,
and neither says that the release is sick.

That an error is gone can only be concluded from requests that did not raise it, and
few of them reach a small share of the traffic. The evidence asked for is in proportion
to what is at stake: with the share s of the traffic, at the level significance ** s.
As n requests without an error of rate r have the probability (1 - r) ** n, the number
of requests asked for is s times that of the last step, so that steps last about equally
long, and the last one, on which the old release is given up, asks for the full level.
The guards' acquittals are in proportion in the same way.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from selfheal.artifacts import Anomaly, Dataset
from selfheal.artifacts.deployment import Gate, GateState
from selfheal.config import GateConfig
from selfheal.delivery.guards import GUARDS, Levels, Scope, block_ns_of, forecast, guards
from selfheal.delivery.saturation import QUESTION as SATURATION
from selfheal.delivery.saturation import Sample, judge_saturation

if TYPE_CHECKING:
    from selfheal.analysis import Judgement

LOOKS = 8
TICK_SECONDS = 0.2
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

    def earlier(self, scratch: Path) -> Dataset | None:
        """The telemetry from shortly before the rollout until now, None where there is none."""
        ...

    def peers(self) -> list[str]:
        """The instances of the old release that started with those of the new; empty: none."""
        ...

    def dead(self) -> list[str]:
        """The instances of the new release that ended by themselves."""
        ...

    def usage(self) -> list[Sample] | None:
        """Take a sample of what the instances use, and give all since the step began.

        None where that cannot be known.
        """
        ...

    def tend(self) -> None:
        """Bring back what carries the traffic, where it ended."""
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


def levels_of(config: GateConfig, steps: int, share: float) -> Levels:
    """The levels of one guard at a step with `share` percent of the traffic."""
    guards_asked = len(GUARDS) + config.saturation
    return Levels(
        fail=config.significance / (guards_asked * steps),
        well=config.significance ** (share / 100),
    )


def foresee(
    target: Observed, percent: int, config: GateConfig, scratch: Path, *, steps: int
) -> dict[str, Any]:
    """The smallest effects that a step can see at the present traffic (`guards.forecast`)."""
    try:
        dataset = target.earlier(scratch / "earlier")
        if dataset is None:
            return {"requests": None, "reason": "no telemetry before the step"}
        levels = levels_of(config, steps, percent)
        return forecast(dataset, target.old, min(percent, 50), config, levels)
    finally:
        shutil.rmtree(scratch / "earlier", ignore_errors=True)


def watch(
    target: Observed,
    anomalies: Sequence[Anomaly],
    config: GateConfig,
    scratch: Path,
    *,
    steps: int = 3,
    interrupted: Callable[[], str | None] = lambda: None,
) -> tuple[Gate, dict[str, Any]]:
    """Watch one step of `steps` until every question is answered, at the most `step_seconds`.

    `interrupted` is asked all the time; the reason that it gives fails the gate at once.
    Returns the gate, whose words and states equal circumstances repeat, and what was
    measured: per look the seconds since the start and the evidence of each answer.
    """
    began = time.monotonic()
    looks: list[dict[str, Any]] = []
    answers = Answers()
    for look in range(1, LOOKS + 1):
        # Early looks lie close together: what is plainly sick is caught soon.
        stopped = wait(began + config.step_seconds * (look / LOOKS) ** 2, interrupted)
        if stopped is not None:
            return Gate(state="fail", judgements={"abort": "fail"}, reason=stopped), {
                "looks": looks
            }
        answers = look_once(target, anomalies, config, scratch / str(look), steps=steps)
        looks.append({"seconds": time.monotonic() - began, "answers": answers.evidence})
        if answers.state in ("pass", "fail"):
            break
    return verdict(answers), {"looks": looks}


def wait(until: float, interrupted: Callable[[], str | None]) -> str | None:
    """Sleep until a time of the monotonic clock; why that was ended early, None if it was not."""
    while True:
        stopped = interrupted()
        left = until - time.monotonic()
        if stopped is not None or left <= 0:
            return stopped
        time.sleep(min(TICK_SECONDS, left))


def look_once(
    target: Observed,
    anomalies: Sequence[Anomaly],
    config: GateConfig,
    scratch: Path,
    *,
    steps: int = 3,
) -> Answers:
    """Tend the target and ask every question once; `scratch` is gone afterwards."""
    try:
        target.tend()
        return ask(target, anomalies, config, scratch, steps=steps)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


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
    target: Observed,
    anomalies: Sequence[Anomaly],
    config: GateConfig,
    scratch: Path,
    *,
    steps: int = 3,
) -> Answers:
    """Ask every question once of the telemetry that is there now."""
    answers = Answers()
    dead = target.dead()
    answers.add("instances", "fail" if dead else "pass", {"ended": dead})
    dataset = target.observe(scratch)
    asked = [anomaly for anomaly in anomalies if anomaly.kind in JUDGED_KINDS]
    if dataset is None:
        for question in (*GUARDS, *(anomaly.id for anomaly in asked)):
            answers.add(question, "no_data", {})
        return answers
    share = target.share()
    levels = levels_of(config, steps, share)
    scope = Scope(
        old=target.old,
        new=target.new,
        began_ns=target.step_began_ns(),
        block_ns=block_ns_of(config),
        concurrent=share < 100,
        peers=tuple(target.peers()),
    )
    for name, (state, evidence) in guards(dataset, scope, config, levels).items():
        answers.add(name, state, evidence)
    usage = target.usage() if config.saturation and scope.concurrent and scope.peers else None
    if usage is not None:
        state, evidence = judge_saturation(usage, dataset, scope, config, levels)
        answers.add(SATURATION, state, evidence)
    for anomaly in asked:
        state, evidence = is_healed(
            anomaly, dataset, target.old, target.new, gone_level=levels.well, looks=LOOKS
        )
        answers.add(anomaly.id, state, evidence)
    return answers


def is_healed(
    anomaly: Anomaly,
    dataset: Dataset,
    old: str,
    new: str,
    *,
    gone_level: float | None = None,
    looks: int = 1,
) -> tuple[GateState, dict[str, Any]]:
    """Whether the trouble is gone in `new`, by the anomaly's own detector.

    `looks` is how often the question is asked while the data grow, which a test of
    latencies pays for.

    Errors and behaviour: the detector must be quiet about `new`, whose silence counts at
    `gone_level` (default: the detector's own); an error must not have turned into
    another one. A slow operation was slow in `old` already, so `new` being no worse
    proves nothing: `old` must show the anomaly against `new`, as it did against the good
    release.
    """
    from selfheal.analysis import judge

    slow = anomaly.kind == "performance"
    level = anomaly.detector.parameters.get("significance") if slow else gone_level
    asked = {} if level is None else {"significance": level / looks if slow else level}
    worse = judge(anomaly, dataset, baseline=old, candidate=new, parameters=asked)
    evidence: dict[str, Any] = {"new_against_old": told(worse)}
    state = _AS_WORSE[worse.state]
    if state != "fail" and slow:
        better = judge(anomaly, dataset, baseline=new, candidate=old, parameters=asked)
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


def told(judgement: Judgement) -> dict[str, Any]:
    """A judgement for the measurements, in JSON types; what is not a number is null."""
    from pydantic_core import to_json

    evidence = to_json(dict(judgement.evidence), inf_nan_mode="null", fallback=str)
    return {
        "judgement": judgement.state,
        "reason": judgement.reason,
        "evidence": json.loads(evidence),
    }
