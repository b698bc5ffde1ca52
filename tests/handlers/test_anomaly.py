"""The detect phase on its own examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from selfheal_handlers.anomaly import HANDLERS

from selfheal.contract import Handler


@pytest.mark.parametrize("handler", HANDLERS, ids=lambda handler: handler.name)
def test_every_example_finds_what_the_recording_holds(
    handler: Handler[..., Any], tmp_path: Path
) -> None:
    result = handler(**handler.example(tmp_path))
    if handler.name in EXPECTED:
        assert [finding.title for finding in result] == EXPECTED[handler.name]


EXPECTED: dict[str, list[str]] = {}
