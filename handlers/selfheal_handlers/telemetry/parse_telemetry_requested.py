"""Beat 1 of parse: what to read, checked before anything is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selfheal.config import TelemetryConfig
from selfheal.contract import handler
from selfheal.errors import TelemetryError
from selfheal.telemetry.formats import AUTO, reader_named
from selfheal_handlers.telemetry._results import ParseRequest


def example(folder: Path) -> dict[str, Any]:
    return {"config": TelemetryConfig(paths=[str(folder)])}


@handler("parse_telemetry_requested", kind="pure", example=example)
def parse_telemetry_requested(config: TelemetryConfig) -> ParseRequest:
    """The request of this run: paths without repetitions, and a format that exists."""
    if not config.paths:
        raise TelemetryError(
            "no telemetry was given.",
            hint="Give files or folders with --telemetry, or telemetry.paths in selfheal.yaml.",
        )
    if config.format != AUTO:
        reader_named(config.format)
    return ParseRequest(
        paths=list(dict.fromkeys(config.paths)),
        format=config.format,
        refused_listed=config.refused_listed,
    )
