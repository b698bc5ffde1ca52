"""Requests of access logs as columns: one expression over a block of lines.

It gives what `selfheal.telemetry.formats.access_log` gives line by line, which also
reads what is `Unusual` here: bytes beyond ASCII, escapes, lines that are no request.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from selfheal.telemetry.columns import Unusual, constant, numbered, taken
from selfheal.telemetry.formats.access_parts import NOTHING, lasted_ns, routes_of
from selfheal.telemetry.formats.attributes import json_text
from selfheal.telemetry.formats.times import access_time_ns
from selfheal.telemetry.model import SPANS, arrow_schema

if TYPE_CHECKING:
    import pyarrow as pa

_LINES = re.compile(
    r"^(?:([\w.-]+:\d+) )?(\S+) \S+ (\S+(?: \S+)*?) \[([^\]\n]+)\] "
    r'"(?:([A-Z]{3,20}) ([^\s"]+)(?: HTTP/([\d.]+))?|([^"\n]*))" (\d{3}|-) (\d{1,18}|-)'
    r'(?: "([^"\n]*)" "([^"\n]*)")?( .*)?$',
    re.ASCII | re.MULTILINE,
)
# Escapes, and what some but not all take for white space.
_UNUSUAL = (b"\\", b"\r", b"\x1c", b"\x1d", b"\x1e", b"\x1f")


class Requests(NamedTuple):
    """Columns of spans, and how many of them have no time."""

    columns: dict[str, pa.Array]
    without_time: int


def requests_of(content: bytes, first: int, name: str) -> Requests:
    """The spans of the lines of a block, the first of which is line `first` of the file `name`.

    All columns but `source`. Raises Unusual.
    """
    lines = content.count(b"\n") + 1
    if not content.isascii() or any(byte in content for byte in _UNUSUAL):
        raise Unusual
    found = _LINES.findall(content.decode())
    if len(found) != lines:
        raise Unusual
    (hosts, clients, users, times, methods, targets, versions, others, statuses, sizes,
     referrers, agents, rests) = zip(*found, strict=True)  # fmt: skip
    parts = [target.partition("?") for target in targets]
    paths = [path for path, _, _ in parts]
    columns = _moments(times, rests) | _statuses(statuses) | _ids(first, lines, name)
    texts: dict[str, Sequence[str | None]] = {
        "operation": [
            f"{method} {route}" if method else "invalid request"
            for method, route in zip(methods, routes_of(paths), strict=True)
        ],
        "http_method": [method or None for method in methods],
        "http_path": [path or None for path in paths],
        "http_query": [query or None for _, _, query in parts],
        "attributes": list(
            map(_attributes, hosts, clients, users, versions, sizes, referrers, agents, others)
        ),
    }
    missing = sum(access_time_ns(time) is None for time in times)
    return Requests(_complete(columns, texts, lines), missing)


def _complete(
    columns: dict[str, pa.Array], texts: dict[str, Sequence[str | None]], lines: int
) -> dict[str, pa.Array]:
    import pyarrow as pa

    columns |= {name: pa.array(values, pa.string()) for name, values in texts.items()}
    columns["kind"] = constant("server", pa.string(), lines)
    for field in arrow_schema(SPANS):
        if field.name not in columns and field.name not in ("id", "source"):
            columns[field.name] = pa.nulls(lines, field.type)
    return columns


def _moments(times: Sequence[str], rests: Sequence[str]) -> dict[str, pa.Array]:
    """Start, end and duration: a line is written, and has its time, when the request is done."""
    import pyarrow as pa

    starts: list[int | None] = []
    ends: list[int | None] = []
    durations: list[float | None] = []
    for time, rest in zip(times, rests, strict=True):
        at, lasted = access_time_ns(time), lasted_ns(rest)
        ended = at is not None and lasted is not None
        start = at - lasted if at is not None and lasted is not None else at
        starts.append(start if start is None or start > 0 else None)
        ends.append(at if ended else None)
        durations.append(None if lasted is None else lasted / 1e6)
    return {
        "start_ns": pa.array(starts, pa.int64()),
        "end_ns": pa.array(ends, pa.int64()),
        "duration_ms": pa.array(durations, pa.float64()),
    }


def _statuses(texts: Sequence[str]) -> dict[str, pa.Array]:
    import pyarrow as pa

    distinct, numbers = numbered(texts)
    codes = [None if text == "-" else int(text) for text in distinct]
    failed = ["error" if code is not None and code >= 500 else "unset" for code in codes]
    places = pa.array(numbers)
    return {
        "http_status": taken(codes, pa.int32(), places),
        "status": taken(failed, pa.string(), places),
    }


def _ids(first: int, lines: int, name: str) -> dict[str, pa.Array]:
    """Ids that follow from the file and the line."""
    import numpy as np
    import pyarrow as pa

    begun = hashlib.sha256(f"{name}\x00".encode("utf-8", "replace"))
    digests = []
    for line in range(first, first + lines):
        digest = begun.copy()
        digest.update(b"%d" % line)
        digests.append(digest.hexdigest())
    return {
        "trace_id": pa.array([digest[:32] for digest in digests], pa.string()),
        "span_id": pa.array([digest[32:48] for digest in digests], pa.string()),
        "line": pa.array(np.arange(first, first + lines, dtype=np.int32)),
    }


def _attributes(
    host: str, client: str, user: str, version: str, size: str, referrer: str, agent: str,
    request: str,
) -> str | None:  # fmt: skip
    """What has no column as JSON, put together of what comes again and the size."""
    before = _sender(client, host, user, version)
    behind = _browser(referrer, agent, request)
    number = "" if size == "-" else f'"http.response.body.size":{int(size)}'
    inner = ",".join(filter(None, (before, number, behind)))
    return f"{{{inner}}}" if inner else None


@lru_cache(maxsize=4096)
def _sender(client: str, host: str, user: str, version: str) -> str:
    return _inner(
        {
            "client.address": client,
            "server.address": host,
            "user.name": user,
            "network.protocol.version": version,
        }
    )


@lru_cache(maxsize=4096)
def _browser(referrer: str, agent: str, request: str) -> str:
    return _inner(
        {
            "http.request.header.referer": referrer,
            "user_agent.original": agent,
            "http.request.line": request,
        }
    )


def _inner(values: dict[str, str]) -> str:
    """An object of JSON without its braces, and without what says nothing."""
    said = {name: value for name, value in values.items() if value not in NOTHING}
    return (json_text(said) or "")[1:-1]
