"""Telemetry: the receiver, the formats, the event model and the columnar dataset.

What it offers is imported on use: processes that read beside others need a part only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selfheal.telemetry.ingestion import Ingested, ingest

__all__ = ["Ingested", "ingest"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from selfheal.telemetry import ingestion

    return getattr(ingestion, name)
