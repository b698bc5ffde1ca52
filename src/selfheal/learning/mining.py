"""Templates mined from a history of fixes, and how they do on the fixes that came later.

The older part of the fixes teaches, the newer part tests: a template is right at a place
of a file before its later fix if that fix made just the template's change there. Changes
are clustered greedily by what their templates have in common, as a flat cut of the
hierarchy of Getafix (Bader et al., OOPSLA 2019, §4).
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from selfheal.artifacts import Pattern, Patterns
from selfheal.artifacts.model import Model
from selfheal.artifacts.patterns import (
    Applicability,
    EditTemplate,
    Mined,
    Outcomes,
    pattern_id,
)
from selfheal.learning.accepted import KEPT
from selfheal.learning.commits import Fix, FixedFile
from selfheal.learning.ledger import confidence
from selfheal.repair.strategies.learned import NAME, template_name
from selfheal.repair.templates import generalised, matches
from selfheal.repair.templates.difference import functions_by_name
from selfheal.repair.templates.generalise import specificity
from selfheal.repair.templates.matching import instance

MOST_CLUSTERS = 80
NEVER_RIGHT = 5
_WORD = re.compile(r"[A-Za-z_]\w+")
_HOLE = re.compile(r"HOLE_\d+")


class MinedTemplate(Model):
    """A template, the commits that it was made of, and its figures on later fixes.

    `support` counts commits. Of `matched` places of later fixed files, `right` were changed
    in just its way; both are None where no later fix was there to tell.
    """

    template: EditTemplate
    commits: list[str]
    matched: int | None = None
    right: int | None = None

    @property
    def support(self) -> int:
        return len(self.commits)

    @property
    def precision(self) -> float | None:
        return self.right / self.matched if self.matched and self.right is not None else None

    @property
    def is_kept(self) -> bool:
        """Whether it may propose: not where it fitted often and was never right."""
        return not (self.right == 0 and (self.matched or 0) >= NEVER_RIGHT)


class Mining(Model):
    """What a history taught. `covered` of the `tested` later fixes held a change as taught."""

    trained: int
    tested: int
    changes: int
    templates: list[MinedTemplate]
    covered: int | None = None

    @property
    def kept(self) -> list[MinedTemplate]:
        return [each for each in self.templates if each.is_kept]


@dataclass
class _Cluster:
    template: EditTemplate
    commits: dict[str, None]
    words: frozenset[str]


def mine(fixes: Sequence[Fix], *, split: float = 0.7, support: int = 2) -> Mining:
    """Templates of at least `support` of the older fixes, measured on the newer ones.

    `fixes` are oldest first, `split` is the share that teaches (1: nothing is measured).
    """
    cut = round(len(fixes) * split)
    past, future = fixes[:cut], fixes[cut:]
    clusters = [each for each in clustered(past) if len(each.commits) >= support]
    found = [MinedTemplate(template=each.template, commits=list(each.commits)) for each in clusters]
    covered: set[str] = set()
    if future:
        found = [_measured(each, future, covered) for each in found]
    found.sort(key=lambda each: (-(each.right or 0), -each.support, -specificity(each.template)))
    return Mining(
        trained=len(past),
        tested=len(future),
        changes=sum(len(file.changes) for fix in past for file in fix.files),
        templates=found,
        covered=len(covered) if future else None,
    )


def clustered(fixes: Iterable[Fix]) -> list[_Cluster]:
    """Changes whose templates have much in common, one template each."""
    groups: dict[tuple[str, ...], list[_Cluster]] = defaultdict(list)
    for fix in fixes:
        for file in fix.files:
            for change, template in file.changes:
                if template is not None:
                    shape = [type(node).__name__ for node in (*change.before, *change.after)]
                    _join(groups[(template.form, *shape)], template, fix.sha)
    return [cluster for group in groups.values() for cluster in group]


def _join(group: list[_Cluster], template: EditTemplate, sha: str) -> None:
    """Put a template to the cluster with which it has most in common, else into its own."""
    words = _words(template)
    best: tuple[int, _Cluster, EditTemplate] | None = None
    for cluster in group:
        if cluster.words and words and not cluster.words & words:
            continue
        joint = generalised(cluster.template, template)
        if joint is None:
            continue
        common = specificity(joint)
        least = min(specificity(cluster.template), specificity(template))
        if common >= KEPT * least and (best is None or common > best[0]):
            best = common, cluster, joint
    if best is not None:
        _, cluster, cluster.template = best
        cluster.commits[sha] = None
        cluster.words = _words(cluster.template)
    elif len(group) < MOST_CLUSTERS:
        group.append(_Cluster(template, {sha: None}, words))


def _words(template: EditTemplate) -> frozenset[str]:
    return frozenset(_WORD.findall(_HOLE.sub("", template.before)))


def _measured(mined: MinedTemplate, future: Sequence[Fix], covered: set[str]) -> MinedTemplate:
    matched = right = 0
    words = _words(mined.template)
    for fix in future:
        for file in fix.files:
            if not all(word in file.before for word in words):
                continue
            wanted = {_key(change.before, change.after) for change, _ in file.changes}
            for key in _proposals(mined.template, file):
                matched += 1
                if key in wanted:
                    right += 1
                    covered.add(fix.sha)
    return mined.model_copy(update={"matched": matched, "right": right})


def _proposals(template: EditTemplate, file: FixedFile) -> Iterator[tuple[object, ...]]:
    """What a template would change in a file, place by place."""
    for function in functions_by_name(ast.parse(file.before)).values():
        for match in matches(template, function):
            yield _key(match.nodes, instance(template, match.holes, after=True))


def _key(before: Sequence[ast.AST], after: Sequence[ast.AST]) -> tuple[object, ...]:
    """A change by its place and its syntax."""
    first = before[0]
    assert isinstance(first, ast.expr | ast.stmt)
    return first.lineno, first.col_offset, _dumps(before), _dumps(after)


def _dumps(nodes: Sequence[ast.AST]) -> str:
    return re.sub(r"ctx=(Load|Store|Del)\(\)", "", "\n".join(map(ast.dump, nodes)))


def with_mined(library: Patterns, mining: Mining) -> Patterns:
    """The library with the templates of a history, which replace what it was taught earlier.

    What patterns of the same templates went through since stays. Mined templates have no
    outcomes: nothing of them was shipped by selfheal.
    """
    known = {pattern.id: pattern for pattern in library.patterns}
    for each in mining.kept:
        made = _pattern(each)
        before = known.get(made.id)
        if before is not None:
            fields = {"templates": made.templates, "mined": made.mined}
            made = before.model_copy(update=fields)
        known[made.id] = made
    ordered = sorted(known.values(), key=lambda each: (-each.confidence_interval[0], each.id))
    return library.model_copy(update={"patterns": ordered})


def _pattern(mined: MinedTemplate) -> Pattern:
    name = template_name(mined.template)
    mean, interval = confidence(0, 0)
    return Pattern(
        id=pattern_id("error", {}, NAME, name),
        name=f"{NAME} from {mined.support} commits of the history",
        applicability=Applicability(kind="error"),
        edit={"strategy": NAME, "template": name},
        outcomes=Outcomes(),
        confidence=mean,
        confidence_interval=interval,
        provenance=[],
        templates=[mined.template],
        mined=Mined(commits=mined.commits, matched=mined.matched, right=mined.right),
    )
