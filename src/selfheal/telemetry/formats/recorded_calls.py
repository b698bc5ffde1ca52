"""Calls that `selfheal.recorder` wrote: each is a span of the function that was called.

Arguments and result stand in the attribute ``selfheal.call``, in the form of
`selfheal.recorder.values`. An exception that left the function is told there and is no
error of the span: whether it was one is for the caller to say.
"""

from __future__ import annotations

from typing import Any

from selfheal.telemetry.formats.attributes import (
    integer_or_none,
    json_text,
    json_value,
    text_or_none,
)
from selfheal.telemetry.formats.events import MALFORMED, identifier, malformed, nanoseconds
from selfheal.telemetry.sink import Sink
from selfheal.telemetry.sources import Lines

SCHEMA = "selfheal/call/1"
SCOPE = "selfheal.recorder"
ATTRIBUTE = "selfheal.call"
_RESOURCE = ("service", "release", "commit", "instance", "environment")
_KEPT = ("module", "function", "args", "kwargs", "result", "exception", "unusable")


def is_call(document: object) -> bool:
    """Whether a JSON value is a call that was recorded."""
    return isinstance(document, dict) and document.get("schema") == SCHEMA


def read(lines: Lines, sink: Sink) -> None:
    """Read recorded calls from `lines` into `sink`."""
    for text in lines.filled():
        try:
            document = json_value(text)
            if not is_call(document):
                raise ValueError(f"no recorded call of the schema {SCHEMA}")
            _add(document, lines.read, sink)
        except MALFORMED as error:
            sink.refuse(lines.read, f"no recorded call: {malformed(error)}")


def _add(call: dict[str, Any], line: int, sink: Sink) -> None:
    module, function = str(call["module"]), str(call["function"])
    start_ns, took = nanoseconds(call.get("time_ns")), int(call.get("duration_ns") or 0)
    if start_ns is None:
        sink.without_timestamp += 1
    end_ns = None if start_ns is None else nanoseconds(start_ns + took)
    kept = {name: call[name] for name in _KEPT if name in call}
    name = f"{module}.{function}"
    sink.spans.add(
        (
            sink.spans.written,
            identifier(call.get("trace_id"), 16),
            identifier(call.get("span_id"), 8),
            identifier(call.get("parent_span_id"), 8),
            *(text_or_none(call.get(one)) for one in _RESOURCE),
            name,
            "internal",
            start_ns,
            end_ns,
            None if end_ns is None else took / 1e6,
            "unset",
            name,
            text_or_none(call.get("file")),
            integer_or_none(call.get("line")),
            *(None, None, None, None, None),
            *(None, None, None, None),
            SCOPE,
            json_text({ATTRIBUTE: kept}),
            sink.source,
            line,
        )
    )
