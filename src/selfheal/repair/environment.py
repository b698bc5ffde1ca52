"""What the project's interpreter has installed, and what an index offers beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import Field

from selfheal.artifacts.model import Model
from selfheal.repair.manifest import normal


class Distribution(Model):
    """An installed distribution: what it requires (PEP 508) and the modules that it brings."""

    name: str
    version: str
    requires: list[str] = Field(default_factory=list)
    modules: list[str] = Field(default_factory=list)


class Environment(Model):
    """Installed distributions by normalised name; `markers` are PEP 508's environment markers.

    `available` are the versions that an index client chose, by the requirement asked for;
    `homes` are the modules that define a name now, by ``module.name`` where it was;
    `notes` say what could not be found out. `unavailable` says why nothing is known at all.
    """

    installed: dict[str, Distribution] = Field(default_factory=dict)
    markers: dict[str, str] = Field(default_factory=dict)
    available: dict[str, str] = Field(default_factory=dict)
    homes: dict[str, list[str]] = Field(default_factory=dict)
    notes: list[str] = Field(default_factory=list)
    unavailable: str | None = None

    def version(self, name: str) -> str | None:
        """The installed version of a distribution, None where it is not installed."""
        found = self.installed.get(normal(name))
        return found.version if found else None

    def provides(self, module: str) -> list[Distribution]:
        """The installed distributions that bring a top-level module."""
        top = module.partition(".")[0]
        return [each for each in self.installed.values() if top in each.modules]

    def allows(self, name: str, specifier: str) -> bool:
        """Whether the installed version of a distribution fulfils a specifier."""
        version = self.version(name)
        return version is not None and contains(specifier, version)

    def demands(self, name: str) -> list[tuple[str, str]]:
        """What other installed distributions require of one: (who, specifier)."""
        return sorted(
            (other.name, str(requirement.specifier))
            for other in self.installed.values()
            for requirement in self._applying(other.requires, ())
            if normal(requirement.name) == normal(name)
        )

    def closure(self, requirements: Iterable[str]) -> set[str]:
        """The installed distributions that requirements bring, by normalised name."""
        found: set[tuple[str, str]] = set()
        waiting = [(each, frozenset(each.extras)) for each in self._applying(requirements, ())]
        while waiting:
            requirement, extras = waiting.pop()
            name = normal(requirement.name)
            own = self.installed.get(name)
            new = [extra for extra in ("", *sorted(extras)) if (name, extra) not in found]
            if own is None or not new:
                continue
            found |= {(name, extra) for extra in new}
            waiting += [
                (each, frozenset(each.extras)) for each in self._applying(own.requires, new)
            ]
        return {name for name, _ in found}

    def _applying(self, requirements: Iterable[str], extras: Iterable[str]) -> Iterator[Any]:
        """Those requirements whose markers hold here, for any of the extras."""
        from packaging.requirements import InvalidRequirement, Requirement

        for text in requirements:
            try:
                requirement = Requirement(text)
            except InvalidRequirement:
                continue
            marker = requirement.marker
            values = [{**self.markers, "extra": extra} for extra in ("", *extras)]
            if marker is None or any(marker.evaluate(each) for each in values):
                yield requirement


def contains(specifier: str, version: str) -> bool:
    """Whether a version fulfils a specifier of PEP 440; False for what is none."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return SpecifierSet(specifier).contains(version, prereleases=True)
    except InvalidSpecifier:
        return False
