"""Typed sequences: movements of beats, in the field names of the JSON files.

Fields that only describe (``dynamics``, ``userStory``, …) are kept as they are, so
that a file loads and saves without loss; fields that steer are typed here.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from selfheal.contract import Kind

Cache = Literal["default", "recompute", "disable"]


def snake_case(name: str) -> str:
    """``runCIChecks`` → ``run_ci_checks``; a name that is snake_case already stays."""
    parted = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", parted).lower()


class _Element(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)


class _Setting(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Retry(_Setting):
    """Exponential backoff; seconds. The n-th pause is interval · backoff_rate^(n-1), capped.

    `retry_on` and `except_on` name failures: ``fault`` (any exception), ``timed_out``,
    ``worker_lost``, ``failed`` (the answer is no), ``all``, or an exception class.
    `jitter` full draws the pause uniformly from zero to the computed one.
    """

    max_attempts: int = Field(default=3, ge=1)
    interval: float = Field(default=1.0, ge=0)
    backoff_rate: float = Field(default=2.0, ge=1)
    max_interval: float = Field(default=60.0, ge=0)
    jitter: Literal["none", "full"] = "none"
    retry_on: list[str] = Field(default_factory=lambda: ["fault", "timed_out", "worker_lost"])
    except_on: list[str] = Field(default_factory=list)


class Catch(BaseModel):
    """What to do instead of failing: take `result`, or, where none is given, skip the beat."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    on: list[str]
    result: Any = None
    reason: str = ""

    @property
    def replaces(self) -> bool:
        """Whether a result (null counts) is given."""
        return "result" in self.model_fields_set


class ApprovalGate(_Setting):
    """The beat waits for a human; after `timeout` seconds `on_timeout` decides."""

    timeout: float | None = Field(default=None, gt=0)
    on_timeout: Literal["reject", "approve", "wait"] = "wait"


class Defaults(_Setting):
    """What holds for every beat that does not say otherwise."""

    timeout: float | None = None
    retry: Retry | None = None
    cache: Cache | None = None


class Beat(_Element):
    """One step. `name` identifies it in its sequence; it is the handler's name if not given."""

    handler: str
    name: str = ""
    beat: int | None = None
    event: str = ""
    title: str = ""
    description: str = ""
    kind: Kind | None = None
    with_: dict[str, Any] = Field(default_factory=dict, alias="with")
    needs: list[str] = Field(default_factory=list)
    when: str | None = None
    foreach: str | None = None
    max_parallel: int | None = None
    max_items: int | None = None
    retry: Retry | None = None
    timeout: float | None = None
    catch: list[Catch] = Field(default_factory=list)
    continue_on_error: bool = False
    effects: Literal["none", "idempotent", "external"] | None = None
    compensate: str | None = None
    approval: ApprovalGate | None = None
    cache: Cache | None = None

    @field_validator("handler", "compensate")
    @classmethod
    def _ours(cls, name: str | None) -> str | None:
        return snake_case(name) if name else name

    @property
    def id(self) -> str:
        return self.name or self.handler

    def meaning(self) -> dict[str, Any]:
        """The part of the definition that decides the result, for the beat's key."""
        return self.model_dump(
            mode="json",
            by_alias=True,
            exclude_defaults=True,
            include={"handler", "with_", "when", "foreach", "max_items", "catch"},
        )


class Movement(_Element):
    id: str
    name: str = ""
    description: str = ""
    beats: list[Beat]


class Sequence(_Element):
    """A phase's beats. `movements` group them for people; their order is the beats' order."""

    id: str
    name: str
    description: str = ""
    version: str = "1"
    phase: str | None = None
    inputs: list[str] = Field(default_factory=list)
    outputs: list[str] = Field(default_factory=list)
    timeout: float | None = None
    defaults: Defaults = Field(default_factory=Defaults)
    on_failure: Literal["stop", "compensate"] = "stop"
    movements: list[Movement]

    @property
    def all_beats(self) -> list[Beat]:
        return [beat for movement in self.movements for beat in movement.beats]

    def to_json(self) -> dict[str, Any]:
        """As the file has it, descriptive fields included."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class AddedBeat(Beat):
    """A beat of an overlay: it comes after or before a named one, else before the last."""

    after: str | None = None
    before: str | None = None


class Overlay(_Element):
    """Beats that a project or a package adds to a sequence."""

    extends: str
    beats: list[AddedBeat]
