"""Analysis: detectors, the same detectors as judges, guards and the health score."""

from selfheal.analysis.guard import guards
from selfheal.analysis.health import health
from selfheal.analysis.judge import judge
from selfheal.analysis.model import DetectionData, Findings, Judgement

__all__ = ["DetectionData", "Findings", "Judgement", "guards", "health", "judge"]
