"""Tests: which production inputs would make tests that are missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from selfheal.artifacts.model import Model
from selfheal.reports import coverage
from selfheal.reports.blocks import Block, Chart, Code, Column, Facts, Table
from selfheal.reports.model import Options, Report
from selfheal.reports.reproducer import Repository, TraceTest, replay_command, trace_test
from selfheal.reports.source import NO_SPANS, Source
from selfheal.reports.waterfall import waterfalls

# Inputs are of one kind where operation, parameters and class of the answer are the same.
_KINDS = """
CREATE OR REPLACE TEMP TABLE inputs AS
SELECT coalesce(service, 'unknown') AS service, operation, http_method AS method, trace_id,
    start_ns, http_path, http_query, request_body, http_status, session_id,
    coalesce(http_status, 0) // 100 AS class,
    list_sort(list_distinct(list_filter(list_transform(
        string_split(coalesce(http_query, ''), '&'), lambda one: split_part(one, '=', 1)),
        lambda one: one <> ''))) AS parameters,
    CASE WHEN json_valid(request_body) AND json_type(request_body::JSON) = 'OBJECT'
        THEN list_sort(json_keys(request_body::JSON)) ELSE [] END AS fields
FROM spans
WHERE kind = 'server' AND http_method IS NOT NULL AND http_path IS NOT NULL
    AND ($release IS NULL OR release = $release)
"""
_GROUPS = """
SELECT service, operation, method, class, parameters, fields, count(*)::BIGINT AS requests,
    count(DISTINCT (http_path, http_query, request_body))::BIGINT AS distinct_inputs,
    arg_min(trace_id, (start_ns, trace_id)) AS trace_id,
    arg_min(http_path, (start_ns, trace_id)) AS path,
    arg_min(http_query, (start_ns, trace_id)) AS query,
    arg_min(http_status, (start_ns, trace_id)) AS status,
    bool_or(request_body IS NOT NULL) AS body
FROM inputs GROUP BY ALL ORDER BY 1, 2, 3, 4, 5, 6
"""
_FUNCTIONS = """
SELECT trace_id, list(DISTINCT operation ORDER BY operation) AS operations FROM spans
WHERE list_contains($traces, trace_id) AND code_function IS NOT NULL GROUP BY trace_id
"""
EXAMPLES = 3


class Input(Model):
    """One kind of production input; `worth` is higher where a test says more.

    `untested` are the functions without any test that the example ran.
    """

    service: str
    operation: str
    answer: str
    parameters: list[str]
    fields: list[str]
    requests: int
    distinct_inputs: int
    example: str
    trace_id: str
    untested: list[str]
    worth: int
    reason: str

    @property
    def command(self) -> str:
        return replay_command(self.trace_id)


class Inputs(Report):
    TITLE: ClassVar[str] = "Tests that production would make"
    QUESTION: ClassVar[str] = "Which production inputs would make tests?"

    inputs: list[Input] = Field(default_factory=list)
    requests: int = 0
    examples: list[TraceTest] = Field(default_factory=list)

    def blocks(self) -> Sequence[Block]:
        operations = {(one.service, one.operation) for one in self.inputs}
        kinds = {"fails": 0, "runs untested code": 0, "other": 0}
        for one in self.inputs:
            kinds[
                "fails"
                if one.worth >= 100
                else "runs untested code"
                if one.worth >= 50
                else "other"
            ] += 1
        return [
            Facts(
                [
                    ("requests captured", f"{self.requests:,}"),
                    ("kinds of input", str(len(self.inputs))),
                    ("operations", str(len(operations))),
                    ("kinds that fail", str(kinds["fails"])),
                    ("kinds that run untested code", str(kinds["runs untested code"])),
                ]
            ),
            Chart(
                "bars",
                "kinds",
                "Requests by kind of input",
                {
                    "labels": [f"{one.operation} → {one.answer}" for one in self.inputs[:25]],
                    "unit": "count",
                    "series": [{"name": "requests", "values": [one.requests for one in self.inputs[:25]]}],
                },
            ),
            Table.of("inputs", "Kinds of input, those first that a test is most worth for",
                     _COLUMNS, self.inputs),
            *(
                Code(f"test-{one.trace_id[:12]}", one.name, one.text)
                for one in self.examples
                if one.text
            ),
        ]  # fmt: skip


_COLUMNS = (
    Column("operation", "operation"),
    Column("answer", "answer"),
    Column("reason", "why a test"),
    Column("parameters", "parameters"),
    Column("fields", "body fields"),
    Column("requests", "requests", "count"),
    Column("distinct_inputs", "distinct", "count"),
    Column("example", "example"),
    Column("trace_id", "trace", "trace"),
    Column("command", "as a test", "place"),
)


def build(source: Source, options: Options) -> Inputs:
    """The kinds of input that production sent, those first that a test is most worth for."""
    base = Inputs(report="tests", run_id=source.run_id)
    if not source.count("spans"):
        return base.model_copy(update={"empty": NO_SPANS})
    source.connection.execute(_KINDS, {"release": options.release})
    rows = source.rows(_GROUPS)
    if not rows:
        reason = "no request was recorded (server spans with http.request.method and url.path)"
        return base.model_copy(update={"empty": reason})
    untested = _untested(source, options, [row["trace_id"] for row in rows])
    inputs = [_input(row, untested.get(row["trace_id"], [])) for row in rows]
    inputs.sort(key=lambda one: (-one.worth, -one.requests, one.operation, one.answer))
    repository = Repository(source)
    examples = [trace_test(source, one.trace_id, repository) for one in inputs[:EXAMPLES]]
    notes = ["Inputs are of one kind where operation, parameters, fields of the body and class of "
             "the answer are the same."]  # fmt: skip
    if not source.count("coverage"):
        notes.append("There is no coverage report: which code is untested is not known.")
    notes += sorted({f"No test text: {one.unavailable}." for one in examples if one.unavailable})
    return base.model_copy(
        update={
            "inputs": inputs,
            "requests": sum(one.requests for one in inputs),
            "examples": examples,
            "notes": notes,
            "traces": waterfalls(source, [one.trace_id for one in inputs]),
        }
    )


def _untested(source: Source, options: Options, traces: Sequence[str]) -> dict[str, list[str]]:
    """The functions without a test that each trace ran."""
    found = coverage.build(source, Options(release=options.release)).functions
    by_operation = {
        operation: one.function
        for one in found
        if one.state == "runs, untested"
        for operation in one.operations
    }
    return {
        row["trace_id"]: sorted(
            {by_operation[name] for name in row["operations"] if name in by_operation}
        )
        for row in source.rows(_FUNCTIONS, {"traces": list(traces)})
    }


def _input(row: Mapping[str, Any], untested: list[str]) -> Input:
    fails = row["class"] >= 5
    refused = row["class"] == 4
    worth = 100 * fails + 50 * bool(untested) + 10 * refused
    reasons = [
        *(["it fails"] if fails else []),
        *([f"it runs {', '.join(untested)} without a test"] if untested else []),
        *(["it is refused"] if refused else []),
    ]
    query = f"?{row['query']}" if row["query"] else ""
    return Input(
        service=row["service"],
        operation=row["operation"],
        answer=str(row["status"] or "unknown"),
        parameters=row["parameters"],
        fields=row["fields"],
        requests=row["requests"],
        distinct_inputs=row["distinct_inputs"],
        example=f"{row['method']} {row['path']}{query}",
        trace_id=row["trace_id"],
        untested=untested,
        worth=worth,
        reason=" and ".join(reasons) or "keeps what production does today",
    )
