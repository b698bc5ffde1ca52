"""The operators: each one kind of fix, in tables of what becomes what."""

from __future__ import annotations

from selfheal.repair.edits.model import Operator
from selfheal.repair.edits.operators import (
    access,
    arguments,
    arithmetic,
    boundaries,
    calls,
    coercions,
    comparisons,
    conditions,
    copies,
    failures,
    guards,
    imports,
    insertions,
    literals,
    names,
    patterns,
    returns,
    slips,
    statements,
    strings,
)

OPERATORS: tuple[Operator, ...] = (
    *comparisons.OPERATORS,
    *arithmetic.OPERATORS,
    *boundaries.OPERATORS,
    *conditions.OPERATORS,
    *names.OPERATORS,
    *calls.OPERATORS,
    *arguments.OPERATORS,
    *copies.OPERATORS,
    *literals.OPERATORS,
    *strings.OPERATORS,
    *patterns.OPERATORS,
    *returns.OPERATORS,
    *slips.OPERATORS,
    *statements.OPERATORS,
    *insertions.OPERATORS,
    *guards.OPERATORS,
    *access.OPERATORS,
    *failures.OPERATORS,
    *coercions.OPERATORS,
    *imports.OPERATORS,
)
