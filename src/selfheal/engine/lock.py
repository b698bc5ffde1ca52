"""One writer per run: an advisory lock that dies with its process.

The lock file names the holder and its worker processes. Who takes the lock over after
a crash first makes sure that no worker of the dead holder is still at work: a worker
dies with its parent by itself, but one that is deep in foreign code may take a while.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from selfheal.errors import LockedError

GRACE_SECONDS = 2.0


class RunLock:
    """The lock of a run folder. Raises LockedError naming the process that holds it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = self._content().get("pid", "unknown")
            os.close(self._file)
            raise LockedError(
                f"process {holder} is working on this run.",
                where=str(path.parent),
                hint=f"Wait for it, or end process {holder}.",
            ) from None
        for worker in self._content().get("workers", ()):
            end_group(worker["pid"], worker["started"])
        self.note_workers(())

    def note_workers(self, pids: Iterable[int]) -> None:
        """Write down which worker processes this holder has."""
        workers = [{"pid": pid, "started": start_time(pid)} for pid in pids]
        content = json.dumps({"pid": os.getpid(), "workers": workers}).encode()
        os.pwrite(self._file, content + b"\n", 0)
        os.ftruncate(self._file, len(content) + 1)

    def release(self) -> None:
        os.ftruncate(self._file, 0)
        os.close(self._file)

    def _content(self) -> dict[str, Any]:
        return _content_of(self._file)


def holder_of(path: Path) -> int | None:
    """The process that holds a run's lock now, None if nobody does."""
    try:
        file = os.open(path, os.O_RDWR)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return int(_content_of(file).get("pid", -1))
    finally:
        os.close(file)
    return None


def _content_of(file: int) -> dict[str, Any]:
    """What the first line says: a holder may have died before it cut off an older, longer one."""
    line = os.pread(file, 1 << 20, 0).partition(b"\n")[0]
    try:
        content = json.loads(line or b"{}")
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def start_time(pid: int) -> str | None:
    """When a process was started, in kernel ticks: tells it from a later one of the same id."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return stat.rpartition(")")[2].split()[19]


def end_group(pid: int, started: str | None) -> None:
    """End the process group that `pid` leads, if it is still the same process.

    It gets SIGTERM and two seconds to clean up, then SIGKILL.
    """
    if started is None or start_time(pid) != started:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < deadline and _alive(pid, started):
            time.sleep(0.02)
        os.killpg(pid, signal.SIGKILL)
        while _alive(pid, started):
            time.sleep(0.01)


def _alive(pid: int, started: str) -> bool:
    if start_time(pid) != started:
        return False
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")
