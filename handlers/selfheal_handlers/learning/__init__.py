"""The beats of this phase, in order."""

from __future__ import annotations

from typing import Any

from selfheal.contract import Handler

HANDLERS: tuple[Handler[..., Any], ...] = ()
