"""The collector's tables in ClickHouse, asked where they lie."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from selfheal.errors import ConfigurationError, InvalidInput, MissingExtra, ServiceError
from selfheal.store.collector import AttributeType, Layout
from selfheal.store.model import ALWAYS, Answer, Period

if TYPE_CHECKING:
    import pyarrow as pa
    from clickhouse_connect.driver.client import Client
    from clickhouse_connect.driver.external import ExternalData

SCHEME = "clickhouse"
PASSWORD_VARIABLE = "CLICKHOUSE_PASSWORD"
_OPTIONS = ("secure", "traces", "logs", "metrics", "since", "until")


_ARROW = {
    "null": "String",
    "string": "String",
    "large_string": "String",
    "int32": "Int32",
    "int64": "Int64",
    "double": "Float64",
    "bool": "Bool",
}


class ClickHouseStore:
    """A store over the tables of the collector's ClickHouse exporter.

    `url` is ``clickhouse://user:password@host:port/database``, everything but the host
    optional; the port is that of the HTTP interface. ``?secure=true`` speaks TLS,
    ``?traces=``, ``?logs=`` and ``?metrics=`` name tables that are not called
    ``otel_traces``, ``otel_logs``, ``otel_metrics_…``; ``?since=`` and ``?until=`` limit what
    a run reads (see `selfheal.store.pinning`). A password that is not in the URL
    is taken from the environment variable CLICKHOUSE_PASSWORD.

    Raises ConfigurationError for a URL that is none, MissingExtra where clickhouse-connect
    or sqlglot is not installed, ServiceError where the server does not answer.
    """

    def __init__(self, url: str) -> None:
        parts, options = _parsed(url)
        _require_packages()
        from selfheal.store.dialect import SETTINGS

        database = unquote(parts.path.strip("/")) or "default"
        self.place = f"{SCHEME}://{parts.hostname}:{_port(parts, options)}/{database}"
        self.options = options
        # As it may be written down: without a password.
        account = f"{parts.username}@" if parts.username else ""
        query = urlencode({k: v for k, v in options.items() if k not in ("since", "until")})
        self.url = self.place.replace("://", f"://{account}") + (f"?{query}" if query else "")
        self._client = _connect(parts, options, self.place)
        known = self._client.server_settings
        self._settings = {name: value for name, value in SETTINGS.items() if name in known}
        defaults = Layout(database)
        self.layout = self._found(
            Layout(
                database,
                traces=options.get("traces", defaults.traces),
                logs=options.get("logs", defaults.logs),
                metrics=options.get("metrics", defaults.metrics),
            )
        )

    def query(
        self, sql: str, parameters: Mapping[str, Any] | None = None, period: Period = ALWAYS
    ) -> Answer:
        """One SELECT in DuckDB's dialect, translated and run on the server. Raises InvalidInput."""
        from selfheal.store.dialect import translate

        values = dict(parameters or {})
        types = {name: _type_of(value) for name, value in values.items()}
        return Answer.of(*self.run(translate(sql, self.layout, types, period), values))

    def run(
        self,
        statement: str,
        parameters: Mapping[str, Any] | None = None,
        external: Mapping[str, pa.Table] | None = None,
    ) -> tuple[list[str], Sequence[Sequence[Any]]]:
        """The columns and rows of a statement in ClickHouse's own SQL.

        Small tables in `external` are sent along and read by their names. Raises
        InvalidInput where it cannot be run, ServiceError where there is no answer.
        """
        from clickhouse_connect.driver.exceptions import DatabaseError, Error

        values = dict(parameters or {})
        try:
            result = self._client.query(
                statement,
                parameters=values,
                settings=self._settings,
                external_data=_external(external or {}),
            )
            columns = result.column_names or self._columns(statement, values, external or {})
        except DatabaseError as error:
            raise InvalidInput(
                f"the statement cannot be run: {_short(error)}.", where=self.place
            ) from error
        except Error as error:
            raise ServiceError(f"no answer: {_short(error)}.", where=self.place) from error
        return list(columns), result.result_rows

    def _columns(
        self, statement: str, values: dict[str, Any], external: Mapping[str, pa.Table]
    ) -> list[str]:
        """The columns of a statement. An answer without rows comes without them."""
        described = self._client.query(
            f"DESCRIBE ({statement})",
            parameters=values,
            settings=self._settings,
            external_data=_external(external),
        )
        return [name for name, *_ in described.result_rows]

    def close(self) -> None:
        self._client.close()

    def _found(self, layout: Layout) -> Layout:
        """The layout with the tables that exist and how they store attributes."""
        columns = self._client.query(
            "SELECT table, name, type FROM system.columns WHERE database = {database:String} "
            "AND table IN {names:Array(String)} AND name IN ('SpanAttributes', 'LogAttributes', "
            "'Attributes', 'AggTemp', 'AggregationTemporality', 'Events.Name')",
            parameters={"database": layout.database, "names": list(layout.names)},
        ).result_rows
        tables: dict[str, AttributeType] = {
            table: "json" if type_.startswith("JSON") else "map"
            for table, name, type_ in columns
            if name.endswith("Attributes")
        }
        temporality = {table: name for table, name, _ in columns if name.startswith("Agg")}
        events = any(table == layout.traces and name == "Events.Name" for table, name, _ in columns)
        return replace(layout, tables=tables, temporality=temporality, events=events)


def _parsed(url: str) -> tuple[Any, dict[str, str]]:
    parts = urlsplit(url)
    options = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    unknown = sorted(set(options) - set(_OPTIONS))
    try:
        sound = parts.scheme == SCHEME and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        sound = False
    if not sound or unknown:
        what = f"the option {unknown[0]} is not known" if unknown else "this is no ClickHouse URL"
        raise ConfigurationError(
            f"{what}.",
            where="store.url",
            hint="It is clickhouse://user@host:8123/database, with the options "
            f"{', '.join(_OPTIONS)}.",
        )
    return parts, options


def _secure(options: Mapping[str, str]) -> bool:
    return options.get("secure", "").lower() in ("1", "true", "yes")


def _port(parts: Any, options: Mapping[str, str]) -> int:
    return int(parts.port or (8443 if _secure(options) else 8123))


def _require_packages() -> None:
    for package in ("clickhouse_connect", "sqlglot"):
        if find_spec(package) is None:
            raise MissingExtra.of(package.replace("_", "-"), "clickhouse")


def _connect(parts: Any, options: Mapping[str, str], place: str) -> Client:
    import clickhouse_connect
    from clickhouse_connect.driver.exceptions import Error

    password = unquote(parts.password or "") or os.environ.get(PASSWORD_VARIABLE, "")
    try:
        return clickhouse_connect.get_client(
            host=parts.hostname,
            port=_port(parts, options),
            username=unquote(parts.username or "") or "default",
            password=password,
            secure=_secure(options),
            # Reading, and settings for it, is all that is needed.
            settings={"readonly": 2},
            autogenerate_session_id=False,
        )
    except Error as error:
        raise ServiceError(
            f"the server cannot be used: {_short(error)}.",
            where=place,
            hint="Look at store.url, and at the server.",
        ) from error


def _external(tables: Mapping[str, pa.Table]) -> ExternalData | None:
    """Arrow tables as clickhouse-connect sends them beside a statement."""
    from clickhouse_connect.driver.external import ExternalData
    from pyarrow import BufferOutputStream, parquet

    data: ExternalData | None = None
    for name, table in tables.items():
        content = BufferOutputStream()
        parquet.write_table(table, content)
        one = {
            "file_name": name,
            "data": content.getvalue().to_pybytes(),
            "fmt": "Parquet",
            "structure": structure(table),
        }
        if data is None:
            data = ExternalData(**one)
        else:
            data.add_file(**one)
    return data


def structure(table: pa.Table) -> list[str]:
    """The columns of an Arrow table as ClickHouse declares them."""
    return [f"{field.name} Nullable({_ARROW[str(field.type)]})" for field in table.schema]


def _type_of(value: Any) -> str:
    match value:
        case bool():
            return "Bool"
        case int():
            return "Int64"
        case float():
            return "Float64"
        case None:
            return "Nullable(String)"
        case _:
            return "String"


def _short(error: Exception) -> str:
    """The server's message without stack, version and the words that every message has."""
    text = " ".join(str(error).split())
    return text.split(" (for url ")[0].split(" (version ")[0].rstrip(".")[:600]
