"""The detector of documents as a judge: is a contradiction still in what a repository promises?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import get_args

from selfheal.analysis.documentation import DETECTOR
from selfheal.analysis.documented_code import Claim, Drift
from selfheal.analysis.model import Judgement
from selfheal.analysis.promises import METHODS, DocumentedOperation, Promises, alike, parts
from selfheal.artifacts import Anomaly
from selfheal.errors import InvalidInput

_Found = list[str]
# Contradictions in which production shows what documents lack.
_OF_PRODUCTION = (
    "operation not documented",
    "parameter not documented",
    "flow not documented",
    "flow order not shown",
)


def judge_promises(anomaly: Anomaly, promises: Promises) -> Judgement:
    """Ask the detector of documents again, of the documents and code of another commit.

    ``anomalous`` where they still tell what they told, or still do not tell what production
    shows; what production shows is taken from the anomaly. Raises InvalidInput for the
    anomaly of another detector.
    """
    asked = anomaly.detector
    judge = _JUDGES.get(str(asked.parameters.get("contradiction")))
    if asked.name != DETECTOR or judge is None:
        raise InvalidInput(f"no document is behind anomaly {anomaly.id} of {asked.name}.")
    found = judge(anomaly, promises)
    told = "; ".join(found[:3]) or f"no document contradicts {asked.parameters['name']} any more"
    return Judgement("anomalous" if found else "quiet", told, {"places": len(found)})


def shown_by(anomaly: Anomaly) -> set[str]:
    """The operations and steps that production shows, as far as an anomaly tells of them."""
    asked = anomaly.detector.parameters
    if str(asked.get("contradiction")) not in _OF_PRODUCTION:
        return set()
    steps = anomaly.evidence.get("steps")
    named = [anomaly.operation, asked["name"], *(steps if isinstance(steps, list) else ())]
    return {str(each) for each in named}


def contradictions(promises: Promises, shown: Iterable[str] = ()) -> list[str]:
    """All that documents promise and the code does not have; sorted.

    What production shows, `shown`, is no contradiction: code may put a path together.
    """
    known = set(shown)
    operations = [_operation(name) for name in known]
    found = {
        f"{each.file}: {each.name}"
        for each in promises.operations
        if not each.in_code
        and not any(
            each.method == method and alike(parts(each.path), path) for method, path in operations
        )
    }
    found |= {
        f"{each.file}: {each.flag} of {each.command}" for each in promises.flags if not each.in_code
    }
    for flow in promises.flows:
        steps = zip(flow.steps, flow.in_code, strict=True)
        found |= {
            f"{flow.file}: the step {step}"
            for step, there in steps
            if not there and step not in known
        }
    return sorted(found | set(map(in_words, promises.claims)))


def in_words(claim: Claim) -> str:
    """A claim as `contradictions` tells of it."""
    return f"{claim.file}: {claim.drift}: {claim.name} of {claim.subject}"


def told_of_code(promises: Promises) -> list[str]:
    """What documents tell and the code has: an honest repair takes none of it away; sorted."""
    found = {each.name for each in promises.operations if each.in_code}
    found |= {f"{each.flag} of {each.command}" for each in promises.flags if each.in_code}
    return sorted(found)


def _operation(name: str) -> tuple[str, tuple[str, ...]]:
    method, _, path = name.partition(" ")
    return method, parts(path)


def _named(promises: Promises, name: str) -> list[DocumentedOperation]:
    method, path = _operation(name)
    return [
        each for each in promises.operations if each.method == method and alike(path, parts(each.path))
    ]  # fmt: skip


def _not_shown(anomaly: Anomaly, promises: Promises) -> _Found:
    name = str(anomaly.detector.parameters["name"])
    method, path = _operation(name)
    same = [each for each in promises.operations if (each.method, parts(each.path)) == (method, path)]  # fmt: skip
    return [f"{each.file}:{each.line} names {each.name}" for each in same if not each.in_code]


def _not_documented(anomaly: Anomaly, promises: Promises) -> _Found:
    name = str(anomaly.detector.parameters["name"])
    return [] if _named(promises, name) else [f"no document names {name}"]


def _parameter(anomaly: Anomaly, promises: Promises) -> _Found:
    name = str(anomaly.detector.parameters["name"])
    documented = _named(promises, anomaly.operation)
    if not documented:
        return [f"no document names {anomaly.operation}"]
    known = any(name in each.parameters for each in documented)
    return [] if known else [f"{documented[0].file}:{documented[0].line} does not name {name}"]


def _flag(anomaly: Anomaly, promises: Promises) -> _Found:
    name = anomaly.detector.parameters["name"]
    return [
        f"{each.file}:{each.line} names {each.flag}"
        for each in promises.flags
        if each.flag == name and not each.in_code
    ]


def _step(anomaly: Anomaly, promises: Promises) -> _Found:
    name = anomaly.detector.parameters["name"]
    return [
        f"{flow.file}:{flow.line} tells of {name}"
        for flow in promises.flows
        if name in flow.steps and not flow.in_code[flow.steps.index(name)]
    ]


def _order(anomaly: Anomaly, promises: Promises) -> _Found:
    told = anomaly.evidence.get("steps")
    if not isinstance(told, list) or len(told) != 2:
        return ["the anomaly does not say how the document names the steps"]
    return [
        f"{flow.file}:{flow.line} tells of {told[0]} before {told[1]}"
        for flow in promises.flows
        for first, second in flow.edges
        if [flow.steps[first], flow.steps[second]] == told
    ]


def _flow(anomaly: Anomaly, promises: Promises) -> _Found:
    wanted = _operation(anomaly.operation) if anomaly.operation.split(" ")[0] in METHODS else None
    for flow in promises.flows:
        for step in flow.steps:
            if step == anomaly.operation or (wanted and _operation(step) == wanted):
                return []
    return [f"no document tells of the flow of {anomaly.operation}"]


def _claim(anomaly: Anomaly, promises: Promises) -> _Found:
    asked = anomaly.detector.parameters
    return [
        f"{each.file}:{each.line} tells of {each.subject}: {' '.join(each.told.split())}"
        for each in promises.claims
        if (each.drift, each.name, each.subject)
        == (asked["contradiction"], asked["name"], anomaly.operation)
    ]


_JUDGES: Mapping[str, Callable[[Anomaly, Promises], _Found]] = {
    "operation not shown": _not_shown,
    "operation not documented": _not_documented,
    "parameter not documented": _parameter,
    "flag not in code": _flag,
    "flow step not shown": _step,
    "flow order not shown": _order,
    "flow not documented": _flow,
    **dict.fromkeys(get_args(Drift), _claim),
}
