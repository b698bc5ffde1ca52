"""What the traces say: which code an operation runs, where its time grew, what it was sent.

All questions are set-based SQL over the dataset's `spans`; an entry span is a server
span or a span without parent.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from selfheal.artifacts.dataset import Dataset
from selfheal.artifacts.model import Model

ENTRY = "(kind = 'server' OR parent_span_id IS NULL OR parent_span_id = '')"


class CodePlace(Model):
    """The code attributes of a span, and its route."""

    function: str | None
    file: str | None
    line: int | None
    route: str | None


class Node(Model):
    """An operation in one pair of releases: means per span, durations in ms, counts per span.

    ``late_*`` is the candidate release. `own` is the duration less that of the children.
    `is_remote` marks calls of other services (client spans that ask no database).
    """

    service: str
    operation: str
    is_query: bool
    is_remote: bool = Field(default=False, exclude=True)
    count: int = 0
    late_count: int = 0
    total: float = 0.0
    late_total: float = 0.0
    own: float = 0.0
    late_own: float = 0.0
    queries: float = 0.0
    late_queries: float = 0.0

    @property
    def growth(self) -> float:
        return self.late_total - self.total

    @property
    def asks_more(self) -> bool:
        """Whether a span of it runs clearly more database statements than it did."""
        return self.late_queries >= self.queries + 1 and self.late_queries >= 1.5 * self.queries


class Edge(Model):
    """What a child adds to one span of its parent: mean ms in all its calls, and how many calls."""

    parent: tuple[str, str]
    child: tuple[str, str]
    total: float = 0.0
    late_total: float = 0.0
    calls: float = 0.0
    late_calls: float = 0.0

    @property
    def growth(self) -> float:
        return self.late_total - self.total

    def repeats(self, child: Node) -> bool:
        """Whether it grew by more calls, each of which takes about as long as it did."""
        if not self.calls:
            return self.late_calls >= 2
        more = self.late_calls >= self.calls + 1 and self.late_calls >= 1.5 * self.calls
        return more and child.late_total < 1.5 * child.total


class Growth(Model):
    """Operations and the calls between them in two releases."""

    nodes: list[Node]
    edges: list[Edge]

    def node(self, place: tuple[str, str]) -> Node | None:
        return next((node for node in self.nodes if (node.service, node.operation) == place), None)

    def children(self, place: tuple[str, str]) -> list[Edge]:
        return [edge for edge in self.edges if edge.parent == place and edge.child != place]

    def parents(self, place: tuple[str, str]) -> list[tuple[str, str]]:
        return sorted(
            {edge.parent for edge in self.edges if edge.child == place and edge.parent != place}
        )

    def descend(self, place: tuple[str, str], share: float = 0.5) -> list[tuple[str, str]]:
        """The path from an operation to the one whose own time explains its growth.

        Goes to the child with the largest growth as long as that is at least `share` of
        the parent's. Neither database spans are entered nor children that are only called
        more often: the code that calls is the cause.
        """
        path = [place]
        while (node := self.node(path[-1])) is not None and node.growth > 0:
            edges = [edge for edge in self.children(path[-1]) if edge.child not in path]
            best = max(edges, key=lambda edge: (edge.growth, edge.child), default=None)
            if best is None or best.growth < share * node.growth:
                break
            child = self.node(best.child)
            if child is None or child.is_query or best.repeats(child):
                break
            path.append(best.child)
        return path


def growth_between(dataset: Dataset, baseline: str | None, candidate: str | None) -> Growth:
    """The measured growth of every operation from one release to another; empty without both."""
    if "spans" not in dataset.tables or not baseline or not candidate or baseline == candidate:
        return Growth(nodes=[], edges=[])
    sides = {"good": baseline, "bad": candidate}
    nodes: dict[tuple[str, str], dict[str, Any]] = {}
    for row in dataset.rows(_NODES, sides):
        place = (row["service"], row["operation"])
        node = nodes.setdefault(place, {"is_query": False})
        side = "late_" if row["late"] else ""
        node["is_query"] |= bool(row["is_query"])
        node["is_remote"] = bool(row["is_remote"])
        node |= {f"{side}count": row["count"]}
        node |= {f"{side}{key}": significant(row[key]) for key in ("total", "own", "queries")}
    edges: dict[tuple[str, str, str, str], dict[str, float]] = {}
    for row in dataset.rows(_EDGES, sides):
        key = (row["p_service"], row["p_operation"], row["service"], row["operation"])
        side = "late_" if row["late"] else ""
        count = nodes[key[:2]].get(f"{side}count") or 1
        edges.setdefault(key, {}).update(
            {
                f"{side}total": significant(row["ms"] / count),
                f"{side}calls": significant(row["n"] / count),
            }
        )
    return Growth(
        nodes=[
            Node(service=place[0], operation=place[1], **values)
            for place, values in sorted(nodes.items())
        ],
        edges=[
            Edge(parent=(key[0], key[1]), child=(key[2], key[3]), **values)
            for key, values in sorted(edges.items())
        ],
    )


def code_of(dataset: Dataset, service: str, operation: str, release: str | None) -> CodePlace:
    """The code attributes that most spans of an operation carry, and its route."""
    if "spans" not in dataset.tables:
        return CodePlace(function=None, file=None, line=None, route=None)
    rows = dataset.rows(
        "SELECT code_function, code_file, code_line, http_route, code_function IS NULL AS unnamed,"
        " count(*) AS n FROM spans"
        " WHERE service = ? AND operation = ? AND (? IS NULL OR release = ?)"
        " GROUP BY ALL ORDER BY unnamed, n DESC, code_function, code_file,"
        " code_line, http_route LIMIT 1",
        [service, operation, release, release],
    )
    row = rows[0] if rows else dict.fromkeys(("code_function", "code_file", "code_line"))
    return CodePlace(
        function=row.get("code_function"),
        file=row.get("code_file"),
        line=row.get("code_line"),
        route=row.get("http_route"),
    )


def code_files(dataset: Dataset) -> list[str]:
    """Every source path that spans name."""
    if "spans" not in dataset.tables:
        return []
    rows = dataset.rows(
        "SELECT DISTINCT code_file FROM spans WHERE code_file IS NOT NULL ORDER BY 1"
    )
    return [row["code_file"] for row in rows]


def code_functions(dataset: Dataset) -> list[str]:
    """Every function that spans name."""
    if "spans" not in dataset.tables:
        return []
    rows = dataset.rows(
        "SELECT DISTINCT code_function FROM spans WHERE code_function IS NOT NULL ORDER BY 1"
    )
    return [row["code_function"] for row in rows]


def entries_of(dataset: Dataset, service: str, operation: str, release: str | None) -> list[str]:
    """The entry operations whose traces hold an operation, the busiest first."""
    if "spans" not in dataset.tables:
        return []
    rows = dataset.rows(
        f"SELECT e.operation, count(DISTINCT e.trace_id) AS n FROM spans e"
        f" WHERE {ENTRY.replace('kind', 'e.kind')}"
        " AND e.trace_id IN (SELECT trace_id FROM spans"
        " WHERE service = ? AND operation = ? AND (? IS NULL OR release = ?))"
        " GROUP BY e.operation ORDER BY n DESC, e.operation",
        [service, operation, release, release],
    )
    return [row["operation"] for row in rows]


def first_traces(
    dataset: Dataset, service: str, operation: str, release: str | None, limit: int = 5
) -> list[str]:
    """The earliest traces that hold an operation."""
    if "spans" not in dataset.tables:
        return []
    rows = dataset.rows(
        "SELECT trace_id, min(start_ns) AS start_ns FROM spans"
        " WHERE service = ? AND operation = ? AND (? IS NULL OR release = ?)"
        f" GROUP BY trace_id ORDER BY start_ns, trace_id LIMIT {int(limit)}",
        [service, operation, release, release],
    )
    return [row["trace_id"] for row in rows]


def slow_traces(
    dataset: Dataset, service: str, operation: str, release: str | None, limit: int = 5
) -> list[str]:
    """The traces in which an operation took the longest, slowest first."""
    if "spans" not in dataset.tables:
        return []
    rows = dataset.rows(
        "SELECT trace_id, max(duration_ms) AS ms FROM spans"
        " WHERE service = ? AND operation = ? AND (? IS NULL OR release = ?)"
        f" GROUP BY trace_id ORDER BY ms DESC, trace_id LIMIT {int(limit)}",
        [service, operation, release, release],
    )
    return [row["trace_id"] for row in rows]


def repeated_statement(
    dataset: Dataset, service: str, operation: str, release: str | None
) -> tuple[str, float] | None:
    """The database statement that an operation's spans run most often, and how often per span."""
    if "spans" not in dataset.tables:
        return None
    rows = dataset.rows(
        "SELECT c.db_statement AS statement, count(*) / count(DISTINCT (p.trace_id, p.span_id)) AS each"
        " FROM spans c JOIN spans p ON c.trace_id = p.trace_id AND c.parent_span_id = p.span_id"
        " WHERE p.service = ? AND p.operation = ? AND (? IS NULL OR p.release = ?)"
        " AND c.db_statement IS NOT NULL GROUP BY 1 ORDER BY each DESC, statement LIMIT 1",
        [service, operation, release, release],
    )
    return (rows[0]["statement"], significant(rows[0]["each"])) if rows else None


def callers_of(
    dataset: Dataset, service: str, operation: str, release: str | None
) -> list[tuple[str, str]]:
    """The (service, operation) pairs of the spans right around an operation's, the busiest first."""
    if "spans" not in dataset.tables:
        return []
    rows = dataset.rows(
        "SELECT p.service, p.operation, count(*) AS n FROM spans c"
        " JOIN spans p ON c.trace_id = p.trace_id AND c.parent_span_id = p.span_id"
        " WHERE c.service = ? AND c.operation = ? AND (? IS NULL OR c.release = ?)"
        " GROUP BY 1, 2 ORDER BY n DESC, 1, 2",
        [service, operation, release, release],
    )
    return [(row["service"], row["operation"]) for row in rows]


def failed_traces(dataset: Dataset, traces: list[str]) -> list[str]:
    """Those of some traces in which a span failed or an exception was recorded, sorted."""
    found: set[str] = set()
    for table, failed in (("spans", "status = 'error' AND "), ("errors", "")):
        if table in dataset.tables and traces:
            rows = dataset.rows(
                f"SELECT DISTINCT trace_id FROM {table}"
                f" WHERE {failed}list_contains($traces, trace_id)",
                {"traces": traces},
            )
            found |= {row["trace_id"] for row in rows}
    return sorted(found)


def all_requests(dataset: Dataset, service: str, release: str | None) -> int:
    """The traces that a release of a service took part in."""
    return _count(
        dataset,
        "spans",
        "SELECT count(DISTINCT trace_id) AS n FROM spans"
        " WHERE service = ? AND (? IS NULL OR release = ?)",
        [service, release, release],
    )


def requests_through(dataset: Dataset, service: str, operation: str, release: str | None) -> int:
    """The traces of a release that hold an operation."""
    return _count(
        dataset,
        "spans",
        "SELECT count(DISTINCT trace_id) AS n FROM spans"
        " WHERE service = ? AND operation = ? AND (? IS NULL OR release = ?)",
        [service, operation, release, release],
    )


def error_requests(dataset: Dataset, fingerprints: list[str], release: str | None) -> int:
    """The requests of a release with one of some errors; errors outside any trace count singly."""
    return _count(
        dataset,
        "errors",
        "SELECT count(DISTINCT nullif(trace_id, ''))"
        " + count(*) FILTER (WHERE trace_id IS NULL OR trace_id = '') AS n FROM errors"
        " WHERE list_contains(?, fingerprint) AND (? IS NULL OR release = ?)",
        [fingerprints, release, release],
    )


def _count(dataset: Dataset, table: str, sql: str, parameters: list[Any]) -> int:
    if table not in dataset.tables:
        return 0
    return int(dataset.rows(sql, parameters)[0]["n"])


def significant(value: float | None) -> float:
    """Six significant digits: what a sum's order of addition cannot change."""
    return float(f"{value or 0.0:.6g}")


_SIDES = (
    "WITH s AS (SELECT trace_id, span_id, parent_span_id, service, operation, duration_ms,"
    " kind, db_statement, release = $bad AS late FROM spans WHERE release IN ($good, $bad))"
)
_NODES = (
    f"{_SIDES}, c AS (SELECT trace_id, parent_span_id AS span_id, sum(duration_ms) AS ms,"
    " count(*) FILTER (WHERE db_statement IS NOT NULL) AS queries FROM s"
    " WHERE parent_span_id IS NOT NULL GROUP BY 1, 2)"
    " SELECT service, operation, late, count(*) AS count, avg(duration_ms) AS total,"
    " avg(greatest(duration_ms - coalesce(c.ms, 0), 0)) AS own,"
    " avg(coalesce(c.queries, 0)) AS queries, bool_and(db_statement IS NOT NULL) AS is_query,"
    " bool_and(coalesce(kind, '') = 'client' AND db_statement IS NULL) AS is_remote"
    " FROM s LEFT JOIN c USING (trace_id, span_id) GROUP BY service, operation, late"
    " ORDER BY service, operation, late"
)
_EDGES = (
    f"{_SIDES} SELECT p.service AS p_service, p.operation AS p_operation, s.service, s.operation,"
    " s.late, sum(s.duration_ms) AS ms, count(*) AS n FROM s"
    " JOIN s p ON s.trace_id = p.trace_id AND s.parent_span_id = p.span_id"
    " AND s.late = p.late GROUP BY ALL ORDER BY ALL"
)
