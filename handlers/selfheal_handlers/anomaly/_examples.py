"""A small recording of two releases for the examples of this phase.

In release 1.1 of the example one operation is slower, one fails now and then, and the
step that checks the stock is left out in a part of the orders.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from selfheal.analysis.model import DetectionData
from selfheal.analysis.releases import compare
from selfheal.artifacts import Dataset, Telemetry
from selfheal.artifacts.dataset import describe
from selfheal.artifacts.telemetry import EventCounts, Refused, Window
from selfheal.telemetry import ingest

_REQUESTS = 240


def dataset(folder: Path) -> Dataset:
    """The ingested recording."""
    file = folder / "traces.jsonl"
    exports = [
        json.dumps(_export(release, number)) for release in (0, 1) for number in range(_REQUESTS)
    ]
    file.write_text("\n".join(exports) + "\n")
    return ingest([file], folder, "dataset").dataset


def detection_data(folder: Path) -> DetectionData:
    stored = dataset(folder)
    return DetectionData(dataset=stored, comparisons=compare(stored))


def telemetry(folder: Path) -> Telemetry:
    """A telemetry payload around the recording."""
    dataset(folder)
    return Telemetry(
        sources=[],
        refused=Refused(),
        events=EventCounts(),
        window=Window(),
        releases=[],
        operations=[],
        dataset=describe(folder, "dataset"),
    )


def _export(release: int, number: int) -> dict[str, Any]:
    start = 1_714_564_800_000_000_000 + (release * _REQUESTS + number) * 250_000_000
    spans = [_products, _order, _cart][number % 3](release, number, start)
    for place, span in enumerate(spans):
        span["traceId"] = f"{release * _REQUESTS + number + 1:032x}"
        span["spanId"] = f"{(release * _REQUESTS + number) * 10 + place + 1:016x}"
        if place:
            span["parentSpanId"] = spans[0]["spanId"]
    resource = _attributes(
        {"service.name": "shop", "service.version": f"1.{release}", "service.instance.id": "a"}
    )
    return {
        "resourceSpans": [
            {"resource": {"attributes": resource}, "scopeSpans": [{"scope": {}, "spans": spans}]}
        ]
    }


def _products(release: int, number: int, start: int) -> list[dict[str, Any]]:
    lasting = (5_000_000 + number % 7 * 100_000) * (1 + 2 * release)
    entry = _span("GET /products", 2, start, lasting)
    inner = _span("catalogue.find", 1, start + 500_000, lasting - 1_000_000)
    inner["attributes"] = _attributes(
        {"code.function.name": "shop.catalogue.find", "code.file.path": "/srv/shop/catalogue.py"}
    )
    return [entry, inner]


def _order(release: int, number: int, start: int) -> list[dict[str, Any]]:
    steps = [
        _span("stock.check", 1, start + 200_000, 500_000),
        _span("orders.place", 1, start + 800_000, 900_000),
    ]
    left_out = release == 1 and number % 4 == 0
    return [_span("POST /orders", 2, start, 2_000_000 + number % 5 * 50_000), *steps[left_out:]]


def _cart(release: int, number: int, start: int) -> list[dict[str, Any]]:
    entry = _span("GET /cart", 2, start, 1_000_000 + number % 6 * 50_000)
    if release == 1 and number % 4 == 0:
        entry["status"] = {"code": 2}
        stacktrace = (
            "Traceback (most recent call last):\n"
            f'  File "/srv/shop/cart.py", line {20 + number % 2}, in total\n'
            "    return rates[currency]\n"
            f"KeyError: 'currency {number}'"
        )
        values = {"exception.type": "KeyError", "exception.message": f"'currency {number}'"}
        entry["events"] = [
            {
                "name": "exception",
                "timeUnixNano": str(start + 100_000),
                "attributes": _attributes({**values, "exception.stacktrace": stacktrace}),
            }
        ]
    return [entry]


def _span(name: str, kind: int, start: int, lasting: int) -> dict[str, Any]:
    return {
        "name": name,
        "kind": kind,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + lasting),
    }


def _attributes(values: dict[str, str]) -> list[dict[str, Any]]:
    return [{"key": key, "value": {"stringValue": value}} for key, value in values.items()]
