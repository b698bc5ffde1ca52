"""Canonical JSON: equal values give equal bytes.

Keys sorted, no spaces, UTF-8, no NaN or infinity; a newline ends the file so that
line tools read it (after RFC 8785 in spirit; numbers as Python writes them, which
is the shortest text that reads back as the same double).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def canonical_bytes(value: Any) -> bytes:
    """`value` (JSON types only) as canonical bytes. Raises ValueError on NaN or infinity."""
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode("utf-8", "surrogatepass") + b"\n"


def sha256_of(content: bytes) -> str:
    """The hex SHA-256 of some bytes."""
    return hashlib.sha256(content).hexdigest()


def sha256_of_file(path: Path) -> str:
    """The hex SHA-256 of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def short_id(prefix: str, *parts: Any) -> str:
    """A stable identifier such as ``anomaly-3f9a1c2b7d10`` from what identifies the thing."""
    return f"{prefix}-{sha256_of(canonical_bytes(list(parts)))[:12]}"
