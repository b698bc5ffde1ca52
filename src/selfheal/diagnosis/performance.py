"""Why operations are slow: from grown durations to the code and the commit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from selfheal.artifacts.anomalies import Anomaly
from selfheal.artifacts.dataset import Dataset
from selfheal.artifacts.diagnosis import SuspectCommit, Verdict
from selfheal.artifacts.model import SEVERITIES
from selfheal.codebase.index import Definition
from selfheal.config import DiagnoseConfig
from selfheal.diagnosis.downstream import slower_all_over, slower_downstream
from selfheal.diagnosis.model import Cause, Codebase, CodeRange, pair_of
from selfheal.diagnosis.slow_code import (
    CHANGED,
    Suspicion,
    preferred,
    rank_slow_commits,
    rank_slow_places,
    suspicions,
)
from selfheal.diagnosis.suspects import change_size
from selfheal.diagnosis.traces import (
    CodePlace,
    Growth,
    code_of,
    entries_of,
    growth_between,
    repeated_statement,
    slow_traces,
)
from selfheal.diagnosis.traffic import MixShift, mix_shift

Place = tuple[str, str]
UNTOUCHED = 0.2


@dataclass(frozen=True)
class _Case:
    """One slow operation, as the last of the `path` of spans that leads down to it."""

    path: list[Place]
    span: CodeRange
    growth: Growth
    dataset: Dataset
    config: DiagnoseConfig

    @property
    def leaf(self) -> Place:
        return self.path[-1]

    @property
    def release(self) -> str | None:
        return self.span.pair.candidate


def explain_slowness(
    anomalies: Sequence[Anomaly], codebase: Codebase, dataset: Dataset, config: DiagnoseConfig
) -> list[Cause]:
    """One cause per slow piece of code; the spans around it and inside it are one trouble."""
    found = []
    for (baseline, candidate), members in sorted(_by_releases(anomalies).items()):
        growth = growth_between(dataset, baseline or None, candidate or None)
        for path, group in _groups(members, growth):
            span = codebase.range_of(group[0])
            found.append(_cause(group, _Case(path, span, growth, dataset, config)))
    return found


def _by_releases(anomalies: Sequence[Anomaly]) -> dict[tuple[str, str], list[Anomaly]]:
    grouped: dict[tuple[str, str], list[Anomaly]] = defaultdict(list)
    for anomaly in anomalies:
        pair = pair_of(anomaly)
        grouped[pair.baseline or "", pair.candidate or ""].append(anomaly)
    return grouped


def _groups(
    anomalies: Sequence[Anomaly], growth: Growth
) -> list[tuple[list[Place], list[Anomaly]]]:
    """Anomalies whose growth ends in the same operation, with the longest way down to it.

    A database span's anomaly belongs to the operation that asks.
    """
    paths: dict[Place, list[Place]] = {}
    members: dict[Place, list[Anomaly]] = defaultdict(list)
    for anomaly in sorted(anomalies, key=lambda item: item.id):
        start = _asking(growth, (anomaly.service, anomaly.operation))
        path = growth.descend(start)
        members[path[-1]].append(anomaly)
        if len(path) > len(paths.get(path[-1], [])):
            paths[path[-1]] = path
    return [(paths[leaf], members[leaf]) for leaf in sorted(members)]


def _asking(growth: Growth, place: Place) -> Place:
    node = growth.node(place)
    if node is None or not node.is_query:
        return place
    edges = [edge for edge in growth.edges if edge.child == place and edge.parent != place]
    best = max(edges, key=lambda edge: (edge.growth, edge.parent), default=None)
    return best.parent if best else place


def _cause(group: Sequence[Anomaly], case: _Case) -> Cause:
    service, operation = case.leaf
    span, config = case.span, case.config
    asks_more = _asks_more(case.growth, case.leaf)
    start, place = _start(case)
    suspected = suspicions(span, start, _cleared(case))
    suspects = rank_slow_commits(
        span,
        suspected,
        asks_more=asks_more,
        limit=config.max_suspects,
        repeated=_repeated(case),
    )
    locations = rank_slow_places(
        span, suspected, suspects, asks_more=asks_more, limit=config.max_locations
    )
    shift = mix_shift(case.dataset, service, operation, span.pair.baseline, span.pair.candidate)
    verdict, reason = _shift_verdict(shift) or _verdict(case, place, start, suspects)
    waits = slower_downstream(case.growth, case.leaf)
    # A change on the way to what became slower says little; a slow shape that it brings does.
    idle = verdict == "code_cause" and suspects[0].score <= CHANGED
    if waits and span.bad and (idle or verdict in ("no_code_cause", "insufficient_data")):
        verdict, reason = "dependency", f"{waits}: what answers it became slower. {reason}"
    everything = slower_all_over(case.growth, case.path[0])
    if everything and span.bad and (idle or verdict != "code_cause"):
        verdict, reason = "no_code_cause", f"{everything}."
    leading = _leading(group)
    entries = entries_of(case.dataset, service, operation, case.release)
    entry = leading.operation if leading.evidence.get("entry") else next(iter(entries), operation)
    guilty = next((item for item in suspected if locations and item.at(locations[0])), None)
    evidence = _evidence(case, guilty) | {"entry_operations": entries}
    if shift is not None:
        evidence["mix"] = shift.model_dump(mode="json")
    if suspects:
        evidence["change"] = change_size(span, suspects)
    return Cause(
        anomaly_ids=sorted(anomaly.id for anomaly in group),
        kind="performance",
        service=leading.service,
        operation=entry,
        title=f"{entry} is slower{_where(locations[0].function if locations else None)}",
        verdict=verdict,
        reason=reason,
        locations=locations,
        suspect_commits=suspects,
        root_service=service,
        good_commit=span.good,
        bad_commit=span.bad,
        evidence=evidence,
    )


def _where(function: str | None) -> str:
    return f" in {function}" if function else ""


def _leading(group: Sequence[Anomaly]) -> Anomaly:
    """The anomaly that people see: an entry operation if one is there, the gravest of them."""
    return min(
        group,
        key=lambda item: (
            not item.evidence.get("entry"),
            -SEVERITIES.index(item.severity),
            -item.score,
            item.id,
        ),
    )


def _asks_more(growth: Growth, place: Place) -> bool:
    """Whether an operation runs more statements than before, itself or through calls it repeats."""
    node = growth.node(place)
    if node is not None and node.asks_more:
        return True
    for edge in growth.children(place):
        child = growth.node(edge.child)
        if child and edge.repeats(child) and (child.is_query or child.late_queries >= 1):
            return True
    return False


def _repeated(case: _Case) -> list[str]:
    """The functions of the inner spans that the slow operation calls more often than it did."""
    found: set[str] = set()
    for edge in case.growth.children(case.leaf):
        child = case.growth.node(edge.child)
        if child is not None and not child.is_query and edge.repeats(child):
            place = code_of(case.dataset, *edge.child, case.release)
            found.add((place.function or edge.child[1]).rpartition(".")[2])
    return sorted(found)


def _start(case: _Case) -> tuple[list[Definition], CodePlace]:
    """The function that the slow span runs, by its code attributes or its route; else that of a span around it."""
    first = code_of(case.dataset, *case.leaf, case.release)
    for service, operation in reversed(case.path):
        place = code_of(case.dataset, service, operation, case.release)
        found = place_definitions(case.span, place)
        if found:
            return found, place
    return [], first


def place_definitions(span: CodeRange, place: CodePlace) -> list[Definition]:
    """The definition that a span's code attributes name; failing that, the one its route names."""
    file = span.index.locate(place.file) if place.file else None
    if place.function:
        named = span.index.find(place.function, file) or span.index.find(place.function)
        if named:
            return named[:1]
    if file and place.line:
        at = span.index.function_at(file, place.line)
        if at:
            return [at]
    return span.index.routed(place.route)[:1] if place.route else []


def _cleared(case: _Case) -> list[str]:
    """The functions of inner spans that carry next to nothing of the growth."""
    node = case.growth.node(case.leaf)
    if node is None or node.growth <= 0:
        return []
    edges = case.growth.children(case.leaf)
    quiet = [edge.child for edge in edges if edge.growth < UNTOUCHED * node.growth]
    places = (code_of(case.dataset, *child, case.release) for child in quiet)
    return sorted({found.function for found in places if found.function})


def _shift_verdict(shift: MixShift | None) -> tuple[Verdict, str] | None:
    if shift is None or not shift.explains:
        return None
    return (
        "traffic_mix",
        f"the mean grew {shift.crude:.2f} times, but input by input only {shift.standardised:.2f} times: slower inputs are asked for more often.",
    )


def _verdict(
    case: _Case,
    place: CodePlace,
    start: Sequence[Definition],
    suspects: Sequence[SuspectCommit],
) -> tuple[Verdict, str]:
    span = case.span
    if span.bad is None or (span.good is None and span.pair.baseline is not None):
        return "insufficient_data", f"{'; '.join(span.gaps)}."
    if not span.compares:
        return (
            "no_code_cause",
            "the same code ran before and after: load, data or environment changed.",
        )
    if not start:
        named = place.function or place.file or place.route
        missing = (
            f"{named} is not in the code of the release" if named else "its spans name no code"
        )
        return (
            "insufficient_data",
            f"{missing}; the span attributes code.function.name and code.file.path would name it.",
        )
    best = suspects[0] if suspects else None
    if best and best.score >= case.config.minimum_score:
        return "code_cause", f"{best.sha[:10]} {best.reason}."
    return (
        "no_code_cause",
        f"none of the {len(span.changes)} commits between the releases changes what {start[0].qualified_name} runs.",
    )


def _evidence(case: _Case, guilty: Suspicion | None) -> dict[str, Any]:
    service, operation = case.leaf
    node = case.growth.node(case.leaf)
    found: dict[str, Any] = {
        "path": [name for _, name in case.path],
        "span_operation": operation,
        "trace_ids": slow_traces(case.dataset, service, operation, case.release),
    }
    if node is not None:
        found["growth"] = node.model_dump(mode="json", exclude={"service", "operation"})
    repeated = repeated_statement(case.dataset, service, operation, case.release)
    if repeated and repeated[1] > 1:
        found["statement"], found["statement_count"] = repeated
    patterns = preferred((guilty.new_patterns or guilty.patterns) if guilty else [])
    if patterns:
        found["slow_pattern"] = patterns[0].name
        found["slow_patterns"] = [item.model_dump(mode="json") for item in patterns]
        found["pattern_is_new"] = bool(guilty and guilty.new_patterns)
    return found
