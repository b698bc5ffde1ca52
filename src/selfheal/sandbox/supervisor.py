"""Runs one command and sees to it that nothing of it stays behind.

Started as a script by `selfheal.sandbox.process`, with the standard library alone:
``python -I -S supervisor.py SPECIFICATION`` where the JSON specification has
`command`, `limits` (resource name to number), `lifeline` and `status` (file
descriptors), `grace` (seconds between SIGTERM and SIGKILL) and `remove` (a folder).

The supervisor is the leader of its session and, on Linux, the reaper of every
descendant, also of those that made a session of their own. It ends the command and
all its descendants when the command itself has ended, on SIGTERM, and when the
lifeline closes, which happens when the starter dies by whatever means. A ``d`` on the
lifeline lets the command outlive its starter.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36


def main(specification: dict[str, object]) -> int:
    """Run the command; write ``{"error"}`` or ``{"exit"}`` as JSON to the status descriptor."""
    status, lifeline = int(str(specification["status"])), int(str(specification["lifeline"]))
    grace = float(str(specification["grace"]))
    _adopt_descendants()
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    os.set_inheritable(lifeline, False)
    child = _start(specification, status)
    outcome = _watch(child, wake, lifeline)
    if outcome is None:
        _end(child, grace)
    _kill_descendants()
    _remove(str(specification.get("remove") or ""))
    _report(status, {"exit": outcome})
    return 0


def _adopt_descendants() -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _start(specification: dict[str, object], status: int) -> int:
    command = [str(part) for part in specification["command"]]  # type: ignore[attr-defined]
    child = os.fork()
    if child:
        return child
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        _limit(specification["limits"])  # type: ignore[arg-type]
        os.set_inheritable(status, False)
        os.execvp(command[0], command)
    except OSError as error:
        _report(status, {"error": f"{command[0]}: {error.strerror}"})
    finally:
        os._exit(127)


def _limit(limits: dict[str, int]) -> None:
    import resource

    for name, value in limits.items():
        kind = getattr(resource, f"RLIMIT_{name}", None)
        if kind is None:
            continue
        hard = resource.getrlimit(kind)[1]
        wanted = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (wanted, wanted))


def _watch(child: int, wake: int, lifeline: int) -> int | None:
    """The exit code (negative: a signal), or None when the command must be ended."""
    watched = [wake, lifeline]
    while True:
        ready, _, _ = select.select(watched, [], [])
        if wake in ready:
            numbers = os.read(wake, 512)
            outcome = _reap(child)
            if outcome is not None:
                return outcome
            if set(numbers) & {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}:
                return None
        if lifeline in ready:
            if os.read(lifeline, 1) != b"d":
                return None
            watched.remove(lifeline)


def _reap(child: int) -> int | None:
    """Collect every ended descendant; the exit code of `child` if it was among them."""
    outcome = None
    while True:
        try:
            pid, state = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return outcome
        if pid == 0:
            return outcome
        if pid == child:
            outcome = os.waitstatus_to_exitcode(state)


def _end(child: int, grace: float) -> None:
    # bubblewrap passes no signals on: it would die and take the command with it unwarned.
    asked = [pid for pid in _descendants() if _name(pid) != "bwrap"] or [child]
    for pid in asked:
        _signal(pid, signal.SIGTERM if grace else signal.SIGKILL)
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline and _reap(child) is None:
        time.sleep(0.01)


def _kill_descendants() -> None:
    """SIGKILL to all that is left, again and again until no child is left to wait for."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        for pid in _descendants():
            _signal(pid, signal.SIGKILL)
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.005)
        except ChildProcessError:
            break
    if not Path("/proc/self/stat").exists():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.killpg(0, signal.SIGTERM)


def _descendants() -> list[int]:
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
            parents[int(folder.name)] = int(fields[1])
        except (OSError, IndexError, ValueError):
            continue
    found, frontier = [], {os.getpid()}
    while frontier:
        frontier = {pid for pid, parent in parents.items() if parent in frontier}
        found += sorted(frontier)
    return found


def _name(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _remove(folder: str) -> None:
    if folder:
        import shutil

        shutil.rmtree(folder, ignore_errors=True)


def _report(status: int, what: dict[str, object]) -> None:
    with contextlib.suppress(BrokenPipeError):
        os.write(status, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
