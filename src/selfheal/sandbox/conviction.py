"""Asks a reproducer at the points of the proof that `selfheal.diagnosis.conviction` describes.

The commits of a range are bisected where no suspect is proven (as in A. Zeller, "Yesterday,
my program worked. Today, it does not. Why?", FSE 1999, for one change at a time).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from selfheal.artifacts.patch import RecordedRequest
from selfheal.codebase.history import History
from selfheal.codebase.index import is_test, is_vendored
from selfheal.config import TestsConfig
from selfheal.diagnosis.conviction import Conviction, Outcome
from selfheal.errors import RepositoryError
from selfheal.repair.merge import revert
from selfheal.sandbox.suite import is_pytest, run_suite
from selfheal.sandbox.work import Work, measure_works
from selfheal.sandbox.worktree import Worktree

# A search of the history for where the trouble began asks no more commits than this.
MOST_PROBES = 9
DISTANCES = (1, 3, 10, 30)
GROWTH = 1.5
AT_ONCE = 2


@dataclass(frozen=True)
class FailingTests:
    """Tests (node ids) that fail at the bad commit; their files of that commit are used everywhere."""

    tests: Sequence[str]

    @property
    def told(self) -> str:
        more = f" and {len(self.tests) - 1} more" if len(self.tests) > 1 else ""
        return f"the failing test {self.tests[0]}{more}"


@dataclass(frozen=True)
class Requests:
    """Recorded sessions, the last request of each judged.

    An error is judged by how the request ends, slowness (`slow`) by the counted work.
    """

    sessions: Sequence[Sequence[RecordedRequest]]
    slow: bool = False

    @property
    def told(self) -> str:
        last = self.sessions[0][-1]
        what = "the counted work of" if self.slow else "the recorded request"
        return f"{what} {last.method} {last.path}"


Reproducer = FailingTests | Requests


@dataclass
class Court:
    """Runs a reproducer at commits of a repository, in work trees below `folder`."""

    history: History
    repository: Path
    folder: Path
    tests: TestsConfig
    reproducer: Reproducer
    bad: str
    vendored: Sequence[str] = ()
    _known: dict[tuple[str, str | None], list[Work] | Outcome] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=count)
    _session: int | None = None
    _limits: dict[str, float] = field(default_factory=dict)

    def settle(self, good: str | None, suspects: Sequence[str]) -> Conviction:
        """The first three points: of the first suspect that is proven, else of what a bisection finds.

        Without a `good` commit one is looked for in the history of the bad one.
        """
        told = Conviction(reproducer=self.reproducer.told)
        searched = good is None
        if good is None:
            if len(self._line(None)) < 2:
                reason = "the history has no earlier commit"
                return told.model_copy(update={"reason": reason})
            if self.at(self.bad) != "anomalous":
                return told.model_copy(
                    update={"bad": self.at(self.bad), "reason": "it does not show here"}
                )
            good = self._earlier_good()
            if good is None:
                reason = "no earlier commit was found at which it is well"
                return told.model_copy(update={"bad": "anomalous", "reason": reason})
        first, last = self._ends(good)
        told = told.model_copy(update={"good": first, "bad": last, "good_commit": good})
        if (first, last) != ("ok", "anomalous"):
            return told.model_copy(update={"reason": _unsettled(first, last)})
        cleared: list[str] = []
        for sha in suspects:
            outcome = self.at(self.bad, without=sha)
            if outcome == "ok":
                return told.model_copy(
                    update={"commit": sha, "without_commit": "ok", "cleared": cleared}
                )
            if outcome == "anomalous":
                cleared.append(sha)
        return self._bisected(told, good, cleared, searched)

    def _bisected(
        self, told: Conviction, good: str, cleared: list[str], searched: bool
    ) -> Conviction:
        sha = self._first_bad(good)
        told = told.model_copy(update={"cleared": cleared})
        if sha is None:
            return told.model_copy(update={"reason": "no single commit was found that brings it"})
        if self._is_exempt(sha):
            reason = (
                f"the first bad commit {sha[:10]} changes vendored code only, or is to be ignored"
            )
            return told.model_copy(update={"reason": reason})
        outcome = self.at(self.bad, without=sha)
        reason = ""
        if outcome == "unavailable":
            reason = "later changes build on the first bad commit: it cannot be taken back alone"
        elif outcome == "anomalous":
            reason = "without the first bad commit the trouble stays: something later brings it too"
        updated = {"commit": sha, "without_commit": outcome, "first_bad": True, "reason": reason}
        if searched:
            updated["good_commit"] = self._parent(sha)
        return told.model_copy(update=updated)

    def at(self, commit: str, *, without: str | None = None) -> Outcome:
        """What the reproducer says at a commit, with another commit taken back."""
        found = self._observed(commit, without)
        if isinstance(found, str):
            return found
        number = self._session or 0
        return self._judge(found[number]) if number < len(found) else "unavailable"

    def _ends(self, good: str) -> tuple[Outcome, Outcome]:
        """The outcomes at the good and the bad commit, for the first session that tells them apart."""
        first, last = self._observed(good, None), self._observed(self.bad, None)
        if isinstance(first, str) or isinstance(last, str):
            return self.at(good), self.at(self.bad)
        if isinstance(self.reproducer, Requests) and self.reproducer.slow:
            return self._by_growth(first, last)
        pairs = [
            (self._judge(one), self._judge(other)) for one, other in zip(first, last, strict=True)
        ]
        wanted = (("ok", "anomalous"), ("anomalous", "anomalous"), ("ok", "ok"))
        for pair in wanted:
            if pair in pairs:
                self._session = number = pairs.index(pair)
                alike = first[number].exception == last[number].exception is not None
                if pair == ("anomalous", "anomalous") and not alike:
                    # Whatever is asked may fail there, for want of data or a service.
                    return "unavailable", "anomalous"
                return pair
        return pairs[0] if pairs else ("unavailable", "unavailable")

    def _by_growth(self, first: list[Work], last: list[Work]) -> tuple[Outcome, Outcome]:
        """Sets the limits between both: counts beyond their geometric mean are anomalous."""
        comparable = False
        for number, (one, other) in enumerate(zip(first, last, strict=True)):
            if one.unavailable or other.unavailable:
                continue
            comparable = True
            grown = {
                name: math.sqrt(low * high)
                for name in ("calls", "statements")
                if (low := getattr(one, name) or 0) >= 1
                and (high := getattr(other, name) or 0) >= GROWTH * low
            }
            if grown:
                self._session, self._limits = number, grown
                return "ok", "anomalous"
        return ("ok", "ok") if comparable else ("unavailable", "unavailable")

    def _judge(self, work: Work) -> Outcome:
        if work.unavailable:
            return "unavailable"
        if self._limits:
            over = any((getattr(work, name) or 0) > most for name, most in self._limits.items())
            return "anomalous" if over else "ok"
        return "anomalous" if work.exception or (work.status or 500) >= 500 else "ok"

    def remember(self, commit: str, found: list[Work] | Outcome) -> None:
        """Take over what was observed at a commit by another court."""
        self._known[commit, None] = found

    def _observed(self, commit: str, without: str | None) -> list[Work] | Outcome:
        key = (commit, without)
        if key not in self._known:
            self._known[key] = self.observe(commit, without)
        return self._known[key]

    def observe(self, commit: str, without: str | None = None) -> list[Work] | Outcome:
        """Run the reproducer at a commit, with another one taken back: the work of each session, or the outcome."""
        folder = self.folder / f"point-{next(self._numbers)}"
        try:
            with Worktree(self.repository, commit, folder) as tree:
                if without is not None:
                    self._take_back(tree, without)
                if isinstance(self.reproducer, Requests):
                    return measure_works(tree.path, self.tests, self.reproducer.sessions)
                return self._run_tests(tree, self.reproducer.tests)
        except (RepositoryError, UnicodeDecodeError):
            return "unavailable"

    def _take_back(self, tree: Worktree, commit: str) -> None:
        """Undo a commit in a tree; where git's merge sees a conflict, line by line.

        Raises RepositoryError where later commits changed the same lines.
        """
        try:
            tree.git("revert", "--no-commit", commit)
            return
        except RepositoryError:
            tree.git("reset", "--quiet", "--hard")
        parent = self.history.resolve(f"{commit}^")
        for diff in self.history.diff(parent, commit):
            now = tree.path / diff.path
            before, after = self.history.texts(
                [f"{parent}:{diff.old_path}", f"{commit}:{diff.path}"]
            )
            mended = None
            if before is not None and after is not None and now.is_file() and not now.is_symlink():
                mended = revert(before, after, now.read_text("utf-8"))
            if mended is None:
                raise RepositoryError("later changes build on it.", where=commit)
            now.write_text(mended, "utf-8")

    def _run_tests(self, tree: Worktree, tests: Sequence[str]) -> Outcome:
        files = [file for file in self.history.files(self.bad) if is_test(file)]
        for start in range(0, len(files), 200):
            tree.git("checkout", self.bad, "--", *files[start : start + 200])
        result = run_suite(tree, self.tests, select=tests)
        if not is_pytest(self.tests):  # its exit code is all that such a suite says
            told: dict[str, Outcome] = {"passed": "ok", "failed": "anomalous"}
            return told.get(result.state, "unavailable")
        outcomes = {result.outcome(test) for test in tests}
        if result.state == "passed" and outcomes == {"passed"}:
            return "ok"
        if "failed" in outcomes or result.state == "timed_out":
            return "anomalous"
        return "unavailable"

    def _line(self, good: str | None) -> list[str]:
        """The commits from the bad one back to the good one by first parents, newest first."""
        span = f"{good}..{self.bad}" if good else self.bad
        return self.history.first_parents(span, 4 * max(DISTANCES))

    def _earlier_good(self) -> str | None:
        line = self._line(None)
        distances = [distance for distance in DISTANCES if distance < len(line) - 1]
        for distance in [*distances, len(line) - 1][: len(DISTANCES)]:
            if distance > 0 and self.at(line[distance]) == "ok":
                return line[distance]
        return None

    def _first_bad(self, good: str) -> str | None:
        """The first commit with the trouble between good and bad, by bisection of first parents."""
        line = self._line(good)[::-1]
        low, high = -1, len(line) - 1
        probes = 0
        while high - low > 1:
            if probes >= MOST_PROBES:
                return None
            middle = (low + high) // 2
            outcome = self.at(line[middle])
            probes += 1
            if outcome == "unavailable":
                return None
            low, high = (middle, high) if outcome == "ok" else (low, middle)
        return line[high] if line else None

    def _is_exempt(self, sha: str) -> bool:
        """Whether a commit may never be convicted: the project says so, or it is somebody else's code."""
        files = self.history.changed_files(sha)
        vendored = all(is_vendored(file, self.vendored) for file in files)
        return vendored or sha in self.history.ignored_revisions(self.bad)

    def _parent(self, sha: str) -> str | None:
        try:
            return self.history.resolve(f"{sha}^")
        except RepositoryError:
            return None


def settle_all(
    courts: Sequence[Court], questions: Sequence[tuple[str | None, Sequence[str]]]
) -> list[Conviction]:
    """`Court.settle` for several courts, two at a time; `questions` are (good commit, suspects) of each.

    What courts ask of the same commit by recorded requests is answered by one start of the tests.
    """
    asked: dict[str, list[Court]] = {}
    for court, (good, _) in zip(courts, questions, strict=True):
        if isinstance(court.reproducer, Requests):
            for commit in (good, court.bad):
                if commit is not None:
                    asked.setdefault(commit, []).append(court)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda each: _observe_together(*each), sorted(asked.items())))
        return list(
            pool.map(lambda each: each[0].settle(*each[1]), zip(courts, questions, strict=True))
        )


def _observe_together(commit: str, courts: Sequence[Court]) -> None:
    first = courts[0]
    sessions = [
        session
        for court in courts
        if isinstance(court.reproducer, Requests)
        for session in court.reproducer.sessions
    ]
    folder = first.folder / f"at-{commit[:12]}"
    reproducer = Requests(sessions)
    together = Court(first.history, first.repository, folder, first.tests, reproducer, first.bad)
    found = together.observe(commit)
    for court in courts:
        if isinstance(found, list) and isinstance(court.reproducer, Requests):
            number = len(court.reproducer.sessions)
            court.remember(commit, found[:number])
            found = found[number:]
        else:
            court.remember(commit, found)


def _unsettled(good: Outcome, bad: Outcome) -> str:
    if "unavailable" in (good, bad):
        where = "good" if good == "unavailable" else "bad"
        return f"it cannot be run at the {where} commit"
    if bad == "ok":
        return "it does not show the trouble at the bad commit"
    return "it shows the trouble at the good commit as well: what is wrong is older"
