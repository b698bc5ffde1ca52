"""A container that a class makes once for all its instances becomes one of each instance.

The Python tutorial, 9.3.5, "Class and Instance Variables". Classes whose attributes are
declarations (data classes, enumerations, models) are left alone, and so are those whose
subclasses do not call their ``__init__``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from selfheal.codebase.index import dotted, own_nodes
from selfheal.codebase.mutation import assigned_on_self, changed_in_class, class_values, value_of
from selfheal.repair.blocks import first_statement, removed_lines
from selfheal.repair.edit import Edit, Splice
from selfheal.repair.problem import Problem
from selfheal.repair.source import Function, Source
from selfheal.repair.state import Owned, accused, edit, state_strategy
from selfheal.repair.strategies.base import Example

NAME = "instance_attribute"
_DECLARING = ("Enum", "Model", "NamedTuple", "TypedDict", "Protocol", "Struct", "Schema", "Form")


def propose(problem: Problem) -> Iterator[Edit]:
    for owned in accused(problem, "shared_class_attribute"):
        owner = owned.owner
        if owner is None or not _is_plain(owner):
            continue
        bound = assigned_on_self(owner)
        for name, statement in class_values(owner).items():
            if name in bound or not changed_in_class(owner, name):
                continue
            if _named_by_class(problem, owner, name) or _bypassed(problem, owner):
                continue
            yield from _moved(owned, owner, name, statement)


def _moved(owned: Owned, owner: ast.ClassDef, name: str, statement: ast.stmt) -> Iterator[Edit]:
    source = owned.source
    removed, value = removed_lines(source, statement), value_of(statement)
    several = isinstance(statement, ast.Assign) and len(statement.targets) > 1
    if removed is None or value is None or several:
        return
    text = source.segment(value)
    annotation = ""
    if isinstance(statement, ast.AnnAssign):
        annotation = f": {source.segment(statement.annotation)}"
    splices = _created(source, owner, statement, name, f"{annotation} = {text}", removed)
    if splices is None or "\n" in text:
        return
    yield edit(
        owned,
        NAME,
        NAME,
        f"each {owner.name} gets a `{name}` of its own; all instances shared that of the class.",
        0.95,
        splices,
        attribute=name,
    )


def _created(
    source: Source, owner: ast.ClassDef, statement: ast.stmt, name: str, made: str, removed: Splice
) -> list[Splice] | None:
    """The attribute made in ``__init__``, which is written where there is none."""
    constructor = next(
        (
            each
            for each in owner.body
            if isinstance(each, ast.FunctionDef) and each.name == "__init__"
        ),
        None,
    )
    if constructor is None:
        indent = source.indent(statement)
        bases = [each for each in owner.bases if dotted(each) != "object"]
        signature = "self, *args, **kwargs" if bases else "self"
        lines = [f"{indent}def __init__({signature}):"]
        if bases:
            lines.append(f"{indent}{source.unit}super().__init__(*args, **kwargs)")
        lines.append(f"{indent}{source.unit}self.{name}{made}")
        end = source.newline
        return [removed.model_copy(update={"text": "".join(f"{line}{end}" for line in lines)})]
    anchor = first_statement(source, constructor)
    if anchor is None or not constructor.args.args:
        return None
    line = f"{constructor.args.args[0].arg}.{name}{made}"
    if _calls_super(anchor):
        return [removed, source.insert_after(anchor, [line])]
    return [removed, source.insert_before(anchor, [line])]


def _calls_super(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and ast.unparse(statement).startswith("super().__init__")


def _is_plain(owner: ast.ClassDef) -> bool:
    bases = [dotted(each).rpartition(".")[2] for each in owner.bases]
    declares = any(base.endswith(_DECLARING) for base in bases)
    return not owner.decorator_list and not owner.keywords and not declares


def _named_by_class(problem: Problem, owner: ast.ClassDef, name: str) -> bool:
    """Whether the attribute is meant to be the class's: reached by its name, or by ``cls``."""
    holders = {owner.name, "cls"}
    return any(
        isinstance(node, ast.Attribute)
        and node.attr == name
        and (dotted(node.value).rpartition(".")[2] in holders or "type(" in ast.unparse(node.value))
        for source in problem.python()
        if name in source.text
        for node in ast.walk(source.tree)
    )


def _bypassed(problem: Problem, owner: ast.ClassDef) -> bool:
    """Whether a subclass has an ``__init__`` that does not call that of its base."""
    return any(
        isinstance(method, ast.FunctionDef)
        and method.name == "__init__"
        and not _calls_base(method)
        for source in problem.python()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ClassDef)
        and owner.name in [dotted(each).rpartition(".")[2] for each in node.bases]
        for method in node.body
    )


def _calls_base(method: Function) -> bool:
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "__init__"
        for node in own_nodes(method)
    )


STRATEGY = state_strategy(
    NAME,
    propose,
    Example(
        before="class Cart:\n    lines = []\n    tax = 19\n\n    def __init__(self, owner):\n"
        "        self.owner = owner\n\n    def add(self, line):\n"
        "        self.lines.append(line)\n",
        after="class Cart:\n    tax = 19\n\n    def __init__(self, owner):\n"
        "        self.lines = []\n        self.owner = owner\n\n    def add(self, line):\n"
        "        self.lines.append(line)\n",
        line=9,
    ),
    Example(
        before="class Cart:\n    lines: list[str] = []\n\n    def add(self, line):\n"
        "        self.lines.append(line)\n",
        after="class Cart:\n    def __init__(self):\n        self.lines: list[str] = []\n\n"
        "    def add(self, line):\n        self.lines.append(line)\n",
        line=5,
    ),
    kinds=frozenset({"state", "error"}),
    fault=True,
)
