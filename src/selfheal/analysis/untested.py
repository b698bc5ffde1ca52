"""Coverage gaps: functions that production runs and no test does.

Production's functions come from the code attributes of spans, the suite's coverage from
a coverage.py report with function regions. Paths are matched by their common end, for
production and repository have different roots.
"""

from __future__ import annotations

from typing import Any

from selfheal.analysis.errors import scope_of
from selfheal.analysis.model import Comparison, DetectionData, Findings
from selfheal.analysis.severity import of_share
from selfheal.artifacts import Anomaly, Dataset
from selfheal.artifacts.anomalies import Detector, Undecided
from selfheal.artifacts.canonical import short_id
from selfheal.telemetry.statistics import UNKNOWN, iso, significant

DETECTOR = "untested_code"

_EXECUTED = f"""
SELECT code_function AS function, replace(code_file, chr(92), '/') AS file,
    min(code_line) AS first_line, count(*)::BIGINT AS executed_count,
    count(DISTINCT trace_id)::BIGINT AS traces, min(operation) AS operation,
    min(start_ns) AS first_ns, max(start_ns) AS last_ns
FROM spans
WHERE coalesce(service, '{UNKNOWN}') = $service AND coalesce(release, '{UNKNOWN}') = $candidate
    AND code_function IS NOT NULL AND code_file IS NOT NULL
GROUP BY 1, 2 ORDER BY 2, 1
"""
# The report of the judged release, else the reports that name none.
_FUNCTIONS = """
WITH reports AS (
    SELECT * FROM coverage WHERE release IS NOT DISTINCT FROM CASE
        WHEN $candidate IN (SELECT release FROM coverage) THEN $candidate END
)
SELECT file, function, count(*) FILTER (covered)::BIGINT AS covered_lines,
    count(*)::BIGINT AS total_lines
FROM reports WHERE function IS NOT NULL GROUP BY ALL ORDER BY ALL
"""


def executed_functions(dataset: Dataset, comparison: Comparison) -> list[dict[str, Any]]:
    """Each function that production ran, with its covered and total lines.

    Those are None where the coverage data does not know the function.
    """
    scope = scope_of(comparison)
    measured = dataset.rows(_FUNCTIONS, {"candidate": scope["candidate"]})
    del scope["baseline"]
    executed = dataset.rows(_EXECUTED, scope)
    for function in executed:
        found = _measured(function, measured)
        function["covered_lines"] = found["covered_lines"] if found else None
        function["total_lines"] = found["total_lines"] if found else None
        if found:
            function["file"] = found["file"]
    return executed


def _measured(function: dict[str, Any], measured: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The region of the report for a function: same file by path end, same name by its end."""
    fits = [
        region
        for region in measured
        if f"/{function['file']}".endswith(f"/{region['file']}")
        and f".{function['function']}".endswith(f".{region['function']}")
    ]
    return max(
        fits, key=lambda region: (len(region["file"]), len(region["function"])), default=None
    )


def coverage_of(
    dataset: Dataset, candidate: str, file: str, function: str
) -> dict[str, Any] | None:
    """The covered and total lines of one function; None where no report knows it."""
    return _measured(
        {"file": file, "function": function}, dataset.rows(_FUNCTIONS, {"candidate": candidate})
    )


def detect_untested(data: DetectionData) -> Findings:
    """Functions without a single covered line that served requests of the judged release."""
    anomalies: list[Anomaly] = []
    undecided: list[Undecided] = []
    for comparison in data.comparisons:
        executed = executed_functions(data.dataset, comparison)
        known = [function for function in executed if function["total_lines"]]
        anomalies.extend(
            _anomaly(function, comparison) for function in known if not function["covered_lines"]
        )
        if not known:
            undecided.append(_no_data(comparison, bool(executed)))
    return Findings(anomalies=anomalies, undecided=undecided)


def _anomaly(function: dict[str, Any], comparison: Comparison) -> Anomaly:
    share = function["traces"] / max(1, comparison.candidate.requests)
    name = function["function"].rpartition(".")[2]
    return Anomaly(
        id=short_id(
            "anomaly", DETECTOR, comparison.service, function["file"], function["function"]
        ),
        kind="coverage",
        service=comparison.service,
        operation=function["operation"],
        severity=of_share(share),
        score=significant(min(1.0, share)),
        title=f"{name} ran {function['executed_count']} times in production and in no test",
        first_seen=iso(function["first_ns"]),
        last_seen=iso(function["last_ns"]),
        count=function["executed_count"],
        detector=Detector(
            name=DETECTOR,
            parameters={"file": function["file"], "function": function["function"]},
            window=comparison.window,
        ),
        evidence={
            "file": function["file"],
            "function": function["function"],
            "first_line": function["first_line"],
            "executed_count": function["executed_count"],
            "covered_lines": function["covered_lines"],
            "total_lines": function["total_lines"],
        },
    )


def _no_data(comparison: Comparison, executed: bool) -> Undecided:
    return Undecided(
        detector=DETECTOR,
        operation=comparison.service,
        reason=(
            "no data: no coverage report covers the functions that ran"
            if executed
            else "no data: no span names its function (code.function.name, code.file.path)"
        ),
        needed=(
            f"coverage-{comparison.candidate.version}.json of the suite (coverage json) beside the telemetry"
            if executed
            else "code attributes on the service's spans"
        ),
    )
