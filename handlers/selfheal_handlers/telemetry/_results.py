"""What passes between the beats of the parse phase."""

from __future__ import annotations

from selfheal.artifacts import Model


class ParseRequest(Model):
    """What to read and how, validated."""

    paths: list[str]
    format: str
    refused_listed: int

    @property
    def summary(self) -> str:
        return f"{len(self.paths)} path{'s'[: len(self.paths) != 1]}, format {self.format}"


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
