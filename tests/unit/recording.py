"""Builds OTLP recordings for tests: spans as plain rows, written as export requests."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from selfheal.artifacts import Dataset
from selfheal.telemetry import ingest

START = 1_714_564_800_000_000_000
SECOND = 1_000_000_000


def attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    """OTLP key-value pairs of texts and integers."""
    return [
        {
            "key": key,
            "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value},
        }
        for key, value in values.items()
    ]


@dataclass
class Recording:
    """Collects traces; `save` writes them and `dataset` ingests them."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    spans: int = 0

    def trace(
        self,
        release: str | None,
        operation: str,
        at: float,
        milliseconds: float,
        *,
        steps: tuple[tuple[str, float, float], ...] = (),
        service: str = "shop",
        instance: str = "a",
        status: int = 200,
        error: tuple[str, str, str] | None = None,
        values: dict[str, Any] | None = None,
        step_values: dict[str, Any] | None = None,
    ) -> str:
        """One request `at` seconds; steps are (name, from ms, to ms). Returns the trace id."""
        number = len(self.requests) + 1
        trace_id = f"{number:032x}"
        begun = START + round(at * SECOND)
        entry = self._span(trace_id, None, operation, 2, begun, milliseconds)
        entry["attributes"] = attributes(
            {"http.request.method": "GET", "http.response.status_code": status, **(values or {})}
        )
        if status >= 500:
            entry["status"] = {"code": 2}
        if error is not None:
            names = ("exception.type", "exception.message", "exception.stacktrace")
            entry["events"] = [
                {
                    "name": "exception",
                    "timeUnixNano": str(begun + 1000),
                    "attributes": attributes(dict(zip(names, error, strict=True))),
                }
            ]
        spans = [entry]
        for name, first, last in steps:
            step = self._span(
                trace_id, entry["spanId"], name, 1, begun + round(first * 1e6), last - first
            )
            step["attributes"] = attributes(step_values or {})
            spans.append(step)
        resource = {"service.name": service, "service.instance.id": instance}
        if release is not None:
            resource["service.version"] = release
        scope_spans = [{"scope": {"name": "tests"}, "spans": spans}]
        self.requests.append(
            {
                "resourceSpans": [
                    {"resource": {"attributes": attributes(resource)}, "scopeSpans": scope_spans}
                ]
            }
        )
        return trace_id

    def _span(
        self, trace_id: str, parent: str | None, name: str, kind: int, begun: int, lasting: float
    ) -> dict[str, Any]:
        self.spans += 1
        return {
            "traceId": trace_id,
            "spanId": f"{self.spans:016x}",
            "parentSpanId": parent or "",
            "name": name,
            "kind": kind,
            "startTimeUnixNano": str(begun),
            "endTimeUnixNano": str(begun + round(lasting * 1e6)),
        }

    def log(
        self,
        release: str | None,
        at: float,
        severity: str,
        body: str,
        *,
        service: str = "shop",
        logger: str = "shop.orders",
        trace_id: str = "",
        values: dict[str, Any] | None = None,
    ) -> None:
        """One log record `at` seconds; `severity` is OTLP's text, such as ERROR."""
        record = {
            "timeUnixNano": str(START + round(at * SECOND)),
            "severityText": severity,
            "body": {"stringValue": body},
            "traceId": trace_id,
            "attributes": attributes(values or {}),
        }
        resource = {"service.name": service}
        if release is not None:
            resource["service.version"] = release
        scope_logs = [{"scope": {"name": logger}, "logRecords": [record]}]
        resource_logs = {
            "resource": {"attributes": attributes(resource)},
            "scopeLogs": scope_logs,
        }
        self.requests.append({"resourceLogs": [resource_logs]})

    def save(self, file: Path) -> Path:
        """Write one export request a line."""
        file.write_text("".join(json.dumps(request) + "\n" for request in self.requests))
        return file

    def dataset(self, folder: Path, *others: Path) -> Dataset:
        """Ingest the recording together with other files."""
        return ingest([self.save(folder / "traces.jsonl"), *others], folder, "dataset").dataset
