"""Problems in one small file, for the tests of the repair package."""

from __future__ import annotations

from selfheal.artifacts.diagnosis import Diagnosis, Impact, Location
from selfheal.repair import Problem
from selfheal.repair.source import parse

PATH = "app.py"


def problem_of(
    text: str,
    line: int,
    evidence: dict[str, object],
    *,
    kind: str = "error",
    good: str | None = None,
    **others: str,
) -> Problem:
    """A problem in one file, accused at a line."""
    source = parse(PATH, text)
    assert source is not None
    function = source.function_at(line)
    diagnosis = Diagnosis(
        id="diagnosis-1",
        anomaly_ids=[],
        kind=kind,
        service="s",
        operation="GET /x",
        title="t",
        verdict="code_cause",
        reason="r",
        locations=[
            Location(file=PATH, line=line, function=function.name if function else "", score=0.9)
        ],
        suspect_commits=[],
        root_service="s",
        impact=Impact(
            severity="high", affected_requests=1, all_requests=2, share=0.5, explanation=""
        ),
        complexity="low",
        recommendations=[],
        good_commit="0" * 40,
        bad_commit="1" * 40,
        evidence=evidence,
    )
    return Problem(
        diagnosis=diagnosis,
        base_commit="1" * 40,
        sources={PATH: text, **{f"{name}.py": each for name, each in others.items()}},
        good_sources={PATH: good} if good is not None else {},
    )
