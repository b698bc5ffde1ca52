"""The rollout: shift traffic step by step, watch each step, go back when in doubt.

Every step is an effect that happens once over crashes; traffic stands at one step's
weights at any instant. Going back restores traffic first, then git, then stops what
is not needed any more. What fails on the way is recorded as the effect's answer: a
resumed run must not try again what has begun to be rolled back.

A step that is not decided in time does not promote and does not convict: the rollout
pauses where it is, and goes on being judged by `selfheal.delivery.rollout_steward`, which
takes traffic back when a question is answered badly, when the pause is over, or when the
process that rolls out dies and is not resumed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from selfheal.artifacts import Anomaly
from selfheal.artifacts.deployment import Gate, RolloutStep
from selfheal.artifacts.model import Model
from selfheal.config import GateConfig
from selfheal.contract import Effects
from selfheal.delivery.gate import foresee, watch
from selfheal.delivery.rollout_record import RolloutFolder, RolloutRecord
from selfheal.delivery.shipping import Reverted
from selfheal.delivery.target import RolloutTarget
from selfheal.errors import SelfhealError, ServiceError

logger = logging.getLogger("selfheal.rollout")


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


@dataclass(frozen=True)
class Paused:
    """The rollout waits where it is, for a human or for better times."""

    reason: str


class _Open(Exception):
    """A gate that was not decided; it is no result, so that it is watched anew."""

    def __init__(self, gate: Gate) -> None:
        super().__init__(gate.reason)
        self.gate = gate


@dataclass(frozen=True)
class Control:
    """What a rollout minds besides its gates.

    `closed` says why no further step may be taken now. `steward` starts the process that
    judges on when this one is gone, where there is none yet.
    """

    folder: RolloutFolder
    run_id: str
    commit: str
    closed: Callable[[], str | None] = lambda: None
    steward: Callable[[], object] = lambda: None

    def begin(self, target: RolloutTarget) -> RolloutRecord:
        """The record of this rollout, made where the folder holds another one's."""
        found = self.folder.record()
        if found is None or (found.run_id, found.new) != (self.run_id, target.new):
            self.folder.forget_request()
            found = RolloutRecord(
                run_id=self.run_id, old=target.old, new=target.new, commit=self.commit
            )
        return self.folder.write(found)

    def trouble(self) -> str | None:
        """Why the rollout must go back, by what was said or done outside of its gates."""
        record = self.folder.record()
        if record is not None and (
            record.state in ("returning", "rolled_back")
            or (record.state == "returned" and record.failed)
        ):
            return record.reason
        return self.folder.abort_asked()


@dataclass(frozen=True)
class Gates:
    """What every step is asked, and where the answers go.

    `record` keeps a gate's live numbers under a name and returns where.
    """

    anomalies: Sequence[Anomaly]
    config: GateConfig
    scratch: Path
    record: Callable[[str, dict[str, Any]], str]

    def at(
        self,
        percent: int,
        target: RolloutTarget,
        effects: Effects,
        control: Control,
        *,
        steps: int,
    ) -> RolloutStep:
        """Watch one step; a gate that was interrupted has no answer yet and is watched anew.

        Raises _Open where there is no answer in time. A gate that could not look is
        answered `no_data`.
        """

        def perform() -> dict[str, Any]:
            scratch = self.scratch / f"step-{percent}"
            try:
                gate, measured = watch(
                    target,
                    self.anomalies,
                    self.config,
                    scratch,
                    steps=steps,
                    interrupted=control.folder.abort_asked,
                )
            except (SelfhealError, OSError) as error:
                raise _Open(Gate(state="no_data", judgements={}, reason=_reason(error))) from error
            kept = self.record(f"rollout-{percent}", measured)
            if gate.state in ("undecided", "no_data"):
                raise _Open(gate)
            return gate.model_copy(update={"measurements": kept}).model_dump(mode="json")

        answer = effects.once(f"rollout:{percent}:gate", perform, lambda: None)
        return RolloutStep(percent=percent, gate=Gate.model_validate(answer))

    def foresee(
        self, percent: int, target: RolloutTarget, control: Control, *, steps: int
    ) -> RolloutRecord:
        """Note the step, and the smallest effects that it can see, before it begins."""
        scratch = self.scratch / f"before-{percent}"
        try:
            found = foresee(target, percent, self.config, scratch, steps=steps)
        except (SelfhealError, OSError) as error:
            found = {"requests": None, "reason": _reason(error)}
        self.record(f"rollout-{percent}-foreseen", found)
        logger.info("rollout to %s %%: %s", percent, told_foreseen(found))
        record = control.folder.record()
        seen = record.seen if record is not None else {}
        return control.folder.update(percent=percent, seen={**seen, str(percent): found})


def roll_out(
    target: RolloutTarget,
    gates: Gates,
    *,
    steps: Sequence[int],
    effects: Effects,
    control: Control,
    revert: Callable[[str], Reverted],
) -> Rollout | Paused:
    """Take the new release through the steps, or back to the old one.

    `revert` takes the change back in git for a reason, or says why a human must. Returns
    Paused where the rollout waits; called again, it goes on. The caller holds the lock of
    the control's folder.
    """
    record = control.begin(target)
    done: list[RolloutStep] = []
    planned = planned_steps(steps)
    for percent in planned:
        if percent < record.percent:
            done.append(gates.at(percent, target, effects, control, steps=len(planned)))
            continue
        trouble = control.trouble()
        if trouble is None and record.percent < percent:
            held = _held(percent, gates.config, control, record)
            if held is not None:
                return held
            record = gates.foresee(percent, target, control, steps=len(planned))
        if trouble is None:
            record = control.folder.update(state="running", reason="", until=None, asked=None)
            control.steward()
            trouble = _enter(target, percent, effects)
        failed: RolloutStep | None = None
        if trouble is None:
            try:
                step = gates.at(percent, target, effects, control, steps=len(planned))
            except _Open as still:
                reason = f"the gate at {percent} % is {still.gate.state}: {still.gate.reason}"
                return _pause(control, gates.config, "paused", reason)
            if step.gate.state == "pass":
                done.append(step)
                continue
            failed = step
            trouble = f"the gate at {percent} % was {step.gate.state}: {step.gate.reason}"
        return _returned(target, effects, control, revert, done, trouble, failed)
    effects.once("rollout:retire", _always(lambda: target.retire(target.old)), lambda: None)
    reason = f"release {target.new} carries all traffic"
    control.folder.update(state="finished", reason=reason, until=None)
    return Rollout(old=target.old, new=target.new, steps=done, finished=True, reason=reason)


def _returned(
    target: RolloutTarget,
    effects: Effects,
    control: Control,
    revert: Callable[[str], Reverted],
    done: list[RolloutStep],
    trouble: str,
    failed: RolloutStep | None,
) -> Rollout:
    """Go back; noted before it begins, so that a resumed run does not step forward again."""
    record = control.folder.record()
    if record is not None and record.state in ("returning", "rolled_back"):
        failed = record.step
    control.folder.update(state="returning", reason=trouble, step=failed, until=None)
    rollback = _go_back(target, effects, revert, trouble)
    control.folder.update(state="rolled_back")
    control.folder.take_request("abort")
    steps = [*done, failed] if failed is not None else done
    return Rollout(old=target.old, new=target.new, steps=steps, rollback=rollback, reason=trouble)


def _held(
    percent: int, config: GateConfig, control: Control, record: RolloutRecord
) -> Paused | None:
    """Pause before a step that may not be taken now."""
    closed = control.closed()
    if closed is not None:
        if record.percent == 0:
            return Paused(closed)
        return _pause(control, config, "paused", closed)
    if percent in config.ask_before and percent not in record.promoted:
        said = control.folder.take_request("promote")
        if said is None:
            reason = f"a human decides on the step to {percent} %"
            return _pause(control, config, "asking", reason, asked=percent)
        control.folder.update(promoted=[*record.promoted, percent])
    return None


def _pause(
    control: Control, config: GateConfig, state: str, reason: str, asked: int | None = None
) -> Paused:
    """Note that the rollout waits; a pause that goes on after a resume is not made longer."""
    record = control.folder.record()
    until = record.until if record is not None and record.state == state else None
    control.folder.update(
        state=state, reason=reason, asked=asked, until=until or time.time() + config.pause_seconds
    )
    return Paused(reason)


def told_foreseen(found: dict[str, Any]) -> str:
    """What a step can see, in words."""
    if found.get("requests") is None:
        return f"what it can see is not known: {found.get('reason', 'no telemetry')}"
    rate, ratio = found["visible_failure_rate"], found["visible_latency_ratio"]
    parts = [
        f"{rate:.2%} failed requests (now {found['baseline_failure_rate']:.2%})"
        if rate is not None
        else "no rise of errors",
        f"{ratio:.2f} times the latency" if ratio is not None else "no rise of latency",
    ]
    return f"{found['requests']} requests are expected, which show {' and '.join(parts)}"


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
        lambda: "" if target.stands_at(percent) else None,
    )
    # Traffic was taken back while this process was gone, or a proxy was not told.
    if not failed and not target.stands_at(percent):
        failed = _tried(lambda: _stand(target, percent))()
    return f"traffic could not be shifted to {percent} %: {failed}" if failed else None


def _stand(target: RolloutTarget, percent: int) -> None:
    target.prepare(percent)
    target.shift(percent)


def _go_back(
    target: RolloutTarget, effects: Effects, revert: Callable[[str], Reverted], reason: str
) -> dict[str, Any]:
    """Undo the rollout as far as it goes; `note` says what a human must finish and why.

    `traffic` is the release that has it all again, None where traffic could not be moved.
    """
    stuck = effects.once(
        "rollback:traffic",
        _tried(lambda: target.shift(0)),
        lambda: "" if target.stands_at(0) else None,
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
