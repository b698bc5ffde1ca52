"""The beats of the fix phase do their work on their own examples."""

from __future__ import annotations

from pathlib import Path

import pytest
from selfheal_handlers.fix import HANDLERS


@pytest.mark.parametrize("beat", HANDLERS, ids=lambda beat: beat.name)
def test_example_runs(beat, tmp_path: Path):
    result = beat(**beat.example(tmp_path))
    assert result is not None
    if hasattr(result, "summary"):
        assert result.summary
