"""Every registered handler carries an example that runs for real and stores canonically."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from selfheal_handlers import telemetry

from selfheal.artifacts import Tables
from selfheal.artifacts.canonical import canonical_bytes
from selfheal.artifacts.dataset import write_tables
from selfheal.artifacts.envelope import payload_model
from selfheal.contract import OUTCOMES, Failed, Handler
from selfheal.engine.perform import deserialized, serialized
from selfheal.registry import Registry


@pytest.mark.parametrize("handler", list(Registry()), ids=lambda handler: handler.name)
def test_the_example_runs_and_its_result_round_trips(
    handler: Handler[..., Any], tmp_path: Path
) -> None:
    arguments = handler.example(tmp_path)
    known = {parameter.name for parameter in handler.parameters}
    assert set(arguments) <= known
    result = handler(**arguments)
    assert result is not None
    assert not isinstance(result, Failed)
    if isinstance(result, OUTCOMES):
        return
    assert getattr(result, "summary", "nothing to sum up")
    if isinstance(result, Tables):
        result = write_tables(result.tables, tmp_path, "stored")
    content = serialized(handler, result)
    assert content == canonical_bytes(json.loads(content))
    # The parse phase names the sources where they lie; nobody else may name a place.
    assert handler in telemetry.HANDLERS or str(tmp_path) not in content.decode()
    again = deserialized(handler, content, tmp_path)
    assert serialized(handler, again) == content
    if handler.writes is not None:
        assert isinstance(result, payload_model(handler.writes))
