"""The built-in handlers: one package per phase, one file per beat.

`HANDLERS` is the table that the entry point ``selfheal.handlers`` offers; a
third-party package offers its own in just the same way.
"""

from __future__ import annotations

from typing import Any

from selfheal.contract import Handler
from selfheal_handlers import (
    anomaly,
    deployment,
    diagnosis,
    fix,
    learning,
    telemetry,
    validation,
)

HANDLERS: tuple[Handler[..., Any], ...] = (
    *telemetry.HANDLERS,
    *anomaly.HANDLERS,
    *diagnosis.HANDLERS,
    *fix.HANDLERS,
    *validation.HANDLERS,
    *deployment.HANDLERS,
    *learning.HANDLERS,
)
