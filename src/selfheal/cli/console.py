"""Where output goes: data to stdout, progress and logs to stderr."""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TextIO

Outcome = Literal["succeeded", "failed", "unusable", "waiting", "cancelled"]
LogFormat = Literal["console", "json"]

STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


@dataclass
class Console:
    """One command's output. `as_json` makes the data on stdout one JSON document."""

    as_json: bool = False
    log_format: LogFormat = "console"
    quiet: bool = False

    @classmethod
    def of(cls, arguments: Namespace) -> Console:
        """The console that the output options ask for."""
        return cls(
            as_json=getattr(arguments, "json", False),
            log_format=getattr(arguments, "log_format", "console"),
            quiet=getattr(arguments, "quiet", False),
        )

    def data(self, value: Any, text: Callable[[], str]) -> None:
        """Write `value` as JSON where JSON was asked for, else the text for people."""
        out = json.dumps(jsonable(value), indent=2, ensure_ascii=False) if self.as_json else text()
        if out:
            sys.stdout.write(out if out.endswith("\n") else out + "\n")
            sys.stdout.flush()

    def note(self, text: str) -> None:
        """A remark for people, on stderr; silent where logs are JSON or quiet was asked for."""
        if not self.quiet and self.log_format == "console":
            sys.stderr.write(text + "\n")
            sys.stderr.flush()

    def style(self, text: str, *styles: str, stream: TextIO | None = None) -> str:
        """`text` in colour where the stream is a terminal and NO_COLOR is not set."""
        if not coloured(stream or sys.stdout):
            return text
        return f"\x1b[{';'.join(STYLES[style] for style in styles)}m{text}\x1b[0m"


def coloured(stream: TextIO) -> bool:
    """Whether colour is wanted there (https://no-color.org: any non-empty NO_COLOR forbids it)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def jsonable(value: Any) -> Any:
    """Models, dataclasses, paths and tuples as JSON types."""
    from pydantic_core import to_jsonable_python

    return to_jsonable_python(value, by_alias=True)


def output_options(parser: ArgumentParser) -> None:
    """The options that every verb has."""
    group = parser.add_argument_group("output")
    group.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    group.add_argument(
        "--log-format",
        choices=("console", "json"),
        default="console",
        help="progress and logs on stderr: for people (default), or one JSON object a line",
    )
    group.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr")


def table(rows: Sequence[Sequence[str]], *, header: Sequence[str] = ()) -> str:
    """Columns aligned to the left, two spaces apart; the last one is not padded."""
    lines = [header, *rows] if header else list(rows)
    if not lines:
        return ""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    widths[-1] = 0
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
