"""Bring all checks together, choose, and merge the fixes of several diagnoses."""

from __future__ import annotations

from selfheal.artifacts import Patch
from selfheal.contract import handler
from selfheal.sandbox.evidence import Applied, Checked, Subjects, Tested
from selfheal.sandbox.verdict import Choice, choose
from selfheal_handlers.validation._examples import aggregate_validation_results as example


@handler("aggregate_validation_results", kind="pure", version="3", example=example)
def aggregate_validation_results(
    load_patch: Subjects,
    apply_patch: Applied,
    run_tests: Tested,
    check_coverage: Checked,
    verify_performance: Checked,
    validate_documentation: Checked,
    patch: Patch,
) -> Choice:
    """Every candidate's verdict with its reason, and the choice; a composition is not proven yet."""
    further = (check_coverage, verify_performance, validate_documentation)
    checks = {
        name: [
            *applied.checks,
            *(run_tests.candidates[name].checks if name in run_tests.candidates else ()),
            *(check for checked in further for check in checked.checks.get(name, ())),
        ]
        for name, applied in apply_patch.candidates.items()
    }
    return choose(patch, load_patch.subjects, apply_patch, checks)
