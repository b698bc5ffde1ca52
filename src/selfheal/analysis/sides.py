"""The good and the judged side of a service's rows, as SQL.

Of two releases, the one before is the good side. Where there is one only, its first half
teaches and its second is judged.
"""

from __future__ import annotations

from typing import Any

from selfheal.analysis.model import Comparison
from selfheal.telemetry.statistics import UNKNOWN

HANDLER = (
    """CASE WHEN attributes LIKE '%"beat.handler"%' THEN attributes ->> '$."beat.handler"' END"""
)


def is_candidate(time: str) -> str:
    """True on the judged side, false on the good one, NULL elsewhere; `time` is a column."""
    return f"""CASE WHEN $baseline IS NOT NULL
        THEN CASE coalesce(release, '{UNKNOWN}') WHEN $candidate THEN true WHEN $baseline THEN false END
        WHEN coalesce(release, '{UNKNOWN}') = $candidate AND {time} IS NOT NULL
        THEN {time} >= $middle_ns END"""


def side_parameters(comparison: Comparison) -> dict[str, Any]:
    """The values of `is_candidate`, and the service."""
    window = comparison.candidate
    return {
        "service": comparison.service,
        "baseline": comparison.baseline.version if comparison.baseline else None,
        "candidate": window.version,
        "middle_ns": (window.start_ns + window.end_ns) // 2,
    }
