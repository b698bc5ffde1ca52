"""Worker processes behind the interface of `concurrent.futures.Executor`.

Unlike ProcessPoolExecutor, a task may have a time limit that is enforced on the
worker's whole process group, a killed worker costs its own task only, and workers are
fresh interpreters (no fork of a process that has threads). One thread per worker
hands it its tasks; a worker is started again when its next task comes.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from multiprocessing.connection import Connection
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

GRACE_SECONDS = 2.0
LIMIT_PRECISION_SECONDS = 0.1


class TimedOut(Exception):
    """The task was ended because it took longer than its limit."""


class WorkerLost(Exception):
    """The worker died under the task."""


class WorkerPool(Executor):
    """At the most `workers` processes; 0 is one per core that this process may use.

    `submit(function, task)` enforces ``task.timeout_seconds`` if the first argument
    has it. `on_change` is told the process ids whenever a worker was started.
    """

    def __init__(
        self, workers: int = 0, on_change: Callable[[list[int]], None] | None = None
    ) -> None:
        self.size = workers or len(os.sched_getaffinity(0))
        self._on_change = on_change
        self._lock = threading.RLock()
        self._telling = threading.Lock()
        self._backlog: deque[_Job] = deque()
        self._closing = threading.Event()
        self._seats = [_Seat(self) for _ in range(self.size)]
        self._idle = list(self._seats)
        self._watch = threading.Thread(target=self._enforce_limits, daemon=True)
        for thread in (self._watch, *(seat.thread for seat in self._seats)):
            thread.start()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        if kwargs:
            raise TypeError("tasks take positional arguments only.")
        limit = getattr(args[0], "timeout_seconds", None) if args else None
        future: Future[T] = Future()
        job = _Job(pickle.dumps((fn, args), pickle.HIGHEST_PROTOCOL), future, limit)
        with self._lock:
            if self._closing.is_set():
                raise RuntimeError("the pool is shut down.")
            if self._idle:
                future.set_running_or_notify_cancel()
                self._idle.pop().give(job)
            else:
                self._backlog.append(job)
        return future

    def shutdown(
        self, wait: bool = True, *, cancel_futures: bool = False, kill: bool = False
    ) -> None:
        """Let the workers end; `kill` ends them and what they are doing at once."""
        with self._lock:
            if self._closing.is_set():
                return
            dropped = list(self._backlog) if cancel_futures or kill else []
            if dropped:
                self._backlog.clear()
            self._closing.set()
            for seat in self._idle:
                seat.leave()
        for job in dropped:
            job.future.cancel()
        if kill:
            for seat in self._seats:
                seat.end()
        if wait:
            for thread in (self._watch, *(seat.thread for seat in self._seats)):
                thread.join()

    def pids(self) -> list[int]:
        """The process ids of the present workers."""
        return [process.pid for seat in self._seats if (process := seat.process) is not None]

    def go_on(self, seat: _Seat) -> None:
        """A seat has finished its job: give it the next, or let it idle or leave."""
        with self._lock:
            while self._backlog:
                job = self._backlog.popleft()
                if job.future.set_running_or_notify_cancel():
                    seat.give(job)
                    return
            if self._closing.is_set():
                seat.leave()
            else:
                self._idle.append(seat)

    def changed(self) -> None:
        if self._on_change is None or self._closing.is_set():
            return
        # One at a time: of two seats that start together, the one that is told last knows both.
        with self._telling:
            self._on_change(self.pids())

    def _enforce_limits(self) -> None:
        while not self._closing.wait(LIMIT_PRECISION_SECONDS):
            now = time.monotonic()
            for seat in self._seats:
                job = seat.job
                if (
                    job is not None
                    and job.deadline is not None
                    and job.deadline < now
                    and not job.timed_out
                ):
                    job.timed_out = True
                    threading.Thread(target=seat.end, args=(job,), daemon=True).start()


class _Job:
    def __init__(self, payload: bytes, future: Future[Any], limit: float | None) -> None:
        self.payload = payload
        self.future = future
        self.limit = limit
        self.deadline: float | None = None
        self.timed_out = False


class _Seat:
    """A place for one worker process, and the thread that waits for its replies.

    Whoever gives a job sends it to the process at once, and the thread only waits for
    what comes back: a job costs one change of thread, not two.
    """

    def __init__(self, pool: WorkerPool) -> None:
        self.pool = pool
        self.job: _Job | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self._connection: Connection | None = None
        self._lock = threading.RLock()
        self._wanted = threading.Event()
        self._leaving = False

    def give(self, job: _Job) -> None:
        """Send a job to the process; a seat has one at a time."""
        with self._lock:
            self.job = job
            if job.limit is not None:
                job.deadline = time.monotonic() + job.limit
            self._send(job.payload)
            self._wanted.set()

    def leave(self) -> None:
        """Nothing more will come: the process ends by itself, and then the thread."""
        with self._lock:
            self._leaving = True
            self._send(pickle.dumps(None))
            self._wanted.set()

    def end(self, job: _Job | None = None) -> None:
        """End the worker's process group: SIGTERM, and SIGKILL after the grace period.

        Where a job is given, only if the worker still has it.
        """
        with self._lock:
            process = self.process
            if process is None or (job is not None and self.job is not job):
                return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(GRACE_SECONDS)
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def _serve(self) -> None:
        while True:
            try:
                connection = self._started()
                while connection is not None:
                    self._finished(*pickle.loads(connection.recv_bytes()))
            except (EOFError, OSError) as error:
                self._lost(error)
            self._wanted.wait()
            if self._leaving and self.job is None:
                return

    def _started(self) -> Connection | None:
        with self._lock:
            if self._leaving and self.job is None:
                return None
            ours, theirs = socket.socketpair()
            with theirs:
                self.process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "selfheal.engine.worker", str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=2,
                    start_new_session=True,
                )
            # Known before it has work: whoever takes over after a crash must find it.
            self.pool.changed()
            self._connection = Connection(ours.detach())
            if self.job is not None:
                self._send(self.job.payload)
        return self._connection

    def _send(self, payload: bytes) -> None:
        if self._connection is not None:
            with contextlib.suppress(OSError):  # the thread sees the end of the process itself
                self._connection.send_bytes(payload)

    def _finished(self, kind: str, value: Any) -> None:
        job, self.job = self.job, None
        self.pool.go_on(self)
        assert job is not None
        if kind == "error":
            job.future.set_exception(value)
        else:
            job.future.set_result(value)

    def _lost(self, error: Exception) -> None:
        """The process is gone: say so to whoever waits for its job."""
        cause = self._cause(error)
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = self.process = None
            self._wanted.clear()
            job, self.job = self.job, None
            if self._leaving:
                self._wanted.set()
        if job is None:
            return
        self.pool.go_on(self)
        if job.timed_out:
            job.future.set_exception(TimedOut(f"took longer than {job.limit:g} s"))
        else:
            job.future.set_exception(WorkerLost(cause))

    def _cause(self, error: Exception) -> str:
        if self.process is None:
            return f"its worker process did not start: {error}"
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE_SECONDS)
        ended_itself = self.process.poll() is not None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        code = self.process.wait()
        if not ended_itself:
            return f"its worker process could not be used: {error!r}"
        if code < 0:
            return f"its worker process was ended by {signal.Signals(-code).name}"
        return f"its worker process ended with exit code {code}"
