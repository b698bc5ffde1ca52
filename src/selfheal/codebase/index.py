"""A map of the Python code of one commit: functions, calls, imports, tests, documents."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import PurePosixPath
from typing import Protocol

from selfheal.artifacts.model import Model
from selfheal.codebase.facts import (
    DOCUMENT_SUFFIXES,
    SCOPES,
    Broken,
    Definition,
    FileFacts,
    FunctionNode,
    ScopeNode,
    dotted,
    facts_of,
    is_test,
    is_vendored,
    module_of,
    own_nodes,
    scopes,
)
from selfheal.codebase.history import History

__all__ = [
    "DOCUMENT_SUFFIXES",
    "SCOPES",
    "Broken",
    "CodeIndex",
    "Definition",
    "FactsCache",
    "FileFacts",
    "FunctionNode",
    "ScopeNode",
    "dotted",
    "facts_of",
    "is_test",
    "is_vendored",
    "module_of",
    "own_nodes",
    "scopes",
]


class FactsCache(Protocol):
    """Facts of files by path and id of content."""

    def known(self, blobs: Mapping[str, str]) -> dict[str, FileFacts]:
        """The facts of those of some files (path → blob id) that are stored."""
        ...

    def add(self, blobs: Mapping[str, str], facts: Mapping[str, FileFacts]) -> None:
        """Store facts by path, under the blob ids of `blobs`."""
        ...


class CodeIndex(Model):
    """`definitions` by file and line; `imports` maps each file's local names to dotted origins.

    `documents` maps each document to the words and paths in it; `broken` lists the files
    that hold no valid Python, which take no part.
    """

    files: list[str]
    definitions: list[Definition]
    imports: dict[str, dict[str, str]]
    documents: dict[str, list[str]]
    broken: list[Broken]

    @classmethod
    def build(
        cls,
        history: History,
        sha: str,
        *,
        vendored: Sequence[str] = (),
        cache: FactsCache | None = None,
    ) -> CodeIndex:
        """The index of a commit, from git's objects. Paths that hold a `vendored` part are left out.

        What a `cache` knows of a file's content is neither read nor parsed again.
        """
        blobs = {
            path: blob
            for path, blob in history.blobs(sha)
            if path.endswith((".py", *DOCUMENT_SUFFIXES)) and not is_vendored(path, vendored)
        }
        known = cache.known(blobs) if cache else {}
        missing = sorted(blobs.keys() - known.keys())
        texts = history.texts([blobs[path] for path in missing])
        new = {
            path: facts_of(path, text)
            for path, text in zip(missing, texts, strict=True)
            if text is not None
        }
        if cache:
            cache.add(blobs, new)
        return cls.joined(known | new)

    @classmethod
    def of(cls, texts: Mapping[str, str]) -> CodeIndex:
        """The index of some files, given as path → text."""
        return cls.joined({path: facts_of(path, text) for path, text in texts.items()})

    @classmethod
    def joined(cls, facts: Mapping[str, FileFacts]) -> CodeIndex:
        """The index of files of which the facts are known, by path."""
        ordered = sorted(facts.items())
        return cls(
            files=[path for path, _ in ordered],
            definitions=[found for _, item in ordered for found in item.definitions],
            imports={path: item.imports for path, item in ordered if item.parsed},
            documents={path: item.words for path, item in ordered if not path.endswith(".py")},
            broken=[item.broken for _, item in ordered if item.broken is not None],
        )

    @cached_property
    def known(self) -> frozenset[str]:
        """The files of the index."""
        return frozenset(self.files)

    @cached_property
    def unparsed(self) -> frozenset[str]:
        """The Python files that hold no valid Python."""
        return frozenset(found.file for found in self.broken)

    def function_at(self, file: str, line: int) -> Definition | None:
        """The innermost function around a line of a file, None at module or class level."""
        around = [
            found
            for found in self._by_file.get(file, [])
            if found.kind != "class" and found.first_line <= line <= found.last_line
        ]
        return max(around, key=lambda found: found.first_line, default=None)

    def find(self, name: str, file: str | None = None) -> list[Definition]:
        """The definitions that a plain, qualified or module-dotted name may mean, best first.

        ``search``, ``Cart.total``, ``shop.cart.Cart.total`` and Python's own
        ``make_app.<locals>.search`` are understood. `file` settles which of several.
        """
        wanted = [part for part in name.split(".") if part != "<locals>"]
        if not wanted:
            return []
        ranked = []
        for found in self._by_name.get(wanted[-1], []):
            if file is not None and found.file != file:
                continue
            own = [*module_of(found.file).split("."), *found.qualified_name.split(".")]
            common = _common_suffix(wanted, own)
            # Either path may be cut short at its head; they must not contradict each other.
            if common == min(len(wanted), len(own)) or (file and common):
                ranked.append((-common, found.file, found.line, found))
        return [found for *_, found in sorted(ranked, key=lambda item: item[:3])]

    def locate(self, path: str) -> str | None:
        """The file of the repository that a path from telemetry means, by the longest common suffix.

        None where no file shares its name, or two fit equally well.
        """
        parts = [part for part in re.split(r"[\\/]", path) if part not in ("", ".")]
        if not parts:
            return None
        fits = sorted(
            (-_common_suffix(parts, file.split("/")), file)
            for file in self._by_basename.get(parts[-1], [])
        )
        if not fits or (len(fits) > 1 and fits[0][0] == fits[1][0]):
            return None
        return fits[0][1]

    def callees(self, definition: Definition) -> list[Definition]:
        """The definitions of the repository that a function calls, as far as names tell."""
        found: dict[tuple[str, str], Definition] = {}
        for call in definition.calls:
            for target in self._resolve(definition, call):
                found.setdefault((target.file, target.qualified_name), target)
        return list(found.values())

    @cached_property
    def tests(self) -> list[Definition]:
        """The test functions, by file and line."""
        return [
            found
            for found in self.definitions
            if found.kind != "class" and found.name.startswith("test") and is_test(found.file)
        ]

    def docs_mentioning(self, name: str) -> list[str]:
        """The documents in which a name or a path stands as a word."""
        return [path for path, words in self.documents.items() if name in words]

    def routed(self, route: str) -> list[Definition]:
        """The functions whose decorators name a route, or the end of it after a prefix."""
        wanted = _route_shape(route)
        found: list[Definition] = []
        for definition in self.definitions:
            literals = re.findall(r"['\"](/[^'\"]*)['\"]", " ".join(definition.decorators))
            shapes = [_route_shape(literal) for literal in literals]
            if any(wanted == shape for shape in shapes):
                found.insert(0, definition)
            elif any(shape != "/" and wanted.endswith(shape) for shape in shapes):
                found.append(definition)
        return found

    @cached_property
    def _by_file(self) -> dict[str, list[Definition]]:
        return _grouped(self.definitions, [found.file for found in self.definitions])

    @cached_property
    def _by_name(self) -> dict[str, list[Definition]]:
        return _grouped(self.definitions, [found.name for found in self.definitions])

    @cached_property
    def _by_basename(self) -> dict[str, list[str]]:
        grouped: dict[str, list[str]] = defaultdict(list)
        for file in self.files:
            if file.endswith(".py"):
                grouped[PurePosixPath(file).name].append(file)
        return grouped

    @cached_property
    def _packages(self) -> dict[str, list[str]]:
        """The ``__init__.py`` files by the last part of their package's name."""
        grouped: dict[str, list[str]] = defaultdict(list)
        for file in self.imports:
            if file.endswith("__init__.py"):
                grouped[module_of(file).rpartition(".")[2]].append(file)
        return grouped

    def _resolve(self, caller: Definition, call: str) -> list[Definition]:
        head, _, rest = call.partition(".")
        if head in ("self", "cls") and rest:
            owner = caller.qualified_name.rpartition(".")[0]
            return self.find(f"{owner}.{rest}", caller.file) or self._unique(rest)
        origin = self.imports.get(caller.file, {}).get(head)
        if origin is not None:
            return self._imported(f"{origin}.{rest}" if rest else origin)[:1]
        if rest:
            return self._unique(rest.rpartition(".")[2])
        same_file = self.find(head, caller.file)
        return [found for found in same_file if found.qualified_name != caller.qualified_name][:1]

    def _imported(self, origin: str, hops: int = 3) -> list[Definition]:
        """The definition of a dotted origin, through packages that import it to pass it on."""
        found = self.find(origin)
        module, _, name = origin.rpartition(".")
        if found or not module or not hops:
            return found
        for file in self._packages.get(module.rpartition(".")[2], []):
            names = self.imports[file]
            if name in names and _ends(module_of(file), module):
                return self._imported(names[name], hops - 1)
        return []

    def _unique(self, name: str) -> list[Definition]:
        """A method called on an object of unknown type: meant if the repository has one such method."""
        named = [found for found in self._by_name.get(name, []) if found.kind == "method"]
        return named if len(named) == 1 else []


def _grouped(items: Sequence[Definition], keys: Sequence[str]) -> dict[str, list[Definition]]:
    grouped: dict[str, list[Definition]] = defaultdict(list)
    for item, key in zip(items, keys, strict=True):
        grouped[key].append(item)
    return grouped


def _common_suffix(left: Sequence[str], right: Sequence[str]) -> int:
    count = 0
    for one, other in zip(reversed(left), reversed(right), strict=False):
        if one != other:
            break
        count += 1
    return count


def _ends(module: str, suffix: str) -> bool:
    return f".{module}".endswith(f".{suffix}")


def _route_shape(route: str) -> str:
    """A route with its parameters made equal: ``/p/<int:id>``, ``/p/{id}`` and ``/p/:id``."""
    return re.sub(r"<[^>]*>|\{[^}]*\}|:\w+", "*", route).rstrip("/") or "/"
