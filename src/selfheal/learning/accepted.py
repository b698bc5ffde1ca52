"""Templates of accepted fixes: of one candidate, and of all that a pattern shipped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from selfheal.artifacts import Candidate
from selfheal.artifacts.patterns import EditTemplate
from selfheal.errors import InvalidInput
from selfheal.repair.diff import apply_patch, parse_patch
from selfheal.repair.problem import is_test
from selfheal.repair.templates import changes_between, generalised, template_of
from selfheal.repair.templates.generalise import specificity

MOST = 5
KEPT = 0.5


def changed_code(candidate: Candidate) -> list[str]:
    """The Python files, tests left out, that a candidate changes."""
    found = [file.old_path for file in parse_patch(candidate.patch) if file.old_path]
    return sorted(path for path in found if path.endswith(".py") and not is_test(path))


def templates_of(candidate: Candidate, before: Mapping[str, str | None]) -> list[EditTemplate]:
    """What a candidate did to the code in `before` (texts by path), with holes for variables.

    Nothing for a revert, which is no edit of its own, nor where the texts are not those that
    the patch was made for.
    """
    if candidate.strategy.startswith(("revert", "restore_function")):
        return []
    found: list[EditTemplate] = []
    try:
        after = apply_patch(before, candidate.patch)
        for path in changed_code(candidate):
            changes = changes_between(before[path] or "", after[path] or "")
            found += [made for each in changes if (made := template_of(each)) is not None]
    except (InvalidInput, SyntaxError, KeyError):
        return []
    return joined_templates(found)


def joined_templates(templates: Iterable[EditTemplate]) -> list[EditTemplate]:
    """Templates with alike ones generalised, best supported first, at the most `MOST`.

    Two are generalised where at least `KEPT` of the smaller one's concrete code is left:
    beyond that they are different edits (the cut of Getafix's hierarchy).
    """
    found: list[EditTemplate] = []
    for each in templates:
        for place, known in enumerate(found):
            joint = generalised(known, each)
            least = min(specificity(known), specificity(each))
            if joint is not None and specificity(joint) >= KEPT * least:
                found[place] = joint
                break
        else:
            found.append(each)
    ordered = sorted(found, key=lambda each: (-each.support, -specificity(each), each.before))
    return ordered[:MOST]
