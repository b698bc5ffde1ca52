"""The result of wiring: beats with their handlers, their sources and their order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from selfheal.contract import Handler
from selfheal.sequences.model import Beat, Sequence

AnyHandler = Handler[..., Any]
Lookup = Callable[[str], AnyHandler]
SourceKind = Literal[
    "artifact", "result", "contributed", "config", "approval", "item", "service", "value", "default"
]


@dataclass(frozen=True)
class Source:
    """Where one parameter's value comes from.

    `names` are the artifact, the beats, or the configuration's section ("" is all of
    it). `nullable` says that None may be passed, `defaulted` that it may be left out.
    """

    parameter: str
    kind: SourceKind
    names: tuple[str, ...] = ()
    nullable: bool = False
    defaulted: bool = False


@dataclass(frozen=True)
class WiredBeat:
    """A beat with its handler and everything that it waits for.

    `reads` are beats whose results it takes or whose success it needs, `follows` beats
    that only come first, `artifacts` what it takes from earlier phases.
    """

    beat: Beat
    handler: AnyHandler
    sources: tuple[Source, ...]
    reads: frozenset[str]
    follows: frozenset[str]
    artifacts: frozenset[str]
    compensation: WiredBeat | None = None

    @property
    def id(self) -> str:
        return self.beat.id


@dataclass(frozen=True)
class WiredSequence:
    """A sequence ready to run; `beats` are in an order that respects every edge."""

    sequence: Sequence
    beats: tuple[WiredBeat, ...]
    writers: dict[str, str] = field(default_factory=dict)

    @property
    def artifacts(self) -> frozenset[str]:
        """The artifacts that it takes from earlier phases."""
        return frozenset().union(*(beat.artifacts for beat in self.beats))

    @cached_property
    def _by_name(self) -> dict[str, WiredBeat]:
        return {beat.id: beat for beat in self.beats}

    def beat(self, name: str) -> WiredBeat:
        return self._by_name[name]
