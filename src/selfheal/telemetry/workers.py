"""Work that is done side by side: in this process, and in helpers that it starts.

A helper is a fresh interpreter (``python -P -c …``), never a
fork of a process that may hold DuckDB or threads, and never a run of somebody's main
module. It may be started from any process, workers of the engine too, and belongs to
the starter's process group. Tasks and answers are small and pickled; rows go through
files.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_PR_SET_PDEATHSIG = 1
_MAIN = "from selfheal.telemetry.workers import main; main()"


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def shared(work: Callable[[T], R], tasks: Sequence[T], processes: int) -> list[R]:
    """``[work(task) for task in tasks]``, in up to `processes` processes, this one included.

    `work` is a function of a module. A helper that dies leaves its task to the others.
    An exception of `work` is raised here.
    """
    team = _Team(work, tasks)
    helpers = [_Helper(team) for _ in range(min(processes, len(tasks)) - 1)]
    try:
        for helper in helpers:
            helper.start()
        team.help()
        for helper in helpers:
            helper.join()
        team.help()
        return team.results()
    finally:
        team.stop()
        for helper in helpers:
            helper.end()


class _Team:
    """The tasks that are left, and what became of the others."""

    def __init__(self, work: Callable[[Any], Any], tasks: Sequence[Any]) -> None:
        self.work = work
        self._left = deque(enumerate(tasks))
        self._results: dict[int, Any] = {}
        self._error: BaseException | None = None

    def take(self) -> tuple[int, Any] | None:
        try:
            return None if self._error else self._left.popleft()
        except IndexError:
            return None

    def give_back(self, number: int, task: Any) -> None:
        self._left.appendleft((number, task))

    def done(self, number: int, result: Any) -> None:
        self._results[number] = result

    def failed(self, error: BaseException) -> None:
        self._error = error

    def stop(self) -> None:
        self._left.clear()

    def help(self) -> None:
        """Do tasks in this thread while there are any."""
        while taken := self.take():
            number, task = taken
            self.done(number, self.work(task))

    def results(self) -> list[Any]:
        if self._error is not None:
            raise self._error
        return [self._results[number] for number in sorted(self._results)]


class _Helper:
    """A helper process and the thread that hands it tasks."""

    def __init__(self, team: _Team) -> None:
        self._team = team
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    def end(self) -> None:
        """End the process, whatever it is doing."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
        self._thread.join()

    def _serve(self) -> None:
        ours, theirs = socket.socketpair()
        connection = Connection(ours.detach())
        with theirs, contextlib.suppress(OSError):
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _MAIN, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=2,
            )
        if self._process is not None:
            with contextlib.suppress(OSError):
                self._hand_out(connection)
            connection.close()
            self._process.wait()

    def _hand_out(self, connection: Connection) -> None:
        while taken := self._team.take():
            number, task = taken
            try:
                connection.send_bytes(pickle.dumps((self._team.work, task)))
                kind, value = pickle.loads(connection.recv_bytes())
            except (EOFError, OSError):
                self._team.give_back(number, task)
                return
            if kind == "error":
                self._team.failed(value)
                return
            self._team.done(number, value)


def main() -> None:
    """Do tasks from the connection whose descriptor is the argument, until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return
    connection = Connection(int(sys.argv[1]))
    with contextlib.suppress(EOFError, OSError):
        while True:
            work, task = pickle.loads(connection.recv_bytes())
            connection.send_bytes(_answer(work, task))


def _answer(work: Callable[[Any], Any], task: Any) -> bytes:
    try:
        return pickle.dumps(("result", work(task)), pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        try:
            return pickle.dumps(("error", error), pickle.HIGHEST_PROTOCOL)
        except Exception:
            return pickle.dumps(("error", RuntimeError(repr(error))))
