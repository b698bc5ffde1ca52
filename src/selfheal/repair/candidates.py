"""From edits to candidates: code, test and documentation in one diff, ranked."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence

from selfheal.artifacts.canonical import short_id
from selfheal.artifacts.model import Model
from selfheal.artifacts.patch import Candidate, Dropped
from selfheal.artifacts.patterns import Patterns
from selfheal.errors import InvalidInput
from selfheal.repair.changelog import with_entry
from selfheal.repair.diff import apply_patch, patch_of
from selfheal.repair.edit import Edit, edited
from selfheal.repair.problem import Problem
from selfheal.repair.ranking import (
    changed_lines,
    cost_score,
    exploration,
    lending_pattern,
    matching_pattern,
    retired_pattern,
    score_parts,
)
from selfheal.repair.regression import RegressionTest
from selfheal.repair.strategies import STRATEGIES

REVERTS = ("revert_hunk", "revert_commit", "restore_function")
PER_STRATEGY = 4


class Documentation(Model):
    """The entry for people: the change log's path and its text before and after."""

    path: str
    before: str | None
    after: str
    entry: str


def propose(problem: Problem, only: Sequence[str] = ()) -> list[Edit]:
    """The edits for a problem, by strategy in the order of the table, best fit first.

    Two edits of one strategy that make the same text count once, and the best few of each
    strategy are kept. `only` limits the strategies (empty: all).
    """
    found: list[Edit] = []
    for strategy in STRATEGIES:
        if problem.diagnosis.kind not in strategy.kinds or (only and strategy.name not in only):
            continue
        distinct: dict[str, Edit] = {}
        for edit in sorted(strategy.propose(problem), key=lambda each: -each.fit):
            distinct.setdefault(_result(problem, edit), edit)
        found += list(distinct.values())[:PER_STRATEGY]
    return found


def _result(problem: Problem, edit: Edit) -> str:
    return patch_of(problem.sources, edited(edit, problem.sources))


def documentation(problem: Problem, path: str, text: str | None) -> Documentation:
    """The change log's entry for a diagnosis."""
    entry = changelog_entry(problem)
    return Documentation(path=path, before=text, after=with_entry(text, entry), entry=entry)


def changelog_entry(problem: Problem) -> str:
    """What users of the service notice: one sentence, only facts of the diagnosis."""
    diagnosis = problem.diagnosis
    place = diagnosis.locations[0] if diagnosis.locations else None
    where = f" ({place.function})" if place else ""
    if diagnosis.kind == "performance":
        return f"`{diagnosis.operation}` is as fast again as it was before{where}."
    if diagnosis.kind == "dependency":
        library = f"`{diagnosis.evidence.get('distribution')}`"
        if diagnosis.evidence.get("problem") == "moved_name":
            return f"What is used of {library} is taken from where its present version has it."
        return f"The requirement of {library} fits the code."
    if diagnosis.kind == "documentation":
        told = place.file if place else "The documentation"
        return f"{told} tells of `{diagnosis.operation}` as it is."
    if diagnosis.kind == "coverage":
        return f"`{diagnosis.operation}` is covered by a test{where}."
    if diagnosis.kind == "error":
        return f"`{diagnosis.operation}` no longer fails with {problem.exception}{where}."
    return f"`{diagnosis.operation}` behaves again as before{where}."


def candidates(
    problem: Problem,
    edits: Iterable[Edit],
    test: RegressionTest | None,
    docs: Documentation | None,
    library: Patterns | None,
    maximum: int,
) -> list[Candidate]:
    """The best candidates of one diagnosis, ranked from 1; a revert is always among them.

    Of candidates with the same patch, the one that scores best counts.
    """
    found = [_candidate(problem, edit, test, docs, library) for edit in edits]
    best = {each.patch: each for each in sorted(found, key=lambda each: each.score)}
    ranked = sorted(best.values(), key=lambda each: (-each.score, each.id))
    chosen = ranked[:maximum]
    if ranked[maximum:] and not any(each.strategy in REVERTS for each in chosen):
        revert = next((each for each in ranked if each.strategy in REVERTS), None)
        chosen = [*ranked[: maximum - 1], revert] if revert else chosen
    return [each.model_copy(update={"rank": rank}) for rank, each in enumerate(chosen, start=1)]


def in_service(
    problem: Problem, edits: Iterable[Edit], library: Patterns | None
) -> tuple[list[Edit], list[Dropped]]:
    """The edits without those of retired patterns, which are told; reverts are always proposed."""
    kept: list[Edit] = []
    dropped: list[Dropped] = []
    diagnosis = problem.diagnosis
    for edit in edits:
        pattern = retired_pattern(
            library, diagnosis.kind, edit.strategy, edit.template, problem.context
        )
        if pattern is None or pattern.retired is None or edit.strategy in REVERTS:
            kept.append(edit)
            continue
        reason = f"pattern {pattern.id} is retired: {pattern.retired.reason}"
        dropped.append(Dropped(diagnosis_id=diagnosis.id, strategy=edit.strategy, reason=reason))
    return kept, dropped


def _candidate(
    problem: Problem,
    edit: Edit,
    test: RegressionTest | None,
    docs: Documentation | None,
    library: Patterns | None,
) -> Candidate:
    before: dict[str, str | None] = dict(problem.sources)
    after = edited(edit, problem.sources)
    cost = cost_score(*changed_lines(patch_of(before, after)))
    if test is not None and test.text is not None and test.reproducer.test_file:
        before[test.reproducer.test_file] = None
        after[test.reproducer.test_file] = test.text
    if docs is not None:
        before[docs.path] = docs.before
        # A revert may touch the change log itself; the entry goes on top of that.
        touched = after.get(docs.path)
        after[docs.path] = docs.after if touched is None else with_entry(touched, docs.entry)
    kind, context = problem.diagnosis.kind, problem.context
    known = matching_pattern(library, kind, edit.strategy, edit.template, context)
    if known is None and "pattern" in edit.parameters:
        known = lending_pattern(library, str(edit.parameters["pattern"]))
    location = _location_score(problem, after)
    pattern, lent = known or (None, None)
    score, parts = score_parts(
        location, edit.fit, cost, lent, exploration(pattern, problem.diagnosis.id)
    )
    patch = patch_of(before, after)
    return Candidate(
        id=short_id("candidate", problem.diagnosis.id, problem.base_commit, patch),
        diagnosis_id=problem.diagnosis.id,
        strategy=edit.strategy,
        rank=0,
        score=score,
        score_parts=parts,
        files=sorted(path for path in after if before.get(path) != after[path]),
        patch=patch,
        explanation=edit.explanation,
        base_commit=problem.base_commit,
        edit={
            "strategy": edit.strategy,
            "template": edit.template,
            "parameters": edit.parameters,
            "context": context,
        },
        pattern_id=pattern.id if pattern else None,
        pattern_confidence=pattern.confidence if pattern else None,
    )


def _location_score(problem: Problem, after: Mapping[str, str | None]) -> float:
    """The score of the accused place that an edit changes; of the first where it changes none."""
    locations = problem.diagnosis.locations
    changed = [each.score for each in locations if each.file in after]
    return max(changed, default=locations[0].score if locations else 0.0)


def syntax_fault(candidate: Candidate, before: Mapping[str, str | None]) -> str | None:
    """Why a candidate cannot be right: its diff does not fit, or a file no longer parses."""
    try:
        after = apply_patch(before, candidate.patch)
    except InvalidInput as error:
        return str(error)
    for path, text in sorted(after.items()):
        if text is None or not path.endswith(".py"):
            continue
        try:
            ast.parse(text.removeprefix("\ufeff"))
        except (SyntaxError, ValueError) as error:
            line = getattr(error, "lineno", None) or 1
            return f"{path}:{line} does not parse: {getattr(error, 'msg', error)}"
    return None


def without_faults(
    found: Iterable[Candidate], before: Mapping[str, Mapping[str, str | None]]
) -> tuple[list[Candidate], list[Dropped]]:
    """Candidates that parse, and those that do not with the reason; `before` by diagnosis."""
    kept: list[Candidate] = []
    dropped: list[Dropped] = []
    for candidate in found:
        reason = syntax_fault(candidate, before[candidate.diagnosis_id])
        if reason is None:
            kept.append(candidate)
        else:
            dropped.append(
                Dropped(
                    diagnosis_id=candidate.diagnosis_id, strategy=candidate.strategy, reason=reason
                )
            )
    return kept, dropped
