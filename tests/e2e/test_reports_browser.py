"""Every report's page in a real browser: it draws, it answers to clicks, it calls nobody.

The browser is the distribution's Chromium (or that of SELFHEAL_CHROMIUM), driven by
Playwright; pages are opened from ``file://``. Without either, the tests are skipped.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed (pip install playwright)"
)
CHROMIUM = os.environ.get("SELFHEAL_CHROMIUM") or shutil.which("chromium")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no chromium here (apt-get install chromium)"
)

from recording import Recording  # noqa: E402
from report_runs import anomaly, empty_run, run_folder  # noqa: E402

from selfheal.reports import OF_A_RUN, build  # noqa: E402
from selfheal.reports.blocks import Chart, flat  # noqa: E402
from selfheal.reports.output import render  # noqa: E402
from selfheal.reports.source import Source  # noqa: E402

NASTY = "<img src=x onerror=document.title='taken'>"
TRACEBACK = (
    'Traceback (most recent call last):\n  File "/app/shop/a.py", line 40, in quote\n'
    "    return tiers[-1]\nIndexError: none\n"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        # The sandbox of Chromium needs rights that a container's root does not have.
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    recording = Recording()
    code = {"code.function.name": "shop.a.quote", "code.file.path": "/app/shop/a.py"}
    for second in range(40):
        late = second >= 20
        failed = second > 35
        recording.trace(
            "1.1" if late else "1.0", "GET /quote", second, 60 if late else 20,
            steps=(("quote", 1, 15), ("write", 15, 18)),
            step_values=code | {"db.query.text": "UPDATE stock SET n = 0"} if second % 3 == 0 else code,
            status=500 if failed else 200, error=("IndexError", "none", TRACEBACK) if failed else None,
            values={"url.path": "/quote", "session.id": f"s{second}"},
        )  # fmt: skip
        recording.trace("1.1" if late else "1.0", NASTY, second + 0.3, 10, instance="b")
    slow = anomaly("performance", "GET /quote", trace_ids=[f"{41:032x}"])
    return run_folder(folder, recording.save(folder / "traces.jsonl"), anomalies=[slow])


class Opened:
    """A page with what went wrong in it and what it asked of the network."""

    def __init__(self, browser: Any, file: Path) -> None:
        self.page = browser.new_page(viewport={"width": 1300, "height": 900})
        self.wrong: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self._said(message.type, message.text))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())
        self.page.wait_for_function("document.documentElement.dataset.ready === 'true'")

    def _said(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.wrong.append(text)

    def at(self, chart: str, series: str, value: str) -> tuple[float, float]:
        """Where on the page a value of a series of a chart lies."""
        self.page.evaluate(
            "name => document.getElementById(name).scrollIntoView({block: 'center'})", chart
        )
        place = self.page.evaluate(
            f"""name => {{
                const chart = selfheal.charts.find((one) => one.named === name);
                const [x, y] = chart.convertToPixel({series}, {value});
                const box = chart.getDom().getBoundingClientRect();
                return [box.left + x, box.top + y];
            }}""",
            chart,
        )
        return place[0], place[1]

    def zoom(self, chart: str) -> tuple[float, float]:
        """What part of its width a chart shows, in percent."""
        found = self.page.evaluate(
            """name => { const chart = selfheal.charts.find((one) => one.named === name);
                const zoom = chart.getOption().dataZoom[0]; return [zoom.start, zoom.end]; }""",
            chart,
        )
        return found[0], found[1]


def written(run: Path, name: str, folder: Path) -> tuple[Path, list[str]]:
    """The page of a report and the names of its charts."""
    with Source(run) as source:
        report = build(name, source)
    file = folder / f"{name}.html"
    file.write_bytes(render(report, "html"))
    blocks = [] if report.empty else report.blocks()
    return file, [block.name for block in flat(blocks) if isinstance(block, Chart)]


@pytest.mark.parametrize("name", OF_A_RUN)
def test_a_page_draws_its_charts_and_calls_nobody(
    name: str, run: Path, browser: Any, tmp_path: Path
) -> None:
    file, names = written(run, name, tmp_path)
    opened = Opened(browser, file)
    assert opened.page.title() != "taken"
    drawn = opened.page.evaluate(
        """() => selfheal.charts.map((chart) => {
            const canvas = chart.getDom().querySelector("canvas");
            const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
            let inked = 0;
            for (let at = 3; at < pixels.length; at += 4) if (pixels[at]) inked += 1;
            return [chart.named, inked];
        })"""
    )
    assert [chart for chart, _ in drawn] == names
    assert all(inked > 200 for _, inked in drawn), drawn
    assert opened.wrong == []
    assert [url for url in opened.asked if not url.startswith(("file:", "data:"))] == []
    opened.page.close()


def test_an_empty_page_says_so(browser: Any, tmp_path: Path) -> None:
    file, _ = written(empty_run(tmp_path), "heatmap", tmp_path)
    opened = Opened(browser, file)
    assert "Nothing to show" in opened.page.inner_text("main")
    assert opened.wrong == []
    opened.page.close()


def test_a_field_of_the_heatmap_leads_to_its_traces(
    run: Path, browser: Any, tmp_path: Path
) -> None:
    opened = Opened(browser, written(run, "heatmap", tmp_path)[0])
    page = opened.page
    page.select_option("#map select", "executions")
    page.mouse.click(*opened.at("map", "{seriesIndex: 0}", "[0, 0]"))
    page.wait_for_selector("#map .drill button.trace")
    assert "traces.jsonl:" in page.inner_text("#map .drill")
    page.click("#map .drill button.trace")
    page.wait_for_selector("dialog[open] canvas")
    assert "GET /quote" in page.inner_text("dialog")
    page.click("dialog button:has-text('close')")
    assert page.query_selector("dialog[open]") is None
    assert opened.wrong == []
    page.close()


def test_the_timeline_zooms_to_a_span_and_out_again(
    run: Path, browser: Any, tmp_path: Path
) -> None:
    opened = Opened(browser, written(run, "timeline", tmp_path)[0])
    page = opened.page
    bar = page.evaluate("selfheal.report.blocks.find((b) => b.name === 'timeline').data.bars[0]")
    middle = f"[{bar['at'] + bar['lasts'] / 2}, {bar['row'] + 0.5}]"
    page.mouse.click(*opened.at("timeline", "{seriesIndex: 1}", middle))
    page.wait_for_function(
        "selfheal.charts.find((one) => one.named === 'timeline').getOption().dataZoom[0].end < 50"
    )
    x, y = opened.at("timeline", "{seriesIndex: 1}", middle)
    page.mouse.dblclick(x, y + 60)
    page.wait_for_function(
        "selfheal.charts.find((one) => one.named === 'timeline').getOption().dataZoom[0].end > 99"
    )
    assert opened.zoom("timeline") == (0, 100)
    page.close()


def test_tables_are_sorted_and_filtered(run: Path, browser: Any, tmp_path: Path) -> None:
    opened = Opened(browser, written(run, "timeline", tmp_path)[0])
    page = opened.page
    page.click("#spans th button:has-text('takes')")
    assert page.get_attribute("#spans th:nth-child(2)", "aria-sort") == "descending"
    assert page.inner_text("#spans tbody tr:first-child td:nth-child(2)") == "60.00 ms"
    page.fill("#spans input", "write")
    cells = page.eval_on_selector_all(
        "#spans tbody td:nth-child(4)", "all => all.map((one) => one.textContent)"
    )
    assert set(cells) == {"write"}
    page.close()


def test_the_page_of_what_was_learned_draws_and_calls_nobody(browser: Any, tmp_path: Path) -> None:
    from test_learning_report import cause, library, run
    from test_learning_retirement import after

    from selfheal.learning.report import build as learned

    library(tmp_path, after(["merged", "merged"]), after(["rolled_back"] * 3))
    report = learned(tmp_path, [run(tmp_path, "r1", [cause(NASTY, affected=3)])])
    file = tmp_path / "learning.html"
    file.write_bytes(render(report, "html"))
    opened = Opened(browser, file)
    shown = opened.page.inner_text("main")
    assert "Worth fixing next" in shown
    assert NASTY in shown
    assert "retired: 3 of 3 shipped fixes" in shown
    assert opened.page.title() != "taken"
    assert opened.wrong == []
    assert [url for url in opened.asked if not url.startswith(("file:", "data:"))] == []
    opened.page.close()
