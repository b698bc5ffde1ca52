"""What the readers of several formats share: adding events, and reading ids, times and levels."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, NamedTuple

from selfheal.telemetry.formats.attributes import (
    RESOURCE_COLUMNS,
    json_text,
    take,
    text_or_none,
)
from selfheal.telemetry.sink import Sink
from selfheal.telemetry.tracebacks import (
    HEADER,
    bare_type,
    find_stack_trace,
    parse_traceback,
)

SEVERITIES = ("trace", "debug", "info", "warn", "error", "fatal")
# What reading a malformed document raises: its parts are missing, of another type, too
# large or too deep.
MALFORMED = (
    AttributeError,
    IndexError,
    KeyError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)
_INT64_MAX = 2**63 - 1
_HEX = re.compile(r"[0-9a-f]+")


class Resource(NamedTuple):
    """Who sent it."""

    service: str | None
    release: str | None
    commit: str | None
    instance: str | None
    environment: str | None


def resource_of(attributes: dict[str, Any]) -> Resource:
    """Who sent it, by the attributes of a resource, which are taken out."""
    return Resource(
        **{name: text_or_none(take(attributes, of)) for name, of in RESOURCE_COLUMNS.items()}
    )


NOBODY = Resource(None, None, None, None, None)


class ErrorDetails(NamedTuple):
    """What is known of one exception."""

    exception_type: str | None
    message: str | None
    stacktrace: str | None


NO_ERROR = ErrorDetails(None, None, None)


def add_log(
    sink: Sink,
    *,
    time_ns: int | None,
    severity: str | None,
    body: str | None,
    logger: str | None,
    resource: Resource,
    ids: tuple[str | None, str | None],
    error: ErrorDetails,
    attributes: dict[str, Any],
    line: int,
) -> None:
    """Add a log record, and the exception that it tells of."""
    if time_ns is None:
        sink.without_timestamp += 1
    sink.logs.add(
        (
            sink.logs.written,
            time_ns,
            severity,
            body,
            logger,
            resource.service,
            resource.release,
            resource.instance,
            *ids,
            *error,
            json_text(attributes),
            sink.source,
            line,
        )
    )
    if any(error):
        add_exception(
            sink,
            origin="log",
            time_ns=time_ns,
            resource=resource,
            operation=None,
            logger=logger,
            ids=ids,
            error=error,
            escaped=None,
            line=line,
        )


def add_exception(
    sink: Sink,
    *,
    origin: str,
    time_ns: int | None,
    resource: Resource,
    operation: str | None,
    logger: str | None,
    ids: tuple[str | None, str | None],
    error: ErrorDetails,
    escaped: bool | None,
    line: int,
) -> None:
    """Add one mention of an exception."""
    error = _as_raised(error)
    sink.exceptions.add(
        (
            sink.exceptions.written,
            origin,
            time_ns,
            resource.service,
            resource.release,
            operation,
            logger,
            *ids,
            *error,
            escaped,
            sink.source,
            line,
        )
    )


def _as_raised(error: ErrorDetails) -> ErrorDetails:
    """With the message as the traceback ends with it.

    Recorders differ (OpenTelemetry's logging handler writes the first argument, its
    spans the exception as text: KeyError "x" and "'x'"); the traceback is what they share.
    """
    parsed = parse_traceback(error.stacktrace) if error.stacktrace else None
    if parsed is None or bare_type(parsed.exception_type) != bare_type(
        error.exception_type or parsed.exception_type
    ):
        return error
    return ErrorDetails(
        error.exception_type or parsed.exception_type, parsed.message, error.stacktrace
    )


def exception_in(text: str | None) -> ErrorDetails:
    """The exception whose traceback a text holds, if any."""
    if not text or "\n" not in text:
        return NO_ERROR
    if HEADER in text:
        if parsed := parse_traceback(text):
            return ErrorDetails(parsed.exception_type, parsed.message, text[text.index(HEADER) :])
    elif "at " in text and (found := find_stack_trace(text)):
        return ErrorDetails(found[0].exception_type, found[0].message, found[1])
    return NO_ERROR


def identifier(value: Any, size: int) -> str | None:
    """An id of `size` bytes in lower-case hex, from hex or base64; None where it is none or zero."""
    if not isinstance(value, str) or not value:
        return None
    text = value.lower()
    if len(text) != 2 * size:
        try:
            text = base64.b64decode(value, validate=True).hex()
        except (binascii.Error, ValueError):
            return None
    if len(text) != 2 * size or not _HEX.fullmatch(text) or not text.strip("0"):
        return None
    return text


def nanoseconds(value: Any) -> int | None:
    """A time in nanoseconds; 0 and what is no 64-bit number mean that there is none."""
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 < number <= _INT64_MAX else None


def malformed(error: Exception) -> str:
    """What a MALFORMED exception says, as the reason of a refusal."""
    match error:
        case KeyError():
            return f"it lacks {error}"
        case RecursionError():
            return "it is nested too deeply"
        case _:
            return str(error)[:200]


def severity_name(text: Any) -> str | None:
    """A level's name as one of the six of OpenTelemetry; None where it is none of them."""
    return _LEVELS.get(str(text or "").strip().lower())


_LEVELS = {name: name for name in SEVERITIES} | {
    "warning": "warn",
    "critical": "fatal",
    "exception": "error",
    "err": "error",
    "information": "info",
    "notice": "info",
    "verbose": "trace",
    "vrb": "trace",
    "dbg": "debug",
    "inf": "info",
    "wrn": "warn",
    "ftl": "fatal",
    "emerg": "fatal",
    "alert": "fatal",
    "crit": "fatal",
}
