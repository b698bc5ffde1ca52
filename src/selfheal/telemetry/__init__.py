"""Telemetry: the receiver, the formats, the event model and the columnar dataset."""

from selfheal.telemetry.ingest import Ingested, ingest

__all__ = ["Ingested", "ingest"]
