"""Reading the pattern library, whose ledger says what a strategy is worth."""

from __future__ import annotations

from pathlib import Path

from selfheal.artifacts import Patterns
from selfheal.artifacts.envelope import read_artifact

FILE = "patterns.json"


def read_patterns(artifacts: Path) -> Patterns | None:
    """The library of an artifacts folder, None where there is none. Raises InvalidInput."""
    path = artifacts / FILE
    if not path.exists():
        return None
    found = read_artifact(path, "patterns")
    assert isinstance(found, Patterns)
    return found
