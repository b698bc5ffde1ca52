"""The steward of a rollout: judges on and takes traffic back when nobody else is there.

It is a process of its own, started before the first traffic is moved, and outlives the run.
While some process has the rollout in hand it only waits. A paused rollout it goes on
judging. One that nobody has in hand for `grace_seconds` it takes back, so that a crash
leaves traffic on the old release, or is resumed.
"""

from __future__ import annotations

import argparse
import fcntl
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import Field

from selfheal.artifacts import Anomaly
from selfheal.artifacts.model import Model
from selfheal.config import GateConfig, RolloutCommandConfig
from selfheal.delivery.command_target import CommandTarget
from selfheal.delivery.fleet import Fleet
from selfheal.delivery.fleet_target import ProcessesTarget
from selfheal.delivery.gate import LOOKS, look_once, verdict
from selfheal.delivery.rollout_record import ENDED, RolloutFolder, RolloutRecord
from selfheal.delivery.target import Begin, RolloutTarget
from selfheal.errors import SelfhealError

POLL_SECONDS = 0.5

logger = logging.getLogger("selfheal.rollout")


class StewardPlan(Model):
    """What the steward needs to know: the target and the questions. `fleet` or `command`."""

    begin: Begin
    commit: str
    fleet: str | None = None
    command: RolloutCommandConfig | None = None
    anomalies: list[Anomaly] = Field(default_factory=list)
    gate: GateConfig = Field(default_factory=GateConfig)
    steps: int = 3


def target_of(
    plan: StewardPlan, folder: RolloutFolder, checkout: Callable[[], Path] | None = None
) -> RolloutTarget:
    """The target of a plan. Without `checkout` the new release's files are there already."""
    if plan.command is not None:
        return CommandTarget(plan.command, plan.begin, plan.commit, folder.folder)
    assert plan.fleet is not None
    fleet = Fleet(Path(plan.fleet))
    return ProcessesTarget(
        fleet,
        plan.begin,
        plan.commit,
        checkout or (lambda: fleet.checkout(plan.begin.new)),
        fresh_baseline=plan.gate.fresh_baseline,
    )


def start(folder: RolloutFolder, plan: StewardPlan) -> None:
    """Start the steward of a folder, unless it is there."""
    folder.folder.mkdir(parents=True, exist_ok=True)
    (folder.folder / "steward.json").write_text(plan.model_dump_json())
    with (folder.folder / "steward.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return
    with (folder.folder / "steward.log").open("ab") as log:
        subprocess.Popen(
            [sys.executable, "-m", "selfheal.delivery.rollout_steward", str(folder.folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


class Steward:
    """One watch over a folder's rollout, until there is nothing to watch."""

    def __init__(self, folder: RolloutFolder, plan: StewardPlan) -> None:
        self.folder = folder
        self.plan = plan
        self.target = target_of(plan, folder)
        self._alone_since: float | None = None
        self._next_look = 0.0

    def run(self) -> None:
        while self.tick():
            time.sleep(POLL_SECONDS)

    def tick(self) -> bool:
        """Do what is due; False when there is nothing to watch any more."""
        record = self.folder.record()
        if record is None or record.new != self.plan.begin.new:
            return False
        if record.state in ENDED or record.state == "returned":
            return False
        if self.folder.is_in_hand():
            self._alone_since = None
            return True
        now = time.monotonic()
        self._alone_since = now if self._alone_since is None else self._alone_since
        reason = self._objection(record, now - self._alone_since)
        return reason is None or not self._take_back(*reason)

    def _objection(self, record: RolloutRecord, alone_seconds: float) -> tuple[str, bool] | None:
        """Why traffic must go back now, and whether the release is the reason."""
        aborted = self.folder.abort_asked()
        if aborted is not None:
            return aborted, True
        if record.state in ("paused", "asking"):
            if record.until is not None and time.time() >= record.until:
                return f"{record.reason}; nobody decided in the pause", True
            return self._judged()
        if alone_seconds >= self.plan.gate.grace_seconds:
            return "the process of the rollout ended and nobody resumed it", False
        return None

    def _judged(self) -> tuple[str, bool] | None:
        now = time.monotonic()
        if now < self._next_look:
            return None
        self._next_look = now + self.plan.gate.step_seconds / LOOKS
        with tempfile.TemporaryDirectory(prefix="selfheal-steward-") as scratch:
            try:
                answers = look_once(
                    self.target,
                    self.plan.anomalies,
                    self.plan.gate,
                    Path(scratch) / "look",
                    steps=self.plan.steps,
                )
            except (SelfhealError, OSError):
                logger.exception("the paused rollout could not be looked at")
                return None
        gate = verdict(answers)
        return (f"while it was paused: {gate.reason}", True) if gate.state == "fail" else None

    def _take_back(self, reason: str, failed: bool) -> bool:
        """Route everything to the old release; False where that was not possible yet."""
        with self.folder.in_hand() as held:
            record = self.folder.record()
            if not held or record is None or record.state in ENDED:
                return False
            return take_back(self.folder, self.target, record, reason, failed=failed)


def take_back(
    folder: RolloutFolder,
    target: RolloutTarget,
    record: RolloutRecord,
    reason: str,
    *,
    failed: bool,
) -> bool:
    """Route everything to the old release and note it; the caller holds the lock.

    What is left to do (git, telling) is the run's, when it is resumed. False where traffic
    could not be moved.
    """
    try:
        target.shift(0)
    except (SelfhealError, OSError):
        logger.exception("traffic could not be taken back")
        return False
    if record.state != "returning":
        folder.update(state="returned", reason=reason, failed=failed, until=None)
    logger.warning("traffic is on release %s again: %s", target.old, reason)
    return True


def plan_of(folder: RolloutFolder) -> StewardPlan:
    """The plan that was written for the folder's present rollout."""
    return StewardPlan.model_validate_json((folder.folder / "steward.json").read_bytes())


def main(arguments: list[str] | None = None) -> int:
    """Watch over the rollout of a folder, unless somebody does."""
    parser = argparse.ArgumentParser(prog="python -m selfheal.delivery.rollout_steward")
    parser.add_argument("folder", type=Path)
    folder = RolloutFolder(parser.parse_args(arguments).folder)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    with (folder.folder / "steward.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return 0
        Steward(folder, plan_of(folder)).run()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
