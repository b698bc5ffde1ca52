"""Asks every strategy for edits that fit the facts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfheal.artifacts.patch import Dropped
from selfheal.config import FixConfig
from selfheal.contract import handler
from selfheal.repair import Edit, propose
from selfheal_handlers.fix._examples import material
from selfheal_handlers.fix._results import CodeFixes, FixMaterial


def example(_folder: Path) -> Mapping[str, Any]:
    return {"load_diagnosis": material(), "config": FixConfig()}


@handler("generate_code_fix", kind="pure", version="3", example=example)
def generate_code_fix(load_diagnosis: FixMaterial, config: FixConfig) -> CodeFixes:
    """What the search found comes first; edits that its tests refused are not proposed again."""
    edits: dict[str, list[Edit]] = {}
    dropped: list[Dropped] = []
    for problem in load_diagnosis.problems:
        name = problem.diagnosis.id
        report = load_diagnosis.searched(name)
        fallen = report.fallen if report else {}
        found = list(report.plausible) if report else []
        for number, edit in enumerate(propose(problem, config.strategies)):
            if number in fallen:
                reason = f"{edit.explanation} {fallen[number]}"
                dropped.append(Dropped(diagnosis_id=name, strategy=edit.strategy, reason=reason))
            elif not any(_same(edit, other) for other in found):
                found.append(edit)
        edits[name] = found
    return CodeFixes(edits=edits, dropped=dropped)


def _same(one: Edit, other: Edit) -> bool:
    return (one.splices, one.files) == (other.splices, other.files)
