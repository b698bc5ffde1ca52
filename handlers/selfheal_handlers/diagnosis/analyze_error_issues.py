"""Explains errors, failing tests and dependencies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfheal.artifacts import Anomaly, Telemetry
from selfheal.config import DiagnoseConfig
from selfheal.contract import handler
from selfheal.diagnosis import Cause, Codebase
from selfheal.diagnosis.dependencies import explain_dependency, is_own_module
from selfheal.diagnosis.errors import explain_error
from selfheal.diagnosis.failing_tests import explain_failing_tests, is_failing_test
from selfheal.diagnosis.model import AnomalySet, pair_of
from selfheal_handlers.diagnosis._examples import analysis_arguments


def example(base: Path) -> Mapping[str, Any]:
    return analysis_arguments(base)


@handler("analyze_error_issues", kind="pure", version="3", contributes=True, example=example)
def analyze_error_issues(
    load_anomalies: AnomalySet,
    load_codebase_info: Codebase,
    telemetry: Telemetry,
    config: DiagnoseConfig,
) -> list[Cause]:
    """One cause per error, dependency and group of failing tests: what fails, and since which commit."""
    codebase = load_codebase_info
    errors = load_anomalies.of("error")
    foreign: list[Anomaly] = []
    for anomaly in load_anomalies.of("dependency"):
        own = is_own_module(anomaly, codebase.range_of(anomaly))
        (errors if own else foreign).append(anomaly)
    causes = [
        explain_error(anomaly, codebase.range_of(anomaly), telemetry.dataset, config)
        for anomaly in errors
        if not is_failing_test(anomaly)
    ]
    for span in codebase.ranges:
        failing = [item for item in errors if is_failing_test(item) and pair_of(item) == span.pair]
        if failing:
            spectrum = codebase.spectrum_of(span)
            causes += explain_failing_tests(failing, span, spectrum, config)
    causes += [
        explain_dependency(anomaly, codebase.range_of(anomaly), config) for anomaly in foreign
    ]
    return causes
