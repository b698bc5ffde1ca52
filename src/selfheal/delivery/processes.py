"""Processes that outlive whoever started them: is it alive, is it still the same one."""

from __future__ import annotations

from pathlib import Path


def birth_of(pid: int) -> int | None:
    """When the kernel started the process, in clock ticks since boot; None if it is gone.

    Together with the pid it names one process for good: pids are used again. A zombie
    counts as gone. Where there is no /proc, 0 stands for "alive, birth unknown".
    """
    from selfheal.sandbox.service import running

    if not Path("/proc/self/stat").exists():
        return 0 if running(pid) else None
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


def end(pid: int, birth: int) -> None:
    """End an instance, unless its pid belongs to another process by now."""
    from selfheal.sandbox.service import stop_process

    if is_alive(pid, birth):
        stop_process(pid)
