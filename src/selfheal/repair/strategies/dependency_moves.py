"""Code takes a name from where the installed version of a library has it.

Moves that are widely known come from `selfheal.repair.edits`; others are found where the
installed distribution defines the name now (`Environment.homes`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from selfheal.analysis.moved_names import gone_name
from selfheal.repair.edit import Edit, Splice
from selfheal.repair.edits.engine import propose_edits
from selfheal.repair.edits.hints import read_hints
from selfheal.repair.edits.model import Suspect
from selfheal.repair.edits.operators.imports import OPERATORS
from selfheal.repair.problem import Problem, is_test
from selfheal.repair.source import Source
from selfheal.repair.strategies.base import Strategy, import_splices

NAME = "moved_name"
MOST = 6
_KNOWN = tuple(each for each in OPERATORS if each.name == NAME)


def propose(problem: Problem) -> Iterator[Edit]:
    gone = gone_name(problem.message)
    if problem.diagnosis.evidence.get("problem") != NAME or gone is None:
        return
    module, name = gone
    yield from _known_moves(problem, module)
    homes = problem.environment.homes if problem.environment else {}
    for place, home in enumerate(homes.get(f"{module}.{name}", ())):
        splices = [
            splice
            for path in sorted(problem.sources)
            if path.endswith(".py") and not is_test(path)
            and (source := problem.source(path)) is not None
            for splice in _moved(source, module, name, home)
        ]  # fmt: skip
        if splices:
            yield Edit(
                strategy=NAME,
                template="found",
                explanation=f"Takes `{name}` from `{home}`, where the installed version defines it.",
                fit=round(0.95 / (1 + 0.1 * place), 6),
                parameters={"module": module, "name": name, "home": home},
                splices=splices,
            )


def _known_moves(problem: Problem, module: str) -> Iterator[Edit]:
    suspects = [
        Suspect(path, line, 0.9)
        for path in dict.fromkeys(each.file for each in problem.diagnosis.locations)
        if path.endswith(".py") and (source := problem.source(path)) is not None
        for line in _uses(source, module.partition(".")[0])
    ]
    hints = read_hints([problem.exception], [f"{problem.exception}: {problem.message}"])
    for edit in propose_edits(problem.sources, suspects, hints, MOST, _KNOWN):
        found = edit.as_edit()
        yield found.model_copy(update={"strategy": NAME, "fit": max(found.fit, 0.9)})


def _uses(source: Source, top: str) -> list[int]:
    """The lines of imports from a top-level module, and of attributes of it."""
    names, lines = {top}, set[int]()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            own = [each for each in node.names if each.name.partition(".")[0] == top]
            names |= {each.asname for each in own if each.asname}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == top:
            lines.add(node.lineno)
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value).partition(".")[0] in names:
            lines.add(node.lineno)
    return sorted(lines)


def _moved(source: Source, module: str, name: str, home: str) -> Iterator[Splice]:
    """The splices for all imports of a name from a module, and uses as its attribute."""
    aliases = {module}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            aliases |= {each.asname for each in node.names if each.name == module and each.asname}
        elif isinstance(node, ast.ImportFrom) and node.module == module and not node.level:
            given = [each for each in node.names if each.name == name]
            if given:
                yield from _reimported(source, node, given[0], home)
    added = False
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Attribute) or node.attr != name:
            continue
        if ast.unparse(node.value) in aliases:
            if not added:
                yield from import_splices(source, home)
                added = True
            yield source.replace(node, f"{home}.{name}")


def _reimported(
    source: Source, node: ast.ImportFrom, given: ast.alias, home: str
) -> Iterator[Splice]:
    """The import of one name from its new home; the others of the statement stay as they are."""
    tail = f" as {given.asname}" if given.asname else ""
    line = f"from {home} import {given.name}{tail}"
    if len(node.names) == 1:
        yield source.replace(node, line)
        return
    place = node.names.index(given)
    starts = [source.offset(each.lineno, each.col_offset) for each in node.names]
    stops = [source.offset(each.end_lineno or 1, each.end_col_offset or 0) for each in node.names]
    start, stop = starts[place], stops[place]
    if place + 1 < len(node.names):
        stop = starts[place + 1]
    else:
        start = stops[place - 1]
    yield Splice(path=source.path, start=start, stop=stop, text="")
    yield source.insert_after(node, [line])


STRATEGY = Strategy(NAME, frozenset({"dependency"}), propose)
