"""Candidate repairs: strategies that propose edits, patches made of them, and their order.

STRATEGIES          the table of plug-ins, in the order in which they are asked
propose(problem)    the distinct edits for one diagnosis
candidates(…)       edits with test and documentation as ranked unified diffs
merge_patches(…)    the files after several patches with one base
"""

from __future__ import annotations

from selfheal.repair.candidates import (
    Documentation,
    candidates,
    documentation,
    propose,
    without_faults,
)
from selfheal.repair.diff import apply_patch, parse_patch, patch_of, unified_diff
from selfheal.repair.edit import Edit, Splice, edited
from selfheal.repair.merge import combine_patches, merge, merge_patches, revert
from selfheal.repair.problem import Client, FileChange, Problem, SuspectChange, Work
from selfheal.repair.regression import RegressionTest, regression_test
from selfheal.repair.strategies import STRATEGIES, STRATEGY_NAMES
from selfheal.repair.strategies.base import Example, Strategy

__all__ = [
    "STRATEGIES",
    "STRATEGY_NAMES",
    "Client",
    "Documentation",
    "Edit",
    "Example",
    "FileChange",
    "Problem",
    "RegressionTest",
    "Splice",
    "Strategy",
    "SuspectChange",
    "Work",
    "apply_patch",
    "candidates",
    "combine_patches",
    "documentation",
    "edited",
    "merge",
    "merge_patches",
    "parse_patch",
    "patch_of",
    "propose",
    "regression_test",
    "revert",
    "unified_diff",
    "without_faults",
]
