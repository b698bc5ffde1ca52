"""Failing tests lead to the code at fault: names, spectra, scores, groups and abstentions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.artifacts.anomalies import Anomaly, DataWindow, Detector
from selfheal.codebase.index import CodeIndex
from selfheal.config import DiagnoseConfig
from selfheal.diagnosis.failing_tests import explain_failing_tests, reported_nodes
from selfheal.diagnosis.model import Cause, CodeRange, ReleasePair
from selfheal.diagnosis.node_ids import node_id
from selfheal.diagnosis.spectrum import Block, Halt, Spectrum, ochiai

CODE = """LIMIT = 99


def clamp(value):
    if value > LIMIT:
        return LIMIT
    return value


def double(value):
    return value + value + 1


class Stack:
    def pop(self):
        return self.items.pop(0)
"""
TESTS = """import unittest
from code import clamp, double


def test_clamp(value):
    assert clamp(value) == 100


def test_double():
    assert double(2) == 4


class TestStack:
    class TestInner:
        def test_pop(self):
            pass


class Case(unittest.TestCase):
    def test_more(self):
        pass
"""
INDEX = CodeIndex.of(
    {
        "src/pkg/code.py": CODE,
        "tests/test_code.py": TESTS,
        "tests/other/test_code.py": "def test_elsewhere():\n    pass\n",
        "tests/broken/test_bad.py": "def test_x(:\n",
    }
)
SPAN = CodeRange(
    pair=ReleasePair(service="unknown", baseline=None, candidate="unknown"),
    bad="c0ffee",
    index=INDEX,
    sources={"src/pkg/code.py": CODE},
)
CLAMP, DOUBLE = "tests/test_code.py::test_clamp[200]", "tests/test_code.py::test_double"


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        ("tests.test_code::test_clamp[a::b.c]", "tests/test_code.py::test_clamp[a::b.c]"),
        ("test_code::test_double", DOUBLE),
        (
            "tests.test_code.TestStack.TestInner::test_pop",
            "tests/test_code.py::TestStack::TestInner::test_pop",
        ),
        ("tests.test_code.Case::test_inherited", "tests/test_code.py::Case::test_inherited"),
        ("test_code::test_elsewhere", "tests/other/test_code.py::test_elsewhere"),
        ("tests.broken.test_bad", "tests/broken/test_bad.py"),
        ("tests.test_code::test_made_at_import", "tests/test_code.py::test_made_at_import"),
        ("tests/test_code.py::test_double", DOUBLE),
        ("tests.gone::test_double", None),
        ("", None),
    ],
)
def test_names_of_reports_become_node_ids(reported: str, expected: str | None) -> None:
    assert node_id(reported, [], INDEX) == expected


@given(st.text(), st.text())
def test_any_name_gives_a_node_id_of_a_known_file_or_none(owner: str, name: str) -> None:
    found = node_id(f"{owner}::{name}", [], INDEX)
    assert found is None or found.partition("::")[0] in INDEX.known


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_ochiai_is_the_cosine_of_ran_and_failed(ef: int, nf: int, ep: int) -> None:
    score = ochiai(ef, nf, ep)
    assert 0 <= score <= 1
    if ef:
        assert math.isclose(score, ef / (math.sqrt(ef + nf) * math.sqrt(ef + ep)))
    else:
        assert score == 0


def failure(
    test: str, *, kind: str = "AssertionError", frames: Sequence[Mapping[str, Any]] = ()
) -> Anomaly:
    return Anomaly(
        id=f"anomaly-{test}",
        kind="error",
        service="unknown",
        operation=test,
        severity="critical",
        score=1.0,
        title=f"{kind} in the test {test}",
        count=1,
        detector=Detector(
            name="errors", parameters={}, window=DataWindow(candidate_release="unknown")
        ),
        evidence={"test": test, "exception_type": kind, "message": "", "frames": list(frames)},
    )


def spectrum(**fields: Any) -> Spectrum:
    """Two failing tests with nothing in common, and passing ones that run parts of their code."""
    base: dict[str, Any] = {
        "commit": "c0ffee",
        "failing": [CLAMP, DOUBLE],
        "names": {CLAMP: [CLAMP], DOUBLE: [DOUBLE]},
        "passing": ["tests/test_code.py::test_low"],
        "passing_count": 5,
        "blocks": [
            Block(lines={"src/pkg/code.py": [5]}, failing=[0], passing=1, witnesses=[0]),
            Block(lines={"src/pkg/code.py": [6]}, failing=[0], passing=0),
            Block(lines={"src/pkg/code.py": [11]}, failing=[1], passing=2),
            Block(lines={"tests/test_code.py": [6]}, failing=[0], passing=0),
        ],
        "import_lines": {"src/pkg/code.py": [1, 4, 10]},
    }
    return Spectrum(**(base | fields))


def explain(*anomalies: Anomaly, of: Spectrum | None) -> list[Cause]:
    return explain_failing_tests(anomalies, SPAN, of, DiagnoseConfig())


def clamp_fails() -> Anomaly:
    return failure("tests.test_code::test_clamp[200]")


def test_tests_with_nothing_in_common_are_two_causes_each_with_its_function() -> None:
    causes = explain(clamp_fails(), failure("tests.test_code::test_double"), of=spectrum())
    by_function = {cause.locations[0].function: cause for cause in causes}
    assert by_function.keys() == {"clamp", "double"}
    clamp = by_function["clamp"]
    assert clamp.verdict == "code_cause"
    assert (clamp.locations[0].file, clamp.locations[0].line) == ("src/pkg/code.py", 6)
    assert clamp.evidence["failing_tests"] == [CLAMP]
    assert clamp.evidence["guarding_tests"] == ["tests/test_code.py::test_low"]
    assert clamp.locations[0].reasons[0].startswith("Ochiai 1.00: run by 1 of 1 failing")


def test_a_constant_that_suspicious_lines_read_is_a_suspect_and_tests_are_none() -> None:
    (cause,) = explain(clamp_fails(), of=spectrum())
    places = {(line["file"], line["line"]) for line in cause.evidence["spectrum"]}
    assert ("src/pkg/code.py", 1) in places
    assert not any(file.startswith("tests/") for file, _ in places)
    scores = [line["score"] for line in cause.evidence["spectrum"]]
    assert scores == sorted(scores, reverse=True)


def test_tests_that_share_a_function_are_one_cause() -> None:
    shared = spectrum(
        blocks=[
            Block(lines={"src/pkg/code.py": [5]}, failing=[0, 1], passing=1),
            Block(lines={"src/pkg/code.py": [6]}, failing=[0], passing=0),
            Block(lines={"src/pkg/code.py": [7]}, failing=[1], passing=1),
        ]
    )
    (cause,) = explain(clamp_fails(), failure("tests.test_code::test_double"), of=shared)
    assert cause.locations[0].function == "clamp"
    assert cause.evidence["failing_tests"] == [CLAMP, DOUBLE]


def test_where_a_test_did_not_end_is_the_first_suspect() -> None:
    stuck = spectrum(timed_out=[CLAMP], halts=[Halt(test=CLAMP, file="src/pkg/code.py", line=7)])
    (cause,) = explain(clamp_fails(), of=stuck)
    assert cause.evidence["timed_out"] == [CLAMP]
    line = next(item for item in cause.evidence["spectrum"] if item["line"] == 7)
    assert line["score"] >= 0.6


def test_the_innermost_own_frame_stands_above_its_callers() -> None:
    frames = [
        {"file": "tests/test_code.py", "line": 10, "function": "test_double"},
        {"file": "src/pkg/code.py", "line": 11, "function": "double"},
        {"file": "src/pkg/code.py", "line": 6, "function": "clamp"},
    ]
    anomaly = failure("tests.test_code::test_double", kind="TypeError", frames=frames)
    (cause,) = explain(anomaly, of=None)
    assert [item.function for item in cause.locations] == ["clamp", "double"]
    assert cause.verdict == "code_cause"
    assert cause.evidence["failing_tests"] == [DOUBLE]


def test_reported_failures_that_pass_here_convict_nobody() -> None:
    healthy = spectrum(failing=[], not_failing=[CLAMP], names={CLAMP: [CLAMP]}, blocks=[])
    (cause,) = explain(clamp_fails(), of=healthy)
    assert (cause.verdict, cause.locations) == ("insufficient_data", [])
    assert "flaky" in cause.reason


def test_without_any_own_code_in_sight_the_verdict_says_what_is_missing() -> None:
    (cause,) = explain(failure("somewhere.else::test_it"), of=None)
    assert cause.verdict == "insufficient_data"
    assert "no test file of this commit fits somewhere.else::test_it" in cause.reason


def test_the_nodes_to_run_are_those_of_failing_tests_alone() -> None:
    request = failure("x").model_copy(update={"evidence": {"exception_type": "KeyError"}})
    assert reported_nodes([clamp_fails(), request, failure("gone::test")], INDEX) == [CLAMP]
