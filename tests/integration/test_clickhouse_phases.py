"""Detectors and reports answer the same over ClickHouse, where the rows stay, as over files.

The server is libchdb.so in a process of its own; `make clickhouse` fetches it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import clickhouse_world as world
import pytest
from selfheal_handlers.anomaly import HANDLERS, _examples

from selfheal.analysis.aggregate import aggregate
from selfheal.analysis.errors import detect_errors
from selfheal.analysis.invariants import detect_invariants
from selfheal.analysis.model import DetectionData, asked
from selfheal.analysis.performance import detect_performance
from selfheal.analysis.releases import compare
from selfheal.artifacts import Telemetry
from selfheal.artifacts.dataset import Dataset, write_tables
from selfheal.artifacts.envelope import envelope
from selfheal.artifacts.telemetry import EventCounts, Refused
from selfheal.config import DetectConfig
from selfheal.errors import TelemetryError
from selfheal.reports.catalogue import OF_A_RUN, build
from selfheal.reports.model import Options
from selfheal.reports.source import Source
from selfheal.store.pinning import pin
from selfheal.store.places import keep, locate, take
from selfheal.telemetry.normalize import connect, normalize
from selfheal.telemetry.statistics import aggregate as figures_of
from selfheal.telemetry.statistics import iso

pytestmark = pytest.mark.skipif(
    world.library() is None,
    reason=f"there is no ClickHouse: no libchdb.so in {world.CACHE}; make clickhouse fetches it",
)
ASKING = [name for name in OF_A_RUN if name != "anomalies"]
PLAIN = Options()
# What reads attributes in every way, and what joins and ranks.
OF_LAYOUT = {
    "json": (["detect_error_patterns"], ["dependencies", "state"]),
    "sharded": (["detect_behavioral_anomalies"], ["replay"]),
}
BEATS = {one.name: one for one in HANDLERS if one.contributes}


class Places(NamedTuple):
    """The same telemetry as runs over files and over a database, and the server's address."""

    files: Path
    database: Path
    url: str


def documents() -> list[dict[str, Any]]:
    """Two releases of a shop, whose requests have paths, statements and changes of state."""
    found = [_examples._export(release, number) for release in (0, 1) for number in range(160)]
    for number, document in enumerate(found):
        spans = document["resourceSpans"][0]["scopeSpans"][0]["spans"]
        entry = spans[0]
        entry["attributes"] = world._pairs(
            **{
                "http.request.method": entry["name"].split()[0],
                "url.path": entry["name"].split()[1],
                "url.query": f"page={number % 5}&sort=name",
                "http.response.status_code": 500 if "status" in entry else 200,
                "thread.id": number % 3,
            }
        )
        for span in spans[1:]:
            span["attributes"] = span.get("attributes", []) + world._pairs(
                **{"state.changed": json.dumps([f"{span['name']}.count"])}
            )
        if len(spans) > 1:
            statement = {
                **spans[-1],
                "name": "UPDATE stock",
                "startTimeUnixNano": str(int(spans[-1]["startTimeUnixNano"]) + 20_000),
                "endTimeUnixNano": str(int(spans[-1]["endTimeUnixNano"]) - 20_000),
                "kind": 3,
                "spanId": f"{2**32 + number:016x}",
                "parentSpanId": spans[-1]["spanId"],
                "attributes": world._pairs(
                    **{"db.query.text": "UPDATE stock SET n = ?", "db.system": "sqlite"}
                ),
            }
            spans.append(statement)
    return found


def parsed(path: str, run: Path) -> Path:
    """A run folder with the telemetry of `path`."""
    files, growing, database = locate([path])
    extracted = take(files, growing, database, base=run, path="extracted", refused_listed=5)
    normalized = write_tables(normalize(extracted.dataset), run, "normalized")
    dataset = keep(database, extracted.dataset, normalized, base=run, path="dataset")
    with (
        connect(extracted.dataset, normalized) if database is None else dataset.connect()
    ) as connection:
        figures = figures_of(connection)
    payload = Telemetry(
        sources=[],
        refused=Refused(),
        events=EventCounts(spans=figures.rows["spans"], errors=figures.rows["errors"]),
        window=figures.window,
        releases=figures.releases,
        operations=figures.operations,
        dataset=dataset,
    )
    wrapped = envelope("telemetry", payload, run_id="r1", produced_by="test", inputs=[])
    (run / "telemetry.json").write_bytes(wrapped.to_bytes())
    return run


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    folder = tmp_path_factory.mktemp("phases")
    file = folder / "traces.jsonl"
    file.write_text("\n".join(json.dumps(document) for document in documents()) + "\n")
    with world.serving("map", folder, documents()) as server:
        runs = [_folder(folder / name) for name in ("files", "database")]
        yield Places(parsed(str(file), runs[0]), parsed(server.url, runs[1]), server.url)


def _folder(parent: Path) -> Path:
    run = parent / "r1"
    run.mkdir(parents=True)
    return run


def telemetry(run: Path) -> Telemetry:
    with Source(run) as source:
        return source.telemetry


def data(run: Path) -> DetectionData:
    dataset: Dataset = telemetry(run).dataset.located(run)
    return DetectionData(dataset=dataset, comparisons=compare(dataset))


def test_the_figures_of_telemetry_are_the_same(places: Places) -> None:
    files, database = telemetry(places.files), telemetry(places.database)
    assert files.events.errors > 0
    assert database.events == files.events
    assert database.operations == files.operations
    assert database.releases == files.releases
    assert database.window == files.window


def test_the_run_holds_no_rows_of_the_database(places: Places) -> None:
    handle = telemetry(places.database).dataset
    assert {file.name for file in (places.database / "dataset").iterdir()} == {
        "errors.parquet",
        "coverage.parquet",
    }
    assert handle.remote is not None
    assert handle.tables["spans"].rows == telemetry(places.files).events.spans


def found_by(name: str, run: Path) -> list[Any]:
    """What a beat finds, but for the one question that cannot be put to a database."""
    found = BEATS[name](load_telemetry_data=data(run), config=DetectConfig())
    unasked = [one for one in found if "unavailable there" in getattr(one, "reason", "")]
    assert {one.detector for one in unasked} <= {"invariants"}
    return [one for one in found if one not in unasked]


@pytest.mark.parametrize("name", BEATS)
def test_a_detector_finds_the_same(name: str, places: Places) -> None:
    assert found_by(name, places.database) == found_by(name, places.files)


def test_the_anomalies_of_a_run_are_the_same(places: Places) -> None:
    config = DetectConfig()
    sides = [data(run) for run in (places.database, places.files)]
    found = [
        [*detect_performance(side, config).anomalies, *detect_errors(side, config).anomalies]
        for side in sides
    ]
    results = [
        aggregate(anomalies, side, config) for anomalies, side in zip(found, sides, strict=True)
    ]
    assert results[0].anomalies
    assert results[0] == results[1]


def test_a_question_without_an_equivalent_is_open_and_says_why(places: Places) -> None:
    found = asked(detect_invariants, data(places.database), DetectConfig())
    assert [one.detector for one in found.undecided] == ["invariants"]
    assert "unavailable there: " in found.undecided[0].reason


def said(name: str, run: Path, options: Options = PLAIN) -> dict[str, Any]:
    """A report, but for where the rows are recorded."""
    with Source(run) as source:
        report = build(name, source, options)
    assert report.empty is None
    return dict(_without_lines(report.model_dump()))


@pytest.mark.parametrize("name", ASKING)
def test_a_report_says_the_same(name: str, places: Places) -> None:
    assert said(name, places.database) == said(name, places.files)


def test_a_declared_flow_is_held_against_the_database(places: Places, tmp_path: Path) -> None:
    file = tmp_path / "order.json"
    beats = [
        {"beat": number, "handler": name}
        for number, name in enumerate(("orders.place", "stock.check", "orders.confirm"), 1)
    ]
    movement = {"id": "all", "name": "All", "beats": beats}
    file.write_text(json.dumps({"id": "order", "name": "POST /orders", "movements": [movement]}))
    options = Options(declared=[str(file)])
    report = said("flow", places.files, options)
    assert {one["violation"] for one in report["discrepancies"]} == {"missing", "swapped"}
    assert said("flow", places.database, options) == report


@pytest.mark.parametrize("layout", ["json", "sharded"])
def test_other_layouts_of_the_tables_answer_the_same(
    layout: world.Layout, places: Places, tmp_path: Path
) -> None:
    with world.serving(layout, tmp_path, documents()) as server:
        run = parsed(server.url, _folder(tmp_path / "database"))
        beats, reports = OF_LAYOUT[layout]
        for beat in beats:
            assert found_by(beat, run) == found_by(beat, places.files)
        for name in reports:
            assert said(name, run) == said(name, places.files)


def _without_lines(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_lines(one) for key, one in value.items() if key != "recorded"}
    return [_without_lines(one) for one in value] if isinstance(value, list) else value


def test_a_window_is_pinned_and_named_in_the_address(places: Places) -> None:
    whole = pin(places.url)
    assert pin(places.url) == whole
    part = pin(f"{places.url}?since=10s")
    assert 0 < part.tables["spans"].rows < whole.tables["spans"].rows
    assert part.remote.until_ns == whole.remote.until_ns
    assert iso(part.remote.until_ns) is not None


def test_rows_that_are_gone_since_are_told(places: Places) -> None:
    handle = telemetry(places.database).dataset.located(places.database)
    spans = handle.tables["spans"]
    shrunk = handle.model_copy(
        update={"tables": {**handle.tables, "spans": spans.model_copy(update={"rows": 1})}}
    )
    with pytest.raises(TelemetryError, match="had 1 rows when it was parsed"):
        shrunk.rows("SELECT 1")


def test_files_beside_a_database_hold_coverage(places: Places, tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text('{"timestamp": "2026-01-01T00:00:00Z", "level": "info", "message": "up"}\n')
    located = locate([places.url, str(log)])
    with pytest.raises(TelemetryError, match="beside a database hold logs"):
        take(*located, base=tmp_path, path="extracted", refused_listed=5)
