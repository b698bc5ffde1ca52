"""The rollout: shift traffic step by step, watch each step, go back when in doubt.

Every step is an effect that happens once over crashes; traffic stands at one step's
weights at any instant. Going back restores traffic first, then git, then stops what
is not needed any more. What fails on the way is recorded as the effect's answer: a
resumed run must not try again what has begun to be rolled back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pydantic import Field

from selfheal.artifacts import Anomaly, Dataset
from selfheal.artifacts.deployment import Gate, RolloutStep
from selfheal.artifacts.model import Model
from selfheal.config import GateConfig
from selfheal.contract import Effects
from selfheal.delivery.fleet import Fleet
from selfheal.delivery.gate import Observed, watch
from selfheal.delivery.shipping import Reverted
from selfheal.errors import InvalidInput, SelfhealError, ServiceError


class Begin(Model):
    """What the fleet was like before anything changed."""

    old: str
    new: str
    count: int
    offsets: dict[str, int] = Field(default_factory=dict)


class Rollout(Model):
    """How the rollout went. `rollback` says what was undone and why, None if nothing was."""

    old: str | None = None
    new: str | None = None
    steps: list[RolloutStep] = Field(default_factory=list)
    finished: bool = False
    rollback: dict[str, Any] | None = None
    reason: str = ""

    @property
    def summary(self) -> str:
        steps = ", ".join(f"{step.percent} % {step.gate.state}" for step in self.steps)
        return f"{'finished' if self.finished else 'stopped'}: {steps or self.reason}"


class RolloutTarget(Observed, Protocol):
    """Something that serves two releases of one service by weight."""

    def prepare(self, percent: int) -> None:
        """Make the new release able to carry `percent` of the traffic. May be repeated."""
        ...

    def shift(self, percent: int) -> None:
        """Give the new release `percent` of new sessions and the old one the rest."""
        ...

    def retire(self, release: str) -> None:
        """End what serves a release that has no traffic. May be repeated."""
        ...


class ProcessesTarget:
    """A fleet of local processes. `checkout` gives the folder of the new release's files."""

    def __init__(
        self, fleet: Fleet, begin: Begin, commit: str, checkout: Callable[[], Path]
    ) -> None:
        self.fleet = fleet
        self.begin = begin
        self.commit = commit
        self.checkout = checkout

    @property
    def old(self) -> str:
        return self.begin.old

    @property
    def new(self) -> str:
        return self.begin.new

    def step_began_ns(self) -> int:
        return self.fleet.routing().routed_at_ns

    def observe(self, scratch: Path) -> Dataset | None:
        from selfheal.telemetry import ingest

        files = self.fleet.telemetry_since(self.begin.offsets, scratch / "received")
        if not files:
            return None
        return ingest(files, scratch, "dataset").dataset

    def dead(self) -> list[str]:
        registered = self.fleet.routing().instances
        return sorted(i.id for i in registered if i.release == self.new and not i.alive)

    def prepare(self, percent: int) -> None:
        wanted = math.ceil(self.begin.count * percent / 100)
        self.fleet.start(self.checkout(), self.new, self.commit, wanted)

    def share(self) -> float:
        return self.fleet.routing().percents.get(self.new, 0.0)

    def shift(self, percent: int) -> None:
        self.fleet.route({self.old: 100 - percent, self.new: percent}, label=f"{percent} %")

    def retire(self, release: str) -> None:
        self.fleet.stop(release)


def begin_rollout(fleet: Fleet, commit: str) -> Begin:
    """Note the release that carries the traffic now. Raises InvalidInput where none does."""
    serving = [instance for instance in fleet.instances() if instance.weight > 0]
    if not serving:
        raise InvalidInput("the fleet has no live instance with traffic.", where=str(fleet.folder))
    percents: dict[str, float] = {}
    for instance in serving:
        percents[instance.release] = percents.get(instance.release, 0.0) + instance.weight
    old = max(sorted(percents), key=percents.__getitem__)
    return Begin(
        old=old,
        new=f"{old.split('-selfheal.')[0]}-selfheal.{commit[:7]}",
        count=sum(instance.release == old for instance in serving),
        offsets=fleet.offsets(),
    )


@dataclass(frozen=True)
class Gates:
    """What every step is asked, and where the answers go.

    `record` keeps a gate's live numbers under a name and returns where.
    """

    anomalies: Sequence[Anomaly]
    config: GateConfig
    scratch: Path
    record: Callable[[str, dict[str, Any]], str]

    def at(self, percent: int, target: RolloutTarget, effects: Effects) -> RolloutStep:
        """Watch one step; a gate that was interrupted has no answer yet and is watched anew.

        A gate that could not look is answered `no_data`, which does not promote.
        """

        def perform() -> dict[str, Any]:
            scratch = self.scratch / f"step-{percent}"
            try:
                gate, measured = watch(target, self.anomalies, self.config, scratch)
            except (SelfhealError, OSError) as error:
                gate = Gate(state="no_data", judgements={}, reason=_reason(error))
                return gate.model_dump(mode="json")
            kept = self.record(f"rollout-{percent}", measured)
            return gate.model_copy(update={"measurements": kept}).model_dump(mode="json")

        answer = effects.once(f"rollout:{percent}:gate", perform, lambda: None)
        return RolloutStep(percent=percent, gate=Gate.model_validate(answer))


def roll_out(
    target: RolloutTarget,
    gates: Gates,
    *,
    steps: Sequence[int],
    effects: Effects,
    revert: Callable[[str], Reverted],
) -> Rollout:
    """Take the new release through the steps, or back to the old one.

    `revert` takes the change back in git for a reason, or says why a human must.
    """
    done: list[RolloutStep] = []
    for percent in planned_steps(steps):
        trouble = _enter(target, percent, effects)
        if trouble is None:
            step = gates.at(percent, target, effects)
            done.append(step)
            if step.gate.state != "pass":
                trouble = f"the gate at {percent} % was {step.gate.state}: {step.gate.reason}"
        if trouble is not None:
            rollback = _go_back(target, effects, revert, trouble)
            return Rollout(
                old=target.old, new=target.new, steps=done, rollback=rollback, reason=trouble
            )
    effects.once("rollout:retire", _always(lambda: target.retire(target.old)), lambda: None)
    return Rollout(
        old=target.old,
        new=target.new,
        steps=done,
        finished=True,
        reason=f"release {target.new} carries all traffic",
    )


def planned_steps(steps: Sequence[int]) -> list[int]:
    """The steps in ascending order, each 1–100, ending with everything."""
    return sorted({min(100, max(1, step)) for step in steps} | {100})


def _enter(target: RolloutTarget, percent: int, effects: Effects) -> str | None:
    """Start what the step needs and shift traffic; what went wrong, else None."""

    def start() -> str:
        try:
            target.prepare(percent)
        except ServiceError:
            # What the service printed names ports and places, which never repeat.
            return f"release {target.new} did not become healthy"
        except (SelfhealError, OSError) as error:
            return f"release {target.new} could not be started: {_reason(error)}"
        return ""

    failed = effects.once(f"rollout:{percent}:start", start, lambda: None)
    if failed:
        return failed
    failed = effects.once(
        f"rollout:{percent}:route",
        _tried(lambda: target.shift(percent)),
        lambda: "" if target.share() == percent else None,
    )
    return f"traffic could not be shifted to {percent} %: {failed}" if failed else None


def _go_back(
    target: RolloutTarget, effects: Effects, revert: Callable[[str], Reverted], reason: str
) -> dict[str, Any]:
    """Undo the rollout as far as it goes; `note` says what a human must finish and why.

    `traffic` is the release that has it all again, None where traffic could not be moved.
    """
    stuck = effects.once(
        "rollback:traffic",
        _tried(lambda: target.shift(0)),
        lambda: "" if target.share() == 0 else None,
    )
    reverted = revert(reason)
    notes = []
    if stuck:
        # The new release may be all that still serves: it is left to live.
        notes.append(f"traffic stays where it was: {stuck}")
    else:
        left = effects.once(
            "rollback:stop", _tried(lambda: target.retire(target.new)), lambda: None
        )
        if left:
            notes.append(f"release {target.new} still runs: {left}")
    if reverted.commit is None:
        notes.append(f"a human must make the revert: {reverted.reason}")
    return {
        "reason": reason,
        "traffic": None if stuck else target.old,
        "revert": reverted.commit,
        "note": "; ".join(notes),
    }


def _tried(action: Callable[[], object]) -> Callable[[], str]:
    """An action as an effect whose result is why it failed, "" where it was done."""

    def perform() -> str:
        try:
            action()
        except (SelfhealError, OSError) as error:
            return _reason(error)
        return ""

    return perform


def _reason(error: SelfhealError | OSError) -> str:
    """What went wrong, without the paths in which runs differ."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return error.message.rstrip(".")


def _always(action: Callable[[], object]) -> Callable[[], bool]:
    """An action as an effect whose only result is that it was done."""

    def perform() -> bool:
        action()
        return True

    return perform
