"""Log messages by template: an error never seen before, a more frequent one, a vanished one.

Of two releases, counts per entry request (per record, where there are no requests) are
compared by an exact test of two Poisson rates. Log records come in bursts: counts are
divided by their dispersion over time buckets first (quasi-likelihood; P. McCullagh,
J. A. Nelder, Generalized Linear Models, 1989, chapter 9). Where there is one release
only, a template is new if all of it came late: that n busy buckets all fall into the
last share s of the window has the probability s^(n-1). p-values are adjusted over all
templates (Benjamini-Hochberg).

Records that carry an exception are left to the fingerprints, and so are error records
of requests in which one was raised.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from selfheal.analysis.latency import bucket_seconds_of
from selfheal.analysis.log_templates import LONGEST_LIST, DrainMiner, TemplateMiner, masked, pattern
from selfheal.analysis.model import Comparison, DetectionData, Findings, Judgement
from selfheal.analysis.severity import of_errors
from selfheal.analysis.statistics.multiplicity import benjamini_hochberg
from selfheal.analysis.statistics.rates import rate_is_higher, trials_to_see
from selfheal.artifacts import Anomaly, Dataset
from selfheal.artifacts.anomalies import Detector, Undecided
from selfheal.artifacts.canonical import short_id
from selfheal.artifacts.model import Severity
from selfheal.config import DetectConfig
from selfheal.errors import MissingExtra
from selfheal.telemetry.statistics import UNKNOWN, iso, significant

if TYPE_CHECKING:
    import duckdb

DETECTOR = "log_template_rate"
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


def detect_messages(data: DetectionData, config: DetectConfig) -> Findings:
    """The templates that are new, risen or gone, for every service that logs."""
    anomalies: list[Anomaly] = []
    undecided: list[Undecided] = []
    try:
        services = [(one, templates_of(data.dataset, one, config)) for one in data.comparisons]
    except MissingExtra as missing:
        return Findings(anomalies=[], undecided=[_unavailable(missing)])
    asked = [
        (comparison, template)
        for comparison, every in services
        for template in every
        if template.asked
    ]
    adjusted = benjamini_hochberg([template.p_value for _, template in asked])
    # A release may say the same in other words.
    reworded = {
        (comparison.service, template.facts["logger"])
        for comparison, every in services
        for template in every
        if not template.alone and template.before == 0
    }
    for (comparison, template), p_value in zip(asked, adjusted, strict=True):
        if template.change is None:
            continue
        if p_value > config.significance:
            if template.change == "new":
                undecided.append(_open(template, "which a rare older one explains as well"))
        elif (
            template.change == "vanished"
            and (comparison.service, template.facts["logger"]) in reworded
        ):
            undecided.append(_open(template, "and its logger has new ones: other words, or lost"))
        else:
            anomalies.append(_anomaly(template, p_value, comparison, config))
    return Findings(anomalies=anomalies, undecided=undecided)


def _told(template: Template) -> str:
    before, after = template.before, template.after
    if template.change == "vanished":
        return f"gone, {before} times before"
    return f"{template.change}, {after} times, {before} before"


def _unavailable(missing: MissingExtra) -> Undecided:
    return Undecided(
        detector=DETECTOR,
        operation="log messages",
        reason=f"unavailable: {missing.message}",
        needed=missing.hint,
    )


def _open(template: Template, why: str) -> Undecided:
    return Undecided(
        detector=DETECTOR,
        operation=_operation(template),
        reason=f"the message {template.facts['template']!r} is {_told(template)}, {why}",
        needed="more telemetry" if template.change == "new" else "a look at the change",
    )


def _operation(template: Template) -> str:
    return str(template.facts["logger"] or template.facts["template"])


def _severity(template: Template) -> Severity:
    if template.change == "vanished" or template.facts["level"] != "error":
        return "low"
    share = template.rates[1] if template.unit == "requests" else 0.0
    return of_errors(min(share, 1.0), handled=not template.facts["fatal"])


def _anomaly(
    template: Template, p_value: float, comparison: Comparison, config: DetectConfig
) -> Anomaly:
    facts, change = template.facts, template.change
    rates = [significant(rate) for rate in template.rates]
    began = facts["first_ns"] if template.alone else facts["first_after_ns"]
    identity = short_id("template", facts["level"], facts["template"])
    return Anomaly(
        id=short_id("anomaly", DETECTOR, comparison.service, change, identity),
        kind="error",
        service=comparison.service,
        operation=_operation(template),
        severity=_severity(template),
        score=significant(1 - p_value),
        title=(
            f"{facts['level'] if facts['level'] != 'other' else 'log'} message "
            f"{facts['template']!r} {_told(template)} in {comparison.candidate.version}"
        ),
        first_seen=iso(facts["last_ns"] if change == "vanished" else began),
        last_seen=iso(facts["last_ns"]),
        count=template.before if change == "vanished" else template.after,
        detector=Detector(
            name=DETECTOR,
            parameters={
                "template": facts["template"],
                "level": facts["level"],
                "change": change,
                "significance": config.significance,
                "expected_rate": max(min(rates[0 if change == "vanished" else 1], 1.0), 1e-6),
            },
            window=comparison.window,
        ),
        evidence={
            "change": change,
            "new": change == "new",
            "fingerprint": identity,
            "exception_type": "error",
            "message": facts["example"],
            "template": facts["template"],
            "logger": facts["logger"],
            "frames": _frames(facts["attributes"]),
            "baseline_count": template.before,
            "candidate_count": template.after,
            "rates": rates,
            "rate_unit": f"per {template.unit.removesuffix('s')}",
            "dispersion": significant(template.dispersion),
            "trace_ids": facts["trace_ids"] or [],
            "adjusted_p_value": significant(p_value),
        },
    )


def _frames(attributes: str | None) -> list[dict[str, Any]]:
    """Where the message is logged, as one frame, if the record says so."""
    values = json.loads(attributes or "{}")
    file = values.get("code.file.path") or values.get("code.filepath")
    line = values.get("code.line.number") or values.get("code.lineno")
    if not file or not str(line).isdigit():
        return []
    function = values.get("code.function.name") or values.get("code.function") or ""
    return [{"file": str(file), "line": int(line), "function": str(function)}]


_OCCURRENCES = f"""
SELECT count(*) FILTER (side AND regexp_matches({masked("body")}, $pattern))::BIGINT AS seen,
    count(*) FILTER (NOT side AND regexp_matches({masked("body")}, $pattern))::BIGINT AS before,
    count(*) FILTER (side)::BIGINT AS records, count(*) FILTER (NOT side)::BIGINT AS records_before
FROM (
    SELECT *, coalesce(release, '{UNKNOWN}') = $candidate AS side FROM logs AS l
    WHERE coalesce(service, '{UNKNOWN}') = $service AND body IS NOT NULL
        AND coalesce(release, '{UNKNOWN}') IN ($candidate, $baseline)
)
WHERE {LEVEL} = $level OR NOT regexp_matches({masked("body")}, $pattern)
"""


def judge_message(dataset: Dataset, sides: Comparison, asked: Mapping[str, Any]) -> Judgement:
    """Whether the candidate of `sides` still logs, or still lacks, the template."""
    baseline = sides.baseline
    (row,) = dataset.rows(
        _OCCURRENCES,
        {
            "service": sides.service,
            "candidate": sides.candidate.version,
            "baseline": baseline.version if baseline else None,
            "level": asked["level"],
            "pattern": pattern(asked["template"]),
        },
    )
    trials = sides.candidate.requests or row["records"]
    numbers = {"seen": row["seen"], "requests": trials, "baseline_seen": row["before"]}
    told = f"the message {asked['template']!r} {row['seen']} times in {trials} requests or records"
    if not trials:
        return Judgement("no_data", "no telemetry of the release", numbers)
    needed = trials_to_see(float(asked["expected_rate"]), float(asked["significance"]))
    enough = trials >= needed
    if asked["change"] == "vanished":
        if row["seen"]:
            return Judgement("quiet", told, numbers)
        return Judgement("anomalous" if enough else "inconclusive", told, numbers)
    if not row["seen"]:
        return Judgement("quiet" if enough else "inconclusive", told, numbers)
    before = baseline.requests if baseline and baseline.requests else row["records_before"]
    if asked["change"] == "rising" and before:
        p_value = rate_is_higher(row["before"], before, row["seen"], trials, ratio=1.0)
        risen = p_value <= float(asked["significance"])
        return Judgement("anomalous" if risen else "quiet", told, numbers)
    return Judgement("anomalous", told, numbers)
