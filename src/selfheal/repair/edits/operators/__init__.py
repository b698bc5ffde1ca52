"""The operators: each one kind of fix, in tables of what becomes what."""

from __future__ import annotations

from selfheal.repair.edits.model import Operator
from selfheal.repair.edits.operators import (
    arithmetic,
    boundaries,
    calls,
    comparisons,
    conditions,
    copies,
    failures,
    guards,
    imports,
    literals,
    names,
    returns,
    statements,
)

OPERATORS: tuple[Operator, ...] = (
    *comparisons.OPERATORS,
    *arithmetic.OPERATORS,
    *boundaries.OPERATORS,
    *conditions.OPERATORS,
    *names.OPERATORS,
    *calls.OPERATORS,
    *copies.OPERATORS,
    *literals.OPERATORS,
    *returns.OPERATORS,
    *statements.OPERATORS,
    *guards.OPERATORS,
    *failures.OPERATORS,
    *imports.OPERATORS,
)
