"""Running the pure beats of a run again and comparing bytes."""

from __future__ import annotations

import tempfile
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path

from selfheal.artifacts.canonical import sha256_of, sha256_of_file
from selfheal.engine.attempt import Attempt, make_task
from selfheal.engine.executors import make_executor
from selfheal.engine.folder import find_run
from selfheal.engine.observer import ReplayedBeat, ReplayReport
from selfheal.engine.perform import run_task
from selfheal.engine.session import InputMissing, Session, keep_finished
from selfheal.engine.status import frozen_wiring, reading_session
from selfheal.engine.task import Reply
from selfheal.sequences import WiredBeat


def replay_run(artifacts: Path, run_id: str | None = None) -> ReplayReport:
    """Run every pure beat again from its stored inputs; nothing in the run folder changes.

    Stage-crew beats and beats that did not succeed are listed as not replayed. Raises
    NotFound where there is no such run.
    """
    folder = find_run(artifacts, run_id)
    manifest = folder.manifest()
    session = reading_session(folder, manifest, frozen_wiring(folder, manifest))
    for phase, sequence in session.wired.items():
        for wired in sequence.beats:
            if session.record.beat(phase, wired.id).state == "succeeded":
                keep_finished(session, phase, wired)
    executor = make_executor(session.settings.run)
    try:
        with tempfile.TemporaryDirectory(prefix="selfheal-replay-") as scratch:
            beats = [
                _replayed(session, executor, phase, wired, Path(scratch))
                for phase, sequence in session.wired.items()
                for wired in sequence.beats
            ]
    finally:
        executor.shutdown()
    identical = all(beat.state in ("identical", "not_replayed") for beat in beats)
    return ReplayReport(run_id=folder.run_id, identical=identical, beats=beats)


def _replayed(
    session: Session, executor: Executor, phase: str, wired: WiredBeat, scratch: Path
) -> ReplayedBeat:
    def verdict(state: str, reason: str = "") -> ReplayedBeat:
        return ReplayedBeat.model_validate(
            {"phase": phase, "beat": wired.id, "state": state, "reason": reason}
        )

    record = session.record.beat(phase, wired.id)
    if wired.handler.kind != "pure":
        return verdict("not_replayed", "stage-crew: it does I/O")
    if record.state != "succeeded" or record.output is None or record.reason.startswith("caught"):
        return verdict("not_replayed", f"{record.state} {record.reason}".strip())
    version = record.parts.get("version")
    if version != wired.handler.version:
        return verdict("not_replayed", f"the handler's version was {version}")
    stored = session.folder.path / record.output["file"]
    if not stored.exists() or sha256_of_file(stored) != record.output["sha256"]:
        return verdict("failed", f"{record.output['file']} is missing or was changed")
    try:
        sha256, problem = _run_again(session, executor, phase, wired, scratch)
    except InputMissing as missing:
        return verdict("failed", str(missing))
    if problem:
        return verdict("failed", problem)
    if sha256 != record.output["sha256"]:
        return verdict("different", f"{record.output['file']} has other bytes now")
    return verdict("identical")


def _run_again(
    session: Session, executor: Executor, phase: str, wired: WiredBeat, scratch: Path
) -> tuple[str, str]:
    """The hash of the new bytes, or what went wrong."""
    items = session.evaluate(phase, wired.beat.foreach) if wired.beat.foreach else None
    if items is not None and wired.beat.max_items:
        items = items[: wired.beat.max_items]
    attempt = Attempt(
        wired,
        1,
        "",
        {},
        session.inputs(phase, wired)[0],
        wired.beat.timeout or session.settings.run.beat_timeout_seconds,
        items,
    )
    tasks = [
        replace(
            make_task(session, phase, attempt, index),
            temporary=str(scratch / f"{phase}.{wired.id}.{index}"),
        )
        for index in range(attempt.size)
    ]
    replies: list[Reply] = []
    for future in [executor.submit(run_task, task) for task in tasks]:
        try:
            replies.append(future.result())
        except Exception as error:
            return "", f"{type(error).__name__}: {error}"
    for reply in replies:
        if reply.outcome not in ("succeeded", "skipped"):
            return "", reply.reason or reply.outcome
    if items is None:
        return replies[0].sha256, ""
    contents = [
        Path(task.temporary).read_bytes().rstrip(b"\n")
        for task, reply in zip(tasks, replies, strict=True)
        if reply.outcome == "succeeded"
    ]
    return sha256_of(b"[" + b",".join(contents) + b"]\n"), ""
