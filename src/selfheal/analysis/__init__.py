"""Analysis: detectors, the same detectors as judges, guards and the health score."""

from selfheal.analysis.guard import guards
from selfheal.analysis.healing import allowed_ratio, judge_healed
from selfheal.analysis.health import health
from selfheal.analysis.judge import judge
from selfheal.analysis.model import DetectionData, Findings, Judgement

__all__ = [
    "DetectionData",
    "Findings",
    "Judgement",
    "allowed_ratio",
    "guards",
    "health",
    "judge",
    "judge_healed",
]
