"""The base of every report's model, and the parts that several reports are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import Field

from selfheal.artifacts.model import Model
from selfheal.reports.blocks import Block, Table, flat


class Options(Model):
    """What a reader asks of a report. `top` is how many rows of the longest lists are shown.

    `trace` picks a trace (its id or the beginning of it), `release` limits to one
    release, `start` and `end` are ISO 8601 UTC. `declared` are sequence files or folders
    of them that say what should happen.
    """

    top: int = Field(default=20, ge=1)
    trace: str | None = None
    release: str | None = None
    start: str | None = None
    end: str | None = None
    declared: list[str] = Field(default_factory=list)


class Place(Model):
    """A place in code; `file` as the repository has it where that is known."""

    file: str
    line: int | None = None
    function: str | None = None

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class Node(Model):
    """A node of an exported graph; `group` puts nodes together (a service, a release)."""

    id: str
    label: str
    group: str = ""
    weight: float = 1.0
    bad: bool = False


class Edge(Model):
    source: str
    target: str
    label: str = ""
    weight: float = 1.0
    bad: bool = False


class Graph(Model):
    nodes: list[Node] = Field(default_factory=list)
    edges: list[Edge] = Field(default_factory=list)


class Finding(Model):
    """One result for SARIF: `rule` is a stable name, `level` as SARIF has it."""

    rule: str
    description: str
    level: str
    message: str
    place: Place | None
    fingerprint: str
    properties: dict[str, Any] = Field(default_factory=dict)


class Lane(Model):
    """One thread of a process, as far as telemetry tells threads apart."""

    service: str
    instance: str | None = None
    thread: str | None = None

    @property
    def title(self) -> str:
        return " · ".join(part for part in (self.service, self.instance, self.thread) if part)


class Bar(Model):
    """A span on a lane: times in ms since the beginning of what is shown.

    `lane` is an index into the lanes. Bars of one `slot` of a lane nest like calls do;
    `depth` is how deep. `own_ms` is the time that no child covers, None where not asked.
    `recorded` is where telemetry has it, ``file:line``.
    """

    lane: int
    slot: int
    depth: int
    at_ms: float
    lasts_ms: float
    own_ms: float | None = None
    name: str
    status: str
    trace_id: str
    span_id: str
    place: str | None = None
    statement: str | None = None
    recorded: str = ""


class Waterfall(Model):
    """The spans of one trace. `begun` is ISO 8601 UTC."""

    trace_id: str
    title: str
    begun: str
    lasts_ms: float
    lanes: list[Lane]
    bars: list[Bar]
    note: str = ""


class Report(Model):
    """What every report has. `empty` says why there is nothing to show; None where there is.

    `notes` tell what the figures do not say by themselves: denominators, limits, gaps.
    `traces` are those that the page can open.
    """

    TITLE: ClassVar[str]
    QUESTION: ClassVar[str]

    report: str
    run_id: str
    empty: str | None = None
    notes: list[str] = Field(default_factory=list)
    traces: list[Waterfall] = Field(default_factory=list)

    def blocks(self) -> Sequence[Block]:
        """What is shown, in order. Not asked where the report is empty."""
        raise NotImplementedError

    def graph(self) -> Graph:
        """What Mermaid and DOT show."""
        return Graph()

    def findings(self) -> list[Finding]:
        """What SARIF holds."""
        return []

    def lanes_and_bars(self) -> tuple[list[Lane], list[Bar]]:
        """What Chrome's trace viewer and speedscope show."""
        return [], []

    def table(self) -> Table | None:
        """The table that CSV and Parquet hold: the first one."""
        if self.empty:
            return None
        return next((block for block in flat(self.blocks()) if isinstance(block, Table)), None)
