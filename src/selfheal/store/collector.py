"""The event model over the tables of the OpenTelemetry Collector's ClickHouse exporter.

Each table of the model is a subquery over ``otel_traces``, ``otel_logs`` or
``otel_metrics_*``. Only columns that every version of the exporter's schema has are read;
attributes may be ``Map`` (the default) or ``JSON`` columns, older names of enums
(``SPAN_KIND_SERVER``, ``STATUS_CODE_ERROR``) are understood. Differences to a dataset of
a run: ``id`` of a span is a hash of its ids, of a log record NULL; ``source`` and ``line`` are NULL; ``attributes`` holds every attribute,
those that have a column too; what an exporter sent twice is there twice; of metrics,
``minimum``, ``maximum``, ``buckets`` and ``increase`` are NULL; ``errors`` and ``coverage``
do not exist.

Source: opentelemetry-collector-contrib, exporter/clickhouseexporter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from selfheal.store.model import ALWAYS, Period
from selfheal.telemetry.formats.attributes import RESOURCE_COLUMNS, SPAN_COLUMNS

AttributeType = Literal["map", "json"]
METRICS: Mapping[str, tuple[str, str]] = {
    "gauge": ("gauge", "Value"),
    "sum": ("sum", "Value"),
    "histogram": ("histogram", "Sum"),
    "exponential_histogram": ("exponentialHistogram", "Sum"),
    "summary": ("summary", "Sum"),
}


@dataclass(frozen=True)
class Layout:
    """Which tables there are, and how their attributes are stored.

    `database` holds them, `tables` maps the name of a table that exists to the type of
    its attribute columns, `temporality` that of a table of metrics to the column that holds
    it (which was renamed once). `events` says whether spans have them. `traces`, `logs` and the prefix `metrics` are the names that
    the exporter was configured with.
    """

    database: str
    tables: Mapping[str, AttributeType] = field(default_factory=dict)
    traces: str = "otel_traces"
    logs: str = "otel_logs"
    metrics: str = "otel_metrics"
    temporality: Mapping[str, str] = field(default_factory=dict)
    events: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Every table that could be read."""
        return (self.traces, self.logs, *(f"{self.metrics}_{name}" for name in METRICS))

    def attributes(self, table: str) -> AttributeType:
        """How the table of the model named `table` stores its attributes."""
        own = {
            "spans": (self.traces,),
            "logs": (self.logs,),
            "exceptions": (self.traces, self.logs),
        }.get(table, self.names[2:])
        return next((self.tables[name] for name in own if name in self.tables), "map")

    def sources(self) -> dict[str, Callable[[Period], str]]:
        """The tables of the model that can be read here, each with its statement's maker."""
        found: dict[str, Callable[[Period], str]] = {}
        if self.traces in self.tables:
            found["spans"] = self._spans
        if self.logs in self.tables:
            found["logs"] = self._logs
        if any(name in self.tables for name in self.names[2:]):
            found["metrics"] = self._metrics
        if self.events or self.logs in self.tables:
            found["exceptions"] = self._exceptions
        return found

    def contents(self, period: Period = ALWAYS) -> dict[str, str]:
        """A statement per table of the model: its rows, their newest time (ns), a hash of all.

        The hash is a sum, so that neither order nor parts matter.
        """
        columns = {
            "spans": (
                (self.traces,),
                "Timestamp",
                "TraceId, SpanId, SpanName, Duration, StatusCode",
            ),
            "logs": ((self.logs,), "Timestamp", "TraceId, SpanId, Body, SeverityNumber"),
            "metrics": (self.names[2:], "TimeUnix", "ServiceName, MetricName"),
        }
        return {
            model: "SELECT sum(n) AS n, max(newest) AS newest, sum(hash) AS hash FROM ("
            + " UNION ALL ".join(
                f"SELECT count() AS n, max(toUnixTimestamp64Nano({time})) AS newest, "
                f"sum(cityHash64({time}, {parts})) AS hash {self._from(table, time, period)}"
                for table in tables
                if table in self.tables
            )
            + ")"
            for model, (tables, time, parts) in columns.items()
            if any(table in self.tables for table in tables)
        }

    def _from(self, table: str, time: str, period: Period) -> str:
        where = " AND ".join(
            f"{time} {sign} fromUnixTimestamp64Nano(toInt64({bound}))"
            for sign, bound in ((">=", period.since_ns), ("<", period.until_ns))
            if bound is not None
        )
        return f"FROM {quoted(self.database)}.{quoted(table)}" + (
            f" WHERE {where}" if where else ""
        )

    def _spans(self, period: Period = ALWAYS) -> str:
        type_ = self.tables[self.traces]
        # Unsigned in newer schemas: a clock that ran backwards has wrapped around.
        length = "toInt64(Duration)"
        start = "nullIf(toUnixTimestamp64Nano(Timestamp), 0)"
        columns = {
            # No number of a row, but as stable, and as good where something has to come first.
            "id": "toNullable(toInt64(bitShiftRight(cityHash64(TraceId, SpanId), 1)))",
            "trace_id": "nullIf(TraceId, '')",
            "span_id": "nullIf(SpanId, '')",
            "parent_span_id": "nullIf(ParentSpanId, '')",
            **_resource(type_),
            "operation": "toString(SpanName)",
            "kind": _enum("SpanKind", "SPAN_KIND_", "unspecified"),
            "start_ns": start,
            "end_ns": f"{start} + {length}",
            "duration_ms": f"if({length} >= 0, {length} / 1e6, NULL)",
            "status": _enum("StatusCode", "STATUS_CODE_", "unset"),
            **_span_columns(type_),
            "scope": "nullIf(toString(ScopeName), '')",
            "attributes": "SpanAttributes",
            **_PLACE,
        }
        return _select(columns) + self._from(self.traces, "Timestamp", period)

    def _logs(self, period: Period = ALWAYS) -> str:
        type_ = self.tables[self.logs]
        resource = _resource(type_)
        columns = {
            "id": _nothing("Int64"),
            "time_ns": "nullIf(toUnixTimestamp64Nano(Timestamp), 0)",
            "severity": _SEVERITY,
            "body": "nullIf(Body, '')",
            "logger": "nullIf(toString(ScopeName), '')",
            **{name: resource[name] for name in ("service", "release", "instance")},
            "trace_id": "nullIf(TraceId, '')",
            "span_id": "nullIf(SpanId, '')",
            **{
                f"exception_{name}": attribute(type_, "LogAttributes", f"exception.{name}")
                for name in ("type", "message", "stacktrace")
            },
            "attributes": "LogAttributes",
            **_PLACE,
        }
        return _select(columns) + self._from(self.logs, "Timestamp", period)

    def _exceptions(self, period: Period = ALWAYS) -> str:
        """Every mention: events of spans named exception, and log records that tell of one."""
        found = []
        if self.events:
            type_ = self.tables[self.traces]
            resource = _resource(type_)
            columns = {
                "id": _nothing("Int64"),
                "origin": "'span'",
                "time_ns": "nullIf(toUnixTimestamp64Nano(event_time), 0)",
                **{name: resource[name] for name in ("service", "release")},
                "operation": "toNullable(toString(SpanName))",
                "logger": _nothing("String"),
                "trace_id": "nullIf(TraceId, '')",
                "span_id": "nullIf(SpanId, '')",
                **_exception(type_, "event_attributes"),
                "escaped": f"lower({attribute(type_, 'event_attributes', 'exception.escaped')}) = 'true'",
                **_PLACE,
            }
            events = (
                " ARRAY JOIN Events.Timestamp AS event_time, Events.Name AS event_name, "
                "Events.Attributes AS event_attributes"
            )
            source = self._from(self.traces, "Timestamp", period)
            where = " AND " if " WHERE " in source else " WHERE "
            table, separator, bounds = source.partition(" WHERE ")
            found.append(
                f"{_select(columns)}{table}{events}{separator}{bounds}{where}event_name = 'exception'"
            )
        if self.logs in self.tables:
            type_ = self.tables[self.logs]
            resource = _resource(type_)
            details = _exception(type_, "LogAttributes")
            columns = {
                "id": _nothing("Int64"),
                "origin": "'log'",
                "time_ns": "nullIf(toUnixTimestamp64Nano(Timestamp), 0)",
                **{name: resource[name] for name in ("service", "release")},
                "operation": _nothing("String"),
                "logger": "nullIf(toString(ScopeName), '')",
                "trace_id": "nullIf(TraceId, '')",
                "span_id": "nullIf(SpanId, '')",
                **details,
                "escaped": _nothing("Bool"),
                **_PLACE,
            }
            source = self._from(self.logs, "Timestamp", period)
            where = " AND " if " WHERE " in source else " WHERE "
            told = f"coalesce({', '.join(details.values())}) IS NOT NULL"
            found.append(f"{_select(columns)}{source}{where}{told}")
        return " UNION ALL ".join(found)

    def _metrics(self, period: Period = ALWAYS) -> str:
        found = [(name, f"{self.metrics}_{name}") for name in METRICS]
        return " UNION ALL ".join(
            _select(self._points(name, table)) + self._from(table, "TimeUnix", period)
            for name, table in found
            if table in self.tables
        )

    def _points(self, name: str, table: str) -> dict[str, str]:
        kind, value = METRICS[name]
        resource = _resource(self.tables[table])
        temporality = self.temporality.get(table)
        return {
            "time_ns": "nullIf(toUnixTimestamp64Nano(TimeUnix), 0)",
            "start_ns": "nullIf(toUnixTimestamp64Nano(StartTimeUnix), 0)",
            **{column: resource[column] for column in ("service", "release", "instance")},
            "name": "toString(MetricName)",
            "kind": f"'{kind}'",
            "temporality": (
                f"transform(toInt32({temporality}), [1, 2], ['delta', 'cumulative'], NULL)"
                if temporality
                else _nothing("String")
            ),
            "monotonic": "toNullable(IsMonotonic)" if name == "sum" else _nothing("Bool"),
            "value": f"toNullable(toFloat64({value}))",
            "count": "toNullable(toInt64(Count))" if value == "Sum" else _nothing("Int64"),
            "minimum": _nothing("Float64"),
            "maximum": _nothing("Float64"),
            "buckets": _nothing("String"),
            "unit": "nullIf(toString(MetricUnit), '')",
            "scope": "nullIf(toString(ScopeName), '')",
            "attributes": "Attributes",
            **_PLACE,
            "increase": _nothing("Float64"),
        }


def attribute(type_: AttributeType, column: str, key: str) -> str:
    """An attribute as text; NULL where it is missing, which a Map would give as ''."""
    if type_ == "map":
        name = literal(key)
        return f"if(mapContains({column}, {name}), {column}[{name}], NULL)"
    path = f"{column}.{quoted(key)}"
    return f"if(isNull({path}), NULL, toString({path}))"


def _exception(type_: AttributeType, column: str) -> dict[str, str]:
    names = {"exception_type": "type", "exception_message": "message", "stacktrace": "stacktrace"}
    return {name: attribute(type_, column, f"exception.{part}") for name, part in names.items()}


def literal(text: str) -> str:
    """A string in ClickHouse's SQL."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def quoted(name: str) -> str:
    """An identifier in ClickHouse's SQL."""
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"


def _nothing(type_: str) -> str:
    return f"CAST(NULL, 'Nullable({type_})')"


_PLACE = {"source": _nothing("Int32"), "line": _nothing("Int32")}
# SeverityNumber by the log data model of OpenTelemetry: four numbers a level from 1 on.
_SEVERITY = (
    "multiIf(SeverityNumber BETWEEN 1 AND 24, "
    "['trace', 'debug', 'info', 'warn', 'error', 'fatal'][intDiv(SeverityNumber - 1, 4) + 1], "
    "transform(lower(toString(SeverityText)), "
    "['trace', 'verbose', 'debug', 'info', 'information', 'notice', 'warn', 'warning', "
    "'error', 'err', 'exception', 'fatal', 'critical'], "
    "['trace', 'trace', 'debug', 'info', 'info', 'info', 'warn', 'warn', "
    "'error', 'error', 'error', 'fatal', 'fatal'], NULL))"
)


def _select(columns: Mapping[str, str]) -> str:
    return "SELECT " + ", ".join(f"{sql} AS {name}" for name, sql in columns.items()) + " "


def _enum(column: str, prefix: str, missing: str) -> str:
    bare = f"replaceOne(toString({column}), '{prefix}', '')"
    return f"lower(if({bare} = '', '{missing}', {bare}))"


def _first(type_: AttributeType, column: str, keys: tuple[str, ...]) -> str:
    """The first of several attributes that is there."""
    found = [attribute(type_, column, key) for key in keys]
    return found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"


def _resource(type_: AttributeType) -> dict[str, str]:
    columns = {
        name: _first(type_, "ResourceAttributes", keys) for name, keys in RESOURCE_COLUMNS.items()
    }
    return columns | {"service": "nullIf(toString(ServiceName), '')"}


def _span_columns(type_: AttributeType) -> dict[str, str]:
    columns = {name: _first(type_, "SpanAttributes", keys) for name, keys in SPAN_COLUMNS.items()}
    older = {
        key: attribute(type_, "SpanAttributes", key)
        for key in ("code.function", "code.namespace", "http.target")
    }
    function, namespace, target = older.values()
    columns["code_function"] = (
        f"coalesce({columns['code_function']}, concat({namespace}, '.', {function}), {function})"
    )
    # http.target is path and query in one.
    columns["http_path"] = f"coalesce({columns['http_path']}, cutQueryString({target}))"
    columns["http_query"] = f"coalesce({columns['http_query']}, nullIf(queryString({target}), ''))"
    for name in ("code_line", "http_status"):
        numbers = (_integer(type_, "SpanAttributes", key) for key in SPAN_COLUMNS[name])
        columns[name] = f"coalesce({', '.join(numbers)})"
    return columns


def _integer(type_: AttributeType, column: str, key: str) -> str:
    # Of a Map, what is missing is '' and no number either way: one look-up is enough.
    text = f"{column}[{literal(key)}]" if type_ == "map" else attribute(type_, column, key)
    return f"toInt32OrNull({text})"
