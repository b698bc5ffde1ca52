"""The beats of this phase, in order."""

from __future__ import annotations

from typing import Any

from selfheal.contract import Handler
from selfheal_handlers.telemetry.aggregate_telemetry_metrics import aggregate_telemetry_metrics
from selfheal_handlers.telemetry.extract_telemetry_events import extract_telemetry_events
from selfheal_handlers.telemetry.load_log_files import load_log_files
from selfheal_handlers.telemetry.normalize_telemetry_data import normalize_telemetry_data
from selfheal_handlers.telemetry.parse_telemetry_completed import parse_telemetry_completed
from selfheal_handlers.telemetry.parse_telemetry_requested import parse_telemetry_requested
from selfheal_handlers.telemetry.store_telemetry_database import store_telemetry_database

HANDLERS: tuple[Handler[..., Any], ...] = (
    parse_telemetry_requested,
    load_log_files,
    extract_telemetry_events,
    normalize_telemetry_data,
    aggregate_telemetry_metrics,
    store_telemetry_database,
    parse_telemetry_completed,
)
