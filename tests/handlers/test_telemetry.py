"""The parse phase on its own examples."""

from __future__ import annotations

from pathlib import Path

import pytest
from selfheal_handlers.telemetry import (
    parse_telemetry_completed,
    parse_telemetry_requested,
    store_telemetry_database,
)

from selfheal.artifacts import Telemetry
from selfheal.config import TelemetryConfig
from selfheal.contract import Failed
from selfheal.errors import TelemetryError


def stored(tmp_path: Path) -> Telemetry:
    result = store_telemetry_database(**store_telemetry_database.example(tmp_path))
    assert isinstance(result, Telemetry)
    return result


def test_telemetry_says_what_was_read_refused_and_measured(tmp_path: Path) -> None:
    telemetry = stored(tmp_path)
    assert (telemetry.events.spans, telemetry.events.logs, telemetry.events.errors) == (40, 1, 4)
    (refused,) = telemetry.refused.listed
    assert (refused.file, refused.line, telemetry.refused.total) == ("app.log", 2, 1)
    (operation,) = telemetry.operations
    assert (operation.operation, operation.release, operation.errors) == ("GET /products", "1.0", 4)
    assert [release.version for release in telemetry.releases if release.spans] == ["1.0"]
    assert str(tmp_path) not in telemetry.model_dump_json()


def test_nothing_to_read_and_an_unknown_format_are_said_at_once() -> None:
    with pytest.raises(TelemetryError, match="no telemetry was given"):
        parse_telemetry_requested(config=TelemetryConfig())
    with pytest.raises(TelemetryError, match="morse"):
        parse_telemetry_requested(config=TelemetryConfig(paths=["x"], format="morse"))


def test_files_without_one_event_fail_the_phase(tmp_path: Path) -> None:
    telemetry = stored(tmp_path)
    silent = [source.model_copy(update={"events_kept": 0}) for source in telemetry.sources]
    result = parse_telemetry_completed(telemetry=telemetry.model_copy(update={"sources": silent}))
    assert isinstance(result, Failed)
    assert "holds an event" in result.reason
    green = [source.model_copy(update={"format": "junit-xml"}) for source in silent]
    refused = telemetry.refused.model_copy(update={"total": 0})
    told = {"sources": green, "refused": refused}
    result = parse_telemetry_completed(telemetry=telemetry.model_copy(update=told))
    assert isinstance(result, Failed)
    assert "no failing test" in result.reason
