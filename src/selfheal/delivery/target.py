"""What a rollout moves: two releases of one service, and the traffic between them."""

from __future__ import annotations

from typing import Protocol

from pydantic import Field

from selfheal.artifacts.model import Model
from selfheal.delivery.gate import Observed


class Begin(Model):
    """What was served before anything changed.

    `count` is the number of instances, `offsets` how much telemetry there was, by file.
    """

    old: str
    new: str
    count: int
    offsets: dict[str, int] = Field(default_factory=dict)


class RolloutTarget(Observed, Protocol):
    """Something that serves two releases of one service by weight."""

    def prepare(self, percent: int) -> None:
        """Make the new release able to carry `percent` of the traffic. May be repeated."""
        ...

    def shift(self, percent: int) -> None:
        """Give the new release `percent` of new sessions and the old one the rest."""
        ...

    def stands_at(self, percent: int) -> bool:
        """Whether the new release has `percent` of new sessions, looked up now."""
        ...

    def retire(self, release: str) -> None:
        """End what serves a release that has no traffic. May be repeated."""
        ...


def release_name(old: str, commit: str) -> str:
    """The name of the release that a commit makes of `old`."""
    return f"{old.split('-selfheal.', maxsplit=1)[0]}-selfheal.{commit[:7]}"
