"""Flows in documents are told as production takes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher

from selfheal.repair.documented_flow import FlowText, flow_at, flows_with
from selfheal.repair.documents import documents
from selfheal.repair.edit import Edit, Splice
from selfheal.repair.flow_docs import DEFAULT_PATH, with_flow
from selfheal.repair.problem import Problem, is_test
from selfheal.repair.strategies.base import Strategy

NAME = "document_flow"
SIMILAR = 0.6


def propose(problem: Problem) -> Iterator[Edit]:
    contradiction = problem.diagnosis.evidence.get("contradiction")
    if contradiction == "flow step not shown":
        yield from _step(problem)
    elif contradiction == "flow order not shown":
        yield from _order(problem)
    elif contradiction == "flow not documented":
        yield from _missing(problem)


def _step(problem: Problem) -> Iterator[Edit]:
    """A step that is no more gets its present name, or is left out, in every flow that has it."""
    step = str(problem.diagnosis.evidence.get("name") or "")
    told = [
        flow
        for path, text in sorted(documents(problem.sources).items())
        for flow in flows_with(path, text, step)
    ]
    if not told:
        return
    for name, fit in _successors(problem, step):
        splices = [splice for flow in told for splice in flow.renamed({step: name})]
        yield _edit("rename", f"The step `{step}` is `{name}` now.", fit, splices, step, name)
    dropped = [flow.without(step) for flow in told]
    if all(dropped):
        splices = [splice for each in dropped for splice in each]
        yield _edit("drop", f"There is no step `{step}` any more.", 0.8, splices, step)


def _successors(problem: Problem, step: str) -> Iterator[tuple[str, float]]:
    """Names of functions that the good release did not have, like the one that is gone."""
    head, tail = re.match(r"(.*?)([\w-]+)(?:\(\))?$", step).groups() if step else ("", "")  # type: ignore[union-attr]
    now, before = _functions(problem.sources), _functions(problem.good_sources)
    for name in sorted(now - before if tail in before else now):
        likeness = SequenceMatcher(None, tail, name).ratio()
        if name != tail and likeness >= SIMILAR:
            yield f"{head}{name}", round((0.95 if tail in before else 0.6) * likeness, 6)


def _functions(sources: dict[str, str]) -> set[str]:
    return {
        name
        for path, text in sources.items()
        if path.endswith(".py") and not is_test(path)
        for name in re.findall(r"^\s*(?:async )?def (\w+)", text, re.MULTILINE)
    }


def _order(problem: Problem) -> Iterator[Edit]:
    """The step that comes first in production comes right before the other."""
    evidence = problem.diagnosis.evidence
    named = evidence.get("steps")
    path = str(evidence.get("file") or "")
    if not isinstance(named, list) or len(named) != 2 or path not in problem.sources:
        return
    told, first = str(named[0]), str(named[1])
    line = evidence.get("line")
    flow = flow_at(path, problem.sources[path], line if isinstance(line, int) else None)
    if flow is None or told not in flow.steps or first not in flow.steps:
        return
    for template, steps, fit in _orders(flow, told, first):
        why = f"`{first}` comes before `{told}`, as in all sessions."
        yield _edit(template, why, fit, flow.reordered(steps), told, first)


def _orders(flow: FlowText, told: str, first: str) -> Iterator[tuple[str, list[str], float]]:
    rest = [step for step in flow.steps if step != first]
    at = rest.index(told)
    yield "move", [*rest[:at], first, *rest[at:]], 0.95
    later = [step for step in flow.steps if step != told]
    after = later.index(first) + 1
    moved = [*later[:after], told, *later[after:]]
    if moved != [*rest[:at], first, *rest[at:]]:
        yield "move_back", moved, 0.85


def _missing(problem: Problem) -> Iterator[Edit]:
    """A diagram of the flow, between markers, where the other flows are told."""
    evidence, operation = problem.diagnosis.evidence, problem.diagnosis.operation
    taken = evidence.get("steps")
    if not isinstance(taken, list) or not taken:
        return
    path = str(evidence.get("file") or DEFAULT_PATH)
    if not path.endswith((".md", ".markdown")):
        path = DEFAULT_PATH
    steps = [operation, *(str(each) for each in taken if each != operation)]
    yield Edit(
        strategy=NAME,
        template="draw",
        explanation=f"{path} tells of the flow of `{operation}`.",
        fit=0.9,
        parameters={"operation": operation, "steps": steps},
        files={path: with_flow(problem.sources.get(path), operation, steps)},
    )


def _edit(
    template: str,
    explanation: str,
    fit: float,
    splices: list[Splice],
    step: str,
    other: str | None = None,
) -> Edit:
    return Edit(
        strategy=NAME,
        template=template,
        explanation=explanation,
        fit=fit,
        parameters={"step": step, "other": other},
        splices=splices,
    )


STRATEGY = Strategy(NAME, frozenset({"documentation"}), propose)
