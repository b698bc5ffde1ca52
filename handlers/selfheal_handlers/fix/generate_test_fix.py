"""Turns recorded production input into regression tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfheal.contract import handler
from selfheal.repair import regression_test
from selfheal_handlers.fix._examples import material
from selfheal_handlers.fix._results import FixMaterial, TestFixes


def example(_folder: Path) -> Mapping[str, Any]:
    return {"load_diagnosis": material()}


@handler("generate_test_fix", kind="pure", version="2", example=example)
def generate_test_fix(load_diagnosis: FixMaterial) -> TestFixes:
    return TestFixes(
        tests={
            problem.diagnosis.id: regression_test(problem) for problem in load_diagnosis.problems
        }
    )
