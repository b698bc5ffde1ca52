"""Decide which candidates are to be proven, and in which order."""

from __future__ import annotations

from selfheal.artifacts import Diagnoses, Patch
from selfheal.config import ValidateConfig
from selfheal.contract import handler
from selfheal.sandbox.plan import Plan, plan
from selfheal_handlers.validation._examples import validate_requested as example


@handler("validate_requested", kind="pure", example=example)
def validate_requested(patch: Patch, diagnosis: Diagnoses, config: ValidateConfig) -> Plan:
    """The best-ranked candidates of each diagnosis, gravest diagnosis first."""
    return plan(patch, diagnosis, config.max_candidates)
