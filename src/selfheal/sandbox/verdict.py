"""From checks to verdicts, from verdicts to a choice: pure, and every loser has its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice, product

from pydantic import Field

from selfheal.artifacts import Candidate, Model, Patch, Validation
from selfheal.artifacts.canonical import short_id
from selfheal.artifacts.patch import Search
from selfheal.artifacts.validation import Check, Composition, Result, Selection
from selfheal.errors import InvalidInput
from selfheal.repair.edits.model import SEARCH
from selfheal.repair.merge import combine_patches, merge_patches
from selfheal.repair.strategies import OF_PAST
from selfheal.sandbox.behaviour import altered, order_of
from selfheal.sandbox.changes import ChangedFile, role_of
from selfheal.sandbox.doubt import weak_suite
from selfheal.sandbox.evidence import ANSWER, CHECKS, OPTIONAL_CHECKS, Applied, Subject, verdict_of

COMBINATIONS = 32


class Choice(Model):
    """The results, the best candidate of each diagnosis, and what they make together.

    `composition` is still to be proven as a whole; `files` is what it changes. Where
    there is none, `selected` is the choice, and `reason` says why in either case.
    """

    results: list[Result]
    selections: list[Selection]
    selected: str | None
    reason: str
    composition: Composition | None = None
    files: list[ChangedFile] = Field(default_factory=list)

    @property
    def summary(self) -> str:
        healed = sum(selection.candidate_id is not None for selection in self.selections)
        return f"{healed} of {len(self.selections)} diagnoses have a proven fix"


def choose(
    patch: Patch,
    subjects: Sequence[Subject],
    applied: Applied,
    checks: Mapping[str, Sequence[Check]],
) -> Choice:
    """Judge every candidate by its checks and choose.

    Of each diagnosis the passing candidate that alters least of what passing tests rely on
    is taken, of equal ones what the release changed there, else the best-ranked. Where several
    diagnoses have one, they are merged into a composition; where the best contradict
    each other, the next combinations of passing candidates are tried, best ranks first.
    """
    results = [
        _result(candidate, subject, checks.get(candidate.id, ()))
        for subject in subjects
        for candidate in _of(patch, [*subject.candidate_ids, *subject.left_out])
    ]
    passing = {subject.diagnosis_id: _passing(patch, subject, results) for subject in subjects}
    healed = [subject for subject in subjects if passing[subject.diagnosis_id]]
    if not healed:
        selections = [_selection(subject, None, results) for subject in subjects]
        return Choice(
            results=results,
            selections=selections,
            selected=None,
            reason=_none(patch, subjects, results),
        )
    best = [passing[subject.diagnosis_id][0] for subject in healed]
    if len(healed) == 1:
        reason = "the best candidate that passed every required check"
        return _chosen(patch, results, subjects, best, best[0], reason)
    composed = _compose(patch, applied, [passing[subject.diagnosis_id] for subject in healed])
    if composed is None:
        reason = "the fixes of the diagnoses contradict each other; the gravest is healed first"
        return _chosen(patch, results, subjects, best[:1], best[0], reason)
    composition, files = composed
    reason = f"the fixes of {len(healed)} diagnoses merged into one change"
    choice = _chosen(patch, results, subjects, composition.candidate_ids, composition.id, reason)
    return choice.model_copy(update={"composition": composition, "files": files})


def concluded(
    choice: Choice,
    isolation: str,
    proof: Sequence[Check] = (),
    searches: Sequence[Search] = (),
) -> Validation:
    """The payload of validation.json; `proof` are the checks of the choice's composition.

    A composition that fails one gives way to the fix of the gravest diagnosis.
    `searches` are those of the fix phase, told again beside what was proven.
    """
    results, selections = list(choice.results), list(choice.selections)
    selected, reason, composition = choice.selected, choice.reason, choice.composition
    if composition is not None:
        healed = [each for each in selections if each.candidate_id in composition.candidate_ids]
        checks = completed(proof, "not run")
        verdict, why = verdict_of([check for check in checks if check.verdict != "not_run"])
        results.append(
            Result(
                candidate_id=composition.id,
                diagnosis_id=",".join(each.diagnosis_id for each in healed),
                verdict=verdict,
                reason=why,
                checks=checks,
            )
        )
        if verdict == "passed":
            reason = f"{reason} and proven as a whole"
        else:
            selected, composition = healed[0].candidate_id, None
            reason = f"the gravest is healed alone, as the merged fixes fail: {why}"
            selections = [
                each if each is healed[0] or each.candidate_id is None else _alone(each)
                for each in selections
            ]
    return Validation(
        results=results,
        selected=selected,
        reason=reason,
        selections=selections,
        searches=list(searches),
        composition=composition,
        isolation=isolation,
    )


def _alone(selection: Selection) -> Selection:
    reason = f"{selection.candidate_id} passed, but not together with the gravest fix"
    without = {"candidate_id": None, "reason": reason, "weak_suite": None}
    return selection.model_copy(update=without)


def as_candidate(composition: Composition, files: Sequence[ChangedFile], base: str) -> Candidate:
    """A composition in the form that the bench proves."""
    return Candidate(
        id=composition.id,
        diagnosis_id="",
        strategy="composition",
        rank=1,
        score=1.0,
        files=[file.path for file in files],
        patch=composition.patch,
        explanation="",
        base_commit=base,
    )


def completed(checks: Sequence[Check], skipped: str) -> list[Check]:
    """All checks in their order; what was not run says after which failure, or `skipped`."""
    first = next((c.name for c in checks if c.required and c.verdict != "passed"), None)
    why = f"not run after {first} did not pass" if first else skipped
    done = sorted(checks, key=lambda check: CHECKS.index(check.name))
    known = {ANSWER, *(check.name for check in checks)}
    missing = [name for name in CHECKS if name not in known]
    absent = [
        Check(name=name, verdict="not_run", summary=why, required=name not in OPTIONAL_CHECKS)
        for name in missing
    ]
    return sorted([*done, *absent], key=lambda check: CHECKS.index(check.name))


def _of(patch: Patch, ids: Sequence[str]) -> list[Candidate]:
    by_id = {candidate.id: candidate for candidate in patch.candidates}
    return [by_id[name] for name in ids]


def _result(candidate: Candidate, subject: Subject, checks: Sequence[Check]) -> Result:
    limit = candidate.id in subject.left_out
    why = "beyond the number of candidates to try" if limit else "enough better ones passed"
    full = completed(checks, f"not run: {why}")
    ran = [check for check in full if check.verdict != "not_run"]
    failed = verdict_of(ran)
    verdict, reason = failed if failed[0] != "passed" else verdict_of(full)
    if verdict == "not_run":
        reason = f"not run: {why}"
    if verdict == "passed" and not _shown(full):
        verdict, reason = "failed", "nothing could show that the trouble is gone"
    return Result(
        candidate_id=candidate.id,
        diagnosis_id=subject.diagnosis_id,
        verdict=verdict,
        reason=reason,
        checks=full,
    )


def _passing(patch: Patch, subject: Subject, results: Sequence[Result]) -> list[str]:
    """Its candidates that passed: those first that change least, then by rank.

    A revert of a hunk or an expression that alters no more calls than the first goes
    before it: what it brings back has been in use, and what else passes may only fit the
    tests.
    """
    own = [
        result
        for result in results
        if result.diagnosis_id == subject.diagnosis_id and result.verdict == "passed"
    ]
    ordered = sorted(own, key=lambda each: order_of(each.checks))
    reverts = {candidate.id for candidate in patch.candidates if candidate.strategy in OF_PAST}
    known = [each for each in ordered if each.candidate_id in reverts]
    if known and altered(known[0].checks) <= altered(ordered[0].checks):
        ordered.sort(key=lambda each: each is not known[0])
    return [result.candidate_id for result in ordered]


def _shown(checks: Sequence[Check]) -> bool:
    """Whether the trouble was seen before and gone after, by a test or by its detector."""
    proofs = ("regression_test", "detector")
    return any(check.name in proofs and check.verdict == "passed" for check in checks)


def _chosen(
    patch: Patch,
    results: list[Result],
    subjects: Sequence[Subject],
    chosen: Sequence[str],
    selected: str,
    reason: str,
) -> Choice:
    selections = []
    for subject in subjects:
        own = [name for name in subject.candidate_ids if name in chosen]
        selection = _selection(subject, own[0] if own else None, results)
        selections.append(
            selection.model_copy(update={"weak_suite": _doubt(patch, subject, own, results)})
        )
    losers = [_loser(result, chosen) for result in results]
    return Choice(results=losers, selections=selections, selected=selected, reason=reason)


def _doubt(
    patch: Patch, subject: Subject, chosen: Sequence[str], results: Sequence[Result]
) -> str | None:
    """Why the suite is too weak for a choice among what a search found."""
    own = [r for r in results if r.diagnosis_id == subject.diagnosis_id and r.verdict == "passed"]
    searched = {candidate.id for candidate in patch.candidates if candidate.strategy == SEARCH}
    found = next((r for r in own if r.candidate_id in chosen and r.candidate_id in searched), None)
    return weak_suite(found, [each for each in own if each is not found]) if found else None


def _loser(result: Result, chosen: Sequence[str]) -> Result:
    if result.verdict != "passed":
        return result
    if result.candidate_id in chosen:
        return result.model_copy(update={"reason": "selected: passed every required check"})
    return result.model_copy(update={"reason": "passed, and another candidate was preferred"})


def _selection(subject: Subject, chosen: str | None, results: Sequence[Result]) -> Selection:
    own = [result for result in results if result.diagnosis_id == subject.diagnosis_id]
    tried = sum(result.verdict != "not_run" for result in own)
    if chosen is not None:
        reason = f"passed every required check{_above(subject, chosen, own)}"
    else:
        passed = any(result.verdict == "passed" for result in own)
        reason = (
            "a fix passed, but does not go together with the gravest one"
            if passed
            else f"none of {tried} candidates passed"
        )
    return Selection(
        diagnosis_id=subject.diagnosis_id, candidate_id=chosen, reason=reason, tried=tried
    )


def _above(subject: Subject, chosen: str, results: Sequence[Result]) -> str:
    """What became of the better-ranked candidates."""
    better = set(subject.candidate_ids[: subject.candidate_ids.index(chosen)])
    if not better:
        return " and ranks first"
    sound = sum(each.candidate_id in better and each.verdict == "passed" for each in results)
    told = f"; {len(better) - sound} better-ranked did not" if sound < len(better) else ""
    return told + (f"; {sound} better-ranked change more than it" if sound else "")


def _none(patch: Patch, subjects: Sequence[Subject], results: Sequence[Result]) -> str:
    if not results:
        lost = patch.dropped
        told = f"; of {len(lost)} dropped ones the first: {lost[0].reason}" if lost else ""
        return f"there is no candidate to prove{told}"
    return f"none of {len(results)} candidates for {len(subjects)} diagnoses passed"


def _compose(
    patch: Patch, applied: Applied, passing: Sequence[Sequence[str]]
) -> tuple[Composition, list[ChangedFile]] | None:
    """The first combination that merges; None where none does or the bases differ."""
    combinations = sorted(
        product(*(enumerate(names) for names in passing)),
        key=lambda combination: (
            sum(place for place, _ in combination),
            [place for place, _ in combination],
        ),
    )
    for combination in islice(combinations, COMBINATIONS):
        chosen = _of(patch, [name for _, name in combination])
        if len({candidate.base_commit for candidate in chosen}) > 1:
            return None
        before = {
            file.path: file.before
            for candidate in chosen
            for file in applied.candidates[candidate.id].files
        }
        patches = [candidate.patch for candidate in chosen]
        try:
            after = merge_patches(before, patches)
            text = combine_patches(before, patches)
        except InvalidInput:
            continue
        ids = [candidate.id for candidate in chosen]
        files = [
            ChangedFile(path=path, role=role_of(path), before=before.get(path), after=after[path])
            for path in sorted(after)
        ]
        return Composition(id=short_id("combined", *ids), candidate_ids=ids, patch=text), files
    return None
