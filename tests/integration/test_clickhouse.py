"""Every analysis gives the same answer on DuckDB and on a real ClickHouse server.

The servers are libchdb.so in processes of their own; `make clickhouse` fetches it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clickhouse_world as world
import pytest

from selfheal.cli.main import main
from selfheal.errors import ConfigurationError, InvalidInput, ServiceError
from selfheal.store import Answer, catalogue
from selfheal.store.clickhouse import ClickHouseStore
from selfheal.store.local import LocalStore
from selfheal.store.model import Period
from selfheal.telemetry import ingest
from selfheal.telemetry.model import DATASET

pytestmark = pytest.mark.skipif(
    world.library() is None,
    reason=f"there is no ClickHouse: no libchdb.so in {world.CACHE}; make clickhouse fetches it",
)

# What is no shipped analysis and still has to mean the same on both engines.
STATEMENTS = {
    "discrete percentiles": "SELECT operation, quantile_disc(duration_ms, 0.5) AS a, "
    "quantile(duration_ms, 0.9) AS b FROM spans GROUP BY 1 ORDER BY 1",
    "several percentiles": "SELECT operation, quantile_cont(duration_ms, [0.25, 0.75]) AS q, "
    "median(duration_ms) AS m, percentile_cont(0.9) WITHIN GROUP (ORDER BY duration_ms) AS w, "
    "percentile_disc(0.9) WITHIN GROUP (ORDER BY duration_ms) AS d FROM spans GROUP BY 1 ORDER BY 1",
    "lag outside of the window": "SELECT trace_id, span_id, lag(operation) OVER w AS a, "
    "lag(start_ns, 1) OVER (PARTITION BY trace_id ORDER BY start_ns, span_id) AS c, "
    "lead(operation, 2, 'none') OVER w AS b, sum(duration_ms) OVER w AS running FROM spans "
    "WINDOW w AS (PARTITION BY trace_id ORDER BY start_ns, span_id) ORDER BY 1, 2",
    "ends of a window": "SELECT trace_id, span_id, first_value(parent_span_id) OVER w AS a, "
    "last_value(http_status) OVER w AS b FROM spans "
    "WINDOW w AS (PARTITION BY trace_id ORDER BY start_ns, span_id) ORDER BY 1, 2",
    "ordered lists": "SELECT trace_id, list(span_id ORDER BY start_ns DESC, span_id DESC) AS a, "
    "list(parent_span_id ORDER BY start_ns, span_id) AS b FROM spans GROUP BY 1 ORDER BY 1",
    "an unordered list": "SELECT trace_id, len(list(parent_span_id)) AS n, "
    "len(operation) AS m FROM spans "
    "GROUP BY 1, 3 ORDER BY 1, 3",
    "missing and empty attributes": "SELECT attributes ->> 'empty' AS a, "
    "attributes ->> 'missing' AS b, attributes ->> '$.n' AS c, count(*) AS n FROM spans "
    "GROUP BY ALL ORDER BY ALL",
    "numbers in attributes": "SELECT try_cast(attributes ->> 'input_tokens' AS DOUBLE) AS a, "
    "try_cast(attributes ->> 'output_tokens' AS BIGINT) AS b FROM logs ORDER BY time_ns, 2",
    "unmatched rows": "SELECT a.trace_id, a.span_id, b.operation AS parent, b.start_ns FROM spans "
    "AS a LEFT JOIN spans AS b ON a.trace_id = b.trace_id AND a.parent_span_id = b.span_id "
    "ORDER BY 1, 2",
    "aggregates of nothing": "SELECT count(*) AS n, sum(duration_ms) AS a, max(start_ns) AS b, "
    "avg(duration_ms) AS c, quantile_cont(duration_ms, 0.5) AS d, max(operation) AS e, "
    "sum(length(operation)) AS f FROM spans WHERE service = 'x'",
    "aliases named like columns": "SELECT operation, sum(duration_ms) AS duration_ms, "
    "sum(duration_ms) / count(*) AS mean FROM spans GROUP BY operation ORDER BY operation",
    "whole and real division": "SELECT start_ns // 1000 AS a, http_status / 7 AS b, "
    "start_ns % 1000 AS c FROM spans ORDER BY trace_id, span_id",
    "conditions on aggregates": "SELECT service, count(*) FILTER (WHERE status = 'error') AS a, "
    "bool_or(http_status >= 500) AS b, bool_and(kind = 'server') AS e, "
    "count(DISTINCT trace_id) AS c, count(parent_span_id) AS d FROM spans GROUP BY 1 ORDER BY 1",
    "order of nulls": "SELECT DISTINCT http_status, code_line FROM spans ORDER BY 1 DESC, 2",
    "first of each group": "SELECT operation, arg_min(span_id, (start_ns, trace_id)) AS a "
    "FROM spans GROUP BY 1 QUALIFY row_number() OVER (ORDER BY operation) < 4 ORDER BY 1",
    "membership of a subquery": "SELECT count(*) AS n FROM spans WHERE trace_id IN "
    "(SELECT trace_id FROM spans WHERE status = 'error') AND kind = 'server'",
    "times": "SELECT DISTINCT date_trunc('minute', make_timestamp_ns(start_ns)) AS a, "
    "CAST(make_timestamp_ns(start_ns) AS DATE) AS b, "
    "strftime(make_timestamp_ns(start_ns), '%Y-%m-%d %H:%M:%S') AS c FROM spans ORDER BY ALL",
    "text": "SELECT DISTINCT upper(operation) AS a, lower(upper(operation)) AS h, split_part(operation, ' ', 2) AS b, "
    "operation || '!' AS c, length(operation) AS d, contains(operation, 'cart') AS e, "
    "substr(operation, 1, 3) AS f, operation LIKE '%art%' AS g FROM spans ORDER BY 1",
    "structures": "SELECT {'a': operation, 'n': count(*)} AS s FROM spans GROUP BY operation "
    "ORDER BY operation",
    "every column of spans": "SELECT * EXCLUDE (id, source, line, attributes) FROM spans "
    "ORDER BY trace_id, span_id",
    "every column of logs": "SELECT * EXCLUDE (id, source, line, attributes) FROM logs "
    "WHERE service = 'shop' ORDER BY time_ns, body",
    "every column of metrics": "SELECT * EXCLUDE (minimum, maximum, buckets, increase, source, "
    "line, attributes), attributes ->> 'pool' AS pool FROM metrics WHERE service = 'shop' ORDER BY name, release",
    "no table": "SELECT 1 AS a, NULL AS b, 'it''s \\ ü' AS c, 0.5 AS d",
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStore]:
    folder = tmp_path_factory.mktemp("dataset")
    file = folder / "telemetry.jsonl"
    file.write_text("\n".join(json.dumps(document) for document in world.documents()))
    store = LocalStore(ingest([file], folder, "dataset").dataset)
    yield store
    store.close()


@pytest.fixture(scope="module", params=["map", "json", "sharded"])
def collector(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ClickHouseStore]:
    """The same rows on a server: attributes as maps, as JSON, or over two shards."""
    folder = tmp_path_factory.mktemp("clickhouse")
    with world.serving(request.param, folder, world.documents()) as server:
        store = ClickHouseStore(server.url)
        yield store
        store.close()


def same(one: Any, other: Any) -> bool:
    """Equal; sums of floats may differ in their last digits. ClickHouse's truth is 1."""
    if isinstance(one, float) or isinstance(other, float):
        return one is not None and other is not None and math.isclose(one, other, rel_tol=1e-9)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def assert_same(answer: Answer, expected: Answer) -> None:
    assert answer.columns == expected.columns
    assert len(answer.rows) == len(expected.rows)
    different = [
        (row, wanted)
        for row, wanted in zip(answer.rows, expected.rows, strict=True)
        if not same(row, wanted)
    ]
    assert different[:3] == []


@pytest.mark.parametrize("name", catalogue())
def test_a_shipped_analysis_gives_the_same_answer(
    name: str, dataset: LocalStore, collector: ClickHouseStore
) -> None:
    query = catalogue()[name]
    values = query.values({})
    expected = dataset.query(query.sql, values)
    assert expected.rows
    assert_same(collector.query(query.sql, values), expected)


@pytest.mark.parametrize("name", [q.name for q in catalogue().values() if q.parameters])
def test_the_parameters_of_an_analysis_mean_the_same(
    name: str, dataset: LocalStore, collector: ClickHouseStore
) -> None:
    given = {
        "operation": 'it\'s \\ "odd" ü' if "time" in name else "GET /cart",
        "service": "shop",
        "limit": "3",
        "minutes": "7",
        "trace": f"{0:016x}{7:016x}",
    }
    query = catalogue()[name]
    values = query.values({p.name: given[p.name] for p in query.parameters})
    expected = dataset.query(query.sql, values)
    assert expected.rows
    assert_same(collector.query(query.sql, values), expected)


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_means_the_same(
    name: str, dataset: LocalStore, collector: ClickHouseStore
) -> None:
    expected = dataset.query(STATEMENTS[name])
    assert expected.rows
    assert_same(collector.query(STATEMENTS[name]), expected)


@pytest.mark.parametrize("table", ["spans", "logs", "metrics"])
def test_a_table_has_the_columns_of_the_event_model(table: str, collector: ClickHouseStore) -> None:
    # No bare LIMIT: stopping a shard early can bring this build of the engine down.
    answer = collector.query(f"SELECT * FROM {table} WHERE 1 = 0")
    assert answer.columns == list(DATASET[table])


@pytest.mark.parametrize("table", ["spans", "logs", "metrics"])
def test_a_period_holds_the_same_events(
    table: str, dataset: LocalStore, collector: ClickHouseStore
) -> None:
    period = Period(world.FIRST_NS, world.FIRST_NS + 700 * 10**9)
    sql = f"SELECT count(*) AS n FROM {table}"
    answers = [store.query(sql, {}, period) for store in (dataset, collector)]
    assert answers[0] == answers[1]
    assert 0 < answers[0].rows[0][0] < dataset.query(sql).rows[0][0]


def test_what_cannot_be_asked_is_said(collector: ClickHouseStore) -> None:
    for sql, message in {
        "SELECT * FROM errors": "the table errors is not among those of the collector",
        "DROP TABLE spans": "a query is one SELECT",
        "SELECT 1; SELECT 2": "a query is one SELECT",
        "SELECT FROM WHERE": "cannot be read",
        "SELECT no_such_column FROM spans": "cannot be run",
        "SELECT attributes -> 'n' FROM spans": "Write ->>",
        "SELECT list(span_id ORDER BY start_ns, trace_id DESC) FROM spans": "has no equivalent",
        "SELECT $x": "the parameter x has no value",
    }.items():
        with pytest.raises(InvalidInput, match=message):
            collector.query(sql)


def test_the_command_asks_the_server(
    dataset: LocalStore,
    collector: ClickHouseStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "selfheal.yaml").write_text(f"store: {{url: '{collector.place}'}}\n")
    assert main(["query", "slowest-traces", "--param", "limit=2", "--json"]) == 0
    query = catalogue()["slowest-traces"]
    expected = dataset.query(query.sql, query.values({"limit": "2"}))
    assert json.loads(capsys.readouterr().out) == expected.records


def test_nothing_can_be_written(collector: ClickHouseStore) -> None:
    """Were a statement to get past the translation, the session itself only reads."""
    from clickhouse_connect.driver.exceptions import DatabaseError

    with pytest.raises(DatabaseError, match="readonly"):
        collector._client.command("DROP TABLE otel.otel_logs")


def test_a_server_that_is_not_there_is_told_without_the_password() -> None:
    with pytest.raises(ServiceError) as raised:
        ClickHouseStore(f"clickhouse://me:secret@127.0.0.1:{world.free_port()}/otel")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("url", ["clickhouse://", "clickhouse://h:port", "clickhouse://h?tables=x"])
def test_a_url_that_is_none_is_a_mistake_of_the_configuration(url: str) -> None:
    with pytest.raises(ConfigurationError):
        ClickHouseStore(url)
