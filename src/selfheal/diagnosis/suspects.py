"""Which commit is guilty: the changes of a range, weighed by how they touch the evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from selfheal.artifacts.diagnosis import SuspectCommit
from selfheal.artifacts.model import Model
from selfheal.codebase.changes import MODULE, CommitChange, FunctionChange
from selfheal.codebase.index import is_test
from selfheal.diagnosis.model import CodeRange

SAME_FILE = 0.15
DATA_FILE = 0.35
CERTAIN = 0.97
PROVEN = 0.99


class Weight(Model):
    """How strongly a change is tied to the evidence (0–1), and by what."""

    score: float
    reason: str


class Target(Model):
    """A function that the evidence touches. `line` is where, if known."""

    file: str
    function: str
    line: int | None = None


Judge = Callable[[CommitChange, FunctionChange, Target], Weight]


def rank_suspects(
    span: CodeRange, targets: Sequence[Target], judge: Judge, limit: int
) -> list[SuspectCommit]:
    """The commits of a range that touch the targets, most suspect first.

    `judge` weighs each change of a target that is more than cosmetic; a commit counts
    with its strongest tie. Changes in a target's file alone, and of data files that a
    target's file names, weigh little. Equal scores are settled by how near the change
    lies to the target's line, then by age, the newest first.
    """
    ranked = []
    for age, change in enumerate(span.changes):
        weights = [
            judge(change, touched, target)
            for target in targets
            for touched in change.of(target.file, target.function)
        ]
        weights += list(_loose_ties(span, change, targets))
        best = max(weights, key=lambda weight: weight.score, default=None)
        if best is not None and best.score > 0:
            ranked.append((-best.score, _distance(change, targets), age, change, best.reason))
    ranked.sort(key=lambda item: item[:3])
    return [_suspect(change, -score, reason) for score, _, _, change, reason in ranked[:limit]]


def change_size(span: CodeRange, suspects: Sequence[SuspectCommit]) -> dict[str, int]:
    """How much the first suspect changed: commits suspected, lines, code files, functions."""
    change = span.commit(suspects[0].sha) if suspects else None
    if change is None:
        return {}
    touched = [item for item in change.functions if item.kind != "cosmetic"]
    touched = [item for item in touched if not is_test(item.file)]
    return {
        "lines": sum(_lines_changed(item) for item in touched),
        "files": len({item.file for item in touched}),
        "functions": len(touched),
    }


def changed_line(span: CodeRange, sha: str, file: str, first: int, last: int) -> int | None:
    """The first line between two where a commit's change now lies."""
    change = span.commit(sha)
    ranges = change.lines.get(file, []) if change else []
    lines = [max(item.first, first) for item in ranges if item.first <= last and item.last >= first]
    return min(lines, default=None)


def _loose_ties(
    span: CodeRange, change: CommitChange, targets: Iterable[Target]
) -> Iterable[Weight]:
    files = {target.file for target in targets}
    for file in sorted(files & set(change.files)):
        functions = [item for item in change.functions if item.file == file]
        if any(item.kind != "cosmetic" for item in functions):
            yield Weight(score=SAME_FILE, reason=f"changes other code of {file}")
    for file in change.files:
        name = file.rpartition("/")[2]
        if file.endswith((".py", ".md", ".rst", ".txt")) or is_test(file) or len(name) < 5:
            continue
        if any(name in span.sources.get(target, "") for target in files):
            yield Weight(score=DATA_FILE, reason=f"changes {file}, which the code reads")


def _distance(change: CommitChange, targets: Iterable[Target]) -> int:
    gaps = [
        gap
        for target in targets
        if target.line is not None
        and (gap := change.distance(target.file, target.line)) is not None
    ]
    return min(gaps, default=1_000_000)


def _suspect(change: CommitChange, score: float, reason: str) -> SuspectCommit:
    return SuspectCommit(
        sha=change.sha,
        score=round(min(score, CERTAIN), 4),
        reason=reason,
        summary=change.summary,
        author=change.author,
        files=change.files,
    )


def _lines_changed(change: FunctionChange) -> int:
    before, after = change.before.splitlines(), change.after.splitlines()
    same = set(before) & set(after)
    return sum(line not in same for line in [*before, *after])


def touches_module_names(change: FunctionChange, used: Iterable[str]) -> bool:
    """Whether a change of module-level code gives another value to one of some names."""
    return change.function == MODULE and not set(change.names).isdisjoint(used)
