"""A report as one HTML file: data, styles and scripts inside, nothing from the network."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from selfheal import __version__
from selfheal.reports.blocks import Block, Chapter, Chart, Code, Facts, Table, flat
from selfheal.reports.lanes import lanes_data
from selfheal.reports.model import Report, Waterfall

_ESCAPES = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}


def render(report: Report) -> str:
    """The page. Charts bring ECharts with them; a report without any is small."""
    blocks = [] if report.empty else list(report.blocks())
    traces = [] if report.empty else report.traces
    document = {
        "title": report.TITLE,
        "question": report.QUESTION,
        "run_id": report.run_id,
        "version": __version__,
        "empty": report.empty,
        "notes": report.notes,
        "blocks": [_block(block) for block in blocks],
        "traces": {trace.trace_id: _trace(trace) for trace in traces},
    }
    pictured = bool(traces) or any(isinstance(block, Chart) for block in flat(blocks))
    scripts = [_asset("vendor", "echarts.min.js")] if pictured else []
    scripts += [_asset("page", "page.js"), _asset("page", "charts.js")]
    parts = {
        "@TITLE@": html.escape(f"{report.TITLE} · {report.run_id}"),
        "@STYLE@": _asset("page", "page.css"),
        "@REPORT@": in_script(document),
        "@SCRIPTS@": "\n".join(f"<script>\n{script}\n</script>" for script in scripts),
    }
    return _filled(_asset("page", "page.html"), parts)


def in_script(value: Any) -> str:
    """JSON that is safe inside a script element: no ``<``, ``>`` or ``&`` survives.

    Line separators need no care: the element is data, parsed by JSON.parse.
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=str).translate(_ESCAPES)


def _filled(template: str, parts: Mapping[str, str]) -> str:
    """The template with its marks replaced, each once and never inside what was put in."""
    pieces = [template]
    for mark, text in parts.items():
        before, found, after = pieces[-1].partition(mark)
        assert found, mark
        pieces[-1:] = [before, text, after]
    return "".join(pieces)


def _asset(folder: str, name: str) -> str:
    return (files("selfheal.reports") / folder / name).read_text(encoding="utf-8")


def _block(block: Block) -> dict[str, Any]:
    match block:
        case Facts():
            return {"kind": "facts", "items": list(block.items)}
        case Table():
            return {"kind": "table", "name": block.name, "note": block.note, **_table(block)}
        case Code():
            return {"kind": "code", "name": block.name, "title": block.title, "text": block.text}
        case Chart():
            return {
                "kind": "chart",
                "chart": block.kind,
                "name": block.name,
                "title": block.title,
                "note": block.note,
                "data": block.data,
            }
        case Chapter():
            inner = [_block(one) for one in block.blocks]
            return {"kind": "chapter", "title": block.title, "note": block.note, "blocks": inner}


def _table(table: Table) -> dict[str, Any]:
    return {
        "title": table.title,
        "columns": [
            {"key": column.key, "title": column.title, "kind": column.kind}
            for column in table.columns
        ],
        "rows": [dict(row) for row in table.rows],
    }


def _trace(trace: Waterfall) -> dict[str, Any]:
    return {
        "title": trace.title,
        "begun": trace.begun,
        "note": trace.note,
        "chart": lanes_data(trace.lanes, trace.bars, [], lasts_ms=trace.lasts_ms, zoom="in"),
    }
