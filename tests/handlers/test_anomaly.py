"""The detect phase on its own examples, and with findings of a project's own beat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from selfheal_handlers.anomaly import HANDLERS, detect_anomalies_requested
from selfheal_handlers.anomaly import aggregate_anomaly_results as aggregate

from selfheal.artifacts import Anomalies, Anomaly
from selfheal.config import DetectConfig
from selfheal.contract import Handler
from selfheal.errors import ConfigurationError

EXPECTED = {
    "detect_performance_anomalies": {"GET /products", "catalogue.find"},
    "detect_behavioral_anomalies": {"POST /orders"},
    "detect_error_patterns": {"GET /cart"},
    "detect_coverage_gaps": set(),
}


@pytest.mark.parametrize("handler", HANDLERS, ids=lambda handler: handler.name)
def test_every_example_finds_what_its_recording_holds(
    handler: Handler[..., Any], tmp_path: Path
) -> None:
    result = handler(**handler.example(tmp_path))
    if handler.name in EXPECTED:
        found = {finding.operation for finding in result if isinstance(finding, Anomaly)}
        assert found == EXPECTED[handler.name]


def test_findings_of_other_beats_are_taken_in_gravest_first(tmp_path: Path) -> None:
    given = aggregate.example(tmp_path)
    (error,) = given["contributed"]
    own = error.model_copy(update={"id": "licence", "severity": "critical", "kind": "dependency"})
    result = aggregate(**{**given, "contributed": [error, own, error]})
    assert isinstance(result, Anomalies)
    assert [anomaly.id for anomaly in result.anomalies] == ["licence", error.id]


def test_a_release_that_is_not_there_is_said_before_anything_is_compared(tmp_path: Path) -> None:
    given = detect_anomalies_requested.example(tmp_path)
    with pytest.raises(ConfigurationError, match=r"detect\.candidate_release"):
        detect_anomalies_requested(**{**given, "config": DetectConfig(candidate_release="9.9")})
