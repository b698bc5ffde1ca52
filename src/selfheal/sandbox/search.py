"""The search for small edits that make failing tests pass, by running them.

Generate and validate, as in GenProg (Le Goues et al., TSE 2012) and its deterministic
successors: edits in the order of likelihood (`selfheal.repair.edits`), first alone, then
joined where each mends some of the tests, then pairs where one alone made progress. What is
counted is the budget, not time, so that a repetition tries the same: attempts go out in
chunks that grow, and only whole chunks are judged.
An edit for which the tests pass is plausible; it is proven by the validate phase.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from selfheal.artifacts.patch import Search
from selfheal.config import SearchConfig
from selfheal.repair import Edit, Problem
from selfheal.repair.edits import CodeEdit, propose_edits, propose_pairs, read_hints
from selfheal.repair.problem import is_test
from selfheal.sandbox.forkserver import ServerEnded
from selfheal.sandbox.observation import SearchObserver
from selfheal.sandbox.search_choice import (
    least_change,
    likelihood,
    ranked,
    restores,
    undecided,
)
from selfheal.sandbox.search_lanes import Lanes, survey_of
from selfheal.sandbox.search_ledger import UNTRIED, fallen, ledger, note
from selfheal.sandbox.search_model import (
    Attempt,
    Fate,
    Plan,
    SearchReport,
    Survey,
    Verdict,
    ran_in,
)
from selfheal.sandbox.search_parts import as_part, halfway
from selfheal.sandbox.search_plan import Planner
from selfheal.sandbox.search_suspects import suspects_of

FIRST_CHUNK, MOST_CHUNK = 16, 64
MOST_WORKERS = 4
KEPT = 6
# As many of those that pass are held against each other.
COMPARED = 16
PROGRESSED, POOL = 20, 300
# Of the likelihood of what passed: the search ends where all that follows has less.
MUCH_LESS = 0.4
# And where so many more than up to the first that passed have been tried.
MANY_MORE = 150
# As many of the likeliest edits that fell are looked at again, for tests that they mend.
LOOKED_AT = 300
FAILED: tuple[Fate, ...] = ("still_fails", "fails_otherwise", "fails_later")
NOT_TRIED = Verdict("not_tried")

Judged = tuple[Attempt, Verdict]
T = TypeVar("T")


def workers(config: SearchConfig) -> int:
    return config.workers or min(os.cpu_count() or 1, MOST_WORKERS)


def search_all(
    problems: Sequence[Problem],
    given: Mapping[str, Sequence[Edit]],
    lanes: Lanes,
    config: SearchConfig,
) -> list[SearchReport]:
    """A report for every problem, which all have failing tests and one base commit.

    `given` are edits of strategies by diagnosis: they are tried beside the search space.
    What healed one problem is tried first on the next.
    """
    reports: list[SearchReport] = []
    tests = sorted({test for problem in problems for test in problem.failing_tests})
    try:
        with lanes.lane() as lane:
            survey = survey_of(lane, tests, guarding_tests(problems))
    except ServerEnded as error:
        reason = f"the tests could not be run in forks: {error}"
        return [_unavailable(_told(problem), reason) for problem in problems]
    for problem in problems:
        seeds = [edit for report in reports for edit in report.plausible]
        own = survey.of(problem.failing_tests)
        reports.append(
            search(problem, given.get(problem.diagnosis.id, ()), lanes, config, own, seeds)
        )
    return reports


def guarding_tests(problems: Sequence[Problem]) -> list[str]:
    """The passing tests that run what diagnosis suspects."""
    given = (problem.diagnosis.evidence.get("guarding_tests") or () for problem in problems)
    return sorted({str(test) for tests in given for test in tests})


def search(
    problem: Problem,
    given: Sequence[Edit],
    lanes: Lanes,
    config: SearchConfig,
    survey: Survey,
    seeds: Sequence[Edit] = (),
) -> SearchReport:
    """Try `given` edits of strategies and the search space on the problem's failing tests.

    `seeds` are edits that healed another problem: they are tried first.
    """
    told = _told(problem)
    if not survey.failing and not survey.uncollected:
        return _unavailable(told, "the failing tests do not fail here, or not each time")
    running = _Search(problem, lanes, config, survey, Planner(problem.sources))
    return running.report(told, seeds, given)


def _told(problem: Problem) -> Search:
    return Search(diagnosis_id=problem.diagnosis.id, tests=problem.failing_tests)


def _unavailable(told: Search, reason: str) -> SearchReport:
    return SearchReport(told=told.model_copy(update={"unavailable": reason}))


@dataclass
class _Search:
    """One search; `judged` holds every attempt in the order of trial, once each.

    `earlier` are those of a search for more tests that ended in this one.
    """

    problem: Problem
    lanes: Lanes
    config: SearchConfig
    survey: Survey
    planner: Planner
    earlier: list[Judged] = field(default_factory=list)
    proposed: int = 0
    judged: list[Judged] = field(default_factory=list)
    guessed: bool = False
    cut: bool = False
    ended: bool = False
    undecided: bool = False

    def report(self, told: Search, seeds: Sequence[Edit], given: Sequence[Edit]) -> SearchReport:
        first = [Attempt(edit) for edit in (*seeds, *given)]
        later = self._sweep(first, len(first))
        if not self._plausible():
            self._import(later)
            later = []
        if not self._enough():
            later += self._sweep(self._edits(), self.config.candidates)
        self._import(later)
        self._together()
        if not self._plausible() and not self.cut:
            self._pairs()
        if (kept := self._kept()) and (left := set(self.survey.failing) - set(kept)):
            own = self.survey.of(kept)
            earlier = [*self.earlier, *self.judged]
            part = _Search(
                self.problem, self.lanes, self.config, own, self.planner, earlier, self.proposed
            )
            found = part.report(told, seeds, given)
            left_out = sorted(left | set(found.told.left))
            return found.model_copy(
                update={"told": found.told.model_copy(update={"left": left_out})}
            )
        best = self._least_change()[:KEPT]
        judged = [*self.earlier, *self.judged]
        told = told.model_copy(
            update={
                "tests": [*self.survey.uncollected, *self.survey.failing],
                "tried": sum(verdict.fate not in UNTRIED for _, verdict in judged),
                "proposed": self.proposed,
                "guards": len(self.survey.passing),
                "plausible": len(self._plausible()),
                "ledger": ledger(judged),
                "cut": self.cut,
                "note": self._note(),
            }
        )
        return SearchReport(told=told, plausible=ranked(best), fallen=fallen(given, self.judged))

    def _edits(self) -> Iterator[Attempt]:
        sources = {
            path: text
            for path, text in self.problem.sources.items()
            if path.endswith(".py") and not is_test(path)
        }
        suspects = suspects_of(self.problem, self.survey, self.planner)
        failures = [self.survey.failure(test) for test in self.survey.failing]
        types = [each.type for each in failures if each] + [self.problem.exception]
        texts = [each.message for each in failures if each] + [self.problem.message]
        hints = read_hints(types, [text for text in texts if text])
        for edit in propose_edits(sources, suspects, hints, self.config.candidates):
            yield Attempt(edit.as_edit(), edit)

    def _sweep(self, attempts: Iterable[Attempt], limit: int) -> list[tuple[Attempt, Plan]]:
        """Judge attempts by exchanging functions; those that need an import are given back."""
        later: list[tuple[Attempt, Plan]] = []
        source, size = islice(attempts, limit), FIRST_CHUNK
        while chunk := list(islice(source, size)):
            size = min(2 * size, MOST_CHUNK)
            self.proposed += len(chunk)
            quick = []
            for attempt in chunk:
                plan = self.planner.plan(attempt.edit)
                if not self._reached(plan):
                    self.judged.append((attempt, Verdict("not_run")))
                elif plan.functions is None or self._at_import(plan):
                    later.append((attempt, plan))
                else:
                    quick.append((attempt, plan))
            for pair, verdict in self._at_once(quick, self._exchange):
                if verdict is None:
                    later.append(pair)
                else:
                    self.judged.append((pair[0], verdict))
            if self._enough() or self._unlikely(chunk[-1]):
                break
        return later

    def _exchange(self, _: Attempt, plan: Plan) -> Verdict | None:
        with self.lanes.lane() as lane:
            return lane.exchanged(plan, self.survey)

    def _import(self, later: Sequence[tuple[Attempt, Plan]]) -> None:
        """Judge what needs an import: the likeliest, and none after better ones that passed.

        What strategies gave is always judged, unless enough passed: a cold run costs more.
        """
        bar = max((attempt.edit.fit for attempt, _ in self._plausible()), default=0.0)
        given = [attempt for attempt, _ in later if attempt.code is None and not self._enough()]
        likely = [attempt for attempt, _ in later if attempt.edit.fit > bar]
        chosen = {id(attempt) for attempt in (*given, *likely)}
        wanted = [pair for pair in later if id(pair[0]) in chosen][: self.config.imports]

        def judge(attempt: Attempt, plan: Plan) -> Verdict:
            with self.lanes.lane() as lane:
                return lane.imported(attempt, plan, self.survey)

        for pair, verdict in self._at_once(wanted, judge):
            self.judged.append((pair[0], verdict or NOT_TRIED))
        tried = {id(attempt) for attempt, _ in wanted}
        self._pass_over(pair for pair in later if id(pair[0]) not in tried)

    def _pass_over(self, later: Iterable[tuple[Attempt, Plan]]) -> None:
        self.judged += [(attempt, NOT_TRIED) for attempt, _ in later]

    def _pairs(self) -> None:
        progressed = [
            (verdict.passed, attempt.code)
            for attempt, verdict in self.judged
            if verdict.fate in ("fails_later", "breaks_tests") and attempt.code is not None
        ]
        progressed.sort(key=lambda each: -each[0])
        pool = [attempt.code for attempt, _ in self.judged if attempt.code is not None]
        self._join([edit for _, edit in progressed[:PROGRESSED]], pool[:POOL])
        self.guessed = True

    def _join(self, edits: Sequence[CodeEdit], others: Sequence[CodeEdit]) -> None:
        pairs = propose_pairs(edits, others, self.config.pairs)
        self._pass_over(self._sweep((Attempt(e.as_edit(), e) for e in pairs), self.config.pairs))

    def _together(self) -> None:
        """Where several faults make the tests fail: what mends the first with what mends the next."""
        known = 0
        while not self._plausible() and not self.cut:
            half = halfway(self.judged)
            if half is None or half.passed <= known:
                return
            known = half.passed
            own = self.survey.of([half.fails])
            part = _Search(self.problem, self.lanes, self.config, own, self.planner)
            part._pass_over(part._sweep(part._edits(), self.config.candidates))
            self.proposed, self.cut = self.proposed + part.proposed, self.cut or part.cut
            mended = [attempt.code for attempt, _ in part._plausible() if attempt.code is not None]
            self.judged += [(attempt, as_part(verdict)) for attempt, verdict in part.judged]
            self._join(half.edits, mended)

    def _kept(self) -> list[str]:
        """Where no edit mends all failing tests: those that run the function of one that mends
        them, if the others do not, which have another cause then. Not fewer than half; else none.
        """
        failing = set(self.survey.failing)
        if self._plausible() or self.cut or len(failing) < 2:
            return []
        ran = [attempt for attempt, verdict in self.judged if verdict.fate in FAILED]
        ran = sorted((a for a in ran if a.code is not None), key=lambda each: -likelihood(each))
        asked = []
        for attempt in ran:
            plan = self.planner.plan(attempt.edit)
            own = failing & self.survey.running(plan.regions)
            if plan.functions is not None and own != failing and 2 * len(own) >= len(failing):
                asked.append((attempt, plan))
        for (_, plan), mended in self._at_once(asked[:LOOKED_AT], self._mended):
            if mended and set(mended) == failing & self.survey.running(plan.regions):
                return list(mended)
        return []

    def _mended(self, _: Attempt, plan: Plan) -> tuple[str, ...]:
        with self.lanes.lane() as lane:
            return lane.mended(plan, self.survey)

    def _at_once(
        self,
        pairs: Sequence[tuple[Attempt, Plan]],
        judge: Callable[[Attempt, Plan], T | None],
    ) -> list[tuple[tuple[Attempt, Plan], T | None]]:
        """The verdicts of several attempts in their order, some judged at a time.

        None for those for which no time is left.
        """

        def one(pair: tuple[Attempt, Plan]) -> T | None:
            if self.lanes.over:
                self.cut = True
                return None
            return judge(*pair)

        with ThreadPoolExecutor(max_workers=self.lanes.count) as pool:
            return list(zip(pairs, pool.map(one, pairs), strict=True))

    def _at_import(self, plan: Plan) -> bool:
        """Whether the change has its effect, if any, before the failing tests begin."""
        if not self.survey.failing:
            return True
        running = self.survey.running(plan.regions)
        if any(test in running for test in self.survey.failing):
            return False
        return any(ran_in(self.survey.imported, region) for region in plan.regions)

    def _reached(self, plan: Plan) -> bool:
        """Whether a failing test may notice the change."""
        if not plan.regions or plan.functions is None or self.survey.uncollected:
            return True
        if any(ran_in(self.survey.imported, region) for region in plan.regions):
            return True
        running = self.survey.running(plan.regions)
        failing = self.survey.failing
        return any(t in running or not self.survey.results[t].functions for t in failing)

    def _plausible(self) -> list[Judged]:
        """What passed: of the search space the likeliest first, then what strategies gave."""
        found = [each for each in self.judged if each[1].fate == "plausible"]
        return sorted(found, key=lambda each: (each[0].code is None, -each[0].edit.fit))

    def _least_change(self) -> list[Attempt]:
        """What passed, those first that alter least of what passing tests rely on."""
        best = [attempt for attempt, _ in self._plausible()[:COMPARED]]
        if not best or (len(best) < 2 and not self.guessed):
            return best
        with self.lanes.lane() as lane:
            observer = SearchObserver(lane, self.survey, self.planner, self.problem.sources)
            looks = [observer.look(attempt) for attempt in best]
        found = least_change(best, looks, self.problem, guessed=self.guessed)
        if found:
            guarded = self._guarded(found[0])
            self.undecided = undecided(found[0], best, looks, guarded=guarded)
        return [] if self.undecided else found

    def _guarded(self, attempt: Attempt) -> bool:
        """Whether a passing test runs what an attempt changes, or it brings back what was."""
        running = self.survey.running(self.planner.plan(attempt.edit).regions)
        back = restores(attempt.edit, self.problem.sources, self.problem.good_sources)
        return back or attempt.code is None or any(test in running for test in self.survey.passing)

    def _enough(self) -> bool:
        return len(self._plausible()) >= self.config.enough or self.cut

    def _unlikely(self, attempt: Attempt) -> bool:
        """Whether little is to be expected after what has passed: by likelihood, or by number."""
        passed = [
            (number, each.code.score)
            for number, (each, verdict) in enumerate(self.judged)
            if verdict.fate == "plausible" and each.code is not None
        ]
        if passed and attempt.code is not None:
            rest = len(self.judged) - passed[0][0]
            best = max(score for _, score in passed)
            self.ended = attempt.code.score < MUCH_LESS * best or rest > MANY_MORE + passed[0][0]
        return self.ended

    def _note(self) -> str:
        flags = {"undecided": self.undecided, "cut": self.cut, "ended": self.ended}
        return note(len(self._plausible()), enough=self._enough(), **flags)
