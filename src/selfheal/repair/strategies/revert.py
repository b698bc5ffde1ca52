"""Take back what a suspect commit did: its hunks in the accused function, or all of it."""

from __future__ import annotations

from collections.abc import Iterator

from selfheal.artifacts.model import AnomalyKind
from selfheal.repair.edit import Edit
from selfheal.repair.merge import revert
from selfheal.repair.problem import FileChange, Place, Problem, SuspectChange, is_test
from selfheal.repair.source import first_line, last_line, parse
from selfheal.repair.strategies.base import Strategy

HUNK, COMMIT, RESTORE = "revert_hunk", "revert_commit", "restore_function"
KINDS: frozenset[AnomalyKind] = frozenset(
    {"error", "performance", "behavioral", "state", "dependency"}
)


def propose_hunk(problem: Problem) -> Iterator[Edit]:
    """The commit's hunks within the accused functions of one file, its other hunks kept."""
    for suspect in problem.suspects:
        for change in suspect.files:
            places = [each for each in problem.places() if each.source.path == change.path_now]
            groups = [places[:1], places] if len(places) > 1 else [places]
            for group in groups:
                yield from _hunks_of(problem, suspect, change, group)


def _hunks_of(
    problem: Problem, suspect: SuspectChange, change: FileChange, places: list[Place]
) -> Iterator[Edit]:
    now = problem.sources.get(change.path_now)
    if now is None or change.before is None or change.after is None:
        return
    ranges = [found for place in places for found in _ranges(change, place)]
    if not ranges:
        return
    text = revert(change.before, change.after, now, within=ranges)
    if text is None or text == now or parse(change.path_now, text) is None:
        return
    names = ", ".join(place.function.name for place in places)
    yield Edit(
        strategy=HUNK,
        template=HUNK,
        explanation=f"Takes back what {suspect.sha[:10]} ({suspect.summary}) changed in {names}.",
        fit=round(0.5 * _weight(suspect), 6),
        parameters={"functions": [place.function.name for place in places]},
        files={change.path_now: text},
    )


def _ranges(change: FileChange, place: Place) -> list[tuple[int, int]]:
    """The lines of an accused function just after the commit."""
    after = parse(change.path, change.after or "")
    if after is None:
        return []
    return [
        (first_line(each), last_line(each))
        for each in after.functions()
        if each.name == place.function.name
    ]


def propose_commit(problem: Problem) -> Iterator[Edit]:
    """The whole commit, tests included, where nothing has changed its lines since.

    Where tests show the trouble, those of the commit stay: they are what has to pass.
    """
    for suspect in problem.suspects:
        files: dict[str, str | None] = {}
        for change in suspect.files:
            if problem.failing_tests and is_test(change.path_now):
                continue
            now = problem.sources.get(change.path_now)
            if change.before is None and now == change.after:
                files[change.path_now] = None
                continue
            if now is None and change.after is None:
                files[change.path_now] = change.before
                continue
            if now is None or change.before is None or change.after is None:
                break
            text = revert(change.before, change.after, now)
            if text is None:
                break
            if text != now:
                files[change.path_now] = text
        else:
            if any(path.endswith(".py") and not is_test(path) for path in files):
                yield Edit(
                    strategy=COMMIT,
                    template=COMMIT,
                    explanation=f"Takes back {suspect.sha[:10]} ({suspect.summary}) as a whole.",
                    fit=round(0.4 * _weight(suspect), 6),
                    files=files,
                )


def propose_restore(problem: Problem) -> Iterator[Edit]:
    """The accused function as the good release had it, whatever came after."""
    for place in problem.places():
        if place.good is None:
            continue
        source, function = place.source, place.function
        good, old = place.good
        start, stop = source.line_start(first_line(function)), source.next_line(function)
        old_text = good.text[good.line_start(first_line(old)) : good.next_line(old)]
        if source.text[start:stop] == old_text or source.indent(function) != good.indent(old):
            continue
        text = f"{source.text[:start]}{old_text}{source.text[stop:]}"
        yield Edit(
            strategy=RESTORE,
            template=RESTORE,
            explanation=f"Puts {function.name} back to what it was at the good release.",
            fit=0.35,
            parameters={"functions": [function.name]},
            files={source.path: text},
        )


def _weight(suspect: SuspectChange) -> float:
    return min(max(suspect.score, 0.2), 1.0)


STRATEGIES = (
    Strategy(HUNK, KINDS, propose_hunk),
    Strategy(COMMIT, KINDS, propose_commit),
    Strategy(RESTORE, KINDS, propose_restore),
)
