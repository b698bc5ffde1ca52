"""Which packages a project requires, by the files that commonly say so."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

_FILE = re.compile(
    r"^(requirements.*|constraints.*)\.(txt|in)$|^(pyproject\.toml|setup\.py|setup\.cfg|Pipfile)$"
)
_LOCK = re.compile(r"^(poetry|uv|pdm)\.lock$")
_PIN = re.compile(
    r"(?:^[ \t]*|[\"'])([A-Za-z0-9][\w.-]*)\s*(?:\[[^\]]*\])?\s*((?:===?|[<>~!]=?)[^\"'#;\n]*)",
    re.MULTILINE,
)


def changed_requirements(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """The packages whose version differs between two states of files (path → text), sorted."""
    changed: set[str] = set()
    for path in before.keys() | after.keys():
        old = requirements(path, before.get(path, ""))
        new = requirements(path, after.get(path, ""))
        changed |= {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    return sorted(changed)


def requirements(path: str, text: str) -> dict[str, str]:
    """Package name (normalised as PEP 503 says) → required version, by the kind of file.

    Files that state no requirements have none.
    """
    name = PurePosixPath(path).name
    if _LOCK.match(name):
        return _locked(text)
    if not _FILE.match(name):
        return {}
    return {_normal(match[1]): match[2].strip() for match in _PIN.finditer(text)}


def is_manifest(path: str) -> bool:
    """Whether a file is one that people write requirements into; locks are made of those."""
    return _FILE.match(PurePosixPath(path).name) is not None


def _locked(text: str) -> dict[str, str]:
    try:
        packages: Any = tomllib.loads(text).get("package", [])
    except tomllib.TOMLDecodeError:
        return {}
    entries = packages if isinstance(packages, list) else []
    return {
        _normal(entry["name"]): str(entry.get("version", ""))
        for entry in entries
        if isinstance(entry, dict) and isinstance(entry.get("name"), str)
    }


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
