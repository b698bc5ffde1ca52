"""Asks every strategy for edits that fit the facts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfheal.config import FixConfig
from selfheal.contract import handler
from selfheal.repair import propose
from selfheal_handlers.fix._examples import material
from selfheal_handlers.fix._results import CodeFixes, FixMaterial


def example(_folder: Path) -> Mapping[str, Any]:
    return {"load_diagnosis": material(), "config": FixConfig()}


@handler("generate_code_fix", kind="pure", example=example)
def generate_code_fix(load_diagnosis: FixMaterial, config: FixConfig) -> CodeFixes:
    return CodeFixes(
        edits={
            problem.diagnosis.id: propose(problem, config.strategies)
            for problem in load_diagnosis.problems
        }
    )
