"""OTLP attributes as Python values, and the columns that semantic conventions map to.

Each column lists the current name first and older ones after it; the first that is
there wins. Sources: OpenTelemetry semantic conventions 1.3x (http, code, db, exception,
service, deployment, vcs) and the names that they deprecated.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from types import NoneType
from typing import Any

import msgspec

SPAN_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "code_function": ("code.function.name",),
    "code_file": ("code.file.path", "code.filepath"),
    "code_line": ("code.line.number", "code.lineno"),
    "http_method": ("http.request.method", "http.method"),
    "http_route": ("http.route",),
    "http_path": ("url.path",),
    "http_query": ("url.query",),
    "http_status": ("http.response.status_code", "http.status_code"),
    "session_id": ("session.id",),
    "request_body": ("selfheal.request.body",),
    "request_content_type": ("selfheal.request.content_type",),
    "db_statement": ("db.query.text", "db.statement"),
}
RESOURCE_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "service": ("service.name",),
    "release": ("service.version",),
    "commit": ("vcs.ref.head.revision", "vcs.repository.ref.revision"),
    "instance": ("service.instance.id",),
    "environment": ("deployment.environment.name", "deployment.environment"),
}


def plain_value(value: Any) -> Any:
    """An OTLP AnyValue as a JSON value. Integers come as strings or numbers."""
    if not isinstance(value, dict):
        return value
    for kind, content in value.items():
        match kind:
            case "stringValue" | "boolValue" | "bytesValue":
                return content
            case "intValue":
                return int(content)
            case "doubleValue":
                return _double(content)
            case "arrayValue":
                return [plain_value(item) for item in content.get("values", ())]
            case "kvlistValue":
                return attributes_of(content.get("values", ()))
    return None


def attributes_of(
    pairs: Iterable[Mapping[str, Any]] | Mapping[str, Any] | None,
) -> dict[str, Any]:
    """OTLP key-value pairs as a dictionary; a mapping holds plain values already."""
    if pairs is None:
        return {}
    if isinstance(pairs, Mapping):
        return dict(pairs)
    return {str(pair["key"]): plain_value(pair.get("value")) for pair in pairs}


def take(attributes: dict[str, Any], names: tuple[str, ...]) -> Any:
    """Take a column's value out of the attributes; older names are taken out with it."""
    found = None
    for name in names:
        if name in attributes:
            value = attributes.pop(name)
            found = value if found is None else found
    return found


def places_of(columns: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[int, int]]:
    """For each name of an attribute the position of its column, and its rank among the names."""
    return {
        name: (position, rank)
        for position, names in enumerate(columns.values())
        for rank, name in enumerate(names)
    }


def taken_out(attributes: dict[str, Any], places: Mapping[str, tuple[int, int]]) -> dict[int, Any]:
    """What `take` takes for the columns of `places_of`, by position; columns without a value are left out."""
    found: dict[int, Any] = {}
    ranks: dict[int, int] = {}
    for name in places.keys() & attributes.keys():
        position, rank = places[name]
        value = attributes.pop(name)
        if value is not None and rank <= ranks.get(position, rank):
            found[position], ranks[position] = value, rank
    return found


def text_or_none(value: Any) -> str | None:
    """A value as text; structures as JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (dict, list, bool)):
        return json_text(value)
    return str(value)


def integer_or_none(value: Any) -> int | None:
    """A value as a 32-bit integer; None where it is none."""
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if -(2**31) <= number < 2**31 else None


def json_value(text: str) -> Any:
    """What `json.loads` gives, mostly faster. Raises ValueError, RecursionError as it does."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return json.loads(text)


def json_text(value: Any) -> str | None:
    """A structure as compact JSON; None for an empty one."""
    if not value and not isinstance(value, (bool, int, float)):
        return None
    if type(value) is dict and _SIMPLE.issuperset(map(type, value.values())):
        try:
            return msgspec.json.encode(value).decode()
        except (UnicodeEncodeError, OverflowError):
            pass
    try:
        return _ENCODER.encode(value)
    except ValueError:
        return _ENCODER.encode(_finite(value))


# What msgspec writes as the standard library does: floats look different there.
_SIMPLE = frozenset((str, int, bool, NoneType))
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, default=str, allow_nan=False)


def _finite(value: Any) -> Any:
    """A structure whose numbers JSON has no words for are texts."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value if not isinstance(value, float) or math.isfinite(value) else str(value)


def _double(content: Any) -> Any:
    number = float(content)
    # JSON has no words for these; the protobuf mapping writes them as strings too.
    return number if number - number == 0 else str(content)
