"""Tracebacks as text: parsing, and the fingerprint that groups like errors.

Of Python, understood are chained exceptions (the last one, which is what was raised at
the end, counts), caret lines of Python 3.11, repeated-line notes, exception groups (the
group itself counts) and any common indentation. Stack traces of .NET, the JVM and
JavaScript are those that list ``at`` frames below the exception, innermost first.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

HEADER = "Traceback (most recent call last):"
_FRAME = re.compile(r'\s*File "(?P<file>[^"]*)", line (?P<line>\d+)(?:, in (?P<function>.+))?$')
_RAISED = re.compile(r"(?P<type>[A-Za-z_][\w.<>]*)(?::(?: (?P<message>.*))?)?$")
_CHAIN = re.compile(
    r"\s*(During handling of the above exception, another exception occurred"
    r"|The above exception was the direct cause of the following exception):"
)
_GROUP_MARGIN = re.compile(r"^\s*[|+] ?")
_GROUP_MEMBERS = re.compile(r"^\s*\+-\+-+ 1 -+")
_AT = re.compile(
    r"\s+at (?:async )?(?:"
    r"(?P<net>.+?)(?:\(.*\))? in (?P<net_file>.+):line (?P<net_line>\d+)"
    r"|(?P<script>[^()]+?) \((?P<script_file>.+?):(?P<script_line>\d+):\d+\)"
    r"|(?P<script_only>[^\s()]+?):(?P<script_only_line>\d+):\d+"
    r"|(?P<java>[\w.$<>/@-]+)\((?P<java_file>[\w.$-]+):(?P<java_line>\d+)\)"
    r"|[\w.$<>`+&\[\]]+\(.*\))\s*$"
)
_LONGEST_FRAME = 1000
_OUTER = "--- End of inner exception stack trace ---"
_LIBRARY = re.compile(r"(^|[\\/])(site-packages|dist-packages|lib[\\/]python\d[\d.]*)[\\/]|^<")


class Frame(NamedTuple):
    """One call: where it stood and in which function."""

    file: str
    line: int
    function: str

    @property
    def in_app(self) -> bool:
        """Whether it is neither of an installed package nor of the standard library."""
        return _LIBRARY.search(self.file) is None


class ParsedTraceback(NamedTuple):
    """What was raised in the end. `frames` are outermost first."""

    exception_type: str | None
    message: str
    frames: tuple[Frame, ...]


@lru_cache(maxsize=4096)
def parse_traceback(text: str) -> ParsedTraceback | None:
    """The exception that a text with a traceback reports; None where it holds none."""
    lines = _without_group_members(text.splitlines())
    starts = [number for number, line in enumerate(lines) if HEADER in line]
    if not starts:
        found = find_stack_trace(text)
        return found[0] if found else None
    start = starts[-1]
    margin = re.escape(lines[start][: len(lines[start]) - len(lines[start].lstrip())])
    block = [re.sub(f"^{margin}", "", line) for line in lines[start + 1 :]]
    frames: list[Frame] = []
    for number, line in enumerate(block):
        if match := _FRAME.match(line):
            frames.append(
                Frame(match["file"], int(match["line"]), (match["function"] or "<module>").strip())
            )
        elif line and not line[0].isspace():
            kind, message = _raised(block[number:])
            return ParsedTraceback(kind, message, tuple(frames))
    return ParsedTraceback(None, "", tuple(frames))


def _raised(lines: Sequence[str]) -> tuple[str | None, str]:
    """Type and message from the line after the frames and those that go on with it."""
    rest = []
    for line in lines[1:]:
        if _CHAIN.match(line) or HEADER in line:
            break
        rest.append(line)
    match = _RAISED.match(lines[0])
    if match is None:
        return None, "\n".join([lines[0], *rest]).strip()
    return match["type"], "\n".join([match["message"] or "", *rest]).strip()


def _without_group_members(lines: list[str]) -> list[str]:
    """The lines of an exception group's own traceback, without margin and members."""
    if not any("Exception Group " + HEADER in line for line in lines):
        return lines
    own = []
    for line in lines:
        if _GROUP_MEMBERS.match(line):
            break
        own.append(_GROUP_MARGIN.sub("", line))
    return own


def find_stack_trace(text: str) -> tuple[ParsedTraceback, str] | None:
    """The exception of a .NET, JVM or JavaScript stack trace in a text, and the trace's text.

    Of nested exceptions the outer one counts. Frames without a file are left out.
    """
    lines = text.splitlines()
    first = next((number for number, line in enumerate(lines) if _at(line)), None)
    if not first:
        return None
    begin = next(
        (
            number
            for number in range(first - 1, -1, -1)
            if _RAISED.match(lines[number]) and not lines[number].startswith(" ")
        ),
        None,
    )
    if begin is None or not (raised := _RAISED.match(lines[begin])):
        return None
    message = [raised["message"] or ""]
    for line in lines[begin + 1 : first]:
        if line.lstrip().startswith("--->"):
            break
        message.append(line)
    stack = lines[first:]
    outer = [number for number, line in enumerate(stack) if _OUTER in line]
    own = stack[outer[-1] + 1 :] if outer and any(map(_at, stack[outer[-1] + 1 :])) else stack
    frames = tuple(frame for line in own if (frame := _frame_at(line)))[::-1]
    parsed = ParsedTraceback(raised["type"], "\n".join(message).strip(), frames)
    return parsed, "\n".join(lines[begin:]).rstrip()


def _at(line: str) -> re.Match[str] | None:
    return _AT.match(line) if "at " in line and len(line) < _LONGEST_FRAME else None


def _frame_at(line: str) -> Frame | None:
    match = _at(line)
    if match is None:
        return None
    for kind in ("net", "script", "java"):
        if match[f"{kind}_file"]:
            return Frame(match[f"{kind}_file"], int(match[f"{kind}_line"]), match[kind].strip())
    if match["script_only"]:
        return Frame(match["script_only"], int(match["script_only_line"]), "<anonymous>")
    return None


_PLACEHOLDERS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), placeholder)
    for pattern, placeholder in (
        (r"https?://\S+", "<url>"),
        (r"[\w.+-]+@[\w-]+\.[\w.]+", "<email>"),
        (r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b", "<n>"),
        (r"\b0x[0-9a-fA-F]+\b", "<address>"),
        # What is quoted at the end of a message, or is all of it, is data: KeyError: 'x'.
        (r"""(^|: )(['"])(?:(?!\2).)*\2$""", r"\1<value>"),
        (r"\b(?=[0-9a-fA-F]*\d)[0-9a-fA-F]{8,}\b", "<n>"),
        (r"[-+]?\d+(?:[.,:]\d+)*", "<n>"),
    )
)

_QUOTED = re.compile(r"""(?<!\w)(?P<quote>['"])(?P<content>[^'"]*)(?P=quote)(?!\w)""")


def normalised_message(message: str) -> str:
    """The first line of a message with what varies between occurrences replaced.

    URLs, addresses, ids, numbers, and quoted values are replaced by placeholders; quoted
    plain words inside a sentence ('NoneType' object has no attribute 'price') are kept.
    """
    text = message.strip().partition("\n")[0][:500]
    for pattern, placeholder in _PLACEHOLDERS:
        text = pattern.sub(placeholder, text)
    return _QUOTED.sub(_unless_a_word, text)[:200]


def _unless_a_word(quoted: re.Match[str]) -> str:
    return quoted[0] if quoted["content"].isidentifier() else "<value>"


def fingerprint(exception_type: str | None, message: str, frames: Sequence[Frame]) -> str:
    """What groups occurrences of one error: 16 hex digits.

    Made of the bare type, the raising frame (the innermost one of the application, by
    file name and function, without path and line number) and the normalised message: it
    survives line shifts, other folders, ids and addresses, and does not depend on how
    far up the stack the exception was recorded.
    """
    own = [frame for frame in frames if frame.in_app] or list(frames)
    raising = own[-1] if own else None
    parts = (
        bare_type(exception_type),
        re.split(r"[\\/]", raising.file)[-1] if raising else "",
        raising.function.rpartition(".")[2] if raising else "",
        normalised_message(message),
    )
    return hashlib.sha256("\x00".join(parts).encode("utf-8", "replace")).hexdigest()[:16]


def bare_type(exception_type: str | None) -> str:
    """A type's name without its module."""
    return (exception_type or "").rpartition(".")[2]
