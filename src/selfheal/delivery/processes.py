"""Processes that outlive whoever started them: is it alive, is it still the same one, end it."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path


def birth_of(pid: int) -> int | None:
    """When the kernel started the process, in clock ticks since boot; None if it is gone.

    Together with the pid it names one process for good: pids are used again. A zombie
    counts as gone. Where there is no /proc, 0 stands for "alive, birth unknown".
    """
    if not Path("/proc/self/stat").exists():
        return 0 if _signal(pid, 0) else None
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The second field is the name in parentheses and may hold anything, spaces too.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def is_alive(pid: int, birth: int) -> bool:
    """Whether the process that had `pid` at `birth` still runs."""
    return birth_of(pid) == birth


def end_group(pid: int, birth: int, grace_seconds: float = 10.0) -> None:
    """Ask the process group led by `pid` to end; kill it after `grace_seconds`.

    Does nothing where the pid belongs to another process by now.
    """
    if not is_alive(pid, birth):
        _reap(pid)
        return
    _signal_group(pid, signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while is_alive(pid, birth):
        if time.monotonic() > deadline:
            _signal_group(pid, signal.SIGKILL)
            deadline = float("inf")
        time.sleep(0.02)
        _reap(pid)
    _reap(pid)


def marked(variable: str, value: str) -> list[int]:
    """The live processes that were started with this environment variable, leaders first.

    It finds a process whose starter was killed before it could write the pid down.
    Reads /proc; where there is none the list is empty.
    """
    wanted = f"{variable}={value}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            pid = int(folder.name)
            environment = (folder / "environ").read_bytes().split(b"\0")
            if wanted in environment and birth_of(pid) is not None:
                found.append(pid)
    return sorted(found, key=lambda pid: (_group(pid) != pid, pid))


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except OSError:
        return None


def _signal(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _signal_group(pid: int, number: int) -> None:
    """Signal the group if `pid` leads one, else the process alone."""
    with suppress(ProcessLookupError, PermissionError):
        if _group(pid) == pid:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)


def _reap(pid: int) -> None:
    """Collect the exit status if the process happens to be our own child."""
    with suppress(ChildProcessError, OSError):
        os.waitpid(pid, os.WNOHANG)
