"""What documents and docstrings say of the code itself, against that code.

Parameters of docstrings (Google, NumPy and reStructuredText style), defaults that they name,
signatures that stand as a heading, in a table or at the head of an item, and values of
constants and settings in the text beside their names. Only what the code contradicts for
sure is a claim: a name that two places define says nothing, and neither does a value that
is no literal.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal

from selfheal.analysis.docstrings import Entry, entries
from selfheal.analysis.renamed_parameters import present_name
from selfheal.analysis.signatures import (
    MISSING,
    Function,
    Module,
    Signature,
    are_numbers,
    arguments_of,
    facts_of,
    literal,
    modules_of,
    same,
    signature_of,
)
from selfheal.artifacts.model import Model

Drift = Literal[
    "parameter not in code",
    "parameter not in docstring",
    "default not in code",
    "value not in code",
    "signature not in code",
    "example not as told",
]
# Of examples only running them tells (`selfheal.sandbox.examples`).
EXAMPLE: Drift = "example not as told"
OMITTED: Drift = "parameter not in docstring"

_CONSTANT = r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*"
_NUMBER = r"-?\d(?:[\d_,]*\d)?(?:\.\d+)?"
_VALUE = rf"(?P<value>{_NUMBER}(?![\w.]*\w)|\"[^\"\n]*\"|'[^'\n]*'|True|False|None)"
# `NAME` is 5, `NAME` (5), `NAME = 5`, `NAME`: 5, `NAME` defaults to 5
_STATED = re.compile(
    rf"`(?P<name>{_CONSTANT})(?:`\s*(?:\((?:default:? |now |currently )?|=\s*|:\s+|(?:is|are|defaults to|=)\s+)`?|\s*=\s*)"
    + _VALUE
)
_DEFAULT = re.compile(
    r"(?i:defaults? (?:to|is)|default(?: value)?:|default=|[(,]\s*default\b)\s*[:=]?\s*(?P<value>``[^`\n]+``|`[^`\n]+`|\"[^\"\n]*\"|'[^'\n]*'|[\w.+-]+(?<![.])(?![%\w]))"
)
_SIGNATURE = re.compile(
    r"^(?:#+\s+|[-*+]\s+|\|\s*)`(?:def )?(?P<name>[A-Za-z_][\w.]*)\((?P<arguments>[^()`\n]*)\)(?P<rest>[^`\n]*)`"
)
_HEADINGS = re.compile(r"^\s*\|.*\|\s*$")
_CELL_NAME = re.compile(r"^\s*`?(?P<name>[A-Za-z_]\w*)`?\s*$")
_QUOTED = re.compile(r"`[^`\n]*`")
_WORD = re.compile(r"[A-Za-z_]\w*")


class Claim(Model):
    """Something that `file:line` says and the code does not.

    Characters ``start:stop`` of the file become `replacement` to say what the code has;
    None where that is not for a program to say. `subject` is the function or the constant.
    """

    drift: Drift
    name: str
    subject: str
    told: str
    actual: str
    file: str
    line: int
    start: int
    stop: int
    replacement: str | None


def claims(
    texts: Mapping[str, str], documents: Sequence[str], within: Collection[str] | None = None
) -> list[Claim]:
    """What `documents` and the docstrings of the Python files among `texts` say wrongly, by place.

    `within` limits the files whose docstrings are read.
    """
    named = {name for file in documents for name in _named(texts[file])}
    wanted = {
        file: text
        for file, text in texts.items()
        if within is None or file in within or not named.isdisjoint(_WORD.findall(text))
    }
    modules = list(modules_of(wanted))
    found = [
        claim
        for module in modules
        if within is None or module.file in within
        for claim in _docstrings(module)
    ]
    signatures, constants = _signatures(modules), _constants(modules)
    for file in sorted(documents):
        found += _of_document(file, texts[file], signatures, constants)
    places = {(each.file, each.start, each.stop): each for each in reversed(found)}
    return sorted(places.values(), key=lambda each: (each.file, each.start, each.name))


def _named(text: str) -> Iterator[str]:
    """The names in a document of which something may be said."""
    for found in _QUOTED.finditer(text):
        yield from _WORD.findall(found[0])
    for line in text.splitlines():
        if _HEADINGS.match(line):
            yield from _WORD.findall(line.split("|")[1])


def _docstrings(module: Module) -> Iterator[Claim]:
    """Claims of docstrings about their own functions, and of classes about their initialisers."""
    for node in ast.walk(module.tree):
        if (
            isinstance(node, Function | ast.ClassDef)
            and ast.get_docstring(node, clean=False) is None
        ):
            continue
        if isinstance(node, Function):
            yield from _docstring(module, node, node)
        elif isinstance(node, ast.ClassDef):
            made = [each for each in node.body if isinstance(each, Function)]
            for each in made:
                if each.name == "__init__":
                    yield from _docstring(module, node, each)


def _docstring(
    module: Module, holder: Function | ast.ClassDef, function: Function
) -> Iterator[Claim]:
    told = entries(module.read, holder)
    signature = signature_of(module, function) if told else None
    if signature is None or signature.open:
        return
    names, parameters = [entry.name for entry in told], list(signature.parameters)
    kept = [entry for entry in told if entry.name in signature.parameters]
    gone = [entry for entry in told if entry.name not in signature.parameters]
    new = [name for name in signature.parameters if name not in names]
    present = [present_name(entry.name, names, parameters) for entry in gone]
    for entry, now in zip(gone, present, strict=True):
        if now is not None and present.count(now) == 1:
            yield _renamed(module, entry, now, signature, holder.name)
        elif kept and isinstance(holder, Function):
            # A class may tell of what its other methods take; a function only of its own.
            # What one of several others may be called now is not for a program to take out.
            where, nothing = (entry.start, entry.stop), "no such parameter"
            written = None if new else ""
            yield _claim(
                module, "parameter not in code", entry, holder.name, nothing, where, written
            )
    for entry in kept:
        yield from _default(module, entry, signature, holder.name)
    if not gone and len(new) == 1 and len(kept) > 1:
        yield from _added(module, kept, new[0], function, holder.name)


def _renamed(module: Module, entry: Entry, name: str, signature: Signature, subject: str) -> Claim:
    """The parameter's present name, and with it its present default."""
    where, written = (entry.name_start, entry.name_stop), name
    told = next(_default(module, entry._replace(name=name), signature, subject), None)
    if told is not None and told.replacement is not None:
        between = module.read.text[entry.name_stop : told.start]
        where, written = (where[0], told.stop), f"{name}{between}{told.replacement}"
    return _claim(module, "parameter not in code", entry, subject, name, where, written)


def _claim(
    module: Module,
    drift: Drift,
    entry: Entry,
    subject: str,
    actual: str,
    where: tuple[int, int],
    replacement: str | None,
    *,
    told: str | None = None,
    name: str | None = None,
) -> Claim:
    return Claim(
        drift=drift, name=name or entry.name, subject=subject, told=told or entry.name,
        actual=actual, file=module.file, line=module.read.line_of(max(where[0], entry.start)),
        start=where[0], stop=where[1], replacement=replacement,
    )  # fmt: skip


def _default(module: Module, entry: Entry, signature: Signature, subject: str) -> Iterator[Claim]:
    """A default that is told as a literal, and is another one in the signature."""
    source = signature.parameters[entry.name]
    actual = literal(source) if source is not None else MISSING
    found = _DEFAULT.search(module.read.text, entry.start, entry.stop)
    if found is None or source is None or actual is MISSING or actual is None:
        return
    bare = found["value"].strip("`")
    told = literal(bare)
    quoted = found["value"] != bare
    if told is MISSING and quoted and isinstance(actual, str) and re.fullmatch(r"[\w./:-]+", bare):
        told, source = bare, actual
    if told is MISSING or same(told, actual):
        return
    if not (type(told) is type(actual) or are_numbers(told, actual) or told in (None, True, False)):
        return
    ticks = re.match(r"`*", found["value"])[0]  # type: ignore[index]
    yield _claim(
        module, "default not in code", entry, subject, source, found.span("value"),
        f"{ticks}{source}{ticks}", told=bare,
    )  # fmt: skip


def _added(
    module: Module, kept: Sequence[Entry], name: str, function: Function, subject: str
) -> Iterator[Claim]:
    """A parameter that alone is not told of goes after the one before it, with its type and default."""
    order = list(signature_of(module, function).parameters)
    before = [entry for entry in kept if order.index(entry.name) < order.index(name)]
    if not before or name.startswith("_") or subject.startswith("_"):
        return
    last = max(before, key=lambda entry: entry.stop)
    written = last.like(module.read.text, name, *facts_of(module, function, name))
    yield _claim(
        module, OMITTED, last, subject, name, (last.stop, last.stop),
        written, told="nothing", name=name,
    )  # fmt: skip


def _signatures(modules: Sequence[Module]) -> dict[str, list[Signature]]:
    """Functions by their own name and, of methods, by ``Class.method``; classes by their initialiser."""
    found: dict[str, list[Signature]] = defaultdict(list)
    for module in modules:
        for node in module.tree.body:
            if isinstance(node, Function):
                found[node.name].append(signature_of(module, node))
            elif isinstance(node, ast.ClassDef):
                for each in node.body:
                    if isinstance(each, Function):
                        own = node.name if each.name == "__init__" else f"{node.name}.{each.name}"
                        found[own].append(signature_of(module, each))
    return found


def _constants(modules: Sequence[Module]) -> dict[str, list[tuple[Any, str]]]:
    """(value, source) of upper-case constants of modules, and of annotated settings of classes."""
    found: dict[str, list[tuple[Any, str]]] = defaultdict(list)
    for module in modules:
        classes = [node for node in module.tree.body if isinstance(node, ast.ClassDef)]
        for body in (module.tree.body, *(each.body for each in classes)):
            for node in body:
                if isinstance(node, ast.Assign) and len(node.targets) == 1:
                    target, value = node.targets[0], node.value
                elif isinstance(node, ast.AnnAssign) and node.value is not None:
                    target, value = node.target, node.value
                else:
                    continue
                if isinstance(target, ast.Name):
                    source = module.read.source(value)
                    found[target.id].append((literal(source), source))
    return found


def _of_document(
    file: str,
    text: str,
    signatures: Mapping[str, Sequence[Signature]],
    constants: Mapping[str, Sequence[tuple[Any, str]]],
) -> Iterator[Claim]:
    at = 0
    column: int | None = None
    fenced = False
    for number, whole in enumerate(text.splitlines(keepends=True), 1):
        line = whole.rstrip("\r\n")
        fenced ^= line.lstrip().startswith(("```", "~~~"))
        if not _HEADINGS.match(line):
            column = None
        elif column is None:
            column = _value_column(line)
        elif column >= 0:
            yield from _of_row(file, line, number, at, column, constants)
        if not fenced:
            for stated in _STATED.finditer(line):
                yield from _of_value(file, number, at, stated["name"], stated.span("value"), line, constants)  # fmt: skip
            yield from _of_signature(file, line, number, at, signatures)
        at += len(whole)


def _value_column(line: str) -> int:
    """Which column of a table holds defaults; -1 where none does."""
    cells = [cell.strip().strip("*_`").lower() for cell in line.strip().strip("|").split("|")]
    names = ("default", "default value", "defaults to", "value")
    return next((n for n, cell in enumerate(cells) if n and cell in names), -1)


def _of_row(
    file: str,
    line: str,
    number: int,
    at: int,
    column: int,
    constants: Mapping[str, Sequence[tuple[Any, str]]],
) -> Iterator[Claim]:
    borders = [found.start() for found in re.finditer(r"(?<!\\)\|", line)]
    cells = list(itertools.pairwise(borders))
    name = _CELL_NAME.match(line[cells[0][0] + 1 : cells[0][1]]) if cells else None
    if name is None or column >= len(cells):
        return
    start, stop = cells[column][0] + 1, cells[column][1]
    value = re.fullmatch(rf"\s*(?P<ticks>`*){_VALUE}`*\s*", line[start:stop])
    if value is not None:
        span = (start + value.start("value"), start + value.end("value"))
        yield from _of_value(file, number, at, name["name"], span, line, constants)


def _of_value(
    file: str,
    number: int,
    at: int,
    name: str,
    span: tuple[int, int],
    line: str,
    constants: Mapping[str, Sequence[tuple[Any, str]]],
) -> Iterator[Claim]:
    known = constants.get(name, ())
    told = line[span[0] : span[1]]
    value = literal(told.replace(",", "") if re.fullmatch(_NUMBER, told) else told)
    if len(known) != 1 or known[0][0] is MISSING or value is MISSING:
        return
    actual, source = known[0]
    if same(value, actual) or not (type(value) is type(actual) or are_numbers(value, actual)):
        return
    yield Claim(
        drift="value not in code", name=name, subject=name, told=told, actual=source,
        file=file, line=number, start=at + span[0], stop=at + span[1],
        replacement=_grouped(told, actual, source),
    )  # fmt: skip


def _grouped(told: str, actual: Any, source: str) -> str:
    """A number with separators where the old one had them; a text in the quotes of the old one."""
    if "," in told and isinstance(actual, int | float) and not told.startswith(('"', "'")):
        return f"{actual:,}"
    if isinstance(actual, str) and told[:1] in "\"'" and told[0] not in actual:
        return f"{told[0]}{actual}{told[0]}"
    return source


def _of_signature(
    file: str, line: str, number: int, at: int, signatures: Mapping[str, Sequence[Signature]]
) -> Iterator[Claim]:
    found = _SIGNATURE.match(line.lstrip())
    known = _looked_up(found["name"], signatures) if found else []
    if found is None or len(known) != 1 or known[0].open:
        return
    told = arguments_of(found["arguments"])
    actual = known[0].parameters
    if told is None:
        return
    wrong = [name for name, default in told.items() if _differs(name, default, actual)]
    # A call looks like a signature: but for headings, most of what is told has to be parameters.
    right = sum(name in actual for name in told)
    if not wrong or (right * 2 < len(told) and not line.lstrip().startswith("#")):
        return
    lead = len(line) - len(line.lstrip())
    start, stop = (at + lead + each for each in found.span("arguments"))
    yield Claim(
        drift="signature not in code", name=found["name"], subject=found["name"],
        told=found["arguments"], actual=known[0].text, file=file, line=number,
        start=start, stop=stop, replacement=known[0].text,
    )  # fmt: skip


def _looked_up(name: str, signatures: Mapping[str, Sequence[Signature]]) -> Sequence[Signature]:
    """By the longest end of a dotted name that the code has."""
    pieces = name.split(".")
    for first in range(len(pieces)):
        known = signatures.get(".".join(pieces[first:]))
        if known:
            return known
    return ()


def _differs(name: str, default: str | None, actual: Mapping[str, str | None]) -> bool:
    if name not in actual:
        return True
    source = actual[name]
    if default is None or source is None:
        return False
    told, real = literal(default), literal(source)
    return told is not MISSING and real is not MISSING and not same(told, real)
