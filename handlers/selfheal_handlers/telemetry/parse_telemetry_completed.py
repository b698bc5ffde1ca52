"""Beat 7 of parse: the phase in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selfheal.artifacts import Telemetry
from selfheal.contract import Failed, handler
from selfheal_handlers.telemetry._results import ParseReport
from selfheal_handlers.telemetry.store_telemetry_database import example as store_example
from selfheal_handlers.telemetry.store_telemetry_database import store_telemetry_database

# Of these an event is a test that fails.
TEST_REPORTS = {"junit-xml", "pytest"}


def example(folder: Path) -> dict[str, Any]:
    return {"telemetry": store_telemetry_database(**store_example(folder))}


@handler("parse_telemetry_completed", kind="pure", example=example)
def parse_telemetry_completed(telemetry: Telemetry) -> ParseReport | Failed:
    """Report what was read; files without a single event in them are no telemetry."""
    events = telemetry.events
    if not any(source.events_kept for source in telemetry.sources):
        formats = {source.format for source in telemetry.sources}
        if formats and formats <= TEST_REPORTS and not telemetry.refused.total:
            return Failed(
                "the reports of tests tell of no failing test.",
                hint="Give the report of a run with failing tests, or telemetry of production.",
            )
        return Failed(
            f"none of the {len(telemetry.sources)} files holds an event; "
            f"{telemetry.refused.total} lines were refused.",
            hint="`selfheal show telemetry` lists the refused lines with their reasons.",
        )
    return ParseReport(
        spans=events.spans,
        logs=events.logs,
        errors=events.errors,
        releases=len(telemetry.releases),
        operations=len({(row.service, row.operation) for row in telemetry.operations}),
        lines_refused=telemetry.refused.total,
    )
