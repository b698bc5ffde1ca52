"""What the two ways of reading access logs share: routes, and how long a request took."""

from __future__ import annotations

import re
from functools import lru_cache

NOTHING = frozenset((None, "-", ""))
_SECONDS = re.compile(r'"?(\d{1,9}\.\d{1,6})"?\s*$', re.ASCII)
_IDENTIFIER = (
    r"(?:\d+|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    r"|(?=[^/\n]*\d)[0-9a-fA-F]{8,})"
)
_SEGMENT = re.compile(_IDENTIFIER)
_SEGMENTS = re.compile(rf"(?:(?<=/)|^){_IDENTIFIER}(?=/|$)", re.MULTILINE)


def route_of(path: str) -> str:
    """A path whose segments that look like ids are ``{id}``, so that like requests are one."""
    return "/".join(map(_segment, path.split("/")))


def routes_of(paths: list[str]) -> list[str]:
    """`route_of` each; no path has a line break in it."""
    return _SEGMENTS.sub("{id}", "\n".join(paths)).split("\n")


@lru_cache(maxsize=4096)
def _segment(part: str) -> str:
    return "{id}" if _SEGMENT.fullmatch(part) else part


@lru_cache(maxsize=4096)
def lasted_ns(rest: str) -> int | None:
    """The duration at the end of what stands behind the fields of a line."""
    seconds = _SECONDS.search(rest)
    return round(float(seconds[1]) * 1e9) if seconds else None
