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
from collections.abc import Mapping
from typing import Any

from selfheal.analysis.log_templates import masked, pattern
from selfheal.analysis.message_counts import LEVEL, Template, templates_of
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

DETECTOR = "log_template_rate"


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
