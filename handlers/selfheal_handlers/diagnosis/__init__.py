"""The beats of this phase, in order."""

from __future__ import annotations

from typing import Any

from selfheal.contract import Handler
from selfheal_handlers.diagnosis.analyze_behavioral_issues import analyze_behavioral_issues
from selfheal_handlers.diagnosis.analyze_completed import analyze_completed
from selfheal_handlers.diagnosis.analyze_coverage_issues import analyze_coverage_issues
from selfheal_handlers.diagnosis.analyze_error_issues import analyze_error_issues
from selfheal_handlers.diagnosis.analyze_performance_issues import analyze_performance_issues
from selfheal_handlers.diagnosis.analyze_requested import analyze_requested
from selfheal_handlers.diagnosis.assess_impact import assess_impact
from selfheal_handlers.diagnosis.load_anomalies import load_anomalies
from selfheal_handlers.diagnosis.load_codebase_info import load_codebase_info
from selfheal_handlers.diagnosis.recommend_fixes import recommend_fixes
from selfheal_handlers.diagnosis.store_diagnosis import store_diagnosis

HANDLERS: tuple[Handler[..., Any], ...] = (
    analyze_requested,
    load_anomalies,
    load_codebase_info,
    analyze_performance_issues,
    analyze_behavioral_issues,
    analyze_coverage_issues,
    analyze_error_issues,
    assess_impact,
    recommend_fixes,
    store_diagnosis,
    analyze_completed,
)
