"""Parameters, defaults, signatures and values are told as the code has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from selfheal.analysis.documented_code import EXAMPLE, Drift, claims
from selfheal.repair.documents import documents
from selfheal.repair.edit import Edit, Splice
from selfheal.repair.problem import Problem, is_test
from selfheal.repair.strategies.base import Strategy

NAME = "document_code"
_DESCRIPTIONS = (".json", ".yaml", ".yml")


def propose(problem: Problem) -> Iterator[Edit]:
    """Every place that says it wrongly, in one edit."""
    evidence = problem.diagnosis.evidence
    drift = evidence.get("contradiction")
    if drift not in get_args(Drift):
        return
    if drift == EXAMPLE:
        yield from _example(problem)
        return
    written = [path for path in documents(problem.sources) if not path.endswith(_DESCRIPTIONS)]
    texts = {
        path: text
        for path, text in problem.sources.items()
        if path in written or (path.endswith(".py") and not is_test(path))
    }
    found = [
        claim
        for claim in claims(texts, written)
        if (claim.drift, claim.name, claim.subject)
        == (drift, evidence.get("name"), evidence.get("subject"))
    ]
    if not found or any(claim.replacement is None for claim in found):
        return
    places = ", ".join(f"{claim.file}:{claim.line}" for claim in found)
    yield Edit(
        strategy=NAME,
        template=str(drift).replace(" ", "_"),
        explanation=f"{places}: `{found[0].told}` becomes `{found[0].actual}`, as the code has it.",
        fit=0.95,
        parameters={"name": found[0].name, "subject": found[0].subject},
        splices=[
            Splice(path=each.file, start=each.start, stop=each.stop, text=each.replacement or "")
            for each in found
        ],
    )


def _example(problem: Problem) -> Iterator[Edit]:
    """The output as it was when the detector ran the example."""
    evidence = problem.diagnosis.evidence
    file, told, replacement = (
        evidence.get("file"),
        evidence.get("told"),
        evidence.get("replacement"),
    )
    start, stop = evidence.get("start"), evidence.get("stop")
    if not isinstance(file, str) or not isinstance(start, int) or not isinstance(stop, int):
        return
    there = problem.sources.get(file, "")[start:stop].rstrip("\r\n")
    if [each.strip() for each in there.split("\n")] != [
        each.strip() for each in str(told).split("\n")
    ]:
        return
    yield Edit(
        strategy=NAME,
        template="example",
        explanation=f"{evidence.get('name')}: `{evidence.get('subject')}` is told to print what it "
        "prints now, for a release that was meant to change that.",
        fit=0.7,
        parameters={"subject": str(evidence.get("subject"))},
        splices=[Splice(path=file, start=start, stop=stop, text=str(replacement))],
    )


STRATEGY = Strategy(NAME, frozenset({"documentation"}), propose)
