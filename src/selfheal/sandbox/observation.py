"""Runs passing tests before and after a change and keeps what its functions were asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from selfheal.artifacts import Candidate
from selfheal.artifacts.validation import Check
from selfheal.config import TestsConfig
from selfheal.repair import edited
from selfheal.repair.edits.model import SEARCH
from selfheal.sandbox.behaviour import (
    Behaviour,
    Runs,
    asserted_literals,
    behaviour,
    behaviour_check,
    near_by,
    new_literals,
)
from selfheal.sandbox.bench import Bench
from selfheal.sandbox.changes import ChangedFile
from selfheal.sandbox.evidence import Applied, Subject, Tested, passed
from selfheal.sandbox.forkserver import FunctionChange, Ran, ServerEnded
from selfheal.sandbox.replies import Replies, compare_replies
from selfheal.sandbox.search_lanes import Lane, Lanes, guards_of, run_all, watched
from selfheal.sandbox.search_model import Attempt, Plan, Survey
from selfheal.sandbox.search_plan import Planner, exchanges, qualified
from selfheal.sandbox.suite import runs_in_order

TESTS_AT_MOST, FAILING_AT_MOST = 60, 5
TEST_SECONDS, WALL_SECONDS = 5.0, 30.0
# A checkout's server lives no longer than this, whatever its tests do.
LIFE_SECONDS = 180.0

Names = tuple[tuple[str, str], ...]


class SearchObserver:
    """Tells the behaviour of attempts of a search, on one lane."""

    def __init__(
        self, lane: Lane, survey: Survey, planner: Planner, sources: Mapping[str, str]
    ) -> None:
        self._lane, self._survey, self._planner, self._sources = lane, survey, planner, sources
        self._asserted = asserted_literals(
            _texts(lane.worktree.path, survey.failing), survey.failing
        )
        self._known: dict[tuple[Names, tuple[str, ...]], tuple[Runs, Runs]] = {}
        self._nearby: dict[Names, tuple[Runs, Runs]] = {}

    def look(self, attempt: Attempt) -> Behaviour:
        """Nothing is `compared` where the tests cannot be run."""
        plan = self._planner.plan(attempt.edit)
        after = edited(attempt.edit, self._sources)
        brought: Counter[str] = Counter()
        for path, text in after.items():
            brought += new_literals(self._sources.get(path), text)
        tests = guards_of(self._survey, plan.regions)[:TESTS_AT_MOST]
        try:
            found = behaviour(*self._runs(attempt, plan, tests), brought, self._asserted)
            return near_by(found, *self._near(plan))
        except ServerEnded:
            self._lane.close()
            return behaviour({}, {}, {}, brought, self._asserted)

    def _near(self, plan: Plan) -> tuple[Runs, Runs, Runs]:
        """Calls near those that the failing tests make, where live functions can be changed."""
        tests = self._survey.failing[:FAILING_AT_MOST]
        if plan.functions is None or not tests:
            return {}, {}, {}
        names = _names_of(plan.functions)
        if names not in self._nearby:
            self._nearby[names] = (
                self._run(tests, names, near=True),
                self._run(tests, names, near=True),
            )
        return (*self._nearby[names], self._run(tests, names, plan.functions, near=True))

    def _runs(self, attempt: Attempt, plan: Plan, tests: Sequence[str]) -> tuple[Runs, Runs, Runs]:
        if not tests:
            return {}, {}, {}
        names = self._names(attempt, plan)
        if plan.functions is not None:
            after = self._run(tests, names, plan.functions)
        else:
            with self._lane.written(attempt):
                asked = [(test, TEST_SECONDS) for test in tests]
                reply = self._lane.server("imported").ask(asked, survey=True, record=names)
            after = {ran.test: ran for ran in reply.results}
        key = (names, tuple(tests))
        if key not in self._known:
            self._known[key] = self._run(tests, names), self._run(tests, names)
        return (*self._known[key], after)

    def _names(self, attempt: Attempt, plan: Plan) -> Names:
        if plan.functions is not None:
            return _names_of(plan.functions)
        paths = sorted({splice.path for splice in attempt.edit.splices} | set(attempt.edit.files))
        return tuple(name for path in paths for name in self._planner.names(path))

    def _run(
        self,
        tests: Sequence[str],
        names: Names,
        functions: Sequence[FunctionChange] = (),
        *,
        near: bool = False,
    ) -> Runs:
        server = self._lane.server("collected")
        return run_all(server, tests, TEST_SECONDS, WALL_SECONDS, functions, names, near)


def with_behaviour(
    bench: Bench,
    subjects: Sequence[Subject],
    candidates: Sequence[Candidate],
    applied: Applied,
    tested: Tested,
) -> Tested:
    """The tested candidates with the check ``behaviour`` of those that pass."""
    if not runs_in_order(bench.tests):
        return tested
    owners = {
        name: each for each in subjects if each.kind != "coverage" for name in each.candidate_ids
    }
    sound = [
        candidate
        for candidate in candidates
        if candidate.id in owners
        and candidate.id in tested.candidates
        and passed(tested.candidates[candidate.id].checks)
    ]
    found = dict(tested.candidates)
    for commit in sorted({candidate.base_commit for candidate in sound}):
        own = [(each, applied.candidates[each.id].files) for each in sound]
        own = [pair for pair in own if pair[0].base_commit == commit]
        folder = bench.folder / f"behaviour-{commit[:12]}"
        pairs = [(candidate, owners[candidate.id]) for candidate, _ in own]
        checks = behaviour_checks(
            bench.repository,
            commit,
            folder,
            bench.tests,
            own,
            bench.incident,
            compare_replies(bench, commit, pairs),
        )
        for name, check in checks.items():
            known = found[name]
            found[name] = known.model_copy(update={"checks": [*known.checks, check]})
    return tested.model_copy(update={"candidates": found})


def behaviour_checks(
    repository: Path,
    commit: str,
    folder: Path,
    tests: TestsConfig,
    candidates: Sequence[tuple[Candidate, Sequence[ChangedFile]]],
    failing: Sequence[str],
    replies: Mapping[str, Replies] | None = None,
) -> dict[str, Check]:
    """The check ``behaviour`` of candidates of one commit, by id.

    `failing` are the tests that show the troubles; the passing ones near to them are run.
    `replies` to recorded requests with each candidate count as well.
    """
    plans = {candidate.id: exchanges(files) for candidate, files in candidates}
    wanted = sorted({name for plan in plans.values() for name in _names_of(plan or ())})
    reasons = {name: _obstacle(plan) for name, plan in plans.items()}
    found: dict[str, Behaviour] = {}
    literals = {candidate.id: _literals(candidate, files) for candidate, files in candidates}
    asserted: frozenset[str] = frozenset()
    lanes = Lanes(repository, commit, folder, tests, [], count=1, seconds=LIFE_SECONDS)
    with lanes, lanes.lane() as lane:
        asserted = asserted_literals(_texts(lane.worktree.path, failing), failing)
        try:
            runs = _observed(lane, wanted, plans, failing) if wanted else {}
        except ServerEnded as error:
            runs, why = {}, f"the tests could not be run in forks: {error}"
            reasons = {name: reason or why for name, reason in reasons.items()}
    for name in plans:
        calls = behaviour(*runs.get(name, ({}, {}, {})), literals[name], asserted)
        found[name] = calls.with_others(*(replies or {}).get(name, Replies()))
    return {name: behaviour_check(found[name], reasons[name]) for name in plans}


def _observed(
    lane: Lane,
    wanted: Sequence[tuple[str, str]],
    plans: Mapping[str, tuple[FunctionChange, ...] | None],
    failing: Sequence[str],
) -> dict[str, tuple[Runs, Runs, Runs]]:
    server = lane.server("collected")
    others = watched(server.collected, failing, ())
    first = run_all(server, others, TEST_SECONDS, WALL_SECONDS, record=wanted)
    calling = [test for test in others if test in first and first[test].calls]
    calling = [test for test in calling if first[test].outcome == "passed"][:TESTS_AT_MOST]
    again = run_all(server, calling, TEST_SECONDS, WALL_SECONDS, record=wanted)
    found: dict[str, tuple[Runs, Runs, Runs]] = {}
    for name, plan in plans.items():
        if plan:
            own = {function for _, function in _names_of(plan)}
            mine = [test for test in calling if own & _called(first[test])]
            after = run_all(server, mine, TEST_SECONDS, WALL_SECONDS, plan, _names_of(plan))
            found[name] = (first, again, after)
    return found


def _called(ran: Ran) -> set[str]:
    """The outermost functions of which a test's calls were recorded."""
    return {call.function.partition(".<locals>")[0] for call in ran.calls}


def _obstacle(plan: Sequence[FunctionChange] | None) -> str:
    if plan is None:
        return "more than bodies of functions changes: calls cannot be held against each other"
    return "" if plan else "no function changes"


def _literals(candidate: Candidate, files: Sequence[ChangedFile]) -> Counter[str]:
    """What a search has put in; strategies take theirs from the code, or from its past."""
    found: Counter[str] = Counter()
    if candidate.strategy == SEARCH:
        for file in files:
            if file.role == "code" and file.path.endswith(".py"):
                found += new_literals(file.before, file.after)
    return found


def _names_of(functions: Sequence[FunctionChange]) -> Names:
    return tuple(sorted({(each.file, qualified(each.name, each.classes)) for each in functions}))


def _texts(checkout: Path, tests: Sequence[str]) -> dict[str, str]:
    """The texts of the files of tests (node ids)."""
    found = {}
    for path in sorted({test.partition("::")[0] for test in tests}):
        file = (checkout / path).resolve()
        if file.is_relative_to(checkout.resolve()) and file.is_file():
            found[path] = file.read_text("utf-8", "replace")
    return found
