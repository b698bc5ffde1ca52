"""Reports show what was measured: figures against independent computation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recording import START, Recording
from report_runs import anomaly, empty_run, recorded, run_folder

from selfheal.errors import InvalidInput, NotFound
from selfheal.reports import OF_A_RUN, build
from selfheal.reports.anomalies import AnomalyReport
from selfheal.reports.coverage import Coverage
from selfheal.reports.dependencies import Dependencies
from selfheal.reports.errors import Errors
from selfheal.reports.flow import Flow
from selfheal.reports.heatmap import Heatmap
from selfheal.reports.inputs import Inputs
from selfheal.reports.lanes import arrange
from selfheal.reports.model import Options, Report
from selfheal.reports.profiler import Profile
from selfheal.reports.regression import Regression
from selfheal.reports.replay import Replay
from selfheal.reports.source import Source
from selfheal.reports.state import State
from selfheal.reports.timeline import Timeline

TRACEBACK = """Traceback (most recent call last):
  File "/app/lib/python3.11/site-packages/flask/app.py", line 900, in dispatch
    return view()
  File "/app/shop/prices.py", line 12, in show
    return quote()
  File "/app/shop/prices.py", line 40, in quote
    return tiers[-1]
IndexError: list index out of range
"""


def report(run: Path, name: str, **options: object) -> Report:
    with Source(run) as source:
        return build(name, source, Options.model_validate(options))


@pytest.mark.parametrize("name", OF_A_RUN)
def test_without_data_a_report_is_empty_and_says_why(name: str, tmp_path: Path) -> None:
    found = report(empty_run(tmp_path), name)
    assert found.empty
    assert found.table() is None


def test_a_run_that_parsed_nothing_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="telemetry"):
        report(tmp_path, "heatmap")


def test_the_heatmap_has_exact_figures_in_every_field(tmp_path: Path) -> None:
    recording = Recording()
    random = np.random.default_rng(3)
    lasting = random.lognormal(2, 1, size=(2, 40))
    for minute, values in enumerate(lasting):
        for number, value in enumerate(values):
            recording.trace(
                "1.0",
                "GET /",
                minute * 60 + number,
                float(value),
                status=500 if number == 7 else 200,
            )
    found = report(recorded(tmp_path, recording), "heatmap")
    assert isinstance(found, Heatmap)
    assert found.width == "2 s"
    whole = found.operations[0]
    assert (whole.executions, whole.errors) == (80, 2)
    for share, value in ((50, whole.p50_ms), (95, whole.p95_ms), (99, whole.p99_ms)):
        assert value == pytest.approx(np.percentile(lasting, share), rel=1e-4)
    assert whole.total_ms == pytest.approx(lasting.sum(), rel=1e-4)
    assert sum(cell.executions for cell in found.cells) == 80
    assert sum(cell.total_ms for cell in found.cells) == pytest.approx(lasting.sum(), rel=1e-4)
    slowest = max(found.slowest, key=lambda one: one.lasts_ms)
    assert slowest.lasts_ms == pytest.approx(lasting.max(), rel=1e-4)
    assert slowest.recorded.startswith("traces.jsonl:")
    assert slowest.trace_id in {trace.trace_id for trace in found.traces}


def test_only_the_asked_window_and_release_are_on_the_map(tmp_path: Path) -> None:
    recording = Recording()
    for second in range(10):
        recording.trace("1.0" if second < 5 else "1.1", "GET /", second, 5)
    run = recorded(tmp_path, recording)
    start = "2024-05-01T12:00:08Z"
    assert START // 10**9 == 1714564800
    late = report(run, "heatmap", start=start)
    assert isinstance(late, Heatmap)
    assert late.operations[0].executions == 2
    old = report(run, "heatmap", release="1.0")
    assert isinstance(old, Heatmap)
    assert old.operations[0].executions == 5
    with pytest.raises(InvalidInput, match="ISO 8601"):
        report(run, "heatmap", start="yesterday")


@settings(max_examples=12, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 90), st.integers(1, 60)).map(
            lambda pair: (pair[0], pair[0] + pair[1])
        ),
        min_size=0,
        max_size=6,
    )
)
def test_own_time_is_what_no_child_covers(
    steps: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Children that overlap, run at the same time or outlast their parent count once, inside it."""
    recording = Recording()
    recording.trace(
        "1.0", "GET /", 0, 100, steps=tuple((f"s{n}", a, b) for n, (a, b) in enumerate(steps))
    )
    found = report(recorded(tmp_path_factory.mktemp("own"), recording), "profiler")
    assert isinstance(found, Profile)
    covered = {ms for first, last in steps for ms in range(first, min(last, 100))}
    root = next(one for one in found.hotspots if one.operation == "GET /")
    assert root.own_ms == pytest.approx(100 - len(covered), abs=1e-3)
    assert {call.operation for call in found.paths[0].calls} == {f"s{n}" for n in range(len(steps))}


@settings(max_examples=60, deadline=None)
@given(
    spans=st.lists(
        st.tuples(st.integers(0, 40), st.integers(0, 30), st.integers(-1, 8), st.integers(0, 2)),
        max_size=14,
    )
)
def test_bars_of_a_slot_nest_and_never_cross(spans: list[tuple[int, int, int, int]]) -> None:
    rows = [
        {
            "trace_id": "t",
            "span_id": str(number),
            "parent_span_id": str(parent) if 0 <= parent < number else None,
            "start_ns": start,
            "end_ns": start + lasts,
            "lane_service": f"s{lane}",
            "lane_instance": None,
            "lane_thread": None,
        }
        for number, (start, lasts, parent, lane) in enumerate(spans)
    ]
    rows.sort(key=lambda row: (row["start_ns"], -row["end_ns"]))
    _, arranged = arrange(rows)
    for i, (first, a) in enumerate(zip(rows, arranged, strict=True)):
        for second, b in list(zip(rows, arranged, strict=True))[i + 1 :]:
            if (a.lane, a.slot) != (b.lane, b.slot) or second["start_ns"] >= first["end_ns"]:
                continue
            assert a.depth < b.depth
            assert second["end_ns"] <= first["end_ns"]


def test_the_timeline_tells_idle_time_from_work(tmp_path: Path) -> None:
    recording = Recording()
    recording.trace("1.0", "first", 0, 100, steps=(("inner", 10, 50),))
    recording.trace("1.0", "second", 0.4, 100)
    recording.trace("1.0", "elsewhere", 0.2, 50, instance="b")
    found = report(recorded(tmp_path, recording), "timeline")
    assert isinstance(found, Timeline)
    assert [(gap.at_ms, gap.lasts_ms) for gap in found.idle] == [(100.0, 300.0)]
    use = {one.lane: one for one in found.use}
    assert (use["shop · a"].busy_ms, use["shop · a"].idle_ms) == (200.0, 300.0)
    assert use["shop · b"].idle_ms == 0
    inner = next(bar for bar in found.bars if bar.name == "inner")
    assert (inner.depth, inner.at_ms, inner.lasts_ms) == (1, 10.0, 40.0)


def test_one_trace_is_found_by_the_beginning_of_its_id(tmp_path: Path) -> None:
    recording = Recording()
    wanted = [recording.trace("1.0", f"op{n}", n, 5) for n in range(12)][4]
    run = recorded(tmp_path, recording)
    found = report(run, "timeline", trace=wanted)
    assert isinstance(found, Timeline)
    assert [bar.name for bar in found.bars] == ["op4"]
    with pytest.raises(NotFound, match="several traces"):
        report(run, "timeline", trace="000")
    with pytest.raises(NotFound, match="no trace"):
        report(run, "timeline", trace="f")


def test_a_ratio_without_a_finding_is_no_verdict(tmp_path: Path) -> None:
    recording = Recording()
    for second in range(30):
        recording.trace("1.0", "GET /a", second, 10)
        recording.trace("1.0", "GET /b", second + 0.5, 10)
        recording.trace("1.1", "GET /a", 100 + second, 30)
        recording.trace("1.1", "GET /b", 100.5 + second, 30)
    run = run_folder(
        tmp_path, recording.save(tmp_path / "t.jsonl"), anomalies=[anomaly("performance", "GET /a")]
    )
    found = report(run, "regression")
    assert isinstance(found, Regression)
    assert [(one.operation, one.verdict, one.ratio) for one in found.changes] == [
        ("GET /a", "slower", 3.0),
        ("GET /b", "no finding", 3.0),
    ]


def test_one_release_is_nothing_to_compare(tmp_path: Path) -> None:
    recording = Recording()
    recording.trace("1.0", "GET /", 0, 10)
    found = report(recorded(tmp_path, recording), "regression")
    assert "one release only" in (found.empty or "")


def test_calls_are_counted_per_caller(tmp_path: Path) -> None:
    recording = Recording()
    for second in range(3):
        recording.trace(
            "1.0", "GET /", second, 50, steps=(("load", 0, 10), ("load", 10, 20), ("save", 20, 40))
        )
    found = report(recorded(tmp_path, recording), "dependencies")
    assert isinstance(found, Dependencies)
    assert {(one.from_operation, one.to_operation, one.calls, one.each) for one in found.calls} == {
        ("GET /", "load", 6, 2.0),
        ("GET /", "save", 3, 1.0),
    }
    assert [one.operation for one in found.operations if one.entry] == ["GET /"]


def declared(folder: Path, *beats: str) -> str:
    file = folder / "declared.json"
    movement = {
        "id": "all",
        "name": "All",
        "beats": [{"beat": n, "handler": one} for n, one in enumerate(beats, 1)],
    }
    file.write_text(json.dumps({"id": "checkout", "name": "Checkout", "movements": [movement]}))
    return str(file)


def test_discrepancies_from_a_declared_sequence_are_told_one_by_one(tmp_path: Path) -> None:
    recording = Recording()
    good = (("load_cart", 0, 5), ("charge", 6, 9), ("ship", 10, 15))
    for second in range(4):
        recording.trace("1.0", "checkout", second, 20, steps=good)
    swapped = recording.trace(
        "1.0", "checkout", 5, 20, steps=(good[0], ("ship", 6, 9), ("charge", 10, 15))
    )
    doubled = recording.trace("1.0", "checkout", 6, 20, steps=(*good, ("charge", 16, 18)))
    missing = recording.trace("1.0", "checkout", 7, 20, steps=good[:2])
    extra = recording.trace("1.0", "checkout", 8, 20, steps=(*good, ("spam", 16, 18)))
    found = report(
        recorded(tmp_path, recording),
        "flow",
        declared=[declared(tmp_path, "loadCart", "charge", "ship")],
    )
    assert isinstance(found, Flow)
    assert {
        (one.violation, one.step, one.broken, one.traces, *one.trace_ids)
        for one in found.discrepancies
    } == {
        ("swapped", "charge", 1, 7, swapped),
        ("duplicated", "charge", 1, 8, doubled),
        ("missing", "ship", 1, 8, missing),
        ("extra", "spam", 1, 8, extra),
    }


def test_without_a_declaration_the_release_before_says_what_should_happen(tmp_path: Path) -> None:
    recording = Recording()
    for second in range(30):
        recording.trace("1.0", "pay", second, 20, steps=(("check", 0, 5), ("charge", 6, 9)))
        recording.trace(
            "1.1",
            "pay",
            50 + second,
            20,
            steps=(("charge", 6, 9),) if second % 2 else (("check", 0, 5), ("charge", 6, 9)),
        )
    found = report(recorded(tmp_path, recording), "flow")
    assert isinstance(found, Flow)
    assert [(one.violation, one.step, one.broken, one.traces) for one in found.discrepancies] == [
        ("missing", "check", 15, 30)
    ]


def test_a_declared_flow_that_never_ran_is_told(tmp_path: Path) -> None:
    recording = Recording()
    recording.trace("1.0", "other", 0, 20)
    found = report(recorded(tmp_path, recording), "flow", declared=[declared(tmp_path, "a", "b")])
    assert isinstance(found, Flow)
    assert (found.unseen, found.undeclared) == (["Checkout"], ["other"])
    with pytest.raises(InvalidInput, match="no such file"):
        report(found_run(tmp_path), "flow", declared=[str(tmp_path / "nothing.json")])


def found_run(folder: Path) -> Path:
    return folder / "runs" / "r1"


def test_errors_are_placed_at_the_innermost_own_frame(tmp_path: Path) -> None:
    recording = Recording()
    for second in range(3):
        recording.trace(
            "1.1",
            "GET /quote",
            second,
            5,
            status=500,
            error=("IndexError", "list index out of range", TRACEBACK),
        )
    found = report(recorded(tmp_path, recording), "errors")
    assert isinstance(found, Errors)
    group = found.groups[0]
    assert (group.count, group.place, group.function) == (3, "/app/shop/prices.py:40", "quote")
    assert {(one.line, one.count, one.raised) for one in found.matrix} == {(40, 3, 3), (12, 3, 0)}
    assert group.verdict == "not judged"


def coverage_report(folder: Path) -> Path:
    """As coverage.py writes it, with regions by function."""
    functions = {
        "tested": {"executed_lines": [2, 3], "missing_lines": []},
        "partly": {"executed_lines": [6], "missing_lines": [7]},
        "untested": {"executed_lines": [], "missing_lines": [10, 11]},
        "dead": {"executed_lines": [], "missing_lines": [14]},
        "idle": {"executed_lines": [17], "missing_lines": []},
    }
    lines = {
        key: sorted(n for f in functions.values() for n in f[key])
        for key in ("executed_lines", "missing_lines")
    }
    file = folder / "coverage-1.0.json"
    file.write_text(
        json.dumps(
            {
                "meta": {
                    "format": 3,
                    "version": "7.6",
                    "branch_coverage": False,
                    "show_contexts": False,
                },
                "files": {"shop/a.py": {**lines, "functions": functions}},
                "totals": {},
            }
        )
    )
    return file


def test_coverage_crosses_what_runs_with_what_is_tested(tmp_path: Path) -> None:
    recording = Recording()
    for name in ("tested", "partly", "untested"):
        values = {
            "code.function.name": f"shop.a.{name}",
            "code.file.path": "/srv/1.0/shop/a.py",
            "code.line.number": 1,
        }
        recording.trace("1.0", f"GET /{name}", 0, 20, steps=((name, 0, 5),), step_values=values)
    run = run_folder(tmp_path, recording.save(tmp_path / "t.jsonl"), coverage_report(tmp_path))
    found = report(run, "coverage")
    assert isinstance(found, Coverage)
    assert {one.function: one.state for one in found.functions} == {
        "tested": "runs, tested",
        "partly": "runs, partly tested",
        "untested": "runs, untested",
        "dead": "neither",
        "idle": "tested, not seen to run",
    }
    assert (found.placed, found.spans) == (3, 6)
    assert [finding.place.file for finding in found.findings() if finding.place] == ["shop/a.py"]


@pytest.mark.parametrize(
    ("statement", "key", "change"),
    [
        ("INSERT INTO orders (id) VALUES (?)", "orders", "added"),
        ("insert or replace into cart_items values (?)", "cart_items", "added"),
        ("INSERT INTO t VALUES (1) ON CONFLICT (id) DO UPDATE SET a = 1", "t", "added or changed"),
        ('UPDATE "stock" SET n = n - 1', "stock", "changed"),
        ("DELETE FROM `sessions` WHERE id = ?", "sessions", "removed"),
        ("TRUNCATE TABLE logs", "logs", "removed"),
        ("UPDATE shop.stock SET n = 0", "shop.stock", "changed"),
    ],
)
def test_writes_of_statements_are_changes_of_state(
    statement: str, key: str, change: str, tmp_path: Path
) -> None:
    recording = Recording()
    recording.trace(
        "1.0", "POST /", 0, 20, steps=(("query", 0, 5),), step_values={"db.query.text": statement}
    )
    found = report(recorded(tmp_path, recording), "state")
    assert isinstance(found, State)
    assert [(one.step, one.key, one.change) for one in found.changes] == [("POST /", key, change)]


def test_reads_change_nothing(tmp_path: Path) -> None:
    recording = Recording()
    recording.trace(
        "1.0",
        "GET /",
        0,
        20,
        steps=(("query", 0, 5),),
        step_values={"db.query.text": "SELECT update_time FROM t"},
    )
    assert report(recorded(tmp_path, recording), "state").empty


def test_anomalies_without_the_detectors_are_not_judged(tmp_path: Path) -> None:
    recording = Recording()
    recording.trace("1.0", "GET /", 0, 20)
    assert "have not run" in (report(recorded(tmp_path, recording), "anomalies").empty or "")


def test_anomalies_come_with_their_place(tmp_path: Path) -> None:
    recording = Recording()
    trace = recording.trace("1.0", "GET /", 0, 20)
    code = {"file": "/srv/shop/a.py", "line": 7, "function": "f"}
    slow = anomaly("performance", "GET /", code=code, trace_ids=[trace])
    run = run_folder(tmp_path, recording.save(tmp_path / "t.jsonl"), anomalies=[slow])
    found = report(run, "anomalies")
    assert isinstance(found, AnomalyReport)
    assert found.found[0].place == "/srv/shop/a.py:7"
    assert [one.trace_id for one in found.traces] == [trace]


def requests(recording: Recording) -> list[str]:
    """A session that puts into a cart and looks, and requests that fail."""
    base = {"url.path": "/cart", "session.id": "s1"}
    return [
        recording.trace(
            "1.0",
            "POST /cart",
            0,
            5,
            values={
                **base,
                "http.request.method": "POST",
                "selfheal.request.body": '{"product": 1}',
                "selfheal.request.content_type": "application/json",
            },
        ),
        recording.trace("1.0", "GET /cart", 1, 5, values={**base, "url.query": "page=2&size=5"}),
        recording.trace("1.0", "GET /quote", 2, 9, status=500, values={"url.path": "/quote"}),
    ]


def test_inputs_that_fail_come_first(tmp_path: Path) -> None:
    recording = Recording()
    _, _, failing = requests(recording)
    found = report(recorded(tmp_path, recording), "tests")
    assert isinstance(found, Inputs)
    assert found.inputs[0].trace_id == failing
    kinds = {one.operation: (one.parameters, one.fields) for one in found.inputs}
    assert kinds["GET /cart"] == (["page", "size"], [])
    assert kinds["POST /cart"] == ([], ["product"])


def test_a_trace_needs_the_writes_of_its_session_before_it(tmp_path: Path) -> None:
    recording = Recording()
    post, get, _ = requests(recording)
    found = report(recorded(tmp_path, recording), "replay")
    assert isinstance(found, Replay)
    needs = {one.trace_id: one.needs for one in found.captured}
    assert (needs[post], needs[get]) == (0, 1)
    assert found.with_body == 1
    assert any("No reproducer" in note for note in found.notes)


BEATS = """\
2025-11-10T21:56:20.001Z 🎼 ExecutionQueue: Now executing "Theme"
2025-11-10T21:56:20.002Z PerformanceTracker: Started timing beat 1 for Theme
2025-11-10T21:56:20.003Z BeatExecutor: Beat 1 (app:theme:get) completed in 4.00ms
2025-11-10T21:56:20.004Z 🎽 DataBaton: +theme,current | seq=Theme beat=1 event=app:theme:get handler=getTheme
2025-11-10T21:56:20.005Z 🎽 DataBaton: ~theme | seq=Theme beat=2 event=app:theme:set handler=setTheme
2025-11-10T21:56:20.006Z SequenceExecutor: Sequence "Theme" completed in 9.00ms
"""


def test_what_beats_say_they_changed_is_counted_once(tmp_path: Path) -> None:
    """A span and the log record that it was made of say the same change."""
    log = tmp_path / "conductor.log"
    log.write_text(BEATS)
    found = report(run_folder(tmp_path, log), "state")
    assert isinstance(found, State)
    assert [(one.step, one.key, one.change, one.times) for one in found.changes] == [
        ("getTheme", "current", "added", 1),
        ("getTheme", "theme", "added", 1),
        ("setTheme", "theme", "changed", 1),
    ]
