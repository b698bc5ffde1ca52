"""Sums the phase up."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfheal.artifacts import Patch
from selfheal.contract import handler
from selfheal_handlers.fix._examples import proposals
from selfheal_handlers.fix._results import FixCompleted


def example(_folder: Path) -> Mapping[str, Any]:
    found = proposals()
    return {"patch": Patch(candidates=found.candidates, reproducers=found.reproducers)}


@handler("generate_fix_completed", kind="pure", example=example)
def generate_fix_completed(patch: Patch) -> FixCompleted:
    best = {each.diagnosis_id: each.strategy for each in patch.candidates if each.rank == 1}
    return FixCompleted(
        candidates=len(patch.candidates),
        diagnoses=len(best),
        dropped=len(patch.dropped),
        best=best,
    )
