"""Telemetry files that are being written while they are read."""

from __future__ import annotations

from pathlib import Path

BLOCK = 1 << 16


def end_of_whole_lines(path: Path) -> int:
    """Where the last whole line of a file ends, in bytes: a line may be in the midst of being written."""
    with path.open("rb") as file:
        place = file.seek(0, 2)
        while place:
            begun = max(0, place - BLOCK)
            file.seek(begun)
            found = file.read(place - begun).rfind(b"\n")
            if found >= 0:
                return begun + found + 1
            place = begun
    return 0
