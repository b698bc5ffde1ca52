"""Beat 1 of detect: which releases are compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selfheal.artifacts import Telemetry
from selfheal.config import DetectConfig
from selfheal.contract import handler
from selfheal.errors import ConfigurationError
from selfheal_handlers.anomaly._examples import telemetry as example_telemetry
from selfheal_handlers.anomaly._results import DetectionRequest


def example(folder: Path) -> dict[str, Any]:
    return {"telemetry": example_telemetry(folder), "config": DetectConfig()}


@handler("detect_anomalies_requested", kind="pure", example=example)
def detect_anomalies_requested(telemetry: Telemetry, config: DetectConfig) -> DetectionRequest:
    """The request of this run; a release that was named must be in the telemetry."""
    versions = sorted({release.version for release in telemetry.releases})
    for setting in ("baseline_release", "candidate_release"):
        wanted = getattr(config, setting)
        if wanted is not None and wanted not in versions:
            raise ConfigurationError(
                f"the telemetry has no release {wanted!r}.",
                where=f"detect.{setting}",
                hint=f"It has {', '.join(versions) or 'none'}.",
            )
    return DetectionRequest(
        baseline=config.baseline_release,
        candidate=config.candidate_release,
        sequences=config.sequences,
    )
