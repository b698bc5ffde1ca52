"""The host's side of trying changes in forks of a process that has the tests collected.

The process itself is `selfheal.sandbox.forkserver_process`. It runs confined like any
other code under repair, by `selfheal.sandbox.process.run`, and is spoken to by two named
pipes in a folder that it may write. What it says is said by code under repair: a change
that passes here is plausible, and proven only by a run of its own (`Bench.prove`).
"""

from __future__ import annotations

import json
import os
import select
import shutil
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

from selfheal.config import TestsConfig
from selfheal.sandbox import forkserver_process
from selfheal.sandbox.process import Completed, run
from selfheal.sandbox.runner import is_among
from selfheal.sandbox.suite import base_command, import_environment, interpreter

Stage = Literal["collected", "imported"]
Outcome = Literal["passed", "failed", "skipped", "timed_out", "absent"]
Place = tuple[str, int]

MEGABYTE = 1024 * 1024
POLL_SECONDS = 0.2
LINE_LIMIT = 128 * MEGABYTE
# Tried in order until the tests of the incident are collected: without plugins all is faster,
# but some suites need theirs, or name options of plugins in their configuration; coverage and
# processes of their own are then turned off where those plugins are there.
NO_PLUGINS = 0
UNKNOWN_OPTION = "unrecognized arguments"
PLUGINS: tuple[tuple[Mapping[str, str], tuple[str, ...]], ...] = (
    ({"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}, ()),
    ({}, ("--no-cov", "-n0")),
    ({}, ("--no-cov",)),
    ({}, ("-n0",)),
    ({}, ()),
    ({}, ("-o", "addopts=")),
)
OPTIONS = ("-q", "--capture=no", "--tb=native", "--assert=plain", "-p", "no:cacheprovider")


class Failure(NamedTuple):
    """The exception of a failing test: `line` in the test's file, `place` the innermost own one."""

    type: str
    line: int
    place: str
    message: str


class Call(NamedTuple):
    """A call of a function: digests of what it was given and of what came of it, and in short."""

    function: str
    given: str
    outcome: str
    given_short: str
    outcome_short: str


class Ran(NamedTuple):
    """How a test came out; `seconds` are CPU time, `functions` the project's that ran.

    `calls` are those of recorded functions.
    """

    test: str
    outcome: Outcome
    seconds: float
    failure: Failure | None
    functions: frozenset[Place]
    calls: tuple[Call, ...] = ()


class FunctionChange(NamedTuple):
    """An outermost function with another body, or with other literals for defaults.

    `lines` are those on which it may begin (its first decorator's, and its own); `source`
    is all of it with the indentation of its file, `classes` the names around it; `defaults`
    says whether they change.
    """

    file: str
    name: str
    lines: tuple[int, ...]
    source: str
    classes: tuple[str, ...] = ()
    defaults: bool = False


class Reply(NamedTuple):
    """Results in the order in which the tests ran; `ended` is ``done``, ``timed_out``,
    ``killed``, ``unfit: …`` (live functions cannot take the change) or ``error: …``."""

    results: tuple[Ran, ...]
    ended: str


class ServerEnded(Exception):
    """The process has gone, or does not answer."""


@dataclass
class ForkServer:
    """A context manager: a started process in `worktree` with the tests of `select` collected.

    `select` are pytest's arguments (files; empty: what the project's configuration says).
    After the start `collected` holds the node ids, `imported` the functions that ran while
    the project was imported. Raises ServerEnded where the tests cannot be collected.
    """

    worktree: Path
    tests: TestsConfig
    stage: Stage = "collected"
    select: Sequence[str] = ()
    life_seconds: float = 600.0
    start_seconds: float = 60.0
    memory_megabytes: int = 2048
    plugins: int = 0
    collected: tuple[str, ...] = ()
    imported: frozenset[Place] = frozenset()
    _folder: Path | None = None
    _requests: int = -1
    _replies: int = -1
    _buffer: bytearray = field(default_factory=bytearray)
    _thread: threading.Thread | None = None
    _done: Completed | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def ask(
        self,
        tests: Sequence[tuple[str, float]],
        functions: Sequence[FunctionChange] = (),
        *,
        survey: bool = False,
        record: Sequence[tuple[str, str]] = (),
        near: bool = False,
        wall_seconds: float | None = None,
        memory_megabytes: int = 512,
    ) -> Reply:
        """Run tests, each with its limit of CPU seconds, in a fork with changed functions.

        The first test that does not pass ends it, but in a survey. Calls of the functions
        `record` (file, qualified name) are among what is told; with `near` it is calls near
        theirs, made after the test. Raises ServerEnded.
        """
        wall = wall_seconds or 5.0 + 5 * sum(seconds for _, seconds in tests)
        request = {
            "tests": [list(each) for each in tests],
            "functions": [each._asdict() for each in functions],
            "survey": survey,
            "record": [list(each) for each in record],
            "near": near,
            "wall": wall,
            "memory": memory_megabytes * MEGABYTE,
        }
        self._send(json.dumps(request).encode() + b"\n")
        return _reply(self._receive(wall + 10.0))

    def close(self) -> None:
        """End the process and all of its forks; idempotent."""
        for descriptor in (self._requests, self._replies):
            if descriptor >= 0:
                os.close(descriptor)
        self._requests = self._replies = -1
        if self._thread is not None:
            self._thread.join()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="selfheal-forks-"))
        requests, replies = self._folder / "requests", self._folder / "replies"
        os.mkfifo(requests)
        os.mkfifo(replies)
        # Opened for both, neither waits for the other side; the process has its own ends.
        self._requests = os.open(requests, os.O_RDWR | os.O_NONBLOCK)
        self._replies = os.open(replies, os.O_RDWR | os.O_NONBLOCK)
        environment, further = PLUGINS[self.plugins]
        settings = {
            "requests": str(requests),
            "replies": str(replies),
            "stage": self.stage,
        }
        options = [*OPTIONS, *further, *options_of(self.tests)]
        command = [interpreter(self.tests), forkserver_process.__file__, json.dumps(settings)]
        command += [*options, *self.select]

        def serve(folder: Path) -> None:
            self._done = run(
                command,
                cwd=self.worktree,
                timeout_seconds=self.life_seconds,
                memory_megabytes=self.memory_megabytes,
                environment={**import_environment(self.worktree), **environment},
                writable=(folder,),
            )

        self._thread = threading.Thread(target=serve, args=(self._folder,), daemon=True)
        self._thread.start()
        message = self._receive(self.start_seconds)
        if "failed" in message:
            self._thread.join()
            raise ServerEnded(self._why(str(message["failed"])))
        if self.stage == "collected":
            self.collected = tuple(map(str, message["collected"]))
            self.imported = frozenset((str(file), int(line)) for file, line in message["imported"])

    def _send(self, data: bytes) -> None:
        deadline = time.monotonic() + self.start_seconds
        while data:
            if not self._alive() or time.monotonic() > deadline:
                raise ServerEnded(self._why("it takes no request"))
            if select.select([], [self._requests], [], POLL_SECONDS)[1]:
                data = data[os.write(self._requests, data[: select.PIPE_BUF]) :]

    def _receive(self, seconds: float) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if time.monotonic() > deadline or searched > LINE_LIMIT:
                raise ServerEnded(self._why(f"no answer within {seconds:.0f} s"))
            if select.select([self._replies], [], [], POLL_SECONDS)[0]:
                self._buffer += os.read(self._replies, MEGABYTE)
            elif not self._alive():
                raise ServerEnded(self._why("it ended"))
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        try:
            message: dict[str, Any] = json.loads(line)
        except ValueError as error:
            raise ServerEnded(f"it answers what cannot be read: {error}") from error
        return message

    def _alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _why(self, what: str) -> str:
        tail = self._done.tail(3) if self._done is not None else ""
        return f"{what}; {tail}" if tail else what


def options_of(tests: TestsConfig) -> list[str]:
    """The arguments of the configured pytest command, without those that only shape its output."""
    command = base_command(tests)
    if "pytest" not in command:
        return []
    return [part for part in command[command.index("pytest") + 1 :] if part not in ("-q", "-v")]


def started(server: ForkServer, wanted: Sequence[str]) -> ForkServer:
    """A started server that has some of the `wanted` tests, if any, with as few plugins as do.

    Raises ServerEnded with the reason of the last try.
    """
    reason = ""
    for plugins in range(server.plugins, len(PLUGINS)):
        # Where it begins is known to do, if it is not the beginning.
        if plugins > max(NO_PLUGINS + 1, server.plugins) and UNKNOWN_OPTION not in reason:
            break
        trial = ForkServer(
            server.worktree,
            server.tests,
            server.stage,
            server.select,
            server.life_seconds,
            server.start_seconds,
            server.memory_megabytes,
            plugins,
        )
        try:
            trial.__enter__()
        except ServerEnded as error:
            reason = str(error)
            continue
        has_some = any(is_among(name, list(wanted)) for name in trial.collected)
        if trial.stage == "imported" or not wanted or has_some:
            return trial
        reason = f"pytest does not collect {wanted[0]}"
        trial.close()
    raise ServerEnded(reason)


def _reply(message: Mapping[str, Any]) -> Reply:
    """Typed, and read with care: it comes from code under repair."""
    try:
        places: list[Place] = []
        results = []
        for test, outcome, seconds, failure, ran, fresh, calls in message["results"]:
            places += [(str(file), int(line)) for file, line in fresh]
            results.append(
                Ran(
                    str(test),
                    outcome if outcome in ("passed", "skipped", "timed_out") else "failed",
                    float(seconds),
                    Failure(str(failure[0]), int(failure[1]), str(failure[2]), str(failure[3]))
                    if failure
                    else None,
                    frozenset(places[int(number)] for number in ran),
                    tuple(Call(*(str(part) for part in call)) for call in calls),
                )
            )
        return Reply(tuple(results), str(message["ended"]))
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise ServerEnded(f"it answers what cannot be read: {error}") from error
