"""The beats of this phase, in order."""

from __future__ import annotations

from typing import Any

from selfheal.contract import Handler
from selfheal_handlers.fix.create_patch import create_patch
from selfheal_handlers.fix.generate_code_fix import generate_code_fix
from selfheal_handlers.fix.generate_documentation_fix import generate_documentation_fix
from selfheal_handlers.fix.generate_fix_completed import generate_fix_completed
from selfheal_handlers.fix.generate_fix_requested import generate_fix_requested
from selfheal_handlers.fix.generate_test_fix import generate_test_fix
from selfheal_handlers.fix.load_diagnosis import load_diagnosis
from selfheal_handlers.fix.store_patch import store_patch
from selfheal_handlers.fix.validate_syntax import validate_syntax

HANDLERS: tuple[Handler[..., Any], ...] = (
    generate_fix_requested,
    load_diagnosis,
    generate_code_fix,
    generate_test_fix,
    generate_documentation_fix,
    create_patch,
    validate_syntax,
    store_patch,
    generate_fix_completed,
)
