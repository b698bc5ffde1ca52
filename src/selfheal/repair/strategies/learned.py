"""What healed before: the pattern library's templates, where they fit the accused code.

A template was generalised from accepted fixes, or mined from the repository's own history.
It fits best on the accused line, then in the accused function, and the more code it names.
"""

from __future__ import annotations

from collections.abc import Iterator

from selfheal.artifacts.canonical import short_id
from selfheal.artifacts.patterns import Applicability, EditTemplate, Outcomes, Pattern
from selfheal.repair.edit import Edit
from selfheal.repair.problem import Place, Problem
from selfheal.repair.strategies.base import Example, Strategy
from selfheal.repair.templates import edit_at, matches
from selfheal.repair.templates.generalise import specificity

NAME = "learned"
ON_THE_LINE = 0.75
IN_THE_FUNCTION = 0.4
TELLING = 12
PER_TEMPLATE = 3


def propose(problem: Problem) -> Iterator[Edit]:
    for place in problem.places():
        for pattern in problem.learned:
            for template in pattern.templates:
                yield from _of_template(place, pattern, template)


def _of_template(place: Place, pattern: Pattern, template: EditTemplate) -> Iterator[Edit]:
    found = sorted(
        matches(template, place.function), key=lambda match: abs(match.line - place.line)
    )
    telling = min(1.0, specificity(template) / TELLING)
    for match in found[:PER_TEMPLATE]:
        splices = edit_at(template, match, place.source, place.function)
        if not splices:
            continue
        last = max(getattr(node, "end_lineno", match.line) for node in match.nodes)
        near = ON_THE_LINE if match.line <= place.line <= last else IN_THE_FUNCTION
        fit = near * (0.6 + 0.4 * telling) * _trust(pattern)
        yield Edit(
            strategy=NAME,
            template=template_name(template),
            explanation=f"In {place.function.name}, as earlier fixes did ({pattern.name}): "
            f"`{_short(template.before)}` becomes `{_short(template.after)}`.",
            fit=round(fit, 6),
            parameters={"pattern": pattern.id, "support": template.support},
            splices=splices,
        )


def template_name(template: EditTemplate) -> str:
    """The name of a template's own pattern in the library."""
    return short_id("template", template.form, template.before, template.after)


def _trust(pattern: Pattern) -> float:
    """How often a mined template was right on later commits, by Laplace's rule; 1 without."""
    mined = pattern.mined
    if mined is None or mined.matched is None or mined.right is None:
        return 1.0
    return (mined.right + 1) / (mined.matched + 2)


def _short(text: str) -> str:
    return text if len(text) <= 60 and "\n" not in text else f"{text.splitlines()[0][:56]} …"


def _known(before: str, after: str, form: str, **holes: str) -> Pattern:
    template = EditTemplate.model_validate(
        {"form": form, "before": before, "after": after, "holes": holes}
    )
    return Pattern(
        id="pattern-1",
        name="an earlier fix",
        applicability=Applicability(kind="error"),
        edit={"strategy": NAME},
        outcomes=Outcomes(),
        confidence=0.5,
        confidence_interval=(0.1, 0.9),
        provenance=[],
        templates=[template],
    )


STRATEGY = Strategy(
    NAME,
    frozenset({"error", "performance", "state", "behavioral"}),
    propose,
    (
        Example(
            before="def last(order):\n    return order.rows[len(order.rows)]  # newest\n",
            after="def last(order):\n    return order.rows[len(order.rows) - 1]  # newest\n",
            line=2,
            evidence={"exception_type": "IndexError"},
            learned=(
                _known(
                    "HOLE_1[len(HOLE_1)]",
                    "HOLE_1[len(HOLE_1) - 1]",
                    "expression",
                    HOLE_1="expression",
                ),
            ),
        ),
        Example(
            before="def named(user):\n    log(user)\n    name = user.name  # full\n    return name\n",
            after="def named(user):\n    log(user)\n    if user is None:\n        return ''\n"
            "    name = user.name  # full\n    return name\n",
            line=3,
            evidence={"exception_type": "AttributeError"},
            learned=(
                _known(
                    "HOLE_1 = HOLE_2.name",
                    "if HOLE_2 is None:\n    return ''\nHOLE_1 = HOLE_2.name",
                    "statements",
                    HOLE_1="name",
                    HOLE_2="name",
                ),
            ),
        ),
    ),
)
