"""Reports the phase in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfheal.artifacts import Diagnoses
from selfheal.artifacts.model import SEVERITIES
from selfheal.contract import handler
from selfheal_handlers.diagnosis._results import AnalysisReport
from selfheal_handlers.diagnosis.store_diagnosis import example as of_store
from selfheal_handlers.diagnosis.store_diagnosis import store_diagnosis


def example(base: Path) -> Mapping[str, Any]:
    return {"diagnosis": store_diagnosis(**of_store(base))}


@handler("analyze_completed", kind="pure", example=example)
def analyze_completed(diagnosis: Diagnoses) -> AnalysisReport:
    """Count the diagnoses by verdict."""
    verdicts = Counter(item.verdict for item in diagnosis.diagnoses)
    severities = [item.impact.severity for item in diagnosis.diagnoses]
    return AnalysisReport(
        diagnoses=len(diagnosis.diagnoses),
        verdicts={name: verdicts[name] for name in sorted(verdicts)},
        gravest=max(severities, key=SEVERITIES.index, default=None),
    )
