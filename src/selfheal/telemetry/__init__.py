"""Telemetry: the receiver, the formats, the event model and the columnar dataset."""
