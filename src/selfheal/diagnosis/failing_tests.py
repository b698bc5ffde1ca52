"""Why tests fail: from a red suite to the functions and lines that are likely at fault.

Failing tests that run one suspicious function are one cause. Of all failing tests
together the most suspicious function is looked for first, then that of the tests which do
not run it, and so on, so that several faults give several causes (after J. A. Jones,
J. F. Bowring, M. J. Harrold, "Debugging in Parallel", ISSTA 2007).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from selfheal.artifacts.anomalies import Anomaly
from selfheal.artifacts.diagnosis import Location, Verdict
from selfheal.artifacts.model import Model
from selfheal.codebase.index import CodeIndex
from selfheal.config import DiagnoseConfig
from selfheal.diagnosis.failure import Failure, read_failure
from selfheal.diagnosis.model import Cause, CodeRange
from selfheal.diagnosis.node_ids import node_id
from selfheal.diagnosis.spectrum import Spectrum
from selfheal.diagnosis.suspicion import FunctionScore, Suspicion, suspicion

MOST_CAUSES = 10
# What is handed to the repair: lines, and passing tests that run the convicted function.
MOST_LINES = 200
MOST_LOCATIONS = 20
MOST_GUARDS = 50


class FailedTest(Model):
    """A reported failure; `node` is the test's node id, None where it is not in the repository."""

    anomaly: Anomaly
    node: str | None
    failure: Failure


def is_failing_test(anomaly: Anomaly) -> bool:
    """Whether an anomaly is a failing test of a report."""
    return isinstance(anomaly.evidence.get("test"), str)


def reported_nodes(anomalies: Iterable[Anomaly], index: CodeIndex) -> list[str]:
    """The node ids of the failing tests among some anomalies, sorted."""
    found = {_node(anomaly, index) for anomaly in anomalies if is_failing_test(anomaly)}
    return sorted(name for name in found if name is not None)


def explain_failing_tests(
    anomalies: Sequence[Anomaly],
    span: CodeRange,
    spectrum: Spectrum | None,
    config: DiagnoseConfig,
) -> list[Cause]:
    """The causes of the failing tests of one range of code, the most tests first."""
    tests = [
        FailedTest(
            anomaly=anomaly,
            node=_node(anomaly, span.index),
            failure=read_failure(anomaly.evidence, span, config.vendored),
        )
        for anomaly in anomalies
    ]
    if span.bad is None:
        return [_unknown(group, span) for group in _by_failure(tests)]
    measured = [test for test in tests if spectrum and _here(test, spectrum, spectrum.failing)]
    healthy = [test for test in tests if spectrum and _passes(test, spectrum)]
    known = {test.anomaly.id for test in [*measured, *healthy]}
    causes = _measured(measured, span, spectrum, config) if spectrum and measured else []
    for group in _by_failure([test for test in tests if test.anomaly.id not in known]):
        causes.append(
            _cause(group, suspicion(_failures(group), span, None, [], config), None, span, config)
        )
    if healthy and spectrum:
        causes.append(_passing_here(healthy, spectrum, span))
    return causes


def _node(anomaly: Anomaly, index: CodeIndex) -> str | None:
    frames = [frame for frame in anomaly.evidence.get("frames") or [] if isinstance(frame, Mapping)]
    return node_id(str(anomaly.evidence["test"]), frames, index)


def _here(test: FailedTest, spectrum: Spectrum, among: Iterable[str]) -> list[str]:
    """What a reported test is called where it was run, as far as it is among some tests."""
    names = spectrum.names.get(test.node or "", [])
    return sorted(set(names).intersection(among))


def _passes(test: FailedTest, spectrum: Spectrum) -> bool:
    ran = _here(test, spectrum, spectrum.not_failing)
    return bool(ran) and not _here(test, spectrum, spectrum.failing)


def _measured(
    tests: list[FailedTest], span: CodeRange, spectrum: Spectrum, config: DiagnoseConfig
) -> list[Cause]:
    """Causes from the spectrum, one for each group of tests that share a suspicious function."""
    numbers = {name: number for number, name in enumerate(spectrum.failing)}
    ran = {
        test.anomaly.id: {numbers[name] for name in _here(test, spectrum, numbers)}
        for test in tests
    }
    causes: list[Cause] = []
    left = tests
    while left:
        chosen = set().union(*(ran[test.anomaly.id] for test in left))
        found = suspicion(_failures(left), span, spectrum, sorted(chosen), config)
        members = left
        if found.functions and len(causes) < MOST_CAUSES - 1:
            first = found.functions[0]
            inside = spectrum.failing_at(first.file, first.first_line, first.last_line)
            members = [test for test in left if ran[test.anomaly.id] & inside] or left
        if len(members) < len(left):
            own = set().union(*(ran[test.anomaly.id] for test in members))
            found = suspicion(_failures(members), span, spectrum, sorted(own), config)
        causes.append(_cause(members, found, spectrum, span, config))
        left = [test for test in left if test not in members]
    return causes


def _failures(tests: Iterable[FailedTest]) -> list[tuple[str, Failure]]:
    return [(test.node or str(test.anomaly.evidence["test"]), test.failure) for test in tests]


def _by_failure(tests: Iterable[FailedTest]) -> list[list[FailedTest]]:
    """Tests grouped by where their tracebacks end, and by exception."""
    groups: dict[tuple[str, str, str], list[FailedTest]] = {}
    for test in tests:
        frame = next(iter(test.failure.frames), None) or test.failure.test
        place = (frame.file, frame.function) if frame else (str(test.node), "")
        groups.setdefault((*place, test.failure.exception_type), []).append(test)
    return [groups[key] for key in sorted(groups)]


def _cause(
    tests: list[FailedTest],
    found: Suspicion,
    spectrum: Spectrum | None,
    span: CodeRange,
    config: DiagnoseConfig,
) -> Cause:
    first = tests[0]
    nodes = _runnable(tests, spectrum)
    verdict, reason = _verdict(tests, nodes, found, spectrum, config)
    where = f" in {found.functions[0].function}" if found.functions else ""
    many = (
        f"{len(tests)} failing tests"
        if len(tests) > 1
        else f"the failing test {nodes[0]}"
        if nodes
        else f"the test {first.anomaly.operation}"
    )
    return Cause(
        anomaly_ids=[test.anomaly.id for test in tests],
        kind="error",
        service=first.anomaly.service,
        operation=first.anomaly.operation,
        title=f"{first.failure.exception_type}{where}: {many}",
        verdict=verdict,
        reason=reason,
        locations=[_location(item) for item in found.functions[:MOST_LOCATIONS]],
        root_service=first.anomaly.service,
        good_commit=span.good,
        bad_commit=span.bad,
        evidence=_evidence(tests, nodes, found, spectrum, span),
    )


def _runnable(tests: Iterable[FailedTest], spectrum: Spectrum | None) -> list[str]:
    """The node ids of some tests: as they failed here, else as they are called in the repository."""
    found: set[str] = set()
    for test in tests:
        if test.node is not None:
            here = _here(test, spectrum, spectrum.failing) if spectrum else []
            found.update(here or [test.node])
    return sorted(found)


def _verdict(
    tests: Sequence[FailedTest],
    nodes: Sequence[str],
    found: Suspicion,
    spectrum: Spectrum | None,
    config: DiagnoseConfig,
) -> tuple[Verdict, str]:
    # A test that fails here each time is due to what it runs: the place is open, not the cause.
    proven = spectrum is not None and any(_here(test, spectrum, spectrum.failing) for test in tests)
    if found.functions and (proven or found.functions[0].score >= config.minimum_score):
        best = found.functions[0]
        return (
            "code_cause",
            f"{best.file}:{best.line} in {best.function}: {'; '.join(best.reasons)}.",
        )
    notes = list(spectrum.notes) if spectrum else []
    if not nodes:
        name = tests[0].anomaly.evidence["test"]
        notes.append(f"no test file of this commit fits {name}")
    if not found.functions:
        notes.append("the failing tests ran none of the repository's own code outside of tests")
    else:
        best = found.functions[0]
        notes.append(
            f"the most suspicious place, {best.file}:{best.line}, has {best.score:.2f}"
            f" of the {config.minimum_score:.2f} that a conviction needs"
        )
    return "insufficient_data", f"{'; '.join(notes)}."


def _location(item: FunctionScore) -> Location:
    return Location(
        file=item.file,
        line=item.line,
        function=item.function,
        score=item.score,
        reasons=item.reasons,
    )


def _evidence(
    tests: Sequence[FailedTest],
    nodes: list[str],
    found: Suspicion,
    spectrum: Spectrum | None,
    span: CodeRange,
) -> dict[str, Any]:
    failure = tests[0].failure
    evidence: dict[str, Any] = {
        "exception_type": failure.exception_type,
        "message": failure.message,
        "frames": [frame.model_dump(mode="json") for frame in failure.frames],
        "fingerprint": tests[0].anomaly.evidence.get("fingerprint"),
        "trace_ids": [],
        "failing_tests": nodes,
        "failures": [
            {
                "test": test.node or test.anomaly.evidence["test"],
                "exception_type": test.failure.exception_type,
                "message": test.failure.message,
                "line": test.failure.test.line if test.failure.test else None,
            }
            for test in tests
        ],
        "spectrum": [line.model_dump(mode="json") for line in found.lines[:MOST_LINES]],
        "guarding_tests": _guards(found, spectrum),
        "timed_out": [name for name in nodes if spectrum and name in spectrum.timed_out],
        "known_failures": spectrum.other_failures if spectrum else [],
        "notes": [*span.gaps, *(spectrum.notes if spectrum else [])],
    }
    if failure.expression:
        evidence["expression"] = failure.expression.text
        evidence["expression_kind"] = failure.expression.kind
        evidence["expression_base"] = failure.expression.base
        evidence["expression_line"] = failure.expression.line
    if failure.test:
        evidence["test"] = f"{failure.test.file}::{failure.test.function}"
    if failure.library:
        evidence["library"] = failure.library
    return evidence


def _guards(found: Suspicion, spectrum: Spectrum | None) -> list[str]:
    """Passing tests that run the most suspicious functions: a fix must not break them."""
    if spectrum is None:
        return []
    names: dict[str, None] = {}
    for item in found.functions[:5]:
        names |= dict.fromkeys(spectrum.witnesses_at(item.file, item.first_line, item.last_line))
    return list(names)[:MOST_GUARDS]


def _passing_here(tests: list[FailedTest], spectrum: Spectrum, span: CodeRange) -> Cause:
    first = tests[0]
    names = sorted({name for test in tests for name in _here(test, spectrum, spectrum.not_failing)})
    return Cause(
        anomaly_ids=[test.anomaly.id for test in tests],
        kind="error",
        service=first.anomaly.service,
        operation=first.anomaly.operation,
        title=f"{first.failure.exception_type}: {len(tests)} reported tests that pass here",
        verdict="insufficient_data",
        reason=(
            f"{', '.join(names[:5])} {'pass' if len(names) > 1 else 'passes'} at"
            f" {spectrum.commit[:10]} in the sandbox: flaky, mended since, or dependent on"
            " the environment of the report; a report of a run at this commit would tell."
        ),
        root_service=first.anomaly.service,
        good_commit=span.good,
        bad_commit=span.bad,
        evidence={"passing_here": names, "notes": spectrum.notes},
    )


def _unknown(tests: list[FailedTest], span: CodeRange) -> Cause:
    first = tests[0]
    return Cause(
        anomaly_ids=[test.anomaly.id for test in tests],
        kind="error",
        service=first.anomaly.service,
        operation=first.anomaly.operation,
        title=first.anomaly.title,
        verdict="insufficient_data",
        reason=f"{'; '.join(span.gaps)}.",
        root_service=first.anomaly.service,
        evidence={"failing_tests": sorted({test.node for test in tests if test.node})},
    )
