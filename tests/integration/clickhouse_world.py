"""Real ClickHouse servers on loopback, and OTLP rows as the collector's exporter stores them."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

RESOURCES = Path(__file__).parents[1] / "resources" / "clickhouse"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "selfheal" / "clickhouse"
MAP = "Map(LowCardinality(String), String)"
FIRST_NS = 1_760_000_000 * 10**9
Layout = Literal["map", "json", "sharded"]
KINDS = ("Unspecified", "Internal", "Server", "Client", "Producer", "Consumer")
STATUS = ("Unset", "Ok", "Error")


def library() -> Path | None:
    """The newest libchdb.so that `make clickhouse` has fetched."""
    found = sorted(CACHE.glob("*/libchdb.so"), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """One server process with its own data in `folder`; a context manager."""

    def __init__(self, folder: Path, *options: str, http: int = 0, tcp: int = 0) -> None:
        self.http, self.tcp = http or free_port(), tcp or free_port()
        self.folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        found = library()
        assert found is not None
        self.folder.mkdir(parents=True, exist_ok=True)
        log = (self.folder.parent / f"{self.folder.name}.log").open("wb")
        with log:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    str(RESOURCES / "server.py"),
                    str(found),
                    f"--path={self.folder}",
                    "--listen_host=127.0.0.1",
                    f"--http_port={self.http}",
                    f"--tcp_port={self.tcp}",
                    *self._options,
                ],
                cwd=self.folder.parent,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait(Path(log.name))
        return self

    def _wait(self, log: Path) -> None:
        assert self._process is not None
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.http)) == 0:
                    return
            time.sleep(0.05)
        self.__exit__()
        raise RuntimeError(f"the server did not start: {log.read_text()[-2000:]}")

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def client(self) -> Any:
        import clickhouse_connect

        return clickhouse_connect.get_client(host="127.0.0.1", port=self.http)

    @property
    def url(self) -> str:
        return f"clickhouse://127.0.0.1:{self.http}/otel"


def create_tables(
    server: Server, *, attributes: str = MAP, suffix: str = "", engine: str = ""
) -> None:
    """The collector's tables; `{table}` in `engine` is the name that the exporter gives."""
    with server.client() as client:
        client.command("CREATE DATABASE IF NOT EXISTS otel")
        text = (RESOURCES / "tables.sql").read_text(encoding="utf-8")
        for statement in text.split(";"):
            name = statement.partition("CREATE TABLE otel.")[2].partition("{")[0]
            made = engine.replace("{table}", name) or "ENGINE = MergeTree ORDER BY tuple()"
            client.command(
                statement.replace("{attributes}", attributes)
                .replace("{suffix}", suffix)
                .replace("{engine}", made)
            )


def insert(server: Server, documents: list[dict[str, Any]]) -> None:
    """Store OTLP export requests as the exporter does."""
    tables: dict[str, list[dict[str, Any]]] = {}
    for document in documents:
        for table, row in rows_of(document):
            tables.setdefault(table, []).append(row)
    with server.client() as client:
        for table, rows in tables.items():
            client.raw_insert(
                f"otel.{table}",
                insert_block="\n".join(json.dumps(row) for row in rows).encode(),
                fmt="JSONEachRow",
                settings={"distributed_foreground_insert": 1},
            )


@contextmanager
def serving(kind: Layout, folder: Path, documents: list[dict[str, Any]]) -> Iterator[Server]:
    """A server that has the documents, with attributes as maps or JSON, or over two shards."""
    if kind == "sharded":
        with _sharded(folder, documents) as first:
            yield first
        return
    with Server(folder / "data") as server:
        create_tables(server, attributes="JSON" if kind == "json" else MAP)
        insert(server, documents)
        yield server


@contextmanager
def _sharded(folder: Path, documents: list[dict[str, Any]]) -> Iterator[Server]:
    tcp = [free_port() for _ in range(2)]
    shards = "".join(
        f"<shard><replica><host>127.0.0.1</host><port>{port}</port></replica></shard>"
        for port in tcp
    )
    config = folder / "config.xml"
    config.write_text(
        f"<clickhouse><remote_servers><both>{shards}</both></remote_servers></clickhouse>"
    )
    option = f"--config-file={config}"
    with (
        Server(folder / "first", option, tcp=tcp[0]) as first,
        Server(folder / "second", option, tcp=tcp[1]) as second,
    ):
        for server in (first, second):
            create_tables(server, suffix="_local")
        create_tables(first, engine="ENGINE = Distributed('both', 'otel', '{table}_local', rand())")
        insert(first, documents)
        with second.client() as client:
            assert client.command("SELECT count() FROM otel.otel_traces_local") > 0
        yield first


def rows_of(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for carrier in document.get("resourceSpans", ()):
        for scope in carrier["scopeSpans"]:
            for span in scope["spans"]:
                yield "otel_traces", _span(span, scope, _attributes(carrier["resource"]))
    for carrier in document.get("resourceLogs", ()):
        for scope in carrier["scopeLogs"]:
            for record in scope["logRecords"]:
                yield "otel_logs", _record(record, scope, _attributes(carrier["resource"]))
    for carrier in document.get("resourceMetrics", ()):
        resource = _attributes(carrier["resource"])
        for scope in carrier["scopeMetrics"]:
            for metric in scope["metrics"]:
                yield from _points(metric, resource)


def _span(span: dict[str, Any], scope: dict[str, Any], resource: dict[str, str]) -> dict[str, Any]:
    events = span.get("events", [])
    start, end = int(span.get("startTimeUnixNano", 0)), int(span.get("endTimeUnixNano", 0))
    return {
        "Timestamp": _time(start),
        "TraceId": span["traceId"],
        "SpanId": span["spanId"],
        "ParentSpanId": span.get("parentSpanId", ""),
        "SpanName": span["name"],
        "SpanKind": KINDS[span.get("kind", 0)],
        "ServiceName": resource.get("service.name", ""),
        "ResourceAttributes": resource,
        "ScopeName": scope.get("scope", {}).get("name", ""),
        "SpanAttributes": _attributes(span),
        # The exporter stores the difference as an unsigned number.
        "Duration": (end - start) % 2**64,
        "StatusCode": STATUS[span.get("status", {}).get("code", 0)],
        "Events.Timestamp": [_time(int(one.get("timeUnixNano", 0))) for one in events],
        "Events.Name": [one["name"] for one in events],
        "Events.Attributes": [_attributes(one) for one in events],
    }


def _record(
    record: dict[str, Any], scope: dict[str, Any], resource: dict[str, str]
) -> dict[str, Any]:
    moment = int(record.get("timeUnixNano", 0)) or int(record.get("observedTimeUnixNano", 0))
    return {
        "Timestamp": _time(moment),
        "TraceId": record.get("traceId", ""),
        "SpanId": record.get("spanId", ""),
        "SeverityText": record.get("severityText", ""),
        "SeverityNumber": record.get("severityNumber", 0),
        "ServiceName": resource.get("service.name", ""),
        "Body": _text(record.get("body", {"stringValue": ""})),
        "ResourceAttributes": resource,
        "ScopeName": scope.get("scope", {}).get("name", ""),
        "LogAttributes": _attributes(record),
    }


def _points(
    metric: dict[str, Any], resource: dict[str, str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    for kind in ("gauge", "sum", "histogram"):
        data = metric.get(kind, {})
        for point in data.get("dataPoints", ()):
            row = {
                "ResourceAttributes": resource,
                "ServiceName": resource.get("service.name", ""),
                "MetricName": metric["name"],
                "MetricUnit": metric.get("unit", ""),
                "Attributes": _attributes(point),
                "StartTimeUnix": _time(int(point.get("startTimeUnixNano", 0))),
                "TimeUnix": _time(int(point["timeUnixNano"])),
            }
            if kind != "gauge":
                row["AggregationTemporality"] = data.get("aggregationTemporality", 0)
            if kind == "sum":
                row["IsMonotonic"] = data.get("isMonotonic", False)
            if kind == "histogram":
                row |= {"Count": point["count"], "Sum": point["sum"]}
            else:
                row["Value"] = float(point.get("asDouble", point.get("asInt", 0)))
            yield f"otel_metrics_{kind}", row


def _attributes(carrier: dict[str, Any]) -> dict[str, str]:
    return {pair["key"]: _text(pair["value"]) for pair in carrier.get("attributes", ())}


def _text(value: dict[str, Any]) -> str:
    """A value as the exporter writes it: text, numbers in decimal, structures as JSON."""
    kind, content = next(iter(value.items()))
    match kind:
        case "boolValue":
            return str(content).lower()
        case "arrayValue" | "kvlistValue":
            return json.dumps(content)
        case _:
            return str(content)


def _time(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}.{rest:09}"


def documents() -> list[dict[str, Any]]:
    """OTLP export requests: a real coding session's, and made ones with all that is awkward."""
    recorded = (RESOURCES / "coding_session.otlp.jsonl").read_text(encoding="utf-8")
    return [
        *(json.loads(line) for line in recorded.splitlines()),
        *(_shop(number) for number in range(4)),
        _sessions(),
    ]


def _pairs(**values: Any) -> list[dict[str, Any]]:
    kinds = {str: "stringValue", bool: "boolValue", int: "intValue", float: "doubleValue"}
    return [
        {"key": key.replace("__", "."), "value": {kinds[type(value)]: value}}
        for key, value in values.items()
    ]


def _shop(release: int) -> dict[str, Any]:
    """60 traces of a service: parents, failures, old attribute names, a clock that runs back."""
    dice = random.Random(release)
    spans = []
    for number in range(60):
        trace = f"{release:016x}{number + 1:016x}"
        start = FIRST_NS + release * 600 * 10**9 + number * 7_123_456_789
        for step in range(dice.randrange(1, 7)):
            failed = dice.random() < 0.1
            length = dice.randrange(10_000, 40_000_000)
            span = {
                "traceId": trace,
                "spanId": f"{number:08x}{step + 1:08x}",
                "name": ("GET /cart", "cart.add", "SELECT", 'it\'s \\ "odd" ü')[step % 4],
                "kind": (2, 1, 3, 0)[step % 4],
                "startTimeUnixNano": str(start + step * 1_000_003 * (step % 3)),
                "endTimeUnixNano": str(start + step * 1_000_003 * (step % 3) + length),
                "status": {"code": 2 if failed else 0},
                "attributes": _pairs(
                    code__function__name="cart.add", code__line__number=step, empty="", share=0.25
                ),
            }
            if step:
                span["parentSpanId"] = f"{number:08x}{1:08x}"
            else:
                names = ("http.status_code", "http.response.status_code")
                name = names[number % 2]
                span["attributes"] += _pairs(**{name: 500 if failed else 200, "n": number})
            if number == 59:
                span["endTimeUnixNano"] = str(start - 10**9)
            spans.append(span)
    resource = _pairs(service__name="shop", service__version=f"1.{release}")
    point = {"timeUnixNano": str(FIRST_NS), "attributes": _pairs(pool="a")}
    total = {"aggregationTemporality": 2, "isMonotonic": True}
    points = [point | {"asDouble": 2.5, "startTimeUnixNano": str(FIRST_NS - 10**9)}]
    metrics = [
        {"name": "queue", "unit": "1", "gauge": {"dataPoints": [point | {"asInt": "4"}]}},
        {"name": "sold", "sum": {**total, "dataPoints": points}},
        {
            "name": "wait",
            "histogram": {
                "aggregationTemporality": 1,
                "dataPoints": [point | {"count": "3", "sum": 0.75}],
            },
        },
    ]
    return {
        "resourceLogs": [
            {"resource": {"attributes": resource}, "scopeLogs": [_lines(release, spans)]}
        ],
        "resourceSpans": [{"resource": {"attributes": resource}, "scopeSpans": [{"spans": spans}]}],
        "resourceMetrics": [
            {"resource": {"attributes": resource}, "scopeMetrics": [{"metrics": metrics}]}
        ],
    }


def _lines(release: int, spans: list[dict[str, Any]]) -> dict[str, Any]:
    """Log records of the service: every level, with and without a trace and an exception."""
    records: list[dict[str, Any]] = []
    for number, span in enumerate(spans[:30]):
        record: dict[str, Any] = {
            "timeUnixNano": str(int(span["startTimeUnixNano"]) + number),
            "severityNumber": number % 25,
            "severityText": ("Warning", "CRITICAL", "notice", "odd")[number % 4],
            "body": {"stringValue": f"line {number} of 1.{release}"},
            "attributes": _pairs(number=number),
        }
        if number % 2:
            record |= {"traceId": span["traceId"], "spanId": span["spanId"]}
        if number % 5 == 0:
            record["attributes"] += _pairs(
                exception__type="KeyError", exception__message=f"'key {number}'"
            )
        records.append(record)
    return {"scope": {"name": "shop.cart"}, "logRecords": records}


def _sessions() -> dict[str, Any]:
    """Requests of coding sessions: numbers as numbers, as text, as nonsense, and missing."""
    records = []
    tokens: list[Any] = [120, "340", 12.5, "", "many", " 7 ", "1e3"]
    for number in range(90):
        name = "api_error" if number % 10 == 3 else "api_request"
        attributes = _pairs(
            model=("opus", "haiku", "sonnet")[number % 3],
            input_tokens=tokens[number % len(tokens)],
            output_tokens=str(number),
            duration_ms=str(100 + number * 13 % 47),
            **{"event.name": name},
        )
        if number % 4:
            attributes += _pairs(cost_usd=(number % 9) / 1024)
        record = {
            "timeUnixNano": str(FIRST_NS + number * 1_777 * 10**9),
            "severityNumber": (9, 17, 0)[number % 3],
            "severityText": "Warning",
            "attributes": attributes,
        }
        # Newer exporters name the event and leave the body out.
        if number % 2:
            record["body"] = {"stringValue": f"claude_code.{name}"}
        if number == 88:
            del record["timeUnixNano"]
        records.append(record)
    resource = {"attributes": _pairs(service__name="claude-code", service__version="2.1")}
    return {"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": records}]}]}
