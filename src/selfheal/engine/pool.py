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
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from multiprocessing.connection import Connection
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

GRACE_SECONDS = 2.0


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
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self._seats = [_Seat(self) for _ in range(self.size)]
        for seat in self._seats:
            seat.thread.start()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        if self._closed:
            raise RuntimeError("the pool is shut down.")
        if kwargs:
            raise TypeError("tasks take positional arguments only.")
        limit = getattr(args[0], "timeout_seconds", None) if args else None
        future: Future[T] = Future()
        payload = pickle.dumps((fn, args), pickle.HIGHEST_PROTOCOL)
        self._jobs.put(_Job(payload, future, limit))
        return future

    def shutdown(
        self, wait: bool = True, *, cancel_futures: bool = False, kill: bool = False
    ) -> None:
        """Let the workers end; `kill` ends them and what they are doing at once."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        if cancel_futures or kill:
            with contextlib.suppress(queue.Empty):
                while job := self._jobs.get_nowait():
                    job.future.cancel()
        for _ in self._seats:
            self._jobs.put(None)
        if kill:
            for seat in self._seats:
                seat.end()
        if wait:
            for seat in self._seats:
                seat.thread.join()

    def pids(self) -> list[int]:
        """The process ids of the present workers."""
        return [seat.process.pid for seat in self._seats if seat.process is not None]

    def changed(self) -> None:
        with self._lock:
            if self._on_change is not None and not self._closed:
                self._on_change(self.pids())


class _Job:
    def __init__(self, payload: bytes, future: Future[Any], limit: float | None) -> None:
        self.payload = payload
        self.future = future
        self.limit = limit


class _Seat:
    """A place for one worker process, and the thread that speaks to it."""

    def __init__(self, pool: WorkerPool) -> None:
        self.pool = pool
        self.process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # the first task will say so
            self._start()
        while (job := self.pool._jobs.get()) is not None:
            if job.future.set_running_or_notify_cancel():
                self._do(job)
        self._stop()

    def _do(self, job: _Job) -> None:
        try:
            if self.process is None or self.process.poll() is not None:
                self._start()
            assert self._connection is not None
            self._connection.send_bytes(job.payload)
            if not self._connection.poll(job.limit):
                self.end()
                job.future.set_exception(TimedOut(f"took longer than {job.limit:g} s"))
                return
            kind, value = pickle.loads(self._connection.recv_bytes())
        except (EOFError, OSError) as error:
            job.future.set_exception(WorkerLost(self._cause(error)))
            return
        if kind == "error":
            job.future.set_exception(value)
        else:
            job.future.set_result(value)

    def _start(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "selfheal.engine.worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=2,
                start_new_session=True,
            )
        self._connection = Connection(ours.detach())
        self.pool.changed()

    def _stop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self.process is not None:
            try:
                self.process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                self.end()

    def end(self) -> None:
        """End the worker's process group: SIGTERM, and SIGKILL after the grace period."""
        process = self.process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(GRACE_SECONDS)
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def _cause(self, error: BaseException) -> str:
        if self.process is None:
            return f"its worker process did not start: {error}"
        code = self.process.wait()
        if code < 0:
            return f"its worker process was ended by {signal.Signals(-code).name}"
        return f"its worker process ended with exit code {code}"
