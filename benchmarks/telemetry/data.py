"""Telemetry to measure with: the same spans as OTLP JSON, OTLP protobuf and flat JSON, and logs.

Everything follows from a fixed seed. A trace is a server span with four spans below it;
one server span in a hundred fails with an exception. Each request carries a path with
an id of its own, as production does, so that not everything repeats.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

SEED = 20_240_501
FIRST_NS = 1_714_564_800_000_000_000
SPANS_PER_TRACE = 5
SPANS_PER_REQUEST = 200
_SERVICES = ("cart", "catalogue", "payment")
_ROUTES = tuple(f"/api/{noun}/{{id}}" for noun in ("orders", "items", "users", "carts", "prices"))
_BELOW = ("authorise", "SELECT shop", "render", "publish order.created")
_TRACEBACK = (
    "Traceback (most recent call last):\n"
    '  File "/srv/shop/web.py", line 90, in handle\n    return self.route(request)\n'
    '  File "/srv/shop/orders.py", line 44, in total\n    return sum(item.price for item in items)\n'
    "ValueError: no price for item {0}"
)


class Sums(NamedTuple):
    """What every reader must find: how many rows, and the sum of all durations in ns."""

    rows: int
    nanoseconds: int


class Span(NamedTuple):
    trace_id: str
    span_id: str
    parent: str
    service: str
    release: str
    name: str
    kind: int
    start_ns: int
    duration_ns: int
    route: str
    path: str
    status: int
    failed: bool
    number: int


def spans(count: int) -> Iterator[Span]:
    """`count` spans in the order of their traces."""
    chance = random.Random(SEED)
    bits = chance.getrandbits
    for number in range(0, count, SPANS_PER_TRACE):
        trace_id, root = f"{bits(128) | 1:032x}", f"{bits(64) | 1:016x}"
        service = _SERVICES[number // SPANS_PER_TRACE % 3]
        route = _ROUTES[bits(8) % 5]
        path = route.replace("{id}", str(bits(20)))
        start = FIRST_NS + number * 200_000
        failed = bits(10) < 10
        duration = 1_000_000 + int(chance.expovariate(1e-7))
        common = (route, path, 500 if failed else 200, failed, number)
        release = f"1.{number * 4 // max(count, 1)}"
        yield Span(
            trace_id, root, "", service, release, f"GET {route}", 2, start, duration, *common
        )
        for below in range(min(SPANS_PER_TRACE, count - number) - 1):
            span_id = f"{bits(64) | 1:016x}"
            part = duration // 5 - bits(12)
            begun = start + below * duration // 5
            yield Span(
                trace_id, span_id, root, service, release, _BELOW[below], (1, 3, 1, 4)[below],
                begun, part, route, path, 200, False, number,
            )  # fmt: skip


def _attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"key": key, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}}
        for key, value in values.items()
    ]  # fmt: skip


def _values(span: Span) -> dict[str, Any]:
    if not span.parent:
        return {
            "http.request.method": "GET",
            "http.route": span.route,
            "url.path": span.path,
            "http.response.status_code": span.status,
            "server.address": f"{span.service}.shop.example",
        }
    if span.kind == 3:
        return {"db.system.name": "postgresql", "db.query.text": "SELECT * FROM items WHERE id = ?"}
    return {"code.function.name": f"shop.{span.name.replace(' ', '_')}", "thread.name": "worker"}


def _otlp_span(span: Span) -> dict[str, Any]:
    end = span.start_ns + span.duration_ns
    row: dict[str, Any] = {"traceId": span.trace_id, "spanId": span.span_id}
    if span.parent:
        row["parentSpanId"] = span.parent
    row |= {
        "flags": 257,
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": str(span.start_ns),
        "endTimeUnixNano": str(end),
        "attributes": _attributes(_values(span)),
    }
    if span.failed:
        error = {
            "exception.type": "ValueError",
            "exception.message": f"no price for item {span.number}",
            "exception.stacktrace": _TRACEBACK.format(span.number),
        }
        row["events"] = [
            {"timeUnixNano": str(end - 1000), "name": "exception", "attributes": _attributes(error)}
        ]
    row["status"] = {"code": 2, "message": "failed"} if span.failed else {}
    return row


def requests(count: int) -> Iterator[dict[str, Any]]:
    """The spans as export requests, as a collector batches them: of one service each."""
    waiting: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for span in spans(count):
        batch = waiting.setdefault((span.service, span.release), [])
        batch.append(_otlp_span(span))
        if len(batch) == SPANS_PER_REQUEST:
            yield _request(span.service, span.release, batch)
            del waiting[span.service, span.release]
    for (service, release), batch in waiting.items():
        yield _request(service, release, batch)


def _request(service: str, release: str, batch: list[dict[str, Any]]) -> dict[str, Any]:
    resource = {
        "service.name": service,
        "service.version": release,
        "service.instance.id": f"{service}-1",
        "telemetry.sdk.language": "python",
    }
    scope = {"name": "opentelemetry.instrumentation.flask", "version": "0.50b0"}
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": _attributes(resource)},
                "scopeSpans": [{"scope": scope, "spans": batch}],
            }
        ]
    }


def sums(count: int) -> Sums:
    return Sums(count, sum(span.duration_ns for span in spans(count)))


def write_otlp_json(file: Path, count: int) -> None:
    with file.open("w") as output:
        for request in requests(count):
            output.write(json.dumps(request, separators=(",", ":")) + "\n")


def write_otlp_protobuf(file: Path, count: int) -> None:
    """Each request after its length in four bytes, as the collector's file exporter does."""
    from google.protobuf.json_format import ParseDict
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    with file.open("wb") as output:
        for request in requests(count):
            for span in request["resourceSpans"][0]["scopeSpans"][0]["spans"]:
                for name in ("traceId", "spanId", "parentSpanId"):
                    if name in span:
                        # Protobuf's JSON mapping takes bytes as base64.
                        span[name] = _base64(span[name])
            content = ParseDict(request, ExportTraceServiceRequest()).SerializeToString()
            output.write(len(content).to_bytes(4) + content)


def _base64(text: str) -> str:
    import base64

    return base64.b64encode(bytes.fromhex(text)).decode()


def write_flat_json(file: Path, count: int) -> None:
    """One span a line, as tracing libraries without OTLP and exports of tables write them."""
    with file.open("w") as output:
        for span in spans(count):
            row = {
                "trace_id": span.trace_id,
                "span_id": span.span_id,
                "parent_span_id": span.parent or None,
                "service": span.service,
                "version": span.release,
                "name": span.name,
                "kind": ("", "internal", "server", "client", "producer")[span.kind],
                "start_time_unix_nano": span.start_ns,
                "duration_ns": span.duration_ns,
                "status": "error" if span.failed else "unset",
                "http.route": span.route,
                "url.path": span.path,
                "http.response.status_code": span.status,
            }
            output.write(json.dumps(row, separators=(",", ":")) + "\n")


def write_logs(folder: Path, lines: int, files: int) -> None:
    """Plain, JSON, beat and access logs in equal parts, spread over files."""
    folder.mkdir()
    chance = random.Random(SEED)
    kinds: tuple[Callable[[random.Random, str], str], ...] = (_plain, _json, _beat, _access)
    for number in range(files):
        count = lines // files + (number < lines % files)
        kind = kinds[number % len(kinds)]
        with (folder / f"{kind.__name__.strip('_')}-{number:03}.log").open("w") as output:
            for line in range(count):
                moment = FIRST_NS // 10**9 + number * 60 + line // 20
                hour, minute, second = moment // 3600 % 24, moment // 60 % 60, moment % 60
                clock = f"{hour:02}:{minute:02}:{second:02}"
                output.write(kind(chance, clock) + "\n")


def _plain(chance: random.Random, clock: str) -> str:
    level = chance.choice(("INFO", "INFO", "INFO", "WARNING", "ERROR"))
    return f"2024-05-01 {clock},{chance.randrange(1000):03} {level} shop.orders: order {chance.randrange(10**6)} took {chance.randrange(900)} ms"


def _json(chance: random.Random, clock: str) -> str:
    row = {
        "timestamp": f"2024-05-01T{clock}.{chance.randrange(10**6):06}Z",
        "level": chance.choice(("info", "warning", "error")),
        "logger": "shop.payment",
        "event": "payment accepted",
        "order": chance.randrange(10**6),
        "amount": chance.randrange(10**4),
    }
    return json.dumps(row)


def _beat(chance: random.Random, clock: str) -> str:
    moment = f"2024-05-01T{clock}.{chance.randrange(1000):03}Z"
    beat, took = chance.randrange(1, 6), chance.randrange(1, 4000) / 100
    return chance.choice(
        (
            f"{moment} BeatExecutor.ts:90 ✅ BeatExecutor: Beat {beat} (cart:item:add) completed in {took:.2f}ms",
            f"{moment} PerformanceTracker.ts:120 ⏱️ PerformanceTracker: Beat {beat} completed in {took:.2f}ms",
            f"{moment} DataBaton.ts:40 🎽 DataBaton: +total ~items | seq=cart beat={beat} event=cart:item:add handler=add plugin=shop",
            f'{moment} EventBus.ts:70 📡 EventBus: Subscribed to "cart:item:add"',
        )
    )


def _access(chance: random.Random, clock: str) -> str:
    status = chance.choice((200, 200, 200, 404, 500))
    return f'10.0.0.{chance.randrange(255)} - - [01/May/2024:{clock} +0000] "GET /items/{chance.randrange(10**5)} HTTP/1.1" {status} {chance.randrange(9000)} "-" "curl/8.0" {chance.randrange(900) / 1000:.3f}'
