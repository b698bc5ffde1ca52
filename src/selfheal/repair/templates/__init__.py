"""Edit templates: what a fix did, with holes where another fix may differ.

difference    the smallest changes between two versions of a file
generalise    the least general template of several changes (anti-unification)
matching      where a template fits a file, and the edit that it makes there

A template is Python text, `before` and `after`. Names like ``HOLE_1`` are its holes: each
stands for one piece of code, the same wherever the hole is named again.
"""

from selfheal.repair.templates.difference import Change, changes_between
from selfheal.repair.templates.generalise import generalised, template_of
from selfheal.repair.templates.matching import Match, edit_at, matches

__all__ = [
    "Change",
    "Match",
    "changes_between",
    "edit_at",
    "generalised",
    "matches",
    "template_of",
]
