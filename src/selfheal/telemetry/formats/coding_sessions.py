"""Events of coding sessions: ``claude_code.*`` log records and spans.

They come as OTLP. The same attribute is a number on some events and a text on others
(``duration_ms`` is an int on ``api_request`` and a string on ``tool_result``); here they
become numbers, so that a query over `attributes` need not ask. Events and attributes
that are not known are kept as they are.
"""

from __future__ import annotations

import re
from typing import Any

from selfheal.telemetry.formats.events import NO_ERROR, ErrorDetails

PREFIX = "claude_code."
_NUMERIC = re.compile(
    r"(.*_(ms|tokens|usd|usd_micros|bytes|length|count|chars|index)|attempt|status_code"
    r"|event\.sequence|num_.*|total_.*)$"
)
_INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_NUMBER = re.compile(r"[+-]?\d{1,18}(\.\d+)?([eE][+-]?\d{1,2})?", re.ASCII)
_BOOLEAN = frozenset(("success",))


def is_event(body: str | None, attributes: dict[str, Any]) -> bool:
    """Whether a log record is an event of a coding session."""
    return (body or "").startswith(PREFIX) or str(attributes.get("event.name")).startswith(PREFIX)


def type_values(attributes: dict[str, Any]) -> None:
    """Turn numbers and truth values that came as text into what they are, in place."""
    for name, value in attributes.items():
        if not isinstance(value, str):
            continue
        if _NUMERIC.match(name):
            if _INTEGER.fullmatch(value):
                attributes[name] = int(value)
            elif _NUMBER.fullmatch(value):
                attributes[name] = float(value)
        elif name in _BOOLEAN and value in ("true", "false"):
            attributes[name] = value == "true"


def error_of(body: str | None, attributes: dict[str, Any]) -> ErrorDetails:
    """The error that an event like ``claude_code.api_error`` tells of."""
    name = body if (body or "").startswith(PREFIX) else attributes.get("event.name")
    if not str(name).endswith("_error"):
        return NO_ERROR
    message = attributes.get("error") or attributes.get("error.message") or ""
    return ErrorDetails(str(name), str(message), None)
