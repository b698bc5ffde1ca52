"""telemetry.json: what was read, and what each operation did per release."""

from __future__ import annotations

from pydantic import Field

from selfheal.artifacts.dataset import Dataset
from selfheal.artifacts.model import Model


class Source(Model):
    """One file that was read. `path` is as found below the given path, with ``/``.

    Lines passed over say nothing of their own: blank lines, comments, headings. Where a
    format has one event a line, lines read = events kept + refused + passed over.
    """

    path: str
    format: str
    sha256: str
    bytes: int
    lines_read: int
    events_kept: int
    lines_refused: int
    lines_passed_over: int = 0
    broken_bytes: int = 0


class RefusedLine(Model):
    file: str
    line: int
    reason: str


class Refused(Model):
    """Every refused line is counted; the first ones are listed."""

    total: int = 0
    listed: list[RefusedLine] = Field(default_factory=list)


class EventCounts(Model):
    spans: int = 0
    logs: int = 0
    errors: int = 0
    metrics: int = 0
    duplicates_removed: int = 0
    without_timestamp: int = 0


class Window(Model):
    """First and last timestamp in the data, ISO 8601 UTC; None where none was given."""

    start: str | None = None
    end: str | None = None


class Release(Model):
    """One release of a service: `version` is service.version, `commit` vcs.ref.head.revision."""

    service: str
    version: str
    commit: str | None = None
    first_seen: str | None = None
    last_seen: str | None = None
    spans: int
    logs: int


class OperationStatistics(Model):
    """Exact figures over all spans of an operation in a release; durations in ms.

    `rate_per_second` is spans over the seconds between the release's first and last
    span; None where that is zero. Percentiles interpolate linearly.
    """

    service: str
    operation: str
    release: str
    count: int
    errors: int
    error_rate: float
    rate_per_second: float | None
    p50_ms: float
    p95_ms: float
    p99_ms: float
    mean_ms: float
    max_ms: float


class Telemetry(Model):
    """The payload of telemetry.json. `dataset` holds the rows behind every figure."""

    sources: list[Source]
    refused: Refused
    events: EventCounts
    window: Window
    releases: list[Release]
    operations: list[OperationStatistics]
    dataset: Dataset
