"""Keys: what a beat's result was computed from, and why a stored one is stale.

The key is the SHA-256 over canonical JSON of: the beat's definition, the handler's
declared version, the sections of the configuration that it reads, and the SHA-256 of
every input. Inputs count by their bytes, so a beat that is run again and gives the
same bytes makes nothing stale.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from selfheal.artifacts.canonical import canonical_bytes, sha256_of
from selfheal.config import Settings
from selfheal.sequences import WiredBeat

ABSENT = "absent"


class SettingsHashes:
    """The sections of the configuration ("" is all of them) and their sha256.

    Values are this release's reading of the settings; hashes are those of the settings
    as they were frozen, so that a release with a new setting makes nothing stale.
    """

    def __init__(self, settings: Settings, frozen: dict[str, Any]) -> None:
        self.document: dict[str, Any] = settings.model_dump(mode="json", by_alias=True)
        self._frozen = frozen
        self.of = cache(self._hash)

    def _hash(self, section: str) -> str:
        frozen = self._frozen.get(section, self.document[section]) if section else self._frozen
        return sha256_of(canonical_bytes(frozen))

    def section(self, section: str) -> Any:
        return self.document[section] if section else self.document


def key_parts(wired: WiredBeat, settings: SettingsHashes, inputs: dict[str, str]) -> dict[str, Any]:
    """What decides the result, in parts that can be compared one by one."""
    sections = {
        name for source in wired.sources if source.kind == "config" for name in source.names
    }
    if "config" in f"{wired.beat.when}{wired.beat.foreach}":
        sections.add("")
    return {
        "definition": sha256_of(canonical_bytes(wired.beat.meaning())),
        "version": wired.handler.version,
        "config": {name: settings.of(name) for name in sorted(sections)},
        "inputs": inputs,
    }


def key_of(parts: dict[str, Any]) -> str:
    return sha256_of(canonical_bytes(parts))


def difference(old: dict[str, Any], new: dict[str, Any]) -> str | None:
    """In words, what changed between two sets of parts; None if nothing did."""
    reasons = []
    if old.get("definition") != new["definition"]:
        reasons.append("the beat's definition changed")
    if old.get("version") != new["version"]:
        reasons.append(
            f"the handler's version changed from {old.get('version')} to {new['version']}"
        )
    for kind, word in (("config", "setting"), ("inputs", "input")):
        before, after = old.get(kind, {}), new[kind]
        changed = sorted(
            name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
        )
        reasons += [f"the {word} {name or '(all)'} changed" for name in changed]
    return ", ".join(reasons) or None
