"""How grave a measured effect is: one scale for every detector."""

from __future__ import annotations

from selfheal.artifacts.model import SEVERITIES, Severity

_LATENCY_STEPS = (1.3, 2.0, 5.0)
_ERROR_STEPS = (0.01, 0.05, 0.5)
# Below this much more time per request nobody waits noticeably longer.
_NOTICEABLE_MS = 5.0


def of_latency(ratio: float, extra_ms: float) -> Severity:
    """By how many times slower an operation is; one level lower where that is hardly any time."""
    level = sum(ratio >= step for step in _LATENCY_STEPS)
    return SEVERITIES[max(0, level - 1) if extra_ms < _NOTICEABLE_MS else level]


def of_errors(share: float, *, handled: bool) -> Severity:
    """By the share of the operation's requests that fail; one level lower where they are handled."""
    level = sum(share >= step for step in _ERROR_STEPS)
    return SEVERITIES[max(0, level - 1) if handled else level]


def of_share(share: float) -> Severity:
    """By the share of requests concerned, where nothing fails visibly."""
    return SEVERITIES[1 if share >= 0.1 else 0]
