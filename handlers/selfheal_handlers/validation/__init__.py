"""The beats of this phase, in order."""

from __future__ import annotations

from typing import Any

from selfheal.contract import Handler
from selfheal_handlers.validation.aggregate_validation_results import aggregate_validation_results
from selfheal_handlers.validation.apply_patch import apply_patch
from selfheal_handlers.validation.check_coverage import check_coverage
from selfheal_handlers.validation.load_patch import load_patch
from selfheal_handlers.validation.run_tests import run_tests
from selfheal_handlers.validation.store_validation_results import store_validation_results
from selfheal_handlers.validation.validate_completed import validate_completed
from selfheal_handlers.validation.validate_documentation import validate_documentation
from selfheal_handlers.validation.validate_requested import validate_requested
from selfheal_handlers.validation.verify_performance import verify_performance

HANDLERS: tuple[Handler[..., Any], ...] = (
    validate_requested,
    load_patch,
    apply_patch,
    run_tests,
    check_coverage,
    verify_performance,
    validate_documentation,
    aggregate_validation_results,
    store_validation_results,
    validate_completed,
)
