"""Small edits that may fix an error, likeliest first, for a search that tries them all.

propose_edits(…)       edits of suspicious lines, lazily
propose_pairs(…)       two edits at once, where one of them made progress
compiled_function(…)   the code of the function that an edit changes
read_hints(…)          what the texts of failures say of the fix
"""

from __future__ import annotations

from selfheal.repair.edits.engine import propose_edits
from selfheal.repair.edits.hints import read_hints
from selfheal.repair.edits.model import ChangedFunction, CodeEdit, Hints, Operator, Suspect
from selfheal.repair.edits.pairs import propose_pairs
from selfheal.repair.edits.piece import compiled_function

__all__ = [
    "ChangedFunction",
    "CodeEdit",
    "Hints",
    "Operator",
    "Suspect",
    "compiled_function",
    "propose_edits",
    "propose_pairs",
    "read_hints",
]
