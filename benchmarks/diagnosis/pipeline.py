"""Detection and diagnosis as a run does them, without the runner around them."""

from __future__ import annotations

from pathlib import Path

from selfheal_handlers.diagnosis.analyze_behavioral_issues import analyze_behavioral_issues
from selfheal_handlers.diagnosis.analyze_coverage_issues import analyze_coverage_issues
from selfheal_handlers.diagnosis.analyze_error_issues import analyze_error_issues
from selfheal_handlers.diagnosis.analyze_performance_issues import analyze_performance_issues
from selfheal_handlers.diagnosis.assess_impact import assess_impact
from selfheal_handlers.diagnosis.load_codebase_info import load_codebase_info
from selfheal_handlers.diagnosis.recommend_fixes import recommend_fixes
from selfheal_handlers.diagnosis.store_diagnosis import store_diagnosis
from selfheal_handlers.fix.generate_fix_requested import generate_fix_requested

from selfheal.analysis.errors import detect_errors
from selfheal.analysis.model import DetectionData
from selfheal.analysis.performance import detect_performance
from selfheal.analysis.releases import compare
from selfheal.artifacts import Diagnoses, Diagnosis, Telemetry
from selfheal.config import DetectConfig, DiagnoseConfig, FixConfig, TestsConfig
from selfheal.diagnosis.model import anomaly_set
from selfheal.standalone import FolderWorkspace


def diagnoses(folder: Path, repository: Path, telemetry: Telemetry) -> list[Diagnosis]:
    """What the detect and diagnose phases say of some telemetry and a repository."""
    data = DetectionData(dataset=telemetry.dataset, comparisons=compare(telemetry.dataset))
    detect, config = DetectConfig(), DiagnoseConfig()
    found = [
        *detect_performance(data, detect).anomalies,
        *detect_errors(data, detect).anomalies,
    ]
    anomalies = anomaly_set(found)
    workspace = FolderWorkspace(folder, repository=repository)
    codebase = load_codebase_info(anomalies, telemetry, config, TestsConfig(), workspace)
    contributed = [
        *analyze_performance_issues(anomalies, codebase, telemetry, config),
        *analyze_behavioral_issues(anomalies, codebase, telemetry, config),
        *analyze_coverage_issues(anomalies, codebase, telemetry, config),
        *analyze_error_issues(anomalies, codebase, telemetry, config),
    ]
    assessed = assess_impact(contributed, anomalies, telemetry)
    stored = store_diagnosis(
        recommend_fixes(assessed), anomalies, telemetry, config, TestsConfig(), workspace
    )
    return stored.diagnoses


def opens_a_patch(found: list[Diagnosis]) -> bool:
    """Whether the fix phase would take one of the diagnoses up."""
    request = generate_fix_requested(Diagnoses(diagnoses=found), FixConfig())
    return bool(request.diagnosis_ids)
