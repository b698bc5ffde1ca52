"""Access logs of nginx and Apache: each line is a request, and becomes a server span.

Read are the common and the combined format, with or without a virtual host before it.
A number with a point at the end of a line is taken as nginx's ``$request_time`` in
seconds; without one a span has no duration. The time is that of the log, to the second.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from selfheal.telemetry.columns import Unusual
from selfheal.telemetry.formats.access_columns import requests_of
from selfheal.telemetry.formats.access_parts import NOTHING, lasted_ns, route_of
from selfheal.telemetry.formats.attributes import json_text
from selfheal.telemetry.formats.events import NOBODY
from selfheal.telemetry.formats.times import access_time_ns
from selfheal.telemetry.sink import Sink
from selfheal.telemetry.sources import Lines

_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_LINE = re.compile(
    r"(?:(?P<host>[\w.-]+:\d+) )?(?P<client>\S+) \S+ (?P<user>\S+(?: \S+)*?) "
    rf"\[(?P<time>[^\]]+)\] {_QUOTED.replace('(', '(?P<request>', 1)} (?P<status>\d{{3}}|-) "
    r"(?P<size>\d+|-)"
    rf"(?: {_QUOTED.replace('(', '(?P<referrer>', 1)} {_QUOTED.replace('(', '(?P<agent>', 1)})?"
    r"(?P<rest> .*)?$",
    re.ASCII,
)
_REQUEST = re.compile(r"(?P<method>[A-Z]{3,20}) (?P<target>\S+)(?: HTTP/(?P<version>[\d.]+))?$")
# Apache puts a backslash before quotes; nginx writes them, and what is not ASCII, as \\xHH.
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|[\"\\])")
# So much is read together; below so many lines, one by one. Halving ends soon.
_BLOCK = 128 * 1024
_FEW = 128


def is_request(text: str) -> bool:
    """Whether a line is one of an access log."""
    match = _LINE.match(text)
    return match is not None and access_time_ns(match["time"]) is not None


def read(lines: Lines, sink: Sink) -> None:
    """Read an access log from `lines` into `sink`, as columns where nothing is unusual."""
    for chunk in lines.chunks(_BLOCK):
        _read_block(chunk, lines, sink)


def _read_block(block: bytes, lines: Lines, sink: Sink) -> None:
    """Read some lines; those with something unusual are found by halving."""
    import numpy as np
    import pyarrow as pa

    rows = block.count(b"\n") + 1
    if rows < _FEW:
        for raw in block.split(b"\n"):
            lines.read += 1
            _read_line(lines.decoded(raw.rstrip(b"\r")), lines, sink)
        return
    try:
        found = requests_of(block, lines.read + 1, sink.name)
    except Unusual:
        middle = block.rfind(b"\n", 0, len(block) // 2)
        middle = block.find(b"\n") if middle < 0 else middle
        _read_block(block[:middle], lines, sink)
        _read_block(block[middle + 1 :], lines, sink)
        return
    source = pa.array(np.full(rows, sink.source, dtype=np.int32))
    sink.spans.add_columns({**found.columns, "source": source}, rows)
    sink.without_timestamp += found.without_time
    lines.read += rows


def _read_line(text: str, lines: Lines, sink: Sink) -> None:
    if not text or text.isspace():
        lines.passed_over += 1
        return
    match = _LINE.match(text)
    if match is None:
        sink.refuse(lines.read, "no request of an access log in the common or combined format")
    else:
        _add(match, lines.read, sink)


def _add(match: re.Match[str], line: int, sink: Sink) -> None:
    request = _REQUEST.match(_unescaped(match["request"]))
    path, _, query = (request["target"] if request else "").partition("?")
    status = int(match["status"]) if match["status"] != "-" else None
    time_ns = access_time_ns(match["time"])
    if time_ns is None:
        sink.without_timestamp += 1
    duration_ns = lasted_ns(match["rest"] or "")
    # nginx writes a line, and takes its time, when the request is done.
    ended = time_ns is not None and duration_ns is not None
    start_ns = time_ns - duration_ns if ended else time_ns  # type: ignore[operator]
    digest = hashlib.sha256(f"{sink.name}\x00{line}".encode("utf-8", "replace")).hexdigest()
    sink.spans.add(
        (
            sink.spans.written,
            digest[:32],
            digest[32:48],
            None,
            *NOBODY,
            f"{request['method']} {route_of(path)}" if request else "invalid request",
            "server",
            start_ns if start_ns is None or start_ns > 0 else None,
            time_ns if ended else None,
            duration_ns / 1e6 if duration_ns is not None else None,
            "error" if status is not None and status >= 500 else "unset",
            *(None, None, None),
            request["method"] if request else None,
            None,
            path or None,
            query or None,
            status,
            *(None, None, None, None),
            None,
            json_text(_attributes(match, request)),
            sink.source,
            line,
        )
    )


def _attributes(match: re.Match[str], request: re.Match[str] | None) -> dict[str, Any]:
    """What has no column, named by OpenTelemetry's conventions."""
    size = match["size"]
    values = {
        "client.address": match["client"],
        "server.address": match["host"],
        "user.name": match["user"],
        "network.protocol.version": request["version"] if request else None,
        "http.response.body.size": size if size == "-" else int(size),
        "http.request.header.referer": _unescaped(match["referrer"]),
        "user_agent.original": _unescaped(match["agent"]),
        "http.request.line": None if request else match["request"],
    }
    return {name: value for name, value in values.items() if value not in NOTHING}


def _unescaped(text: str | None) -> str:
    """A quoted field as the client sent it."""
    if not text or "\\" not in text:
        return text or ""
    plain = _ESCAPE.sub(
        lambda code: chr(int(code[1][1:], 16)) if len(code[1]) == 3 else code[1], text
    )
    try:
        return plain.encode("latin-1").decode()
    except UnicodeError:
        return plain
