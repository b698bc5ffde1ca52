"""OTLP JSON: traces, logs and metrics, one export request a line or one document.

As exporters, the collector's file exporter and `selfheal.telemetry.receiver` write it.
Ids are read as hex, or as base64 where a generic protobuf printer wrote them; enums as
numbers or names; 64-bit integers as numbers or strings.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

from selfheal.telemetry.columns import Unusual
from selfheal.telemetry.formats.attributes import attributes_of
from selfheal.telemetry.formats.events import MALFORMED, malformed, resource_of
from selfheal.telemetry.formats.otlp_columns import Request, SpanColumns, request_of
from selfheal.telemetry.formats.otlp_metrics import add_metric
from selfheal.telemetry.formats.otlp_records import add_record, add_span
from selfheal.telemetry.plan import divided_at
from selfheal.telemetry.sink import Sink
from selfheal.telemetry.sources import Lines, Undivided

Document = dict[str, Any]


_Signal = tuple[str, str, str, Callable[..., None]]

_TOGETHER_BYTES = 4 * 1024 * 1024

# Where a signal's records stand in a request, what one is called, and what adds it.
_SIGNALS: dict[str, _Signal] = {
    "resourceSpans": ("scopeSpans", "spans", "span", add_span),
    "resourceLogs": ("scopeLogs", "logRecords", "log record", add_record),
    "resourceMetrics": ("scopeMetrics", "metrics", "metric", add_metric),
}


def _begins_request(line: bytes) -> bool:
    stripped = line.strip()
    return stripped.startswith(b"{") and stripped != b"{"


def divide(content: mmap.mmap, size: int) -> Iterable[tuple[int, int | None]]:
    """Where a file may be divided: before a request, unless the file is one document."""
    first = content.find(b"{")
    end = content.find(b"\n", first)
    if first < 0 or content[first : max(first, end)].strip() in (b"", b"{"):
        return ()
    return divided_at(_begins_request)(content, size)


def read(lines: Lines, sink: Sink) -> None:
    """Read OTLP JSON from `lines` into `sink`: one request a line, or one document over all lines.

    Raises Undivided where the latter begins in a range.
    """
    blocks = lines.blocks()
    with _Together(SpanColumns(sink), sink) as together:
        for block in blocks:
            for position, raw in enumerate(block):
                lines.read += 1
                request = request_of(raw)
                if request is not None:
                    together.add(lines.read, raw, request)
                    continue
                together.flush()
                text = lines.decoded(raw)
                if text.strip() in ("{", "["):
                    _read_document(text, lines, block[position + 1 :], blocks, sink)
                    return
                if text.strip():
                    _read_line(text, lines.read, sink)
                else:
                    lines.passed_over += 1


class _Together:
    """Requests that are added many at a time, in their order, also where reading breaks off."""

    def __init__(self, spans: SpanColumns, sink: Sink) -> None:
        self._spans = spans
        self._sink = sink
        self._waiting: list[_Usual] = []
        self._size = 0

    def add(self, line: int, raw: bytes, request: Request) -> None:
        self._waiting.append((line, raw, request))
        self._size += len(raw)
        if self._size >= _TOGETHER_BYTES:
            self.flush()

    def flush(self) -> None:
        waiting, self._waiting, self._size = self._waiting, [], 0
        _add_usual(waiting, self._spans, self._sink)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()


_Usual = tuple[int, bytes, Request]


def _add_usual(requests: list[_Usual], spans: SpanColumns, sink: Sink) -> None:
    """Add requests as columns; those with something unusual are found by halving."""
    if not requests:
        return
    try:
        spans.add([(line, request) for line, _, request in requests])
    except Unusual:
        if len(requests) == 1:
            line, raw, _ = requests[0]
            _read_line(raw.decode(), line, sink)
        else:
            half = len(requests) // 2
            _add_usual(requests[:half], spans, sink)
            _add_usual(requests[half:], spans, sink)


def _read_line(text: str, line: int, sink: Sink) -> None:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        sink.refuse(line, f"not JSON: {malformed(error)}")
        return
    for item in document if isinstance(document, list) else [document]:
        read_request(item, line, sink)


def _read_document(
    first: str, lines: Lines, block: list[bytes], blocks: Iterator[list[bytes]], sink: Sink
) -> None:
    if not lines.to_the_end:
        raise Undivided
    begin = lines.read
    rows = [first]
    for rest in (block, *blocks):
        lines.measure(rest)
        rows += map(lines.decoded, rest)
        lines.read += len(rest)
    for line, item in _one_document("\n".join(rows), begin, sink):
        read_request(item, line, sink)


def read_request(document: Any, line: int, sink: Sink) -> None:
    """Add the records of one export request; what is malformed in it is refused at `line`."""
    if not isinstance(document, dict) or not (document.keys() & _SIGNALS.keys()):
        sink.refuse(line, "no OTLP export request")
        return
    for key, signal in _SIGNALS.items():
        try:
            for carrier in document.get(key) or ():
                _read_resource(carrier, signal, line, sink)
        except MALFORMED as error:
            sink.refuse(line, f"malformed {key}: {malformed(error)}")


def _read_resource(
    carrier: Document,
    signal: _Signal,
    line: int,
    sink: Sink,
) -> None:
    scopes, records, what, add = signal
    resource = resource_of(attributes_of((carrier.get("resource") or {}).get("attributes")))
    for scope in carrier.get(scopes) or ():
        name = (scope.get("scope") or {}).get("name")
        for record in scope.get(records) or ():
            try:
                add(record, resource, name, line, sink)
            except MALFORMED as error:
                sink.refuse(line, f"malformed {what}: {malformed(error)}")


def _one_document(text: str, line: int, sink: Sink) -> Iterator[tuple[int, Any]]:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        sink.refuse(line + error.lineno - 1, f"not JSON: {error.msg}")
        return
    except (ValueError, RecursionError) as error:
        sink.refuse(line, f"not JSON: {malformed(error)}")
        return
    for item in document if isinstance(document, list) else [document]:
        yield line, item
