"""Trying recorded requests at both commits, in work trees, through the project's own tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Lock
from typing import Any

from selfheal.artifacts.patch import RecordedRequest
from selfheal.config import TestsConfig
from selfheal.repair import Problem, Work
from selfheal.repair.shape import common, shape_of
from selfheal.repair.work_budget import budgets
from selfheal.sandbox.work import Work as Measured
from selfheal.sandbox.work import measure_works
from selfheal.sandbox.worktree import Worktree

Session = Sequence[RecordedRequest]
Answered = Callable[[RecordedRequest], Sequence[Session]]
Question = tuple[str, str, str]
SLOW_TRIALS = 3
CLEAR_GROWTH = 2.0
AT_ONCE = 2
UPCOMING = 4
# The kinds of trouble in which a request is answered well.
ANSWERED = ("coverage", "behavioral", "state")


class Bench:
    """Work trees by commit, made when first needed and removed with `stack`.

    Threads may ask at once: each test process is one of its own.
    """

    def __init__(
        self, repository: Path, folder: Path, tests: TestsConfig, stack: ExitStack
    ) -> None:
        self._repository, self._folder, self._tests = repository, folder, tests
        self._stack = stack
        self._trees: dict[str, Worktree] = {}
        self._known: dict[Question, Measured] = {}
        self._lock = Lock()

    def ask(self, commit: str, fixture: str, sessions: Sequence[Session]) -> None:
        """Measure these sessions at a commit by one start of the tests; `work` then knows them."""
        asked = {_question(commit, fixture, session): session for session in sessions}
        new = {key: session for key, session in asked.items() if key not in self._known}
        if not new:
            return
        tests = self._tests.model_copy(update={"client_fixture": fixture})
        found = measure_works(self._tree(commit).path, tests, list(new.values()))
        self._known |= dict(zip(new, found, strict=True))

    def work(self, commit: str, session: Session, fixture: str) -> Work:
        """The counted work of the last request at a commit; each question is asked once."""
        found = self._measured(commit, session, fixture)
        return Work(
            calls=found.calls,
            statements=found.statements,
            status=500 if found.exception is not None else found.status,
            unavailable=found.unavailable,
        )

    def traced(self, commit: str, session: Session, fixture: str, work: Work) -> Work:
        """The work with the executed lines and walked elements, counted in a run of its own."""
        tests = self._tests.model_copy(update={"client_fixture": fixture})
        (found,) = measure_works(self._tree(commit).path, tests, [session], lines=True)
        return work.model_copy(update={"lines": found.lines, "elements": found.elements})

    def document(self, commit: str, session: Session, fixture: str) -> Any:
        """The JSON document of the last reply at a commit, None where there is none."""
        return self._measured(commit, session, fixture).document

    def _measured(self, commit: str, session: Session, fixture: str) -> Measured:
        self.ask(commit, fixture, [session])
        return self._known[_question(commit, fixture, session)]

    def _tree(self, commit: str) -> Worktree:
        with self._lock:
            if commit not in self._trees:
                tree = Worktree(self._repository, commit, self._folder / f"tree-{commit[:12]}")
                self._trees[commit] = self._stack.enter_context(tree)
            return self._trees[commit]


def _question(commit: str, fixture: str, session: Session) -> Question:
    return commit, fixture, repr([request.model_dump() for request in session])


def reproduce_all(
    found: Sequence[tuple[Problem, Sequence[Session]]], bench: Bench, answered: Answered
) -> list[Problem]:
    """`reproduced` of each problem with its sessions, some at once, with the reply's shape.

    `answered` gives requests of the same operation that were answered well. What is likely
    to be asked is measured first and together, so that few test processes are started;
    that changes no answer.
    """

    def one(each: tuple[Problem, Sequence[Session]]) -> Problem:
        return shaped(reproduced(each[0], each[1], bench), bench, answered)

    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        for asking in [pool.submit(bench.ask, *likely) for likely in _likely(found, answered)]:
            asking.result()
        return list(pool.map(one, found))


def _likely(
    found: Sequence[tuple[Problem, Sequence[Session]]], answered: Answered
) -> list[tuple[str, str, list[Session]]]:
    """By commit and fixture the sessions that are asked about first."""
    asked: dict[tuple[str, str], list[Session]] = {}
    for problem, sessions in found:
        if _is_shown(problem) or not sessions or problem.client is None:
            continue
        trials = [trial for session in sessions for trial in _trials(session)]
        kind, fixture = problem.diagnosis.kind, problem.client.fixture
        first = trials[: SLOW_TRIALS if kind == "performance" else 1]
        others = answered(first[-1][-1])[:1] if kind == "error" else []
        asked.setdefault((problem.base_commit, fixture), []).extend([*first, *others])
        if problem.diagnosis.good_commit is not None:
            asked.setdefault((problem.diagnosis.good_commit, fixture), []).extend(first)
    return [(commit, fixture, own) for (commit, fixture), own in asked.items()]


def shaped(problem: Problem, bench: Bench, answered: Answered) -> Problem:
    """The problem with the shape that a healed reply must have.

    It is what the good commit's reply and a well answered reply of the sick one have in
    common: what the release meant to change is not asked for.
    """
    good, client = problem.diagnosis.good_commit, problem.client
    kind = problem.diagnosis.kind
    if good is None or client is None or problem.no_requests or not problem.requests:
        return problem
    if kind not in ("error", "coverage") or problem.failing_test is not None:
        return problem
    if client.style == "unknown":
        return problem
    judged = problem.requests
    others = [judged] if kind == "coverage" else answered(judged[-1])[:1]
    if not others:
        return problem
    meant = shape_of(bench.document(good, judged, client.fixture))
    real = shape_of(bench.document(problem.base_commit, others[0], client.fixture))
    return problem.model_copy(update={"shape": common(meant, real)})


def reproduced(problem: Problem, found: Sequence[Session], bench: Bench) -> Problem:
    """The problem with requests that show it, and the work that both commits did on them.

    `no_requests` says why none does. The shortest session that shows the trouble is taken.
    """
    if _is_shown(problem):
        return problem
    if not found:
        return _without(problem, [], "telemetry holds no recorded request of this operation")
    if problem.client is None:
        reason = "no client fixture was found in conftest.py; set tests.client_fixture"
        return _without(problem, found[0], reason)
    if problem.diagnosis.kind == "performance":
        return _slowest(problem, found, bench)
    shows = _answers if problem.diagnosis.kind in ANSWERED else _fails
    return _first(problem, found, bench, shows)


def _is_shown(problem: Problem) -> bool:
    """Whether a failing test or recorded calls say what a request would."""
    return problem.failing_test is not None or problem.behaviour is not None


def _fails(work: Work, recorded: RecordedRequest) -> bool:
    """The request fails here as it did in production; a handled error leaves no status."""
    handled = recorded.status is not None and recorded.status < 500
    return work.status is not None and (handled or work.status >= 500)


def _answers(work: Work, recorded: RecordedRequest) -> bool:
    return work.status is not None and work.status == (recorded.status or work.status)


def _first(
    problem: Problem,
    found: Sequence[Session],
    bench: Bench,
    shows: Callable[[Work, RecordedRequest], bool],
) -> Problem:
    """The first session that shows the trouble, the judged request alone where it does."""
    assert problem.client is not None
    trials = [trial for session in found for trial in _trials(session)]
    reason = "the recorded requests do not fail in the project's own test environment"
    for number, session in enumerate(trials):
        if number:
            upcoming = trials[number : number + UPCOMING]
            bench.ask(problem.base_commit, problem.client.fixture, upcoming)
        work = bench.work(problem.base_commit, session, problem.client.fixture)
        if work.unavailable:
            reason = f"the recorded requests could not be sent again: {work.unavailable}"
            break
        if shows(work, session[-1]):
            return _with(problem, session, work, bench)
    return _without(problem, found[0], reason)


def _trials(session: Session) -> list[Session]:
    return [session[-1:], session] if len(session) > 1 else [session]


def _slowest(problem: Problem, found: Sequence[Session], bench: Bench) -> Problem:
    """The first session whose work clearly grew from the good commit to the bad one.

    Without a clear one, that which grew most.
    """
    assert problem.client is not None
    tried: list[Problem] = []
    for session in [trial for each in found for trial in _trials(each)][:SLOW_TRIALS]:
        work = bench.work(problem.base_commit, session, problem.client.fixture)
        tried.append(_with(problem, session, work, bench))
        if work.unavailable or _growth(tried[-1]) >= CLEAR_GROWTH:
            break
    return _traced(max(tried, key=_growth), bench)


def _traced(problem: Problem, bench: Bench) -> Problem:
    """With the executed lines at both commits, where calls and statements show no growth."""
    good, bad, commit = problem.good_work, problem.bad_work, problem.diagnosis.good_commit
    if budgets(problem) or good is None or bad is None or commit is None:
        return problem
    if good.unavailable or bad.unavailable or problem.client is None:
        return problem
    fixture = problem.client.fixture
    return problem.model_copy(
        update={
            "good_work": bench.traced(commit, problem.requests, fixture, good),
            "bad_work": bench.traced(problem.base_commit, problem.requests, fixture, bad),
        }
    )


def _growth(problem: Problem) -> float:
    good, bad = problem.good_work, problem.bad_work
    if good is None or bad is None or not good.calls or not bad.calls:
        return 0.0
    return bad.calls / good.calls


def _with(problem: Problem, session: Session, bad: Work, bench: Bench) -> Problem:
    assert problem.client is not None
    commit = problem.diagnosis.good_commit
    good = bench.work(commit, session, problem.client.fixture) if commit else None
    return problem.model_copy(
        update={"requests": list(session), "bad_work": bad, "good_work": good}
    )


def _without(problem: Problem, session: Session, reason: str) -> Problem:
    return problem.model_copy(update={"requests": list(session), "no_requests": reason})
