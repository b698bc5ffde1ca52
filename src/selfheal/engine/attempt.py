"""One attempt of one beat: its tasks, their replies, and the commit of its result."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from selfheal.artifacts.canonical import sha256_of
from selfheal.engine.results import Output, output_file
from selfheal.engine.session import Session
from selfheal.engine.task import Given, Literally, Reply, Task
from selfheal.sequences import WiredBeat


@dataclass
class Attempt:
    """An attempt under way. `items` is None where the beat has no foreach.

    `tasks` and `replies` fill up by item; the one task of a plain beat is item 0.
    """

    wired: WiredBeat
    number: int
    key: str
    parts: dict[str, Any]
    given: dict[str, Given]
    timeout_seconds: float
    items: list[Any] | None = None
    note: str = ""
    replies: dict[int, Reply] = field(default_factory=dict)
    tasks: dict[int, Task] = field(default_factory=dict)
    handed_out: int = 0
    began: float = 0.0

    @property
    def size(self) -> int:
        return 1 if self.items is None else len(self.items)

    @property
    def running(self) -> int:
        return self.handed_out - len(self.replies)

    @property
    def verdict(self) -> Reply | None:
        """The reply that decides a failing attempt: the first, by item, that is not success."""
        for index in sorted(self.replies):
            if self.replies[index].outcome in ("failed", "fault", "waiting"):
                return self.replies[index]
        return None


def make_task(session: Session, phase: str, attempt: Attempt, index: int) -> Task:
    """The task of one item of an attempt."""
    if index in attempt.tasks:
        return attempt.tasks[index]
    wired = attempt.wired
    output = output_file(phase, wired)
    folder, _, name = output.rpartition("/")
    item = "" if attempt.items is None else f".{index}"
    given = attempt.given
    if attempt.items is not None:
        given = {**given, "item": Literally(attempt.items[index])}
    envelope = None
    if wired.handler.writes is not None:
        envelope = {"artifact": wired.handler.writes, "inputs": session.lineage(phase, wired)}
    task = attempt.tasks[index] = Task(
        run=session.context,
        phase=phase,
        beat=wired.id,
        handler=wired.beat.handler,
        given=given,
        output=output,
        temporary=f"{folder}{'/' if folder else ''}.{name}{item}.{session.token}.tmp",
        scratch=f"work/{phase}/{wired.id}{item}",
        timeout_seconds=attempt.timeout_seconds,
        envelope=envelope,
    )
    return task


def commit(session: Session, phase: str, attempt: Attempt) -> tuple[Output | None, Reply]:
    """Move a finished attempt's result to its place; the finished event comes after it.

    Returns the output (None where the beat was skipped) and the reply as a whole.
    """
    if attempt.items is not None:
        return _commit_items(session, phase, attempt)
    reply = attempt.replies[0]
    if reply.outcome != "succeeded":
        return None, reply
    task = make_task(session, phase, attempt, 0)
    temporary, final = _places(session, task)
    if reply.tables:
        tables = final.with_suffix("")
        shutil.rmtree(tables, ignore_errors=True)
        _moved(session, temporary.with_name(temporary.name + ".tables"), tables)
    _moved(session, temporary, final)
    return Output(task.output, reply.sha256), reply


def _commit_items(session: Session, phase: str, attempt: Attempt) -> tuple[Output, Reply]:
    contents = []
    files: dict[str, str] = {}
    skipped = 0
    for index in range(attempt.size):
        reply = attempt.replies[index]
        files |= reply.files
        if reply.outcome == "skipped":
            skipped += 1
            continue
        temporary, _ = _places(session, make_task(session, phase, attempt, index))
        contents.append(temporary.read_bytes().rstrip(b"\n"))
        temporary.unlink()
    whole = b"[" + b",".join(contents) + b"]\n"
    output = output_file(phase, attempt.wired)
    final = session.folder.path / output
    temporary = final.with_name(f".{final.name}.{session.token}.tmp")
    temporary.write_bytes(whole)
    _moved(session, temporary, final)
    notes = [f"{len(contents)} items", f"{skipped} skipped" if skipped else "", attempt.note]
    elapsed = sum(reply.elapsed for reply in attempt.replies.values())
    summary = ", ".join(filter(None, notes))
    return Output(output, sha256_of(whole)), Reply(
        "succeeded", summary=summary, files=files, elapsed=round(elapsed, 6)
    )


def commit_substitute(session: Session, phase: str, attempt: Attempt, value: Any) -> Output:
    """Store the result that a catch gives in place of the failed one."""
    from selfheal.engine.perform import substitute

    task = make_task(session, phase, replace(attempt, items=None, tasks={}), 0)
    content = substitute(attempt.wired.handler, task, value, many=attempt.items is not None)
    temporary, final = _places(session, task)
    temporary.write_bytes(content)
    _moved(session, temporary, final)
    return Output(task.output, sha256_of(content))


def _places(session: Session, task: Task) -> tuple[Path, Path]:
    return session.folder.path / task.temporary, session.folder.path / task.output


def _moved(session: Session, source: Path, target: Path) -> None:
    durable = session.settings.run.durability == "power"
    if durable:
        for file in (*source.rglob("*"), source):
            _sync(file)
    os.replace(source, target)  # noqa: PTH105  (once per beat: half the cost of the method)
    if durable:
        _sync(target.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
