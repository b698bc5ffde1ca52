"""Running commands that are not trusted: confined, limited, bounded, ended as a whole."""

from __future__ import annotations

import json
import os
import select
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from selfheal.sandbox import supervisor
from selfheal.sandbox.isolation import (
    cleared_environment,
    confined,
    isolation,
    level,
    refusal,
    settings,
)

State = Literal["exited", "timed_out", "killed", "not_started"]

OUTPUT_LIMIT = 1_000_000
REPORT_LIMIT = 256 * 1024**2
FILE_LIMIT = 2 * 1024**3
PROCESS_LIMIT = 4096
MEGABYTE = 1024 * 1024
PATIENCE_SECONDS = 10.0


@dataclass(frozen=True)
class Completed:
    """How a command ended.

    `exit_code` is None unless the state is ``exited`` or ``killed`` (then minus the
    signal). Output is text, invalid bytes replaced; of very long output the first and
    last half megabyte. `isolation` names the confinement.
    """

    state: State
    exit_code: int | None
    stdout: str
    stderr: str
    seconds: float
    isolation: str

    @property
    def succeeded(self) -> bool:
        return self.state == "exited" and self.exit_code == 0

    def tail(self, lines: int = 20) -> str:
        """The last lines of both outputs, errors last."""
        both = [text.rstrip() for text in (self.stdout, self.stderr) if text.strip()]
        return "\n".join("\n".join(both).splitlines()[-lines:])


@dataclass
class Supervised:
    """A running command under its supervisor; see `selfheal.sandbox.supervisor`."""

    process: subprocess.Popen[bytes]
    lifeline: int
    status: int

    def release(self) -> None:
        """Let the command outlive this process."""
        os.write(self.lifeline, b"d")
        self.close()

    def ended_within(self, seconds: float) -> bool:
        """Wait until all has ended; False if it has not within this time."""
        return bool(select.select([self.status], [], [], seconds)[0])

    def end(self) -> None:
        """End the command and its descendants; the supervisor grants the command its grace."""
        self.close()
        try:
            self.process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, 9)
            self.process.wait()

    def close(self) -> None:
        if self.lifeline >= 0:
            os.close(self.lifeline)
            self.lifeline = -1

    def outcome(self) -> dict[str, Any]:
        """What the supervisor reported: ``{"exit": code | None}`` or ``{"error": text}``."""
        with os.fdopen(self.status, "rb") as reader:
            lines = reader.read().splitlines()
        return json.loads(lines[0]) if lines else {"exit": None}


def spawn(
    command: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    limits: Mapping[str, int],
    totals: Mapping[str, Any] | None = None,
    remove: Path | None = None,
    grace_seconds: float = 0.0,
    stdin: IO[bytes] | int = subprocess.DEVNULL,
    stdout: IO[bytes] | int = subprocess.DEVNULL,
    stderr: IO[bytes] | int = subprocess.DEVNULL,
) -> Supervised:
    """Start a command under a supervisor, in a session of its own.

    `environment` is all of it; `limits` are rlimits by name (``AS``, ``CPU`` …); `totals`
    are what all of it may have together, as `selfheal.sandbox.supervisor` reads them;
    `remove` is a folder that the supervisor deletes when all has ended.
    """
    lifeline_read, lifeline = os.pipe()
    status, status_write = os.pipe()
    specification = {
        "command": list(command),
        "limits": dict(limits),
        "totals": dict(totals or {}),
        "lifeline": lifeline_read,
        "status": status_write,
        "grace": grace_seconds,
        "remove": str(remove) if remove else None,
    }
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", supervisor.__file__, json.dumps(specification)],
            cwd=cwd,
            env=dict(environment),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=(lifeline_read, status_write),
            start_new_session=True,
        )
    except BaseException:
        os.close(lifeline)
        os.close(status)
        raise
    finally:
        os.close(lifeline_read)
        os.close(status_write)
    return Supervised(process, lifeline, status)


def run(
    command: Sequence[str],
    *,
    cwd: Path,
    timeout_seconds: float,
    environment: Mapping[str, str] | None = None,
    memory_megabytes: int | None = None,
    input: str | None = None,
    writable: Sequence[Path] = (),
    network: bool = False,
) -> Completed:
    """Run a command to its end, or end it and all its descendants after `timeout_seconds`.

    `environment` is added to a cleared one; `input` is its standard input; `writable`
    are folders besides `cwd` that it may write; `network` lets it share the machine's
    network where it is otherwise kept from it. `memory_megabytes` are of each process and
    of all together. Not started where nothing isolates it and the configuration does not
    allow that. Never raises for what the command does.
    """
    cwd = cwd.absolute()
    if (reason := refusal()) is not None:
        return Completed("not_started", None, "", reason, 0.0, isolation())
    if not cwd.is_dir():
        return Completed("not_started", None, "", f"{cwd} is no folder", 0.0, isolation())
    if shutil.which(str(cwd / command[0]) if os.sep in command[0] else command[0]) is None:
        reason = f"{command[0]}: there is no such program"
        return Completed("not_started", None, "", reason, 0.0, isolation())
    home = Path(tempfile.mkdtemp(prefix="selfheal-home-"))
    wrapped = confined(command, cwd=cwd, writable=(home, *writable), network=network)
    with (
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
        tempfile.TemporaryFile() as given,
    ):
        given.write((input or "").encode())
        given.seek(0)
        begun = time.monotonic()
        running = spawn(
            wrapped,
            cwd=cwd,
            environment=cleared_environment(home) | dict(environment or {}),
            limits=limits(timeout_seconds, memory_megabytes),
            totals=totals(memory_megabytes, (cwd, home, *writable)),
            remove=home,
            stdin=given,
            stdout=out,
            stderr=err,
        )
        try:
            timed_out = not running.ended_within(timeout_seconds)
        finally:
            running.end()
        seconds = time.monotonic() - begun
        state, code, why = _judge(running.outcome(), timed_out)
        return Completed(
            state, code, _text(out), _text(err) + why, seconds, isolation(network=network)
        )


@contextmanager
def report_folder() -> Iterator[Path]:
    """A folder of its own for what a confined command reports, removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="selfheal-report-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def left_behind(file: Path, limit: int = REPORT_LIMIT) -> bytes | None:
    """What a confined command wrote to a file, at the most `limit` bytes; None where it wrote none.

    It may have put something else in its place: a link, a pipe that never ends, too much.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as reader:
        told = os.fstat(descriptor)
        if not stat.S_ISREG(told.st_mode) or told.st_size > limit:
            return None
        return reader.read(limit)


def limits(timeout_seconds: float | None, memory_megabytes: int | None) -> dict[str, int]:
    """The rlimits of a command: no core dumps, bounded files, processes, memory and CPU time."""
    chosen = {"CORE": 0, "FSIZE": FILE_LIMIT, "NPROC": PROCESS_LIMIT}
    if timeout_seconds is not None:
        chosen["CPU"] = int(timeout_seconds * 2) + 2
    if memory_megabytes is not None:
        chosen["AS"] = memory_megabytes * MEGABYTE
    return chosen


def totals(memory_megabytes: int | None, folders: Sequence[Path]) -> dict[str, Any]:
    """What a command and all its descendants may have together, by the configuration."""
    chosen = settings()
    return {
        "processes": chosen.processes,
        "memory_bytes": memory_megabytes * MEGABYTE if memory_megabytes else None,
        "disk_bytes": chosen.disk_megabytes * MEGABYTE,
        "folders": [str(folder) for folder in folders],
    }


def _judge(outcome: Mapping[str, Any], timed_out: bool) -> tuple[State, int | None, str]:
    if "error" in outcome:
        return "not_started", None, str(outcome["error"])
    if timed_out:
        return "timed_out", None, ""
    code = outcome["exit"]
    if code is None:
        excess = outcome.get("excess")
        return "killed", None, f"\nended by the sandbox: {excess}\n" if excess else ""
    if code > 128 and level() == "bubblewrap":
        # bubblewrap, like a shell, reports a death by signal as 128 + its number.
        code = 128 - code
    return ("exited" if code >= 0 else "killed"), code, ""


def _text(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if size <= OUTPUT_LIMIT:
        return file.read().decode("utf-8", "replace")
    half = OUTPUT_LIMIT // 2
    head = file.read(half).decode("utf-8", "replace")
    file.seek(-half, os.SEEK_END)
    tail = file.read().decode("utf-8", "replace")
    return f"{head}\n… {size - OUTPUT_LIMIT} bytes left out …\n{tail}"
