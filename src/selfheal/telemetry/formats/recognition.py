"""How each format is told by the beginning of a file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

from selfheal.telemetry.sources import Head

_ROWS_LOOKED_AT = 50
_EXPORT_REQUEST = re.compile(r'"resource(Spans|Logs|Metrics)"\s*:')
_FRAMES = re.compile(r'"frames"\s*:\s*\[\s*[{\]]')
_RAW_LINE = re.compile(r'"raw"\s*:\s*"')
_COVERAGE = re.compile(r'\s*\{\s*"meta"\s*:\s*\{[^}]*"(show_contexts|branch_coverage)"')


def is_empty(head: Head) -> bool:
    return not head.content.strip() or (head.text is not None and not head.text.strip())


def is_otlp_json(head: Head) -> bool:
    return _starts(head, "{", "[") and _EXPORT_REQUEST.search(head.text or "") is not None


def is_coverage_json(head: Head) -> bool:
    return _COVERAGE.match(head.text or "") is not None


def is_xml(element: str) -> Callable[[Head], bool]:
    """Recognises XML by its root element."""
    pattern = re.compile(rf"(?>\s+|<\?xml[^>]*>|<!--.*?-->|<!DOCTYPE[^>]*>)*+<{element}\b", re.S)
    return lambda head: pattern.match(head.text or "") is not None


def is_beat_frames(head: Head) -> bool:
    text = head.text or ""
    return _starts(head, "{") and all(one.search(text) for one in (_FRAMES, _RAW_LINE))


def starts_with(begins: Callable[[str], bool]) -> Callable[[Head], bool]:
    """Recognises a format by the text from the first line that is not blank."""
    return lambda head: begins((head.text or "").lstrip())


def has_line(is_line: Callable[[str], bool]) -> Callable[[Head], bool]:
    """Recognises a format by any of the first lines."""
    return lambda head: any(is_line(row) for row in _rows(head))


def has_json_line(is_record: Callable[[object], bool]) -> Callable[[Head], bool]:
    """Recognises a format by the JSON in any of the first lines."""
    return lambda head: any(is_record(_json_or_none(row)) for row in _rows(head))


def _rows(head: Head) -> Iterator[str]:
    """The first rows that are not blank."""
    rows = (row for row in (head.text or "").split("\n") if row.strip())
    for _, row in zip(range(_ROWS_LOOKED_AT), rows, strict=False):
        yield row.rstrip("\r")


def _starts(head: Head, *beginnings: str) -> bool:
    return (head.text or "").lstrip().startswith(beginnings)


def _json_or_none(row: str) -> object:
    try:
        return json.loads(row) if row.lstrip().startswith("{") else None
    except (ValueError, RecursionError):
        return None
