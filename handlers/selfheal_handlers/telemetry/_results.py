"""What passes between the beats of the parse phase."""

from __future__ import annotations

from selfheal.artifacts import Model
from selfheal.store.pinning import Pinned
from selfheal.telemetry.extract import Found


class ParseRequest(Model):
    """What to read and how, validated."""

    paths: list[str]
    format: str
    refused_listed: int

    @property
    def summary(self) -> str:
        return f"{len(self.paths)} path{'s'[: len(self.paths) != 1]}, format {self.format}"


class Located(Model):
    """Where the telemetry is: files to read, a folder that grows, or a database.

    Beside a database, files hold coverage.
    """

    files: Found | None = None
    growing: str | None = None
    database: Pinned | None = None

    @property
    def summary(self) -> str:
        parts = [one.summary for one in (self.database, self.files) if one is not None]
        return "; ".join([*parts, *([self.growing] if self.growing else [])])


class ParseReport(Model):
    """The end of the phase in figures."""

    spans: int
    logs: int
    errors: int
    releases: int
    operations: int
    lines_refused: int

    @property
    def summary(self) -> str:
        return (
            f"{self.spans} spans, {self.logs} logs, {self.errors} errors; {self.operations} "
            f"operations in {self.releases} releases; {self.lines_refused} lines refused"
        )
