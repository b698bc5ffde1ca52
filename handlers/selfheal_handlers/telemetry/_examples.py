"""A small recording for the examples of this phase: a service that fails now and then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from selfheal.artifacts import Dataset
from selfheal.artifacts.dataset import write_tables
from selfheal.telemetry.extract import Extracted, Found, extract, find
from selfheal.telemetry.normalize import normalize


def telemetry_folder(folder: Path) -> Path:
    """A folder with one OTLP JSON file of 40 requests and one JSON-lines log."""
    target = folder / "telemetry"
    target.mkdir()
    requests = [json.dumps(_export_request(number)) for number in range(40)]
    (target / "traces.jsonl").write_text("\n".join(requests) + "\n")
    record = {"timestamp": "2024-05-01T12:00:00Z", "level": "WARNING", "message": "low stock"}
    (target / "app.log").write_text(json.dumps(record) + "\nnot a log line\n")
    return target


def found(folder: Path) -> Found:
    return find([telemetry_folder(folder)])


def extracted(folder: Path) -> Extracted:
    return extract(found(folder), folder, "extracted")


def extracted_and_normalized(folder: Path) -> tuple[Extracted, Dataset]:
    rows = extracted(folder)
    return rows, write_tables(normalize(rows.dataset), folder, "normalized")


def _export_request(number: int) -> dict[str, Any]:
    start = 1_714_564_800_000_000_000 + number * 250_000_000
    failed = number % 10 == 7
    event = {
        "name": "exception",
        "timeUnixNano": str(start + 1_000_000),
        "attributes": _attributes(
            {"exception.type": "KeyError", "exception.message": f"'{number}'"}
        ),
    }
    span = {
        "traceId": f"{number + 1:032x}",
        "spanId": f"{number + 1:016x}",
        "name": "GET /products",
        "kind": 2,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + 5_000_000 + number % 7 * 100_000),
        "status": {"code": 2 if failed else 0},
        "attributes": _attributes({"http.request.method": "GET", "url.path": "/products"}),
        "events": [event] if failed else [],
    }
    resource = _attributes({"service.name": "shop", "service.version": "1.0"})
    scope_spans = [{"scope": {"name": "example"}, "spans": [span]}]
    return {"resourceSpans": [{"resource": {"attributes": resource}, "scopeSpans": scope_spans}]}


def _attributes(values: dict[str, str]) -> list[dict[str, Any]]:
    return [{"key": key, "value": {"stringValue": value}} for key, value in values.items()]
