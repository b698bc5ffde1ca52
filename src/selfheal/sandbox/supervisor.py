"""Runs one command and sees to it that nothing of it stays behind.

Started as a script by `selfheal.sandbox.process`, with the standard library alone:
``python -I -S supervisor.py SPECIFICATION`` where the JSON specification has
`command`, `limits` (resource name to number), `lifeline` and `status` (file
descriptors), `grace` (seconds between SIGTERM and SIGKILL), `remove` (a folder) and
`totals`: what the command and all its descendants may have together, `processes`,
`memory_bytes`, and `disk_bytes` more than at the start in the `folders` (each null or
absent for no limit).

The supervisor is the leader of its session and, on Linux, the reaper of every
descendant, also of those that made a session of their own. It ends the command and
all its descendants when the command itself has ended, on SIGTERM, and when the
lifeline closes, which happens when the starter dies by whatever means. A ``d`` on the
lifeline lets the command outlive its starter.

Totals are looked at a few times a second: resource limits hold for each process alone,
the number of processes is not limited for root at all, and a quota of the file system
is not ours to set.
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
from typing import Any

PR_SET_CHILD_SUBREAPER = 36
FIRST_LOOK_SECONDS = 0.1
LOOK_SECONDS = 0.25
COST_FACTOR = 20
# The users that the launcher makes of root.
FIRST_USER = 1_000_000_000
SPARE_PROCESSES = 32
PAGE = os.sysconf("SC_PAGE_SIZE")


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
    with contextlib.suppress(OSError):
        # Root's supervisor comes before what it supervises, however much that is.
        os.nice(-10)
    excess = Excess(dict(specification.get("totals") or {}))  # type: ignore[call-overload]
    outcome = _watch(child, wake, lifeline, excess)
    if outcome is None:
        _end(child, 0.0 if excess.found else grace)
    _kill_descendants()
    _remove(str(specification.get("remove") or ""))
    _report(status, {"exit": outcome, "excess": excess.found})
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
        _limit(dict(specification["limits"]))  # type: ignore[call-overload]
        _limit_processes(dict(specification.get("totals") or {}).get("processes"))  # type: ignore[call-overload]
        _be_the_first_to_go()
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


def _be_the_first_to_go() -> None:
    """Where the machine runs out of memory, this one is ended and not the user's work."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


class Excess:
    """Looks whether the descendants have more than the totals; `found` says of what."""

    def __init__(self, totals: dict[str, Any]) -> None:
        self.processes: int | None = totals.get("processes")
        self.memory: int | None = totals.get("memory_bytes")
        self.disk: int | None = totals.get("disk_bytes")
        self.folders: list[str] = list(totals.get("folders") or ())
        self.limited = any(totals.values())
        self.found = ""
        self.pause = FIRST_LOOK_SECONDS
        self.before = sum(map(_bytes_below, self.folders)) if self.disk is not None else 0

    def look(self) -> bool:
        """Whether there is too much of something; sets the `pause` to the next look."""
        begun = time.monotonic()
        pids = _children_of(os.getpid(), self.processes)
        if self.processes is not None and len(pids) > self.processes:
            self.found = f"more than {self.processes} processes"
        elif self.memory is not None and sum(map(_resident, pids)) > self.memory:
            self.found = f"more than {self.memory // 2**20} MB of memory in all processes"
        elif self.disk is not None:
            used = sum(map(_bytes_below, self.folders)) - self.before
            if used > self.disk:
                self.found = f"more than {self.disk // 2**20} MB written"
        self.pause = min(2.0, max(LOOK_SECONDS, COST_FACTOR * (time.monotonic() - begun)))
        return bool(self.found)


def _children_of(pid: int, enough: int | None = None) -> list[int]:
    """All descendants, or `enough` and some, by the kernel's own lists where it keeps them."""
    if not Path(f"/proc/self/task/{os.getpid()}/children").exists():
        return _descendants()
    found: list[int] = []
    frontier = [pid]
    while frontier and (enough is None or len(found) <= enough):
        parent = frontier.pop()
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                text = (task / "children").read_text()
                frontier += map(int, text.split())
        if parent != pid:
            found.append(parent)
    return found


def _resident(pid: int) -> int:
    """Bytes of a process that no file backs, as far as they are in memory."""
    try:
        resident, shared = Path(f"/proc/{pid}/statm").read_text().split()[1:3]
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * PAGE


def _bytes_below(folder: str) -> int:
    """Bytes on disk of all files below a folder."""
    total, places = 0, [folder]
    while places:
        try:
            with os.scandir(places.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        places.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
        except OSError:
            continue
    return total


def _limit_processes(processes: int | None) -> None:
    """No more processes of this user than there are, and these: the kernel counts by user.

    Root's are not limited; the launcher makes it another user.
    """
    if processes is None or os.getuid() == 0:
        return
    tasks = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            if folder.stat().st_uid == os.getuid():
                fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
                tasks += int(fields[17])
    _limit({"NPROC": tasks + processes + SPARE_PROCESSES})


def _watch(child: int, wake: int, lifeline: int, excess: Excess) -> int | None:
    """The exit code (negative: a signal), or None when the command must be ended."""
    watched = [wake, lifeline]
    due = time.monotonic() + excess.pause
    while True:
        patience = max(0.0, due - time.monotonic()) if excess.limited else None
        ready, _, _ = select.select(watched, [], [], patience)
        if excess.limited and time.monotonic() >= due:
            if excess.look():
                return None
            due = time.monotonic() + excess.pause
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
    asked = [pid for pid in _children_of(os.getpid()) if _name(pid) != "bwrap"] or [child]
    for pid in asked:
        _signal(pid, signal.SIGTERM if grace else signal.SIGKILL)
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline and _reap(child) is None:
        time.sleep(0.01)


def _kill_descendants() -> None:
    """SIGKILL to all that is left, again and again until no child is left to wait for.

    All are stopped first, so that none forks a new one while the others die. What runs as
    a user of its own is ended by the kernel in one go.
    """
    deadline = time.monotonic() + 5
    if os.getuid() == 0:
        _kill_users(_children_of(os.getpid()))
    stopped: set[int] = set()
    while time.monotonic() < deadline:
        while new := set(_children_of(os.getpid())) - stopped:
            for pid in new:
                _signal(pid, signal.SIGSTOP)
            stopped |= new
            if time.monotonic() > deadline:
                break
        for pid in _children_of(os.getpid()):
            _signal(pid, signal.SIGKILL)
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.005)
        except ChildProcessError:
            break
    if not Path("/proc/self/stat").exists():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.killpg(0, signal.SIGTERM)


def _kill_users(pids: list[int]) -> None:
    """SIGKILL to all that the users of these processes run, who are nobody else's."""
    users = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            users.add(Path(f"/proc/{pid}").stat().st_uid)
    for user in sorted(user for user in users if user >= FIRST_USER):
        helper = os.fork()
        if helper == 0:
            with contextlib.suppress(OSError):
                os.setresuid(user, user, user)
                os.kill(-1, signal.SIGKILL)
            os._exit(0)


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
