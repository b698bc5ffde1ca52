"""Named queries over a dataset: the catalogue, the verb, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from selfheal.artifacts import Dataset
from selfheal.artifacts.envelope import envelope
from selfheal.artifacts.telemetry import EventCounts, Refused, Telemetry, Window
from selfheal.cli.main import main
from selfheal.config import Settings, StoreConfig
from selfheal.errors import ConfigurationError, InvalidInput, NotFound
from selfheal.store import catalogue, query_named
from selfheal.store.catalogue import parse
from selfheal.store.local import LocalStore
from selfheal.store.model import Period, moment, plain
from selfheal.store.opening import open_store
from selfheal.telemetry import ingest
from selfheal.telemetry.model import DATASET

ROOT = Path(__file__).parents[2]
SESSION = ROOT / "tests" / "resources" / "clickhouse" / "coding_session.otlp.jsonl"
RUN = "20260101T000000Z-aaaaaa"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifacts of one run whose dataset is a recorded coding session."""
    artifacts = tmp_path_factory.mktemp("artifacts")
    run = artifacts / "runs" / RUN
    ingested = ingest([SESSION], run, "dataset")
    payload = Telemetry(
        sources=ingested.sources,
        refused=Refused(total=0, listed=[]),
        events=EventCounts.model_validate(ingested.events.model_dump()),
        window=Window(start=None, end=None),
        releases=[],
        operations=[],
        dataset=ingested.dataset,
    )
    wrapped = envelope("telemetry", payload, run_id=RUN, produced_by="test", inputs=[])
    (run / "telemetry.json").write_bytes(wrapped.to_bytes())
    (run / "run.json").write_text("{}")
    (artifacts / "latest").symlink_to(Path("runs") / RUN)
    return artifacts


@pytest.fixture
def dataset(folder: Path) -> Dataset:
    store = json.loads((folder / "latest" / "telemetry.json").read_bytes())
    return Dataset.model_validate(store["payload"]["dataset"]).located(folder / "runs" / RUN)


def asked(
    words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> list[dict[str, object]]:
    assert main(["query", *words, "--artifacts", str(folder), "--json"]) == 0
    rows: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return rows


def test_the_page_of_the_event_model_names_every_column_and_its_type() -> None:
    text = (ROOT / "docs" / "event-model.md").read_text(encoding="utf-8")
    sections = re.split(r"^## (\w+)$", text, flags=re.MULTILINE)[1:]
    told = {
        table: dict(re.findall(r"^\| `(\w+)` \| (\w+) \| \S", rows, re.MULTILINE))
        for table, rows in zip(sections[::2], sections[1::2], strict=True)
    }
    assert {table: list(columns.items()) for table, columns in told.items()} == {
        table: list(columns.items()) for table, columns in DATASET.items()
    }


def test_the_page_of_queries_names_every_query() -> None:
    text = (ROOT / "docs" / "queries.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE)) == set(catalogue())


@pytest.mark.parametrize("name", catalogue())
def test_a_shipped_query_runs_with_its_defaults(name: str, dataset: Dataset) -> None:
    query = query_named(name)
    store = LocalStore(dataset)
    answer = store.query(query.sql, query.values({}))
    store.close()
    assert answer.rows
    assert all(re.fullmatch(r"[a-z0-9_]+", column) for column in answer.columns)


def test_tokens_and_cost_of_a_recorded_session_are_what_it_says(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    requests = [
        {pair["key"]: next(iter(pair["value"].values())) for pair in record["attributes"]}
        for line in SESSION.read_text(encoding="utf-8").splitlines()
        for resource in json.loads(line).get("resourceLogs", ())
        for scope in resource["scopeLogs"]
        for record in scope["logRecords"]
        if record["body"]["stringValue"] == "claude_code.api_request"
    ]
    rows = asked(["tokens-by-day"], folder, capsys)
    assert [row["date"] for row in rows] == ["2026-11-21"]
    assert rows[0]["requests"] == len(requests)
    assert rows[0]["input_tokens"] == sum(int(r["input_tokens"]) for r in requests)
    assert rows[0]["output_tokens"] == sum(int(r["output_tokens"]) for r in requests)
    assert rows[0]["total_cost"] == pytest.approx(sum(float(r["cost_usd"]) for r in requests))
    cost = asked(["cost-per-request"], folder, capsys)[0]["avg_cost_per_request"]
    assert cost == pytest.approx(rows[0]["total_cost"] / len(requests))  # type: ignore[operator]


def test_a_statement_takes_parameters_by_name(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sql = "SELECT count(*) AS n FROM logs WHERE body = $body AND id >= $least"
    words = ["--sql", sql, "--param", "body=claude_code.api_request", "--param", "least=0"]
    assert asked(words, folder, capsys) == [{"n": 3}]
    # A value is a value, whatever stands in it.
    words = ["--sql", sql, "--param", "body=' OR true --", "--param", "least=0"]
    assert asked(words, folder, capsys) == [{"n": 0}]


def test_a_period_leaves_only_its_events(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    count = ["--sql", "SELECT count(*) AS n FROM logs"]
    everything = asked(count, folder, capsys)[0]["n"]
    assert everything == asked([*count, "--since", "2026-11-21"], folder, capsys)[0]["n"]
    assert asked([*count, "--until", "2026-11-21"], folder, capsys) == [{"n": 0}]
    some = asked([*count, "--since", "2026-11-21T01:07:46Z"], folder, capsys)[0]["n"]
    assert isinstance(some, int)
    assert isinstance(everything, int)
    assert 0 < some < everything


def test_rows_come_as_csv_exactly(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sql = "SELECT 1.0 / 3 AS third, NULL AS nothing, ['a', 'b'] AS many, 'x,\"y' AS text"
    words = ["query", "--sql", sql, "--artifacts", str(folder), "--format", "csv"]
    assert main(words) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows == [
        ["third", "nothing", "many", "text"],
        [repr(1 / 3), "", '["a", "b"]', 'x,"y'],
    ]


def test_a_table_is_for_people(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["query", "--artifacts", str(folder)]
    assert main([*words, "--sql", "SELECT 2.0 / 3 AS share, NULL AS nothing"]) == 0
    assert capsys.readouterr().out.splitlines() == ["SHARE     NOTHING", "0.666667  –"]
    assert main([*words, "slowest-traces", "--until", "1999-01-01"]) == 0
    assert capsys.readouterr().out == "no rows\n"


def test_the_list_and_a_query_can_be_read_without_any_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = ["--artifacts", str(tmp_path)]
    assert main(["query", "--list", *empty]) == 0
    assert "slowest-traces" in capsys.readouterr().out
    assert main(["query", "slowest-traces", "--show", *empty]) == 0
    assert capsys.readouterr().out.strip() == query_named("slowest-traces").sql


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "give the name of a query"),
        (["tokens-by-day", "--sql", "SELECT 1"], 2, "give the name of a query"),
        (["slow-traces"], 1, "Did you mean slowest-traces?"),
        (["slowest-traces", "--param", "limit=many"], 2, "'many' is no integer"),
        (["slowest-traces", "--param", "size=1"], 2, "has no parameter size"),
        (["slowest-traces", "--param", "limit"], 2, "takes KEY=VALUE"),
        (["--sql", "SELECT nonsense FROM spans"], 2, "nonsense"),
        (["--sql", "SELECT $missing"], 2, "missing"),
        (["--sql", "DROP VIEW spans"], 2, "a query is one SELECT"),
        (["--sql", "COPY spans TO 'spans.csv'"], 2, "a query is one SELECT"),
        (["--sql", "SELECT 1; SELECT 2"], 2, "a query is one SELECT"),
        (["--sql", "SELECT 1", "--since", "yesterday"], 2, "'yesterday' is no time"),
        (["--sql", "SELECT 1", "--store", "mysql://host"], 2, "store.url"),
        (["--sql", "SELECT 1", "--store", "x", "--run", "latest"], 2, "exclude each other"),
    ],
)
def test_a_mistake_says_what_is_wrong(
    words: list[str],
    code: int,
    message: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["query", *words, "--artifacts", str(folder)]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err


def test_the_configuration_names_the_store_and_a_run_overrides_it(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "selfheal.yaml").write_text(
        f"store: {{url: {tmp_path}/gone}}\nrun: {{artifacts: {folder}}}\n"
    )
    words = ["query", "--sql", "SELECT count(*) AS n FROM spans", "--json"]
    assert main(words) == 2
    assert "there is no store at" in capsys.readouterr().err
    assert main([*words, "--run", "latest"]) == 0
    assert main([*words, "--store", str(folder / "latest" / "dataset")]) == 0


def test_a_password_is_never_written_down() -> None:
    url = "clickhouse://me:s3@cret@db:8123/otel"
    settings = Settings(store=StoreConfig(url=url))
    assert settings.store.url == url
    assert settings.model_dump(mode="json")["store"]["url"] == "clickhouse://me@db:8123/otel"
    with pytest.raises(ConfigurationError) as raised:
        open_store(url.replace("clickhouse", "mysql"))
    assert "cret@" not in str(raised.value)


def test_a_file_of_the_catalogue_declares_its_parameters() -> None:
    text = "-- What it answers.\n-- More.\n-- $n integer = 5: how many\n\nSELECT $n;\n"
    query = parse("name", text)
    assert (query.title, query.description) == ("What it answers", "What it answers. More.")
    assert query.sql == "SELECT $n"
    assert query.values({}) == {"n": 5}
    assert query.values({"n": "7"}) == {"n": 7}
    with pytest.raises(ValueError, match="does not say"):
        parse("name", "SELECT 1")
    with pytest.raises(ValueError, match=r"\$n"):
        parse("name", "-- Answers.\n-- $n number = 5: how many\n\nSELECT 1")
    with pytest.raises(NotFound):
        query_named("nothing")


def test_times_are_read_as_people_write_them() -> None:
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    day = 86400 * 10**9
    assert moment("1970-01-02", now) == day
    assert moment("1970-01-02T02:00:00+02:00", now) == day
    assert moment("2d", now) == moment("2026-11-19T12:00:00Z", now)
    with pytest.raises(InvalidInput):
        moment("2 fortnights", now)
    assert Period(1, 2).condition("t") == "t >= 1 AND t < 2"


def test_values_become_json_types() -> None:
    assert plain(float("nan")) is None
    assert plain(datetime(2026, 1, 1)) == "2026-01-01T00:00:00Z"  # noqa: DTZ001
    assert plain((1, {"a": b"x"})) == [1, {"a": "x"}]
