"""The documentation entry of a fix, in the form of Keep a Changelog (keepachangelog.com)."""

from __future__ import annotations

import re

HEADING = "# Changelog"
_SECTION = re.compile(r"^## ")
_UNRELEASED = re.compile(r"^## \[?unreleased\]?\s*$", re.IGNORECASE)
_FIXED = re.compile(r"^### fixed\s*$", re.IGNORECASE)


def with_entry(text: str | None, entry: str) -> str:
    """The change log with `entry` under Unreleased / Fixed, made where it is missing.

    `entry` is one line without its bullet. Every other byte stays; line ends are those
    of the file. An entry that is there already is not written twice.
    """
    if text is None or not text.strip():
        return f"{HEADING}\n\n## Unreleased\n\n### Fixed\n\n- {entry}\n"
    end = "\r\n" if "\r\n" in text else "\n"
    lines = text.split(end)
    if f"- {entry}" in lines:
        return text
    start, stop = _unreleased(lines)
    if start is None:
        block = ["## Unreleased", "", "### Fixed", "", f"- {entry}", ""]
        return end.join([*lines[:stop], *block, *lines[stop:]])
    fixed = next((at for at in range(start, stop) if _FIXED.match(lines[at])), None)
    if fixed is None:
        at = _after_text(lines, start, stop)
        block = ["", "### Fixed", "", f"- {entry}"]
        return end.join([*lines[:at], *block, *lines[at:]])
    inner = next((at for at in range(fixed + 1, stop) if lines[at].startswith("###")), stop)
    at = _after_text(lines, fixed, inner)
    block = [f"- {entry}"] if at > fixed + 1 else ["", f"- {entry}"]
    return end.join([*lines[:at], *block, *lines[at:]])


def _unreleased(lines: list[str]) -> tuple[int | None, int]:
    """Where the Unreleased section begins and ends; else None and where it would stand."""
    sections = [at for at, line in enumerate(lines) if _SECTION.match(line)]
    for at in sections:
        if _UNRELEASED.match(lines[at]):
            return at, next((later for later in sections if later > at), len(lines))
    return None, sections[0] if sections else len(lines)


def _after_text(lines: list[str], start: int, stop: int) -> int:
    """After the last line with text in a range."""
    return next(at for at in range(stop, start, -1) if at == start + 1 or lines[at - 1].strip())
