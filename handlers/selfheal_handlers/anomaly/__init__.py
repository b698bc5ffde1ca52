"""The beats of this phase, in order."""

from __future__ import annotations

from typing import Any

from selfheal.contract import Handler
from selfheal_handlers.anomaly.aggregate_anomaly_results import aggregate_anomaly_results
from selfheal_handlers.anomaly.detect_anomalies_completed import detect_anomalies_completed
from selfheal_handlers.anomaly.detect_anomalies_requested import detect_anomalies_requested
from selfheal_handlers.anomaly.detect_behavioral_anomalies import detect_behavioral_anomalies
from selfheal_handlers.anomaly.detect_coverage_gaps import detect_coverage_gaps
from selfheal_handlers.anomaly.detect_error_patterns import detect_error_patterns
from selfheal_handlers.anomaly.detect_performance_anomalies import detect_performance_anomalies
from selfheal_handlers.anomaly.load_telemetry_data import load_telemetry_data
from selfheal_handlers.anomaly.store_anomaly_results import store_anomaly_results

HANDLERS: tuple[Handler[..., Any], ...] = (
    detect_anomalies_requested,
    load_telemetry_data,
    detect_performance_anomalies,
    detect_behavioral_anomalies,
    detect_coverage_gaps,
    detect_error_patterns,
    aggregate_anomaly_results,
    store_anomaly_results,
    detect_anomalies_completed,
)
