"""Joins code, test and documentation into one ranked diff per candidate."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfheal.artifacts.patch import Dropped
from selfheal.config import FixConfig
from selfheal.contract import handler
from selfheal.repair import candidates
from selfheal.repair.candidates import in_service
from selfheal_handlers.fix._examples import proposed
from selfheal_handlers.fix._results import (
    CodeFixes,
    DocumentationFixes,
    FixMaterial,
    Proposals,
    TestFixes,
)


def example(_folder: Path) -> Mapping[str, Any]:
    return {**proposed(), "config": FixConfig()}


@handler("create_patch", kind="pure", version="2", example=example)
def create_patch(
    load_diagnosis: FixMaterial,
    generate_code_fix: CodeFixes,
    generate_test_fix: TestFixes,
    generate_documentation_fix: DocumentationFixes,
    config: FixConfig,
) -> Proposals:
    found = []
    dropped = [*load_diagnosis.declined, *generate_code_fix.dropped]
    for problem in load_diagnosis.problems:
        name = problem.diagnosis.id
        edits, retired = in_service(
            problem, generate_code_fix.edits.get(name, []), load_diagnosis.library
        )
        dropped += retired
        own = candidates(
            problem,
            edits,
            generate_test_fix.tests.get(name),
            generate_documentation_fix.entries.get(name),
            load_diagnosis.library,
            config.max_candidates,
        )
        if not own:
            reason = "no strategy fits the facts of this diagnosis"
            dropped.append(Dropped(diagnosis_id=name, strategy="none", reason=reason))
        found += own
    reproducers = {name: test.reproducer for name, test in generate_test_fix.tests.items()}
    return Proposals(
        candidates=found,
        reproducers=reproducers,
        dropped=dropped,
        searches=[report.told for report in load_diagnosis.searches],
    )
