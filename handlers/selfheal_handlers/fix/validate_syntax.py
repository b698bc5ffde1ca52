"""Reads each diff back, and drops what does not fit or no longer parses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfheal.contract import handler
from selfheal.repair import without_faults
from selfheal_handlers.fix._examples import material, proposals
from selfheal_handlers.fix._results import FixMaterial, Proposals


def example(_folder: Path) -> Mapping[str, Any]:
    return {"create_patch": proposals(), "load_diagnosis": material()}


@handler("validate_syntax", kind="pure", example=example)
def validate_syntax(create_patch: Proposals, load_diagnosis: FixMaterial) -> Proposals:
    before = {problem.diagnosis.id: problem.sources for problem in load_diagnosis.problems}
    kept, dropped = without_faults(create_patch.candidates, before)
    return create_patch.model_copy(
        update={"candidates": kept, "dropped": [*create_patch.dropped, *dropped]}
    )
