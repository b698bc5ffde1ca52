"""Topics: messages sent to, or listened for on, a topic that nothing knew before.

A topic is `messaging.destination.name` of a span or log record, or what an event bus says
that it was subscribed to. Who uses it is the operation around the message (of a
subscription, the logger). Held against the release before: a topic that its user never
used in enough good messages, by Fisher's exact test, adjusted over all (Benjamini-
Hochberg). Held against declared sequences: a topic that no sequence declares, in a name space most of whose topics in use
are declared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from selfheal.analysis.declared import DeclaredFlow
from selfheal.analysis.errors import scope_of
from selfheal.analysis.model import Comparison, DetectionData, Findings, Judgement
from selfheal.analysis.severity import of_share
from selfheal.analysis.statistics.multiplicity import benjamini_hochberg
from selfheal.analysis.statistics.rates import proportion_is_higher, trials_to_see
from selfheal.artifacts import Anomaly, Dataset
from selfheal.artifacts.anomalies import Detector, Undecided
from selfheal.artifacts.canonical import short_id
from selfheal.config import DetectConfig
from selfheal.telemetry.statistics import UNKNOWN, iso, significant

DETECTOR = "messaging_topics"

_TOPIC = """coalesce(attributes ->> '$."messaging.destination.name"',
    attributes ->> '$."messaging.destination"', attributes ->> '$."subscription.topic"')"""
_NAMED = (
    """(attributes LIKE '%"messaging.destination%' OR attributes LIKE '%"subscription.topic"%')"""
)
_MESSAGES = f"""
WITH messages AS (
    SELECT coalesce(p.operation, CASE WHEN s.kind = 'consumer' THEN s.service END, s.scope, '') AS used_by,
        CASE WHEN s.kind = 'consumer' THEN 'subscribed' ELSE 'published' END AS direction,
        s.topic, s.candidate, s.trace_id, s.start_ns AS time_ns
    FROM (
        SELECT *, {_TOPIC} AS topic, coalesce(release, '{UNKNOWN}') = $candidate AS candidate
        FROM spans WHERE {_NAMED} AND coalesce(service, '{UNKNOWN}') = $service
            AND coalesce(release, '{UNKNOWN}') IN ($baseline, $candidate)
    ) AS s LEFT JOIN spans AS p ON p.trace_id = s.trace_id AND p.span_id = s.parent_span_id
        AND coalesce(p.service, '{UNKNOWN}') = $service
    UNION ALL
    SELECT coalesce(attributes ->> '$."subscription.plugin"', logger, ''),
        CASE WHEN attributes LIKE '%"subscription.topic"%' THEN 'subscribed' ELSE 'published' END,
        {_TOPIC}, coalesce(release, '{UNKNOWN}') = $candidate, trace_id, time_ns
    FROM logs WHERE {_NAMED} AND coalesce(service, '{UNKNOWN}') = $service
        AND coalesce(release, '{UNKNOWN}') IN ($baseline, $candidate)
)
SELECT used_by, direction, topic, count(*) FILTER (NOT candidate)::BIGINT AS before,
    count(*) FILTER (candidate)::BIGINT AS after,
    min(time_ns) FILTER (candidate) AS first_ns, max(time_ns) FILTER (candidate) AS last_ns,
    (list(DISTINCT trace_id ORDER BY trace_id)
        FILTER (candidate AND trace_id IS NOT NULL))[:5] AS trace_ids
FROM messages WHERE topic <> '' GROUP BY used_by, direction, topic
ORDER BY used_by, direction, topic
"""


class Use(NamedTuple):
    """A topic as one user uses it: `facts` of the query, and all messages of that user.

    `known` says that the baseline has the topic at all; `declared` is why a declaration
    forbids it, None where none does.
    """

    facts: Mapping[str, Any]
    before: int
    after: int
    known: bool
    declared: str | None

    @property
    def p_value(self) -> float:
        """That chance put all messages to the topic on the candidate's side."""
        return proportion_is_higher(0, self.before, self.facts["after"], self.after)


def uses_of(
    dataset: Dataset, comparison: Comparison, declared: Sequence[DeclaredFlow] = ()
) -> list[Use]:
    """Every topic that the judged release uses, by user and direction."""
    rows = dataset.rows(_MESSAGES, scope_of(comparison))
    events = {event: flow.file for flow in declared for event in flow.events}
    spaces = {_space(event): file for event, file in sorted(events.items()) if _space(event)}
    # Files that declare less than half of what is used in a name space do not rule it.
    used = {row["topic"] for row in rows if row["after"]}
    ruled = {
        space: file
        for space, file in spaces.items()
        if 2 * sum(topic in events for topic in used if _space(topic) == space)
        >= sum(_space(topic) == space for topic in used)
    }
    found = []
    for row in rows:
        if not row["after"]:
            continue
        own = [one for one in rows if _user(one) == _user(row)]
        topic = row["topic"]
        found.append(
            Use(
                facts=row,
                before=sum(one["before"] for one in own),
                after=sum(one["after"] for one in own),
                known=any(one["topic"] == topic and one["before"] for one in rows),
                declared=None if topic in events else ruled.get(_space(topic)),
            )
        )
    return found


def _user(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["used_by"], row["direction"]


def _space(topic: str) -> str:
    """The name space of a topic: all but its last part; empty where it has one part only."""
    cut = max(topic.rfind(mark) for mark in ":./")
    return topic[: cut + 1]


def detect_topics(data: DetectionData, config: DetectConfig) -> Findings:
    """The topics that a contract does not know, for every service that sends messages."""
    anomalies: list[Anomaly] = []
    undecided: list[Undecided] = []
    for comparison in data.comparisons:
        uses = uses_of(data.dataset, comparison, data.declared)
        learned = [
            one
            for one in uses
            if comparison.baseline is not None
            and not one.facts["before"]
            and one.before >= config.minimum_traces
        ]
        adjusted = benjamini_hochberg([one.p_value for one in learned])
        sure = {
            id(one): p_value
            for one, p_value in zip(learned, adjusted, strict=True)
            if p_value <= config.significance
        }
        for one in uses:
            all_of_it = one.facts["after"] == one.after and not one.known
            if one.declared is not None:
                anomalies.append(_anomaly(one, 0.0, comparison, config))
            elif id(one) in sure and all_of_it:
                undecided.append(_open(one))
            elif id(one) in sure:
                anomalies.append(_anomaly(one, sure[id(one)], comparison, config))
    return Findings(anomalies=anomalies, undecided=undecided)


def _open(use: Use) -> Undecided:
    facts = use.facts
    return Undecided(
        detector=DETECTOR,
        operation=facts["used_by"] or facts["topic"],
        reason=(
            f"all {use.after} messages are {facts['direction']} on {facts['topic']}, which the "
            "baseline did not know: a changed program or a fault"
        ),
        needed="a look at the change",
    )


def _anomaly(use: Use, p_value: float, comparison: Comparison, config: DetectConfig) -> Anomaly:
    facts = use.facts
    share = facts["after"] / use.after
    user = facts["used_by"] or comparison.service
    rule = f"{use.declared} declares no such topic" if use.declared else "it never was before"
    return Anomaly(
        id=short_id(
            "anomaly", DETECTOR, comparison.service, user, facts["direction"], facts["topic"]
        ),
        kind="behavioral",
        service=comparison.service,
        operation=user,
        severity=of_share(share),
        score=significant(1 - p_value),
        title=(
            f"{user} {facts['direction']} on {facts['topic']} in {facts['after']} of {use.after} "
            f"messages of {comparison.candidate.version}; {rule}"
        ),
        first_seen=iso(facts["first_ns"]),
        last_seen=iso(facts["last_ns"]),
        count=facts["after"],
        detector=Detector(
            name=DETECTOR,
            parameters={
                "topic": facts["topic"],
                "direction": facts["direction"],
                "used_by": facts["used_by"],
                "significance": config.significance,
                "expected_rate": significant(share),
            },
            window=comparison.window,
        ),
        evidence={
            "violation": "wrong topic",
            "step": facts["topic"],
            "other": facts["direction"],
            "declared_in": use.declared,
            "support": use.before,
            "messages": use.after,
            "broken": facts["after"],
            "known_elsewhere": use.known,
            "adjusted_p_value": significant(p_value),
            "trace_ids": facts["trace_ids"] or [],
        },
    )


def judge_topic(dataset: Dataset, sides: Comparison, asked: Mapping[str, Any]) -> Judgement:
    """Whether the same user still uses the topic in the candidate of `sides`."""
    uses = uses_of(dataset, sides)
    own = [one for one in uses if _user(one.facts) == (asked["used_by"], asked["direction"])]
    seen = sum(one.facts["after"] for one in own if one.facts["topic"] == asked["topic"])
    messages = own[0].after if own else 0
    needed = trials_to_see(float(asked["expected_rate"]), float(asked["significance"]))
    numbers = {"seen": seen, "requests": messages, "needed": needed}
    told = f"{asked['direction']} on {asked['topic']} in {seen} of {messages} messages"
    if seen:
        return Judgement("anomalous", told, numbers)
    if not messages:
        return Judgement("no_data", "the user sent or listened for nothing", numbers)
    return Judgement("quiet" if messages >= needed else "inconclusive", told, numbers)
