"""State: keys that a step changes and never changed before.

Steps say what they change in the attributes `state.added`, `state.changed` and
`state.removed` of their spans or log records; a database statement below a step says it
by the table that it writes. A step is named by its handler, its event or its operation.
In how many executions of the step did each key change, in the baseline and in the
candidate? Where there is one release only, its first half teaches and its second is
judged. What never happened and now does is told from legal variety by an exact test
(Fisher), adjusted over all pairs (Benjamini-Hochberg).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from selfheal.analysis.model import Comparison, DetectionData, Findings, Judgement
from selfheal.analysis.severity import of_share
from selfheal.analysis.sides import HANDLER, is_candidate, side_parameters
from selfheal.analysis.statistics.multiplicity import benjamini_hochberg
from selfheal.analysis.statistics.rates import proportion_is_higher, trials_to_see
from selfheal.artifacts import Anomaly, Dataset
from selfheal.artifacts.anomalies import Detector
from selfheal.artifacts.canonical import short_id
from selfheal.config import DetectConfig
from selfheal.telemetry.statistics import UNKNOWN, iso, significant

DETECTOR = "state_changes"

_TABLE = (
    r"(?is)^\s*(?:WITH\b.*?\)\s*)?(?:INSERT\s+(?:OR\s+\w+\s+|IGNORE\s+)?INTO|REPLACE\s+INTO"
    r"|UPDATE(?:\s+OR\s+\w+)?(?:\s+ONLY)?|DELETE\s+FROM|MERGE\s+INTO|TRUNCATE(?:\s+TABLE)?)"
    r"[\s(\"`\[]*([\w.$]+)"
)
_WRITES = r"(?i)^\s*(?:WITH|INSERT|REPLACE|UPDATE|DELETE|MERGE|TRUNCATE)\b"
_LISTS = " || ".join(
    f"""coalesce(from_json(attributes ->> '$."state.{change}"', '["VARCHAR"]'), [])"""
    for change in ("added", "changed", "removed")
)
# Reading JSON costs more than looking for a word in it.
_STATED = f"""CASE WHEN attributes LIKE '%"state.%' THEN {_LISTS} ELSE [] END"""
# One row per execution of a step that changed something: `keys` is what.
_CHANGED = f"""
CREATE TEMP TABLE changed AS
WITH written AS (
    SELECT trace_id, parent_span_id, list(DISTINCT name) AS tables FROM (
        SELECT trace_id, parent_span_id, regexp_extract(db_statement, $table, 1) AS name
        FROM spans WHERE regexp_matches(db_statement, $writes)
    ) WHERE name <> '' GROUP BY ALL
), of_spans AS (
    SELECT coalesce({HANDLER}, operation) AS step,
        {is_candidate("start_ns")} AS candidate, s.trace_id, start_ns AS time_ns,
        {_STATED} || coalesce(w.tables, []) AS keys, false AS logged
    FROM spans AS s LEFT JOIN written AS w
        ON w.trace_id = s.trace_id AND w.parent_span_id = s.span_id
    WHERE coalesce(service, '{UNKNOWN}') = $service AND db_statement IS NULL
        AND (w.tables IS NOT NULL OR attributes LIKE '%"state.%')
), records AS (
    SELECT coalesce(attributes ->> '$."beat.handler"', attributes ->> '$."beat.event"', logger)
            AS step,
        {is_candidate("time_ns")} AS candidate, trace_id, span_id, time_ns, {_STATED} AS keys
    FROM logs WHERE coalesce(service, '{UNKNOWN}') = $service AND attributes LIKE '%"state.%'
), of_logs AS (
    SELECT r.step, r.candidate, r.trace_id, r.time_ns, r.keys, true AS logged
    FROM records AS r LEFT JOIN spans AS s ON s.trace_id = r.trace_id AND s.span_id = r.span_id
    WHERE s.span_id IS NULL
)
SELECT * FROM (FROM of_spans UNION ALL FROM of_logs)
WHERE candidate IS NOT NULL AND step IS NOT NULL
"""
# How often the steps that change something ran: those in spans, whatever they did, and
# those that only logs tell of.
_CHANGES = f"""
WITH ran AS (
    SELECT coalesce({HANDLER}, operation) AS step, {is_candidate("start_ns")} AS candidate
    FROM spans WHERE coalesce(service, '{UNKNOWN}') = $service AND db_statement IS NULL
    UNION ALL
    SELECT step, candidate FROM changed WHERE logged
), totals AS (
    SELECT step, count(*) FILTER (NOT candidate)::BIGINT AS before,
        count(*) FILTER (candidate)::BIGINT AS after
    FROM ran WHERE candidate IS NOT NULL AND step IN (SELECT step FROM changed) GROUP BY step
), pairs AS (
    SELECT step, key, count(*) FILTER (NOT candidate)::BIGINT AS changed_before,
        count(*) FILTER (candidate)::BIGINT AS changed_after,
        min(time_ns) FILTER (candidate) AS first_ns, max(time_ns) FILTER (candidate) AS last_ns,
        (list(DISTINCT trace_id ORDER BY trace_id)
            FILTER (candidate AND trace_id IS NOT NULL))[:5] AS trace_ids
    FROM (SELECT step, candidate, trace_id, time_ns, unnest(list_distinct(keys)) AS key FROM changed)
    GROUP BY step, key
), usual AS (
    SELECT key, list(DISTINCT step ORDER BY step) AS writers FROM pairs
    WHERE changed_before > 0 GROUP BY key
)
SELECT p.step, p.key, p.changed_before, p.changed_after, p.first_ns, p.last_ns, p.trace_ids,
    t.before, t.after, u.writers
FROM pairs AS p JOIN totals AS t ON t.step = p.step LEFT JOIN usual AS u ON u.key = p.key
ORDER BY p.step, p.key
"""


class KeyChange(NamedTuple):
    """How often a step changed a key, of its executions on the two sides."""

    step: str
    key: str
    changed_before: int
    before: int
    changed_after: int
    after: int
    first_ns: int | None
    last_ns: int | None
    trace_ids: list[str]
    writers: list[str]

    @property
    def p_value(self) -> float:
        return proportion_is_higher(
            self.changed_before, self.before, self.changed_after, self.after
        )


def key_changes(dataset: Dataset, comparison: Comparison) -> list[KeyChange]:
    """Every key that a step of the service changes on either side."""
    scope = side_parameters(comparison)
    with dataset.connect(threads=None) as connection:
        connection.execute(_CHANGED, {**scope, "table": _TABLE, "writes": _WRITES})
        cursor = connection.execute(_CHANGES, scope)
        names = [column[0] for column in cursor.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return [
        KeyChange(**{**row, "trace_ids": row["trace_ids"] or [], "writers": row["writers"] or []})
        for row in rows
    ]


def changes_of(data: DetectionData, comparison: Comparison) -> list[KeyChange]:
    """`key_changes`, asked once for all detectors of a beat."""
    key = ("key changes", comparison.service)
    return data.once(key, lambda: key_changes(data.dataset, comparison))


def detect_state(data: DetectionData, config: DetectConfig) -> Findings:
    """Keys that no execution of a step changed before, and some do now."""
    anomalies = []
    for comparison in data.comparisons:
        new = [
            change
            for change in changes_of(data, comparison)
            if change.changed_before == 0 and change.before >= config.minimum_traces
        ]
        adjusted = benjamini_hochberg([change.p_value for change in new])
        anomalies += [
            _anomaly(change, p_value, comparison, config)
            for change, p_value in zip(new, adjusted, strict=True)
            if p_value <= config.significance
        ]
    return Findings(anomalies=anomalies)


def _anomaly(
    change: KeyChange, p_value: float, comparison: Comparison, config: DetectConfig
) -> Anomaly:
    share = change.changed_after / change.after
    return Anomaly(
        id=short_id("anomaly", DETECTOR, comparison.service, change.step, change.key),
        kind="state",
        service=comparison.service,
        operation=change.step,
        severity=of_share(share),
        score=significant(1 - p_value),
        title=(
            f"{change.step} changes {change.key} in {change.changed_after} of {change.after} "
            f"executions, in none of {change.before} before"
        ),
        first_seen=iso(change.first_ns),
        last_seen=iso(change.last_ns),
        count=change.changed_after,
        detector=Detector(
            name=DETECTOR,
            parameters={
                "key": change.key,
                "significance": config.significance,
                "expected_rate": significant(share),
            },
            window=comparison.window,
        ),
        evidence={
            "key": change.key,
            "step": change.step,
            "changed": change.changed_after,
            "executions": change.after,
            "support": change.before,
            "usual_writers": change.writers,
            "adjusted_p_value": significant(p_value),
            "trace_ids": change.trace_ids,
        },
    )


def judge_state(
    step: str, dataset: Dataset, sides: Comparison, asked: Mapping[str, Any]
) -> Judgement:
    """Whether `step` still changes the key `asked["key"]` in the candidate of `sides`."""
    changes = [change for change in key_changes(dataset, sides) if change.step == step]
    seen = sum(change.changed_after for change in changes if change.key == asked["key"])
    executions = max(
        (change.after for change in changes), default=_executions(step, dataset, sides)
    )
    numbers = {"seen": seen, "executions": executions}
    told = f"{step} changes {asked['key']} in {seen} of {executions} executions"
    if seen:
        return Judgement("anomalous", told, numbers)
    if not executions:
        return Judgement("no_data", f"{step} did not run", numbers)
    needed = trials_to_see(asked["expected_rate"], asked["significance"])
    return Judgement(
        "quiet" if executions >= needed else "inconclusive",
        f"{told}; {needed} are needed to tell",
        numbers,
    )


def _executions(step: str, dataset: Dataset, sides: Comparison) -> int:
    (row,) = dataset.rows(
        f"""SELECT count(*)::BIGINT AS runs FROM spans WHERE db_statement IS NULL
        AND coalesce(attributes ->> '$."beat.handler"', operation) = $step
        AND coalesce(service, '{UNKNOWN}') = $service
        AND coalesce(release, '{UNKNOWN}') = $candidate""",
        {"step": step, "service": sides.service, "candidate": sides.candidate.version},
    )
    return int(row["runs"])
