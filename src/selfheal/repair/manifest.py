"""Requirements where manifests state them: read with their places, added, and given another version.

Understood are requirements files (pip's format), ``[project] dependencies`` of
pyproject.toml (PEP 621), Poetry's table of dependencies, ``install_requires`` of setup.cfg
and of setup.py. Requirements are those of PEP 508; names are compared as PEP 503 normalises
them. A file that is not understood exactly states nothing, and so is never edited.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any, Literal

from selfheal.artifacts.model import Model
from selfheal.codebase.requirements import is_manifest
from selfheal.repair.edit import Splice
from selfheal.repair.source import Source, parse

Form = Literal["lines", "array", "table", "indented"]

_PEP508 = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)(?P<extras>\s*\[[^\]]*\])?"
    r"(?P<gap>\s*)(?P<specifier>\(?(?:(?:===?|[<>~!]=?)[^;@#()]*)?\)?)(?P<rest>\s*(?:;.*)?)$"
)
_HEADER = re.compile(r"^[ \t]*\[+([^\[\]\n]+)\]+[ \t]*(?:#[^\n]*)?\r?$", re.MULTILINE)
_DEPENDENCIES = re.compile(r"^[ \t]*dependencies[ \t]*=[ \t]*\[", re.MULTILINE)
_TABLE_ROW = re.compile(r"^[ \t]*(?P<name>[\w.-]+)[ \t]*=[ \t]*(?P<quote>[\"'])(?P<value>[^\"'\n]*)(?P=quote)", re.MULTILINE)  # fmt: skip
_INSTALL_REQUIRES = re.compile(r"^install_requires[ \t]*=[ \t]*", re.MULTILINE)


class Stated(Model):
    """One requirement of a manifest: characters ``start:stop`` hold `text`, without quotes.

    Of Poetry's tables `text` is the version alone, in Poetry's own notation.
    """

    path: str
    line: int
    start: int
    stop: int
    text: str
    name: str
    specifier: str


class Manifest(Model):
    """The requirements of a file in their order; `opening` is where a list of them begins.

    A file that could have a list and has none is told by `around`: what stands before and
    behind the first requirement then.
    """

    path: str
    text: str
    form: Form
    stated: list[Stated]
    opening: int
    closing: int
    around: tuple[str, str] | None = None

    def of(self, name: str) -> Stated | None:
        """The requirement of a distribution, whatever way its name is written."""
        wanted = normal(name)
        return next((each for each in self.stated if each.name == wanted), None)

    @property
    def locked(self) -> bool:
        """Whether a tool wrote it with hashes, which an edit would contradict."""
        return self.form == "lines" and "--hash=" in self.text

    @property
    def operator(self) -> str:
        """How most of its versions are bound: ``==``, ``>=``, ``~=``, or not at all."""
        found = Counter(_operator(each.specifier) for each in self.stated)
        ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))
        return ranked[0][0] if ranked else ">="


def normal(name: str) -> str:
    """A distribution's name as PEP 503 normalises it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_manifest(path: str, text: str) -> Manifest | None:
    """The manifest's requirements; None where the file states none in a known form."""
    name = PurePosixPath(path).name
    if not is_manifest(path):
        return None
    if name == "pyproject.toml":
        return _pyproject(path, text)
    if name == "setup.cfg":
        return _setup_cfg(path, text)
    if name == "setup.py":
        return _setup_py(path, text)
    if name == "Pipfile":
        return None
    stated = list(_lines(path, text, 0, len(text)))
    return Manifest(path=path, text=text, form="lines", stated=stated, opening=0, closing=len(text))


def with_requirement(manifest: Manifest, name: str, specifier: str) -> Splice | None:
    """The splice that adds a requirement as its neighbours stand; None if it is there already.

    It goes to its place in the alphabet where the list keeps to it, else to the end.
    """
    if manifest.of(name) is not None:
        return None
    stated = manifest.stated
    names = [each.name for each in stated]
    place = len(stated)
    if len(stated) > 1 and names == sorted(names):
        place = next((n for n, each in enumerate(names) if each > normal(name)), len(stated))
    written = _written(manifest, name, specifier)
    if manifest.around is not None:
        at, (before, after) = manifest.opening, manifest.around
        return Splice(path=manifest.path, start=at, stop=at, text=f"{before}{written}{after}")
    newline = "\r\n" if "\r\n" in manifest.text else "\n"
    if manifest.form == "array":
        return _into_array(manifest, place, written)
    return _into_lines(manifest, place, written, newline)


def with_specifier(stated: Stated, specifier: str) -> Splice:
    """The splice that gives a requirement another version; name, extras and marker stay."""
    found = _PEP508.match(stated.text)
    if found is None or found["name"] is None or normal(found["name"]) != stated.name:
        # A row of Poetry's table holds the version alone.
        return Splice(path=stated.path, start=stated.start, stop=stated.stop, text=specifier or "*")
    begin = found.start("specifier") if stated.specifier else found.start("gap")
    start = stated.start + begin
    stop = stated.start + len(stated.text[: found.end("specifier")].rstrip())
    return Splice(path=stated.path, start=start, stop=max(start, stop), text=specifier)


def with_name(stated: Stated, name: str) -> Splice | None:
    """The splice that calls a required distribution by another name; None in Poetry's tables."""
    found = _PEP508.match(stated.text)
    if found is None or normal(found["name"]) != stated.name:
        return None
    return Splice(path=stated.path, start=stated.start, stop=stated.start + found.end("name"), text=name)  # fmt: skip


def bound(operator: str, version: str) -> str:
    """The specifier that binds a version with an operator; empty for no bound."""
    return f"{operator}{version}" if operator else ""


def _written(manifest: Manifest, name: str, specifier: str) -> str:
    if manifest.form == "table":
        return f'{name} = "{specifier or "*"}"'
    if manifest.form != "array":
        return f"{name}{specifier}"
    quotes = [manifest.text[each.start - 1] for each in manifest.stated]
    quote = quotes[-1] if quotes else '"'
    return f"{quote}{name}{specifier}{quote}"


def _into_array(manifest: Manifest, place: int, written: str) -> Splice:
    """Into a bracketed list; quotes are part of what is put in, as are comma and line end."""
    text, stated = manifest.text, manifest.stated
    if not stated:
        return Splice(path=manifest.path, start=manifest.opening, stop=manifest.opening, text=written)  # fmt: skip
    if place < len(stated):
        at = stated[place].start - 1
        return Splice(path=manifest.path, start=at, stop=at, text=f"{written},{_gap(manifest)}")
    at = stated[-1].stop + 1
    tail = text[at : manifest.closing]
    comma = re.match(r"\s*,", tail)
    if comma:
        at += comma.end()
        return Splice(path=manifest.path, start=at, stop=at, text=f"{_gap(manifest)}{written},")
    return Splice(path=manifest.path, start=at, stop=at, text=f",{_gap(manifest)}{written}")


def _gap(manifest: Manifest) -> str:
    """The white space before an element of a list: a line of its own where one has that."""
    before = manifest.text[manifest.opening : manifest.stated[-1].start - 1]
    found = re.search(r"(\r?\n[ \t]*)$", before)
    return found[1] if found else " "


def _into_lines(manifest: Manifest, place: int, written: str, newline: str) -> Splice:
    text, stated = manifest.text, manifest.stated
    if place < len(stated):
        start = text.rfind("\n", 0, stated[place].start) + 1
        indent = text[start : len(text[start:]) - len(text[start:].lstrip(" \t")) + start]
        return Splice(path=manifest.path, start=start, stop=start, text=f"{indent}{written}{newline}")  # fmt: skip
    indent = "    " if manifest.form == "indented" else ""
    at = manifest.closing
    if stated:
        begun = text.rfind("\n", 0, stated[-1].start) + 1
        own = text[begun : stated[-1].start]
        indent = own if not own.strip() else indent
        end = text.find("\n", stated[-1].stop)
        # A requirement with hashes goes on over lines that end with a backslash.
        while end >= 0 and text[:end].rstrip("\r").endswith("\\"):
            end = text.find("\n", end + 1)
        at = len(text) if end < 0 else end + 1
    elif manifest.form == "indented":
        return Splice(path=manifest.path, start=at, stop=at, text=f"{newline}{indent}{written}")
    lead = newline if at and text[at - 1] != "\n" else ""
    return Splice(path=manifest.path, start=at, stop=at, text=f"{lead}{indent}{written}{newline}")


def _pyproject(path: str, text: str) -> Manifest | None:
    try:
        document: dict[str, Any] = tomllib.loads(text.replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError:
        return None
    project = document.get("project")
    if isinstance(project, dict):
        return _project(path, text, project)
    poetry = document.get("tool", {}).get("poetry", {}).get("dependencies")
    return _poetry(path, text) if isinstance(poetry, dict) else None


def _project(path: str, text: str, project: dict[str, Any]) -> Manifest | None:
    """PEP 621's list. What the scan finds has to be what the parser read."""
    if "dependencies" in project.get("dynamic", ()):
        return None
    table = _table(text, "project")
    if table is not None and "dependencies" not in project:
        return _without_list(path, text, table)
    found = _DEPENDENCIES.search(text, *table) if table else None
    if found is None:
        return None
    strings, closing = _strings(text, found.end())
    if [text[start:stop] for start, stop in strings] != project.get("dependencies"):
        return None
    stated = [each for span in strings if (each := _stated(path, text, *span)) is not None]
    if len(stated) != len(strings):
        return None
    return Manifest(
        path=path, text=text, form="array", stated=stated, opening=found.end(), closing=closing
    )


def _without_list(path: str, text: str, table: tuple[int, int]) -> Manifest:
    """PEP 621's table without requirements: they would stand at its end."""
    lines = text[table[0] : table[1]].splitlines(keepends=True)
    while lines and (not lines[-1].strip() or lines[-1].lstrip().startswith("#")):
        lines.pop()
    at = table[0] + len("".join(lines))
    newline = "\r\n" if "\r\n" in text else "\n"
    lead = "" if text[:at].endswith("\n") else newline
    around = (f"{lead}dependencies = [", f"]{newline}")
    return Manifest(
        path=path, text=text, form="array", stated=[], opening=at, closing=at, around=around
    )


def _table(text: str, name: str) -> tuple[int, int] | None:
    """The characters after a table's header, up to the next header."""
    headers = list(_HEADER.finditer(text))
    for header, after in zip(headers, [*headers[1:], None], strict=True):
        if header[1].strip() == name:
            return header.end(), after.start() if after else len(text)
    return None


def _strings(text: str, at: int) -> tuple[list[tuple[int, int]], int]:
    """The insides of the strings of a list of TOML from after its bracket, and its end."""
    found: list[tuple[int, int]] = []
    while at < len(text) and text[at] != "]":
        if text[at] == "#":
            at = (text.find("\n", at) + 1) or len(text)
        elif text[at] in "\"'":
            end = text.find(text[at], at + 1)
            if end < 0:
                break
            found.append((at + 1, end))
            at = end + 1
        else:
            at += 1
    return found, at


def _poetry(path: str, text: str) -> Manifest | None:
    table = _table(text, "tool.poetry.dependencies")
    if table is None:
        return None
    stated = [
        Stated(
            path=path,
            line=text.count("\n", 0, row.start("name")) + 1,
            start=row.start("value"),
            stop=row.end("value"),
            text=row["value"],
            name=normal(row["name"]),
            specifier=row["value"],
        )
        for row in _TABLE_ROW.finditer(text, *table)
        if row["name"] != "python"
    ]
    closing = table[0] + len(text[table[0] : table[1]].rstrip()) + 1
    return Manifest(
        path=path, text=text, form="table", stated=stated, opening=table[0],
        closing=min(closing, len(text)),
    )  # fmt: skip


def _setup_cfg(path: str, text: str) -> Manifest | None:
    table = _table(text, "options")
    found = _INSTALL_REQUIRES.search(text, *table) if table else None
    if found is None or table is None:
        return None
    stop = found.end()
    for line in re.finditer(r"[^\n]*(?:\n|\Z)", text[found.end() : table[1]]):
        own = line[0].strip()
        if line.start() and own and not line[0].startswith((" ", "\t")):
            break
        stop = found.end() + line.start() + len(line[0].rstrip()) if own else stop
    stated = list(_lines(path, text, found.end(), stop))
    return Manifest(
        path=path, text=text, form="indented", stated=stated, opening=found.end(), closing=stop
    )


def _setup_py(path: str, text: str) -> Manifest | None:
    source = parse(path, text)
    calls = [
        node
        for node in ast.walk(source.tree if source else ast.Module([], []))
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "setup"
    ]
    lists = [word.value for call in calls for word in call.keywords if word.arg == "install_requires"]  # fmt: skip
    if source is not None and len(calls) == 1 and not lists:
        return _without_keyword(path, source, calls[0])
    if source is None or len(lists) != 1 or not isinstance(lists[0], ast.List):
        return None
    stated = []
    for element in lists[0].elts:
        start, stop = source.span(element)
        found = _stated(path, text, start + 1, stop - 1)
        if not isinstance(element, ast.Constant) or found is None or found.text != element.value:
            return None
        stated.append(found)
    start, stop = source.span(lists[0])
    return Manifest(
        path=path, text=text, form="array", stated=stated, opening=start + 1, closing=stop - 1
    )


def _without_keyword(path: str, source: Source, call: ast.Call) -> Manifest | None:
    """A call of ``setup`` without requirements: they would be its first keyword."""
    if not call.keywords or any(word.arg is None for word in call.keywords):
        return None
    at = source.span(call.keywords[0])[0]
    lead = source.text[source.line_start(call.keywords[0].lineno) : at]
    gap = f"{source.newline}{lead}" if not lead.strip() else " "
    return Manifest(
        path=path, text=source.text, form="array", stated=[], opening=at, closing=at,
        around=("install_requires=[", f"],{gap}"),
    )  # fmt: skip


def _lines(path: str, text: str, start: int, stop: int) -> Iterator[Stated]:
    """One requirement a line, without comments, options, addresses and hashes."""
    continued = False
    for line in re.finditer(r"[^\n]+", text[start:stop]):
        goes_on, continued = continued, line[0].rstrip("\r").endswith("\\")
        bare = re.split(r"\s#|\s--|\\", line[0].rstrip("\r"), maxsplit=1)[0].rstrip()
        lead = len(bare) - len(bare.lstrip())
        if goes_on or not bare.strip() or bare.lstrip().startswith(("#", "-")) or "://" in bare:
            continue
        begun = start + line.start()
        found = _stated(path, text, begun + lead, begun + len(bare))
        if found is not None:
            yield found


def _stated(path: str, text: str, start: int, stop: int) -> Stated | None:
    found = _PEP508.match(text[start:stop])
    if found is None:
        return None
    return Stated(
        path=path,
        line=text.count("\n", 0, start) + 1,
        start=start,
        stop=stop,
        text=text[start:stop],
        name=normal(found["name"]),
        specifier=found["specifier"].strip("() \t"),
    )


def _operator(specifier: str) -> str:
    found = re.match(r"===?|~=|>=|\^", specifier)
    return {None: "", "===": "=="}.get(found and found[0], found[0] if found else "")


def texts_of(manifests: Iterable[Manifest]) -> Sequence[str]:
    """All requirements as PEP 508 writes them; rows of Poetry's tables are left out."""
    return [each.text for one in manifests if one.form != "table" for each in one.stated]
