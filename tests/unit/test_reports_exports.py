"""Reports in other tools' formats: structure as those tools ask for it, and safe HTML."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from recording import Recording
from report_runs import anomaly, empty_run, run_folder

from selfheal.errors import InvalidInput, NotFound
from selfheal.reports import OF_A_RUN, REPORTS, build
from selfheal.reports.html import in_script
from selfheal.reports.model import Options, Report
from selfheal.reports.output import render
from selfheal.reports.source import Source

NASTY = "GET /<script>alert(1)</script>\"'&`|\u2028 \\ ünï"
TRACEBACK = (
    'Traceback (most recent call last):\n  File "/app/shop/a.py", line 40, in quote\n'
    "    return tiers[-1]\nIndexError: no </script> tier\n"
)
LEVELS = {"none", "note", "warning", "error"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two releases, concurrent and nested calls, an error, a nasty name, an anomaly."""
    folder = tmp_path_factory.mktemp("exports")
    recording = Recording()
    code = {
        "code.function.name": "shop.a.quote",
        "code.file.path": "/app/shop/a.py",
        "code.line.number": 38,
    }
    for second in range(6):
        release = "1.0" if second < 3 else "1.1"
        recording.trace(
            release, "GET /quote", second, 50,
            steps=(("quote", 0, 30), ("price", 5, 20), ("audit", 25, 60)),
            status=500 if second == 5 else 200,
            error=("IndexError", "no </script> tier", TRACEBACK) if second == 5 else None,
            values={"url.path": "/quote", "url.query": "n=1", "session.id": "s"},
            step_values=code | {"db.query.text": "UPDATE stock SET n = 0"} if second == 4 else code,
        )  # fmt: skip
        recording.trace(release, NASTY, second + 0.01, 30)
    slow = anomaly(
        "performance",
        "GET /quote",
        code={"file": "/app/shop/a.py", "line": 38, "function": "quote"},
    )
    missing = anomaly("behavioral", NASTY)
    return run_folder(folder, recording.save(folder / "traces.jsonl"), anomalies=[slow, missing])


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return empty_run(tmp_path_factory.mktemp("empty"))


@cache
def built(run: Path, name: str) -> Report:
    with Source(run) as source:
        return build(name, source, Options())


def rendered(run: Path, name: str, form: str) -> bytes:
    return render(built(run, name), form)


def document(run: Path, name: str, form: str) -> Any:
    return json.loads(rendered(run, name, form))


ALL = [(name, form) for name in OF_A_RUN for form in REPORTS[name].formats]


@pytest.mark.parametrize(("name", "form"), ALL)
def test_every_form_is_made_of_data_and_of_none(
    name: str, form: str, run: Path, empty: Path
) -> None:
    for folder in (run, empty):
        content = rendered(folder, name, form)
        if form in ("json", "chrome-trace", "speedscope", "sarif"):
            json.loads(content)
        if form in ("text", "markdown"):
            assert ("othing to show" in content.decode()) == (folder == empty)


def test_a_form_that_a_report_has_not_is_refused(run: Path) -> None:
    with pytest.raises(InvalidInput, match="no form sarif"):
        rendered(run, "heatmap", "sarif")
    with pytest.raises(NotFound, match="no report"):
        rendered(run, "nothing", "text")


class Page(HTMLParser):
    """What a browser would see: elements, and the text of script elements."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.addresses: list[str] = []
        self.scripts: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        self._inside = tag == "script"
        if self._inside:
            self.scripts.append("")

    def handle_endtag(self, _tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.scripts[-1] += data


@pytest.mark.parametrize("name", OF_A_RUN)
def test_names_from_telemetry_cannot_leave_the_data_of_a_page(name: str, run: Path) -> None:
    page = Page()
    page.feed(rendered(run, name, "html").decode())
    assert page.elements.count("script") == 4, "the report, ECharts, and two of the page"
    assert page.addresses == ["data:,"]
    shown = json.loads(page.scripts[0])
    assert shown["title"]
    if name in ("heatmap", "profiler", "behaviour", "dependencies", "timeline"):
        assert NASTY in set(strings(shown))


def strings(value: object) -> Iterator[str]:
    """Every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from strings(inner)


def test_json_in_a_script_reads_back_as_it_was() -> None:
    value = {"</script>": ["<!--", "&amp;", "\u2028", "é"]}
    text = in_script(value)
    assert not re.search(r"[<>&]", text)
    assert json.loads(text) == value


def test_a_page_names_no_address_of_the_network(run: Path) -> None:
    page = rendered(run, "heatmap", "html").decode()
    assert "default-src 'none'" in page
    head = page[: page.index('<script type="application/json"')]
    assert not re.search(r"https?:|url\(|@import", head)


def test_an_empty_page_carries_no_charts(empty: Path) -> None:
    assert len(rendered(empty, "heatmap", "html")) < 60_000


@pytest.mark.parametrize("name", ["errors", "anomalies", "coverage"])
def test_sarif_has_what_the_standard_requires(name: str, run: Path) -> None:
    """Required properties and references after SARIF 2.1.0, sections 3.13 to 3.30."""
    log = document(run, name, "sarif")
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-schema-2.1.0.json")
    (only,) = log["runs"]
    rules = only["tool"]["driver"]["rules"]
    assert only["tool"]["driver"]["name"] == "selfheal"
    assert len({rule["id"] for rule in rules}) == len(rules)
    assert all(rule["shortDescription"]["text"] for rule in rules)
    for result in only["results"]:
        assert result["message"]["text"]
        assert result["level"] in LEVELS
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        for location in result.get("locations", ()):
            physical = location["physicalLocation"]
            assert re.fullmatch(r"[\w./:%-]+", physical["artifactLocation"]["uri"])
            assert physical.get("region", {"startLine": 1})["startLine"] >= 1
    assert only["results"] or name == "coverage"


def test_sarif_says_where_an_error_is_from(run: Path) -> None:
    (result,) = document(run, "errors", "sarif")["runs"][0]["results"]
    location = result["locations"][0]
    assert location["physicalLocation"]["region"] == {"startLine": 40}
    assert location["physicalLocation"]["artifactLocation"] == {"uri": "file:///app/shop/a.py"}
    assert location["logicalLocations"][0]["fullyQualifiedName"] == "quote"


@pytest.mark.parametrize("name", ["timeline", "profiler"])
def test_chrome_traces_nest_within_a_thread(name: str, run: Path) -> None:
    events = document(run, name, "chrome-trace")["traceEvents"]
    assert {event["ph"] for event in events} == {"M", "X"}
    threads: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for event in events:
        if event["ph"] == "X":
            assert event["name"]
            assert event["dur"] >= 0
            threads.setdefault((event["pid"], event["tid"]), []).append(
                (event["ts"], event["ts"] + event["dur"])
            )
    named = {event["pid"] for event in events if event["name"] == "process_name"}
    assert {process for process, _ in threads} <= named
    for spans in threads.values():
        for first, last in spans:
            for start, end in spans:
                crossing = first < start < last - 1e-3 and end > last + 1e-3
                assert not crossing


@pytest.mark.parametrize("name", ["timeline", "profiler"])
def test_speedscope_opens_and_closes_like_a_call_stack(name: str, run: Path) -> None:
    found = document(run, name, "speedscope")
    assert found["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    frames = found["shared"]["frames"]
    assert found["profiles"]
    for profile in found["profiles"]:
        assert (profile["type"], profile["unit"]) == ("evented", "milliseconds")
        stack, now = [], profile["startValue"]
        for event in profile["events"]:
            assert event["at"] >= now
            now = event["at"]
            if event["type"] == "O":
                stack.append(event["frame"])
            else:
                assert stack.pop() == event["frame"]
        assert not stack
        assert now <= profile["endValue"]
        assert all(0 <= event["frame"] < len(frames) for event in profile["events"])


@pytest.mark.parametrize("name", ["dependencies", "flow", "behaviour"])
def test_graphs_quote_what_would_be_syntax(name: str, run: Path) -> None:
    mermaid = rendered(run, name, "mermaid").decode()
    assert mermaid.startswith("flowchart LR\n")
    for line in mermaid.splitlines()[1:]:
        label = re.search(r'\["(.*)"\]$', line)
        if label:
            assert not re.search(r'["<>&`|\\]', label[1])
    dot = rendered(run, name, "dot").decode()
    assert dot.startswith("digraph {")
    assert dot.rstrip().endswith("}")
    for line in dot.splitlines():
        assert len(re.findall(r'(?<!\\)(?:\\\\)*"', line)) % 2 == 0


def test_tables_hold_the_main_table_with_types(run: Path, tmp_path: Path) -> None:
    import duckdb

    rows = list(csv.DictReader(io.StringIO(rendered(run, "heatmap", "csv").decode())))
    assert NASTY in {row["operation"].replace("\r\n", "\n") for row in rows}
    file = tmp_path / "heatmap.parquet"
    file.write_bytes(rendered(run, "heatmap", "parquet"))
    found = duckdb.sql(
        f"SELECT executions, total_ms, trend FROM '{file}' WHERE operation = 'GET /quote'"
    )
    assert [str(kind) for kind in found.types] == ["BIGINT", "DOUBLE", "DOUBLE[]"]
    assert duckdb.sql(f"SELECT sum(executions) FROM '{file}'").fetchall() == [
        (sum(int(row["executions"]) for row in rows),)
    ]


def test_markdown_keeps_names_in_their_cells(run: Path) -> None:
    text = rendered(run, "behaviour", "markdown").decode()
    assert "<script" not in text
    widths = {
        len(re.findall(r"(?<!\\)\|", line))
        for line in text.splitlines()
        if line.startswith("| GET")
    }
    assert len(widths) == 1
