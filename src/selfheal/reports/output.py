"""A report in the form that was asked for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from selfheal.errors import InvalidInput
from selfheal.reports.catalogue import REPORTS
from selfheal.reports.model import Report

if TYPE_CHECKING:
    from selfheal.reports.blocks import Table


def render(report: Report, form: str, *, rows: int = 20) -> bytes:
    """The report as `form`, UTF-8 where it is text; `rows` is how many a text table shows.

    Raises InvalidInput where the report has no such form.
    """
    if form not in REPORTS[report.report].formats:
        raise InvalidInput(
            f"the report {report.report} has no form {form}.",
            hint=f"It has {', '.join(REPORTS[report.report].formats)}.",
        )
    if form == "parquet":
        return _parquet(report.table())
    return (_text(report, form, rows).rstrip("\n") + "\n").encode("utf-8", "replace")


def _text(report: Report, form: str, rows: int) -> str:
    match form:
        case "text":
            from selfheal.reports.text import render as render_text

            return render_text(report, rows=rows)
        case "html":
            from selfheal.reports.html import render as render_html

            return render_html(report)
        case "json":
            return json.dumps(report.model_dump(mode="json"), indent=2, ensure_ascii=False)
        case "csv":
            from selfheal.reports.exports.tables import csv

            return csv(report.table())
        case "sarif":
            from selfheal.reports.exports.sarif import sarif

            return sarif(report)
        case "mermaid" | "dot":
            from selfheal.reports.exports.graphs import dot, mermaid

            return (mermaid if form == "mermaid" else dot)(report)
        case "chrome-trace" | "speedscope":
            from selfheal.reports.exports.spans import chrome_trace, speedscope

            return (chrome_trace if form == "chrome-trace" else speedscope)(report)
        case _:
            from selfheal.reports.exports.prose import markdown

            return markdown(report)


def _parquet(table: Table | None) -> bytes:
    from selfheal.reports.exports.tables import parquet

    return parquet(table)
