"""The parse phase on its own examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from selfheal.contract import Failed, Handler
from selfheal.errors import TelemetryError
from selfheal_handlers.telemetry import HANDLERS


@pytest.mark.parametrize("handler", HANDLERS, ids=lambda handler: handler.name)
def test_every_example_runs(handler: Handler[..., Any], tmp_path: Path) -> None:
    result = handler(**handler.example(tmp_path))
    assert not isinstance(result, Failed)
