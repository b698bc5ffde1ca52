"""Parameters, defaults, signatures and values are told as the code has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from selfheal.analysis.documented_code import Drift, claims
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


STRATEGY = Strategy(NAME, frozenset({"documentation"}), propose)
