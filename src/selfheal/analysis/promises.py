"""What a repository promises: operations, flags and flows in its documents, versions in its pins."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, Literal

from pydantic import Field

from selfheal.analysis.documented_code import Claim, claims
from selfheal.analysis.flow_documents import DocumentedFlow, read_flows
from selfheal.artifacts.model import Model
from selfheal.config import ObjectiveConfig

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
ANY = "*"

_DOCUMENT = re.compile(r"(?i)\.(md|rst|adoc|asciidoc)$")
_DESCRIPTION = re.compile(r"(?i)(^|/)(openapi|swagger)[^/]*\.(json|ya?ml)$")
# Documents that tell of the past, and those of others.
_NOT_OURS = re.compile(
    r"(?i)(^|/)(change(s|log)?|history|news|releases?|licen[cs]e|contributing)[^/]*$"
    r"|(^|/)(node_modules|vendor|third_party|site-packages|\.\w+)/"
)
_CODE = re.compile(r"\.(py|js|mjs|ts|jsx|tsx|go|java|kt|rb|rs|php|cs|ex|scala)$")
_TEST = re.compile(r"(?i)(^|/)(tests?|spec|examples?)(/|$)|(^|/)test_|_test\.|\.spec\.|\.test\.")
_PINS = re.compile(r"(^|/)(requirements[^/]*\.(txt|in)|pyproject\.toml)$")

_OPERATION = re.compile(rf"\b({'|'.join(METHODS)})\s+(/[^\s`\"'|)\],;]*)")
_LITERAL_PATH = re.compile(r"[\"'`](/[^\"'`\s]*)[\"'`]")
_PLACEHOLDER = re.compile(r"<.*>|\{.*\}|:\w+|\$.*|\[.*\]|\d+|[0-9a-fA-F-]{16,}|\*+")
# What may stand before a command on its line: bullets, settings and what runs other commands.
_BEFORE = (
    r"(?:\s|[-*+]\s|\d+\.\s|[A-Z_]+=\S*\s|sudo\s|env\s|time\s|exec\s|[Rr]un\s|[Uu]se\s|"
    r"(?:\S*/)?python[\d.]*\s+-m\s|(?:uv|poetry|pdm|hatch|rye|pipenv|pipx)\s+run\s|uvx\s)"
)
_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9]*(?:-[a-z0-9]+)*")


class DocumentedOperation(Model):
    """`METHOD path` with its parameters at `file:line`; whether the code names such a path."""

    method: str
    path: str
    parameters: list[str]
    file: str
    line: int
    in_code: bool

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


class DocumentedFlag(Model):
    """A flag of the project's own command at `file:line`; whether the code names it."""

    flag: str
    command: str
    file: str
    line: int
    in_code: bool


class Pin(Model):
    """A requirement at `file:line`. `installed` is the version in the service's environment."""

    name: str
    specifier: str
    file: str
    line: int
    installed: str | None = None
    fits: bool = True


class Promises(Model):
    """What one commit promises. `pins` is None where the service's environment is not known.

    `claims` are what documents and docstrings say of the code and it does not have.

    `objectives` are those of its file slo.yaml.
    """

    commit: str
    operations: list[DocumentedOperation] = Field(default_factory=list)
    flags: list[DocumentedFlag] = Field(default_factory=list)
    flows: list[DocumentedFlow] = Field(default_factory=list)
    pins: list[Pin] | None = None
    claims: list[Claim] = Field(default_factory=list)
    objectives: list[ObjectiveConfig] = Field(default_factory=list)


def wanted(files: Iterable[str]) -> dict[str, Literal["document", "code", "pins"]]:
    """Which of a repository's files are read, and as what."""
    found: dict[str, Literal["document", "code", "pins"]] = {}
    for file in sorted(files):
        if _NOT_OURS.search(file):
            continue
        if _DOCUMENT.search(file) or _DESCRIPTION.search(file):
            found[file] = "document"
        elif _PINS.search(file) and not _TEST.search(file):
            found[file] = "pins"
        elif _CODE.search(file) and not _TEST.search(file):
            found[file] = "code"
    return found


def read_promises(
    commit: str,
    texts: Mapping[str, str],
    versions: Mapping[str, str] | None,
    docstrings: Collection[str] | None = None,
) -> Promises:
    """From the texts of the `wanted` files; `versions` are those installed, None if unknown.

    `docstrings` are the files whose docstrings are held against their code, None all.
    """
    kinds = wanted(texts)
    code = {file: texts[file] for file, kind in kinds.items() if kind == "code"}
    paths = {parts(path) for text in code.values() for path in _LITERAL_PATH.findall(text)}
    operations = [
        operation.model_copy(update={"in_code": _known(parts(operation.path), paths)})
        for file, kind in kinds.items()
        if kind == "document"
        for operation in _operations(file, texts[file])
    ]
    commands = {PurePosixPath(file).parts[0].removesuffix(".py") for file in code}
    flags = [
        flag
        for file, kind in kinds.items()
        if kind == "document" and _DOCUMENT.search(file)
        for flag in _flags(file, texts[file], commands, "\n".join(code.values()))
    ]
    flows = [
        flow
        for file, kind in kinds.items()
        if kind == "document" and _DOCUMENT.search(file)
        for flow in read_flows(file, texts[file], "\n".join(code.values()))
    ]
    pins = None
    if versions is not None:
        pins = [
            pin
            for file, kind in kinds.items()
            if kind == "pins"
            for pin in read_pins(file, texts[file], versions)
        ]
    documents = [
        file for file, kind in kinds.items() if kind == "document" and _DOCUMENT.search(file)
    ]
    return Promises(
        commit=commit,
        operations=_first(operations),
        flags=flags,
        flows=flows,
        pins=pins,
        claims=claims({**code, **{file: texts[file] for file in documents}}, documents, docstrings),
    )


def stem(path: str) -> str:
    """A path in a sentence without the marks that end it, and those of bold text."""
    return re.sub(r"(?<=[^/*])\*+$", "", path.rstrip(".:")).rstrip(".:")


def parts(path: str) -> tuple[str, ...]:
    """The segments of a path without its query; what stands for a value is ``*``."""
    segments = path.partition("?")[0].partition("#")[0].strip("/").split("/")
    return tuple(
        ANY if _PLACEHOLDER.fullmatch(segment) else segment for segment in segments if segment
    )


def alike(first: tuple[str, ...], second: tuple[str, ...]) -> bool:
    """Whether two paths may be the same: an example value fits a placeholder."""
    return len(first) == len(second) and all(
        one == other or ANY in (one, other) for one, other in zip(first, second, strict=True)
    )


def _known(path: tuple[str, ...], literals: set[tuple[str, ...]]) -> bool:
    """Code may mount a path below a prefix: the end of it counts, if both hold a word of it."""
    return any(
        (literal or not path)
        and alike(tail, literal)
        and (not path or any(segment != ANY for segment in literal))
        and (tail == path or any(segment in literal for segment in tail if segment != ANY))
        for literal in literals
        if len(literal) <= len(path)
        for tail in (path[len(path) - len(literal) :],)
    )


def _operations(file: str, text: str) -> Iterator[DocumentedOperation]:
    if _DESCRIPTION.search(file):
        yield from _described(file, text)
        return
    for number, line in enumerate(text.splitlines(), 1):
        for method, path in _OPERATION.findall(line):
            bare, _, query = stem(path).partition("?")
            names = [piece.partition("=")[0] for piece in query.split("&")]
            yield DocumentedOperation(
                method=method,
                path=bare,
                parameters=[name for name in names if re.fullmatch(r"[\w.-]+", name)],
                file=file,
                line=number,
                in_code=False,
            )


def _described(file: str, text: str) -> Iterator[DocumentedOperation]:
    """The paths of an OpenAPI description; its lines are those where the path stands."""
    import yaml

    try:
        described: Any = json.loads(text) if file.endswith(".json") else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError):
        return
    paths = described.get("paths") if isinstance(described, dict) else None
    if not isinstance(paths, dict):
        return
    lines = text.splitlines()
    for path, methods in paths.items():
        line = next((n for n, told in enumerate(lines, 1) if str(path) in told), 1)
        for method, operation in methods.items() if isinstance(methods, dict) else ():
            if str(method).upper() not in METHODS:
                continue
            given = operation.get("parameters", []) if isinstance(operation, dict) else []
            yield DocumentedOperation(
                method=str(method).upper(),
                path=str(path),
                parameters=[
                    str(one["name"])
                    for one in given
                    if isinstance(one, dict) and one.get("in") == "query" and "name" in one
                ],
                file=file,
                line=line,
                in_code=False,
            )


def _first(operations: list[DocumentedOperation]) -> list[DocumentedOperation]:
    """One of each operation, with the parameters of all its mentions."""
    found: dict[tuple[str, tuple[str, ...]], DocumentedOperation] = {}
    for one in operations:
        key = (one.method, parts(one.path))
        known = found.setdefault(key, one)
        names = dict.fromkeys([*known.parameters, *one.parameters])
        found[key] = known.model_copy(update={"parameters": list(names)})
    return list(found.values())


def _flags(file: str, text: str, commands: set[str], code: str) -> Iterator[DocumentedFlag]:
    """Flags in lines that call the project's own command or module."""
    if not commands:
        return
    names = "|".join(map(re.escape, sorted(commands, key=len, reverse=True)))
    # Where a command begins: `pip install shop --user` names a flag of pip.
    own = re.compile(rf"(?:^|[`$|;&>:])({_BEFORE}*)({names})(?=\s)")
    for number, line in enumerate(text.splitlines(), 1):
        called = own.search(line)
        if called is None:
            continue
        for flag in _FLAG.findall(line[called.end() :]):
            words = (flag, flag[2:].replace("-", "_"))
            yield DocumentedFlag(
                flag=flag,
                command=f"{called[1].strip()} {called[2]}".strip(),
                file=file,
                line=number,
                in_code=any(word in code for word in words),
            )


def read_pins(file: str, text: str, versions: Mapping[str, str]) -> Iterator[Pin]:
    """The requirements of a file against the installed versions; those for other platforms are left out."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    installed = {canonicalize_name(name): version for name, version in versions.items()}
    for number, line in _requirements(file, text):
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        version = installed.get(canonicalize_name(requirement.name))
        yield Pin(
            name=requirement.name,
            specifier=str(requirement.specifier),
            file=file,
            line=number,
            installed=version,
            fits=version is not None and requirement.specifier.contains(version, prereleases=True),
        )


def _requirements(file: str, text: str) -> Iterator[tuple[int, str]]:
    if not file.endswith("pyproject.toml"):
        for number, line in enumerate(text.splitlines(), 1):
            bare = re.split(r"\s#|\s--hash", line.partition("\\")[0])[0].strip()
            if bare and not bare.startswith(("#", "-")) and "://" not in bare:
                yield number, bare
        return
    import tomllib

    try:
        project = tomllib.loads(text).get("project", {})
    except tomllib.TOMLDecodeError:
        return
    lines = text.splitlines()
    for requirement in project.get("dependencies", []):
        number = next((n for n, line in enumerate(lines, 1) if requirement in line), 1)
        yield number, requirement
