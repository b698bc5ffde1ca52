"""What reports read: a run's artifacts and its dataset, over one database connection."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from selfheal.artifacts import Anomalies, Anomaly, Dataset, Diagnoses, Diagnosis, Telemetry
from selfheal.artifacts.envelope import read_artifact
from selfheal.config import TestsConfig
from selfheal.errors import NotFound, RepositoryError
from selfheal.reports.model import Options, Place

if TYPE_CHECKING:
    import duckdb

NO_SPANS = "the telemetry of this run holds no spans"
_FOREIGN = re.compile(r"(^|/)(site-packages|dist-packages|lib/python3[^/]*|node_modules)/|^<")

# What the children of a span cover of it, as the union of their intervals.
COVERED = """
WITH lasting AS (
    SELECT trace_id, span_id, parent_span_id, start_ns, end_ns FROM {spans}
    WHERE duration_ms IS NOT NULL
), inside AS (
    SELECT p.trace_id, p.span_id, greatest(c.start_ns, p.start_ns) AS first,
        least(c.end_ns, p.end_ns) AS last
    FROM lasting AS c JOIN lasting AS p
        ON c.trace_id = p.trace_id AND c.parent_span_id = p.span_id
    WHERE c.start_ns < p.end_ns AND c.end_ns > p.start_ns
), fresh AS (
    SELECT trace_id, span_id, last - greatest(first, coalesce(max(last) OVER (
        PARTITION BY trace_id, span_id ORDER BY first, last
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), first)) AS ns
    FROM inside
)
SELECT trace_id, span_id, sum(greatest(ns, 0)) / 1e6 AS below_ms FROM fresh GROUP BY ALL
"""
_SPAN_ROWS = """
SELECT s.*, s.duration_ms - coalesce(o.below_ms, 0) AS own_ms
FROM spans AS s LEFT JOIN own_times AS o USING (trace_id, span_id)
"""


class Source:
    """The folder of one run. An artifact that the run does not have is None.

    `repository` is the one under repair, None where it is not known or gone; `tests` says
    how its tests are written. A context
    manager: the connection is closed at its end.
    """

    def __init__(
        self, folder: Path, *, repository: Path | None = None, tests: TestsConfig | None = None
    ) -> None:
        self.folder = folder
        self.run_id = folder.name
        self.repository = repository
        self.tests = tests or TestsConfig()

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *exception: object) -> None:
        if "connection" in self.__dict__:
            self.connection.close()

    @cached_property
    def telemetry(self) -> Telemetry:
        """Raises NotFound where the run has parsed nothing yet."""
        found = cast("Telemetry | None", self._artifact("telemetry"))
        if found is None:
            raise NotFound(
                f"the run {self.run_id} has no telemetry.json.",
                hint="Make it with: selfheal run --phase parse",
            )
        return found

    @cached_property
    def anomalies(self) -> Anomalies | None:
        return cast("Anomalies | None", self._artifact("anomalies"))

    @cached_property
    def diagnoses(self) -> list[Diagnosis]:
        found = cast("Diagnoses | None", self._artifact("diagnosis"))
        return found.diagnoses if found else []

    def _artifact(self, name: str) -> object:
        path = self.folder / f"{name}.json"
        return read_artifact(path, name) if path.is_file() else None

    @cached_property
    def dataset(self) -> Dataset:
        return self.telemetry.dataset.located(self.folder)

    @cached_property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """One connection for all of a report's questions, on all cores."""
        return self.dataset.connect(threads=None)

    def rows(
        self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()
    ) -> list[dict[str, Any]]:
        """The rows of a query as dictionaries."""
        cursor = self.connection.execute(sql, parameters)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def count(self, table: str) -> int:
        """How many rows a table of the dataset has; 0 where there is none."""
        found = self.telemetry.dataset.tables.get(table)
        return found.rows if found else 0

    def with_own_times(self) -> str:
        """A relation like `spans` with `own_ms`: the duration less what its children cover.

        Children that run at the same time cover their union once.
        """
        if "own_times" not in self._made:
            self.connection.execute(
                f"CREATE TEMP TABLE own_times AS {COVERED.format(spans='spans')}"
            )
            self._made.add("own_times")
        return f"({_SPAN_ROWS})"

    @cached_property
    def _made(self) -> set[str]:
        return set()

    @cached_property
    def known_files(self) -> frozenset[str]:
        """The repository's files, as far as coverage, diagnoses and git tell them."""
        found = {location.file for each in self.diagnoses for location in each.locations}
        if self.count("coverage"):
            found |= {row["file"] for row in self.rows("SELECT DISTINCT file FROM coverage")}
        return frozenset(found | self._tracked())

    def _tracked(self) -> set[str]:
        if self.repository is None or not self.repository.is_dir():
            return set()
        from selfheal.codebase.history import History

        commits = [each.bad_commit for each in self.diagnoses if each.bad_commit]
        try:
            history = History(self.repository)
            return set(history.files(history.resolve(commits[0] if commits else "HEAD")))
        except RepositoryError:
            return set()

    def repository_file(self, path: str | None) -> str | None:
        """The repository's name of a file that telemetry names, by the longest common end."""
        if not path:
            return None
        parts = path.replace("\\", "/").split("/")
        for first in range(len(parts)):
            end = "/".join(parts[first:])
            if end in self.known_files:
                return end
        return None

    def place(self, file: str | None, line: int | None, function: str | None) -> Place | None:
        """A place of telemetry as the repository calls it; None where no file is named."""
        if not file:
            return None
        return Place(file=self.repository_file(file) or file, line=line, function=function)

    def is_foreign(self, path: str) -> bool:
        """Whether a file belongs to the interpreter or to a dependency."""
        return self.repository_file(path) is None and bool(_FOREIGN.search(path))

    def origin(self, source: int | None, line: int | None) -> str:
        """Where telemetry recorded something: the source file and its line."""
        sources = self.telemetry.sources
        if source is None or not 0 <= source < len(sources):
            return ""
        return f"{sources[source].path}:{line}" if line else sources[source].path

    def found_anomalies(self, kinds: Iterable[str] = ()) -> list[Anomaly]:
        wanted = set(kinds)
        everything = self.anomalies.anomalies if self.anomalies else []
        return [one for one in everything if not wanted or one.kind in wanted]

    def diagnosis_of(self, anomaly_id: str) -> Diagnosis | None:
        return next((one for one in self.diagnoses if anomaly_id in one.anomaly_ids), None)

    def trace_id(self, options: Options) -> str | None:
        """The trace that was asked for. Raises NotFound where none or several begin so."""
        if options.trace is None:
            return None
        found = self.rows(
            "SELECT DISTINCT trace_id FROM spans WHERE starts_with(trace_id, ?)"
            " ORDER BY trace_id LIMIT 6",
            [options.trace],
        )
        names = [row["trace_id"] for row in found]
        if options.trace in names:
            return options.trace
        if len(names) == 1:
            return str(names[0])
        if names:
            raise NotFound(
                f"several traces begin with {options.trace}: {', '.join(names[:5])}.",
                hint="Give more of it.",
            )
        raise NotFound(
            f"the run {self.run_id} has no trace {options.trace}.",
            hint="See: selfheal report replay",
        )


def ns_of(text: str | None) -> int | None:
    """An ISO 8601 time as nanoseconds since 1970; without an offset it is UTC.

    Raises InvalidInput.
    """
    from datetime import UTC, datetime

    from selfheal.errors import InvalidInput

    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(
            f"{text!r} is not an ISO 8601 time.", hint="For example: 2026-05-01T12:00:00Z"
        ) from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000
