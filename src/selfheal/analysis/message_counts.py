"""How often messages of a template were logged on two sides, and whether that differs.

See `selfheal.analysis.messages` for what is made of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from selfheal.analysis.latency import bucket_seconds_of
from selfheal.analysis.log_templates import LONGEST_LIST, DrainMiner, TemplateMiner, masked
from selfheal.analysis.model import Comparison
from selfheal.analysis.statistics.rates import rate_is_higher
from selfheal.artifacts import Dataset
from selfheal.config import DetectConfig
from selfheal.telemetry.statistics import UNKNOWN

if TYPE_CHECKING:
    import duckdb

MINIMUM_NEW = 2
# A template has risen from this ratio on: log volume varies more than requests do.
MINIMUM_RISE = 2.0
# It was steady, so that its absence tells something, if this share of the buckets had it.
STEADY = 0.9
# What begins in the first tenth of a window may just have been there before.
LEAST_BEFORE = 0.1

Change = Literal["new", "rising", "vanished"]

LEVEL = "CASE WHEN severity IN ('error', 'fatal') THEN 'error' WHEN severity = 'warn' THEN 'warn' ELSE 'other' END"
# Error records of a request in which an exception was raised tell of that exception.
_NOT_TOLD = f"""l.exception_type IS NULL AND NOT ({LEVEL} = 'error' AND l.trace_id IS NOT NULL
    AND l.trace_id IN (SELECT trace_id FROM errors WHERE trace_id IS NOT NULL AND frames <> '[]'))"""
_RECORDS = f"""
CREATE TEMP TABLE records AS
SELECT {masked("body")} AS message, {LEVEL} AS level,
    CASE WHEN $baseline IS NULL THEN time_ns >= $middle_ns
        ELSE coalesce(release, '{UNKNOWN}') = $candidate END AS candidate,
    (time_ns - $start_ns) // $bucket_ns AS bucket, coalesce(logger, '') AS logger,
    count(*)::BIGINT AS n, count(*) FILTER (severity = 'fatal')::BIGINT AS fatal,
    min(time_ns) AS first_ns, max(time_ns) AS last_ns, min(trace_id) AS trace_id,
    min(body) AS example,
    any_value(CASE WHEN attributes LIKE '%"code.%' THEN attributes END) AS attributes
FROM logs AS l
WHERE coalesce(service, '{UNKNOWN}') = $service AND body IS NOT NULL AND time_ns IS NOT NULL
    AND (coalesce(release, '{UNKNOWN}') = $candidate OR coalesce(release, '{UNKNOWN}') = $baseline)
    AND {_NOT_TOLD}
GROUP BY ALL
"""
_MESSAGES = f"""
SELECT level, message FROM records GROUP BY level, message
QUALIFY row_number() OVER (PARTITION BY level ORDER BY sum(n) DESC, message) <= {LONGEST_LIST}
ORDER BY level, message
"""
_TEMPLATES = """
WITH placed AS (
    SELECT m.template, r.* FROM records AS r JOIN mined AS m USING (level, message)
), busy AS (
    SELECT template, level, candidate, bucket, sum(n) AS n FROM placed GROUP BY ALL
), spread AS (
    SELECT template, level,
        sum(n) FILTER (NOT candidate)::BIGINT AS before, sum(n) FILTER (candidate)::BIGINT AS after,
        count(*) FILTER (NOT candidate)::BIGINT AS buckets_before,
        count(*) FILTER (candidate)::BIGINT AS buckets_after,
        sum(n * n) AS squares
    FROM busy GROUP BY ALL
)
SELECT s.*, f.* EXCLUDE (template, level) FROM spread AS s JOIN (
    SELECT template, level, min(first_ns) AS first_ns, max(last_ns) AS last_ns,
        min(first_ns) FILTER (candidate) AS first_after_ns, sum(fatal)::BIGINT AS fatal,
        min(logger) AS logger, arg_max(example, (candidate, -first_ns)) AS example,
        arg_max(attributes, (candidate, -first_ns)) AS attributes,
        (list(DISTINCT trace_id ORDER BY trace_id)
            FILTER (candidate AND trace_id IS NOT NULL))[:5] AS trace_ids
    FROM placed GROUP BY ALL
) AS f USING (template, level) ORDER BY level, template
"""
_TOTALS = """
SELECT coalesce(sum(n) FILTER (NOT candidate), 0)::BIGINT AS before,
    coalesce(sum(n) FILTER (candidate), 0)::BIGINT AS after,
    count(DISTINCT bucket) FILTER (NOT candidate)::BIGINT AS buckets_before,
    count(DISTINCT bucket) FILTER (candidate)::BIGINT AS buckets_after,
    count(DISTINCT bucket)::BIGINT AS buckets, min(first_ns) AS first_ns, max(last_ns) AS last_ns
FROM records
"""


class Template(NamedTuple):
    """A template on the two sides, as `facts` of the query; `exposure` is before and after.

    `unit` is what is counted against: requests, or records of the service.
    """

    facts: Mapping[str, Any]
    totals: Mapping[str, Any]
    exposure: tuple[float, float]
    unit: Literal["requests", "records"]
    alone: bool

    @property
    def before(self) -> int:
        return int(self.facts["before"] or 0)

    @property
    def after(self) -> int:
        return int(self.facts["after"] or 0)

    @property
    def dispersion(self) -> float:
        """Variance over mean of the counts per bucket, at the least 1."""
        buckets, total = max(int(self.totals["buckets"]), 1), self.before + self.after
        mean = total / buckets
        return max(1.0, (float(self.facts["squares"]) / buckets - mean * mean) / mean)

    @property
    def asked(self) -> bool:
        """Whether it is a question at all: of errors and warnings, and of what was steady."""
        return self.facts["level"] != "other" or self._steady()

    @property
    def change(self) -> Change | None:
        """What there is to test; None where the counts do not differ that way."""
        if self.facts["level"] == "error" and self.after >= MINIMUM_NEW and self._comes_late():
            return "new"
        if not self.after and self._steady():
            return "vanished"
        higher = self.rates[1] > MINIMUM_RISE * self.rates[0] > 0
        return "rising" if higher and self.facts["level"] != "other" else None

    @property
    def rates(self) -> tuple[float, float]:
        return (
            self.before / max(self.exposure[0], 1.0),
            self.after / max(self.exposure[1], 1.0),
        )

    def _steady(self) -> bool:
        least = max(STEADY * self.totals["buckets_before"], 1)
        return bool(self.facts["buckets_before"] >= least)

    def _comes_late(self) -> bool:
        return self._share_before() >= LEAST_BEFORE if self.alone else self.before == 0

    def _share_before(self) -> float:
        span = self.totals["last_ns"] - self.totals["first_ns"]
        return float((self.facts["first_ns"] - self.totals["first_ns"]) / span) if span else 0.0

    @property
    def p_value(self) -> float:
        """Of the change by chance; 1 where there is none."""
        if self.change == "new" and self.alone:
            busy = self.facts["buckets_before"] + self.facts["buckets_after"]
            return float((1 - self._share_before()) ** (busy - 1))
        before, after = (int(count / self.dispersion) for count in (self.before, self.after))
        match self.change:
            case "new" | "rising":
                return rate_is_higher(before, self.exposure[0], after, self.exposure[1])
            case "vanished":
                return rate_is_higher(after, self.exposure[1], before, self.exposure[0])
            case _:
                return 1.0


def templates_of(
    dataset: Dataset,
    comparison: Comparison,
    config: DetectConfig,
    miner: TemplateMiner | None = None,
) -> list[Template]:
    """The templates of a service's messages on the two sides; without a baseline, of its halves."""
    with dataset.connect() as connection:
        window, baseline = comparison.candidate, comparison.baseline
        start = min(window.start_ns, baseline.start_ns) if baseline else window.start_ns
        connection.execute(
            _RECORDS,
            {
                "service": comparison.service,
                "baseline": baseline.version if baseline else None,
                "candidate": window.version,
                "middle_ns": (window.start_ns + window.end_ns) // 2,
                "start_ns": start,
                "bucket_ns": round(bucket_seconds_of(comparison, config.bucket_seconds) * 1e9),
            },
        )
        _mine(connection, miner or DrainMiner())
        (totals,) = _rows(connection, _TOTALS)
        rows = list(_rows(connection, _TEMPLATES))
    requests = (baseline.requests, window.requests) if baseline else (0, 0)
    by_request = min(requests) > 0
    exposure = requests if by_request else (totals["before"], totals["after"])
    return [
        Template(row, totals, exposure, "requests" if by_request else "records", baseline is None)
        for row in rows
    ]


def _mine(connection: duckdb.DuckDBPyConnection, miner: TemplateMiner) -> None:
    import pyarrow as pa

    messages: dict[str, list[str]] = {}
    for level, message in connection.execute(_MESSAGES).fetchall():
        messages.setdefault(level, []).append(message)
    columns: dict[str, list[str]] = {"level": [], "message": [], "template": []}
    for level, of_level in messages.items():
        columns["level"] += [level] * len(of_level)
        columns["message"] += of_level
        columns["template"] += miner.templates(of_level)
    schema = pa.schema([(name, pa.string()) for name in columns])
    connection.register("mined", pa.table(columns, schema=schema))


def _rows(connection: duckdb.DuckDBPyConnection, sql: str) -> Iterator[dict[str, Any]]:
    cursor = connection.execute(sql)
    names = [column[0] for column in cursor.description or ()]
    for row in cursor.fetchall():
        yield dict(zip(names, row, strict=True))
