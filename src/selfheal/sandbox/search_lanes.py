"""The lanes of a search: checkouts with fork servers in them, used by one attempt at a time."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import get_args

from selfheal.config import TestsConfig
from selfheal.repair import edited
from selfheal.repair.diff import patch_of
from selfheal.sandbox.forkserver import (
    NO_PLUGINS,
    ForkServer,
    FunctionChange,
    Ran,
    Reply,
    ServerEnded,
    Stage,
    started,
)
from selfheal.sandbox.search_model import Attempt, Plan, Region, Survey, Verdict
from selfheal.sandbox.worktree import Worktree

SURVEY_SECONDS = 5.0
FAILING_SECONDS = 3.0
SURVEY_WALL = 45.0
# Passing tests that are watched: enough to refuse most wrong edits, few beside a large suite.
WATCHED = 150
LEAST_LIMIT, LIMIT_FACTOR, MOST_LIMIT = 0.2, 10.0, 20.0
UNKNOWN_SECONDS = 0.1
GUARDS = 300
TRIES = 2


class Lane:
    """A checkout, and the servers in it, which start when they are first needed."""

    def __init__(
        self,
        worktree: Worktree,
        tests: TestsConfig,
        failing: Sequence[str],
        deadline: float,
        plugins: dict[Stage, int],
    ) -> None:
        self.worktree, self.tests = worktree, tests
        self.failing, self.deadline = list(failing), deadline
        self._servers: dict[Stage, ForkServer] = {}
        self._plugins = plugins

    def server(self, stage: Stage) -> ForkServer:
        """Raises ServerEnded where pytest cannot collect the failing tests."""
        if stage not in self._servers:
            self._servers[stage] = self._started(stage)
            self._plugins[stage] = self._servers[stage].plugins
        return self._servers[stage]

    def with_plugins(self) -> None:
        """Servers of all lanes that start from now on load the plugins that are installed."""
        self.close()
        self._plugins.update(dict.fromkeys(get_args(Stage), NO_PLUGINS + 1))

    def _started(self, stage: Stage) -> ForkServer:
        left = max(self.deadline - time.monotonic(), 1.0)
        server = ForkServer(
            self.worktree.path,
            self.tests,
            stage,
            life_seconds=left + 30.0,
            plugins=self._plugins.get(stage, 0),
        )
        if stage == "imported":
            return started(server, self.failing)
        try:
            return started(server, self.failing)
        except ServerEnded:
            # The suite as a whole cannot be collected: the failing tests' own files.
            server.select = sorted({test.partition("::")[0] for test in self.failing})
            return started(server, self.failing)

    def close(self) -> None:
        for server in self._servers.values():
            server.close()
        self._servers.clear()

    def exchanged(self, plan: Plan, survey: Survey) -> Verdict | None:
        """Try a change by exchanging functions; None where live functions cannot take it."""

        def ask(tests: Sequence[str]) -> Reply:
            limits = [(test, limit_of(survey, test)) for test in tests]
            return self.server("collected").ask(limits, plan.functions or ())

        tests = [*survey.failing, *guards_of(survey, plan.regions)]
        return self._judged(ask, survey, tests)

    def mended(self, plan: Plan, survey: Survey) -> tuple[str, ...]:
        """The failing tests that pass with a change of functions; none where another test comes
        out otherwise than before."""
        tests = [*survey.failing, *guards_of(survey, plan.regions)]
        limits = [(test, limit_of(survey, test)) for test in tests]
        try:
            reply = self.server("collected").ask(limits, plan.functions or (), survey=True)
        except ServerEnded:
            self.close()
            return ()
        ran = {each.test: each for each in reply.results}
        passed = [test for test in tests if test in ran and ran[test].outcome == "passed"]
        others = set(tests) - set(passed)
        same = all(t in ran and ran[t].failure == survey.failure(t) for t in others)
        return tuple(t for t in survey.failing if t in passed) if same else ()

    def imported(self, attempt: Attempt, plan: Plan, survey: Survey) -> Verdict:
        """Try a change by importing its files anew."""

        def ask(tests: Sequence[str]) -> Reply:
            limits = [(test, limit_of(survey, test)) for test in tests]
            with self.written(attempt):
                return self.server("imported").ask(limits)

        tests = [*survey.uncollected, *survey.failing, *guards_of(survey, plan.regions)]
        verdict = self._judged(ask, survey, tests)
        return verdict or Verdict("fails_otherwise", 0, "its files cannot be tried")

    def _judged(
        self, ask: Callable[[Sequence[str]], Reply], survey: Survey, tests: Sequence[str]
    ) -> Verdict | None:
        """A server that ends over an attempt is started once more for it."""
        reason = ""
        for _ in range(TRIES):
            try:
                reply = ask(tests)
            except ServerEnded as error:
                reason = str(error)
                self.close()
                continue
            return None if reply.ended.startswith("unfit") else verdict_of(reply, survey, tests)
        return Verdict("fails_otherwise", 0, reason)

    @contextmanager
    def written(self, attempt: Attempt) -> Iterator[None]:
        """The files of an attempt in the checkout, for as long as it is tried."""
        paths = {splice.path for splice in attempt.edit.splices} | set(attempt.edit.files)
        before = {path: self._bytes(path) for path in sorted(paths)}
        texts = {
            path: None if data is None else data.decode("utf-8", "surrogateescape")
            for path, data in before.items()
        }
        try:
            for path, text in edited(attempt.edit, texts).items():
                self._put(path, None if text is None else text.encode("utf-8", "surrogateescape"))
            yield
        finally:
            for path, data in before.items():
                self._put(path, data)

    def _bytes(self, path: str) -> bytes | None:
        file = self.worktree.path / path
        return file.read_bytes() if file.is_file() and not file.is_symlink() else None

    def _put(self, path: str, data: bytes | None) -> None:
        """Code under repair may have put anything in the place: a link is never followed."""
        file = self.worktree.path / path
        if not file.parent.resolve().is_relative_to(self.worktree.path.resolve()):
            raise ServerEnded(f"{path} leads out of the checkout")
        if file.is_dir() and not file.is_symlink():
            raise ServerEnded(f"{path} was made a folder")
        with suppress(FileNotFoundError):
            file.unlink()
        if data is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)


def survey_of(lane: Lane, failing: Sequence[str], guards: Sequence[str] = ()) -> Survey:
    """Run tests without a change: the incident's, twice, then `guards` and those near by.

    Raises ServerEnded where there is no way to run them.
    """
    try:
        return _survey(lane, failing, guards)
    except _NeedsPlugins:
        lane.with_plugins()
        return _survey(lane, failing, guards)


class _NeedsPlugins(Exception):
    """Tests fail for want of a plugin."""


def _survey(lane: Lane, failing: Sequence[str], guards: Sequence[str]) -> Survey:
    try:
        server = lane.server("collected")
    except ServerEnded as error:
        return _uncollected(lane, failing, str(error))
    known = set(server.collected)
    wanted = [name for test in failing for name in matching(test, server.collected)]
    uncollected = tuple(test for test in failing if not matching(test, server.collected))
    results = run_all(server, wanted, FAILING_SECONDS, SURVEY_WALL)
    steady = [test for test in wanted if results[test].outcome in ("failed", "timed_out")]
    again = run_all(
        server, [t for t in steady if results[t].outcome == "failed"], FAILING_SECONDS, SURVEY_WALL
    )
    steady = [test for test in steady if again.get(test, results[test]).outcome != "passed"]
    others = watched(server.collected, wanted, guards)
    results |= run_all(server, others, SURVEY_SECONDS, SURVEY_WALL)
    if server.plugins == NO_PLUGINS and any(map(_lacks_plugin, results.values())):
        raise _NeedsPlugins
    quick_first = sorted(steady, key=lambda test: (results[test].outcome == "timed_out", test))
    return Survey(
        failing=tuple(quick_first),
        uncollected=uncollected,
        results=results,
        imported=server.imported,
        unsurveyed=len(known) - len(results),
    )


def _uncollected(lane: Lane, failing: Sequence[str], reason: str) -> Survey:
    """None of the incident's tests is collected, as where their modules fail at import.

    Raises ServerEnded with the `reason` where pytest does not even start, or collects them
    after all.
    """
    asked = [(test, FAILING_SECONDS) for test in failing]
    reply = lane.server("imported").ask(asked, survey=True, wall_seconds=SURVEY_WALL)
    if reply.results or reply.ended != "done":
        raise ServerEnded(reason)
    return Survey(failing=(), uncollected=tuple(failing), results={}, imported=frozenset())


def watched(collected: Sequence[str], failing: Sequence[str], guards: Sequence[str]) -> list[str]:
    """The passing tests to watch: `guards`, then those nearest to a failing one, then the rest."""
    places = [number for number, test in enumerate(collected) if test in set(failing)]
    known = set(guards)

    def order(number: int) -> tuple[bool, int, int]:
        near = min((abs(number - place) for place in places), default=0)
        return collected[number] not in known, near, number

    numbers = sorted(set(range(len(collected))) - set(places), key=order)
    return [collected[number] for number in numbers[:WATCHED]]


def _lacks_plugin(ran: Ran) -> bool:
    """Whether a test failed as it does where its plugin is not loaded."""
    if ran.failure is None:
        return False
    is_async = "async def functions are not natively supported" in ran.failure.message
    return is_async or ran.failure.type == "FixtureLookupError"


def matching(test: str, collected: Sequence[str]) -> list[str]:
    """The collected tests that a node id means: itself, or its parametrisations, or a file's."""
    if test in collected:
        return [test]
    return [name for name in collected if name.startswith((f"{test}[", f"{test}::"))]


def run_all(
    server: ForkServer,
    tests: Sequence[str],
    limit: float,
    wall: float,
    functions: Sequence[FunctionChange] = (),
    record: Sequence[tuple[str, str]] = (),
    near: bool = False,
) -> dict[str, Ran]:
    """Survey tests; one that ends its process does not keep the rest from running.

    With `functions` changed, and calls of those of `record` recorded, or calls `near` to them.
    """
    deadline = time.monotonic() + wall
    results: dict[str, Ran] = {}
    left = list(tests)
    while left and time.monotonic() < deadline:
        seconds = max(deadline - time.monotonic(), 1.0)
        asked = [(test, limit) for test in left]
        reply = server.ask(
            asked, functions, survey=True, record=record, near=near, wall_seconds=seconds
        )
        results |= {ran.test: ran for ran in reply.results}
        remaining = [test for test in left if test not in results]
        if len(remaining) == len(left):
            break
        left = remaining
    return results


def limit_of(survey: Survey, test: str) -> float:
    """CPU seconds for a test: by its own time and that of the slowest that pass beside it."""
    file = test.partition("::")[0]
    spent = [
        ran.seconds
        for name, ran in survey.results.items()
        if name == test or (ran.outcome == "passed" and name.partition("::")[0] == file)
    ]
    own = survey.results.get(test)
    if own is not None and own.outcome == "timed_out":
        spent = [each for each in spent if each < own.seconds]
    return min(LEAST_LIMIT + LIMIT_FACTOR * max(spent, default=UNKNOWN_SECONDS), MOST_LIMIT)


def guards_of(survey: Survey, regions: Sequence[Region]) -> list[str]:
    """Tests that passed and run the changed functions, the quickest first."""
    running = survey.running(regions)
    chosen = [test for test in survey.passing if test in running][:GUARDS]
    return sorted(chosen, key=lambda test: (survey.results[test].seconds, test))


def verdict_of(reply: Reply, survey: Survey, tests: Sequence[str]) -> Verdict:
    """What a reply to `tests`, in which the failing ones come first, says of an attempt."""
    incident = len(survey.failing) + len(survey.uncollected)
    passed = 0
    for ran in reply.results:
        if ran.outcome == "passed":
            passed += 1
            continue
        if passed >= incident and ran.test not in survey.failing:
            fate = "timed_out" if ran.outcome == "timed_out" else "breaks_tests"
            return Verdict(fate, incident, ran.test)  # type: ignore[arg-type]
        return _failing(ran, survey, passed)
    enough = passed >= len(tests)
    if enough and reply.ended == "done":
        return Verdict("plausible", incident)
    return Verdict("fails_otherwise", 0, reply.ended)


def _failing(ran: Ran, survey: Survey, passed: int) -> Verdict:
    if ran.outcome == "timed_out":
        return Verdict("timed_out", passed, ran.test)
    before, now = survey.failure(ran.test), ran.failure
    if passed or (before and now and now.line > before.line):
        return Verdict("fails_later", passed, ran.test)
    if before == now:
        return Verdict("still_fails", 0, ran.test)
    return Verdict("fails_otherwise", 0, ran.test)


class Lanes:
    """Several lanes on one commit, made when needed; a context manager.

    `added` are texts of further files, such as a test that is not in the suite yet.
    """

    def __init__(
        self,
        repository: Path,
        commit: str,
        folder: Path,
        tests: TestsConfig,
        failing: Sequence[str],
        *,
        count: int,
        seconds: float,
        added: Mapping[str, str] | None = None,
    ) -> None:
        self._repository, self._commit, self._folder = repository, commit, folder
        self._tests, self._failing, self.count = tests, failing, count
        self.deadline = time.monotonic() + seconds
        self._added = dict(added or {})
        self._free: queue.LifoQueue[Lane] = queue.LifoQueue()
        self._all: list[Lane] = []
        self._plugins: dict[Stage, int] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Lanes:
        return self

    def __exit__(self, *_: object) -> None:
        for lane in self._all:
            lane.close()
            lane.worktree.remove()

    @contextmanager
    def lane(self) -> Iterator[Lane]:
        """A lane that nobody else uses meanwhile."""
        with self._lock:
            if self._free.empty() and len(self._all) < self.count:
                folder = self._folder / f"lane-{len(self._all)}"
                worktree = Worktree(self._repository, self._commit, folder)
                worktree.create()
                if self._added:
                    worktree.apply(patch_of(dict.fromkeys(self._added), self._added))
                lane = Lane(worktree, self._tests, self._failing, self.deadline, self._plugins)
                self._all.append(lane)
                self._free.put(lane)
        lane = self._free.get()
        try:
            yield lane
        finally:
            self._free.put(lane)

    @property
    def over(self) -> bool:
        return time.monotonic() > self.deadline
