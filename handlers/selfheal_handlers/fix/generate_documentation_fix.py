"""Writes what users of the service will notice into the change log."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfheal.contract import handler
from selfheal.repair import Problem, documentation
from selfheal_handlers.fix._examples import material
from selfheal_handlers.fix._results import DocumentationFixes, FixMaterial


def example(_folder: Path) -> Mapping[str, Any]:
    return {"load_diagnosis": material()}


@handler("generate_documentation_fix", kind="pure", version="2", example=example)
def generate_documentation_fix(load_diagnosis: FixMaterial) -> DocumentationFixes:
    """A failing test or a missing one is no reason to begin a change log in a project without."""
    path = load_diagnosis.changelog
    return DocumentationFixes(
        entries={
            problem.diagnosis.id: documentation(problem, path, problem.sources.get(path))
            for problem in load_diagnosis.problems
            if path in problem.sources or not _is_of_tests(problem)
        }
    )


def _is_of_tests(problem: Problem) -> bool:
    return problem.failing_test is not None or problem.diagnosis.kind == "coverage"
