"""Runs in the interpreter of a project: tells what is installed, or tries to import.

Self-contained, of the standard library alone: it is started by path, confined, with one
JSON object as its argument, and writes one JSON object to the file named ``report``.

``{"report", "paths", "homes"}`` lists the distributions, and for each ``[module, name]``
of `homes` the modules of the same top-level package that define the name.

``{"report", "paths", "only", "statements"}`` executes each statement (import statements
and what follows them) in a namespace of its own; with `only` not null, modules that only
other distributions than these bring are not there.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # Modules beside this script must not be found in place of those that are meant.
    del sys.path[0]

import ast
import importlib.abc
import importlib.metadata
import json
import os
import platform
from pathlib import Path
from typing import Any

MOST_FILES = 3000


def normal(name: str) -> str:
    """As PEP 503 normalises names."""
    return "-".join(filter(None, name.replace("_", "-").replace(".", "-").split("-"))).lower()


def modules_of(distribution: importlib.metadata.Distribution) -> list[str]:
    """The top-level modules of a distribution, by its list or its files."""
    told = distribution.read_text("top_level.txt")
    found = set(told.split()) if told else set()
    for file in distribution.files or ():
        first = file.parts[0]
        if first.endswith((".dist-info", ".egg-info", ".data")) or first in ("..", "__pycache__"):
            continue
        if len(file.parts) > 1:
            found.add(first)
        elif first.endswith((".py", ".so", ".pyd")):
            found.add(first.split(".")[0])
    return sorted(name for name in found if name.isidentifier())


def markers() -> dict[str, str]:
    """The environment markers of PEP 508."""
    version = ".".join(map(str, sys.implementation.version[:3]))
    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": version,
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_full_version": platform.python_version(),
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "sys_platform": sys.platform,
    }


def installed() -> dict[str, dict[str, Any]]:
    """The distributions that are found first, by normalised name."""
    found = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name and normal(name) not in found:
            found[normal(name)] = {
                "name": name,
                "version": distribution.version,
                "requires": sorted(distribution.requires or ()),
                "modules": modules_of(distribution),
            }
    return found


def defines(file: Path, name: str) -> bool:
    """Whether a file defines a name at its top level, not only takes it from elsewhere."""
    try:
        text = file.read_bytes()
        tree = ast.parse(text) if name.encode() in text else ast.Module([], [])
    except (OSError, SyntaxError, ValueError):
        return False
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names = [node.name]
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [each.id for each in targets if isinstance(each, ast.Name)]
        else:
            continue
        if name in names:
            return True
    return False


def homes(module: str, name: str) -> list[str]:
    """Where a name of a module's package is defined, public modules and near ones first."""
    found: set[str] = set()
    top = module.partition(".")[0]
    roots = [folder for path in sys.path if (folder := Path(path, top)).is_dir()]
    files = [file for root in roots for file in sorted(root.rglob("*.py"))]
    for file in files[:MOST_FILES]:
        if defines(file, name):
            root = next(each for each in roots if file.is_relative_to(each)).parent
            parts = file.relative_to(root).with_suffix("").parts
            found.add(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    public = [each for each in found - {module} if "test" not in each]
    return sorted(public, key=lambda each: ("._" in each, each.count("."), each))[:5]


class Only(importlib.abc.MetaPathFinder):
    """Keeps the modules of distributions that are not required out of reach."""

    def __init__(self, hidden: set[str]) -> None:
        self.hidden = hidden

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:  # noqa: ARG002
        if fullname.partition(".")[0] in self.hidden:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


def hidden(only: set[str]) -> set[str]:
    """Modules that distributions bring, and none of those that are required does."""
    everything = installed()
    required = {name for each in only if each in everything for name in everything[each]["modules"]}
    others = {name for each in everything.values() for name in each["modules"]} - required
    own = {name for name in others if is_own(name)}
    return others - own - set(sys.modules)


def is_own(name: str) -> bool:
    """Whether the project itself has a module of this name."""
    places = [Path(folder, name) for folder in ("", "src")]
    return any(each.is_dir() or each.with_suffix(".py").is_file() for each in places)


def attempt(statement: str) -> list[str] | None:
    """None where a statement succeeds, else the exception's type and text."""
    try:
        exec(compile(statement, "<imports>", "exec"), {"__name__": "selfheal_imports"})
    except Exception as error:
        return [type(error).__name__, str(error)[:300]]
    return None


def main() -> None:
    asked = json.loads(sys.argv[1])
    sys.path[:0] = [path for path in asked["paths"] if path not in sys.path]
    if "statements" in asked:
        if asked["only"] is not None:
            sys.meta_path.insert(0, Only(hidden(set(asked["only"]))))
        told: dict[str, Any] = {"outcomes": [attempt(each) for each in asked["statements"]]}
    else:
        moved = {".".join(each): homes(*each) for each in asked["homes"]}
        told = {"installed": installed(), "markers": markers(), "homes": moved}
    Path(asked["report"]).write_text(json.dumps(told))


if __name__ == "__main__":
    main()
