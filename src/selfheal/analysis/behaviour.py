"""Behavioural anomalies: traces that break the order contract of their operation.

A deviation in some of the traces breaks a contract. One in all of them is a changed
program as well as it is a fault: a step that is new here, or gone with its function, is
an open question; a step that was dropped here and lives on elsewhere, doubled or
swapped with another is reported. So is a step that is called by what never called it.
"""

from __future__ import annotations

from selfheal.analysis.model import Comparison, DetectionData, Findings, without_baseline
from selfheal.analysis.order import Broken, Contracts
from selfheal.analysis.severity import of_share
from selfheal.analysis.statistics.multiplicity import benjamini_hochberg
from selfheal.artifacts import Anomaly
from selfheal.artifacts.anomalies import Detector, Undecided
from selfheal.artifacts.canonical import short_id
from selfheal.config import DetectConfig
from selfheal.telemetry.statistics import iso, significant

DETECTOR = "order_contract"


def detect_behaviour(data: DetectionData, config: DetectConfig) -> Findings:
    """The broken contracts of every service that has a baseline to learn from."""
    anomalies: list[Anomaly] = []
    undecided: list[Undecided] = []
    for comparison in data.comparisons:
        if comparison.baseline is None:
            undecided.append(without_baseline(comparison, DETECTOR))
            continue
        with Contracts(data.dataset, comparison) as contracts:
            rules = contracts.broken(config.minimum_traces)
            adjusted = benjamini_hochberg([rule.p_value for rule in rules])
            for rule, p_value in zip(rules, adjusted, strict=True):
                if p_value > config.significance or (
                    rule.violation == "extra" and not rule.everywhere
                ):
                    continue
                if _may_be_meant(rule):
                    undecided.append(_open(rule))
                else:
                    traces = contracts.trace_ids(
                        rule.violation, rule.operation, rule.step, rule.other
                    )
                    anomalies.append(_anomaly(rule, p_value, traces[:5], comparison, config))
    return Findings(anomalies=anomalies, undecided=undecided)


def _may_be_meant(rule: Broken) -> bool:
    if not rule.total:
        return False
    unknown = rule.violation in ("missing", "wrong caller") and not rule.everywhere
    return rule.violation == "extra" or unknown


def _told(rule: Broken) -> tuple[str, str]:
    """What good traces do, and what these did."""
    match rule.violation:
        case "missing":
            return f"{rule.step} in every trace", f"no {rule.step}"
        case "extra":
            return f"no {rule.step}", f"{rule.step}"
        case "duplicated":
            return f"{rule.step} once at the most", f"{rule.step} several times"
        case "swapped":
            return f"{rule.step} before {rule.other}", f"{rule.other} before {rule.step}"
        case "wrong caller":
            return f"{rule.step} called by {rule.parent}", f"{rule.step} called by {rule.other}"


def _anomaly(
    rule: Broken, p_value: float, traces: list[str], comparison: Comparison, config: DetectConfig
) -> Anomaly:
    expected, observed = _told(rule)
    share = rule.broken / rule.traces
    return Anomaly(
        id=short_id(
            "anomaly",
            DETECTOR,
            comparison.service,
            rule.operation,
            rule.violation,
            rule.step,
            rule.other,
        ),
        kind="behavioral",
        service=comparison.service,
        operation=rule.operation,
        severity=of_share(share),
        score=significant(1 - p_value),
        title=(
            f"{rule.operation}: {observed} in {rule.broken} of {rule.traces} traces of "
            f"{comparison.candidate.version}, where {expected} was the rule"
        ),
        first_seen=iso(comparison.candidate.start_ns),
        last_seen=iso(comparison.candidate.end_ns),
        count=rule.broken,
        detector=Detector(
            name=DETECTOR,
            parameters={
                "violation": rule.violation,
                "step": rule.step,
                "other": rule.other,
                "significance": config.significance,
                "expected_rate": significant(share),
            },
            window=comparison.window,
        ),
        evidence={
            "violation": rule.violation,
            "step": rule.step,
            "other": rule.other,
            "expected": expected,
            "observed": observed,
            "support": rule.support,
            "traces": rule.traces,
            "broken": rule.broken,
            "parent": rule.parent,
            "adjusted_p_value": significant(p_value),
            "trace_ids": traces,
        },
    )


def _open(rule: Broken) -> Undecided:
    expected, observed = _told(rule)
    return Undecided(
        detector=DETECTOR,
        operation=rule.operation,
        reason=f"{observed} in all {rule.traces} traces, where {expected} was the rule: a changed program or a fault",
        needed="a look at the change of the operation",
    )
