"""What stands around a suspicious statement: names with their kinds, and pieces to reuse.

Fixes are mostly made of code that the program has already (Barr et al., "The plastic
surgery hypothesis", FSE 2014), most of it in the same function or file.
"""

from __future__ import annotations

import ast
import builtins
from collections import Counter
from collections.abc import Sequence
from functools import cached_property

from selfheal.codebase.mutation import defaults_of
from selfheal.repair.edits.definitions import (
    head_of,
    last_name,
    outermost,
    parameters,
    qualified_name,
)
from selfheal.repair.edits.kinds import Kinds
from selfheal.repair.edits.model import ChangedFunction
from selfheal.repair.edits.module import Module
from selfheal.repair.source import FUNCTIONS, Function, first_line, walk_own


class Scope:
    """A function of a module (None: the module level), its names and its reusable pieces."""

    def __init__(self, module: Module, function: Function | None) -> None:
        self.module = module
        self.source = module.source
        self.function = function
        self.root: ast.AST = function if function is not None else module.source.tree
        self.nodes: list[ast.AST] = list(walk_own(self.root))
        self.kinds = Kinds(self.root, self.nodes)

    @cached_property
    def parameters(self) -> list[str]:
        return parameters(self.function) if self.function else []

    @cached_property
    def given(self) -> list[str]:
        """Parameters that callers give: without the object or the class itself."""
        return [name for name in self.parameters if name not in ("self", "cls")]

    @cached_property
    def optional(self) -> frozenset[str]:
        """Parameters that are None unless they are given."""
        if self.function is None:
            return frozenset()
        return frozenset(
            parameter.arg
            for parameter, default in defaults_of(self.function)
            if isinstance(default, ast.Constant) and default.value is None
        )

    @cached_property
    def variadic(self) -> frozenset[str]:
        """``args`` and ``kwargs`` of ``*args, **kwargs``: never None."""
        given = (self.function.args.vararg, self.function.args.kwarg) if self.function else ()
        return frozenset(each.arg for each in given if each is not None)

    @cached_property
    def locals(self) -> list[str]:
        """Parameters, then names in the order in which they are bound."""
        found = list(self.parameters)
        for node in self.nodes:
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                found.append(node.id)
        return list(dict.fromkeys(found))

    @cached_property
    def nameable(self) -> frozenset[str]:
        """Names that code here may use: those that it can read, the module's, the builtins."""
        return frozenset((*self.readable, *self.module.names, *dir(builtins)))

    @cached_property
    def readable(self) -> list[str]:
        """Names that hold values here: own, of functions around, constants of the module."""
        found = list(self.locals)
        for around in self.source.ancestors(self.root):
            if isinstance(around, FUNCTIONS):
                found += self.module.scope(around).locals
        used = {node.id for node in self.nodes if isinstance(node, ast.Name)}
        callables = set(self.module.functions)
        found += [
            name
            for name in self.module.names
            if (name in used or name.isupper()) and name not in callables and name != "_"
        ]
        return list(dict.fromkeys(found))

    @cached_property
    def class_(self) -> ast.ClassDef | None:
        """The class whose method this is, or in whose body."""
        for around in [self.root, *self.source.ancestors(self.root)]:
            if isinstance(around, ast.ClassDef):
                return around
        return None

    @cached_property
    def self_name(self) -> str | None:
        """The first parameter of a method."""
        parent = self.source.parent(self.root)
        if isinstance(parent, ast.ClassDef) and self.parameters:
            return self.parameters[0]
        return None

    @cached_property
    def segments(self) -> dict[str, list[tuple[int, int]]]:
        """Where names, attributes and constants of the function stand, by their text."""
        found: dict[str, list[tuple[int, int]]] = {}
        for node in self.nodes:
            if not isinstance(node, ast.Name | ast.Attribute | ast.Constant):
                continue
            if not isinstance(self.source.parent(node), ast.JoinedStr | ast.FormattedValue):
                start, stop = self.source.span(node)
                found.setdefault(self.source.text[start:stop], []).append((start, stop))
        return found

    @cached_property
    def own_attributes(self) -> dict[str, str | None]:
        """The attributes that methods of the class set on self, with their kinds."""
        found: dict[str, str | None] = {}
        for node in ast.walk(self.class_) if self.class_ is not None else ():
            for target in node.targets if isinstance(node, ast.Assign) else ():
                name = target.attr if self._is_own(target) else None  # type: ignore[attr-defined]
                if name and found.get(name) is None:
                    found[name] = self.kinds.of(node.value)  # type: ignore[attr-defined]
        return found

    @cached_property
    def own_unchanged(self) -> frozenset[str]:
        """Attributes of self that the class sets once, to a constant."""
        counts: Counter[str] = Counter()
        constant: set[str] = set()
        for node in ast.walk(self.class_) if self.class_ is not None else ():
            if self._is_own(node) and not isinstance(node.ctx, ast.Load):  # type: ignore[attr-defined]
                counts[node.attr] += 1  # type: ignore[attr-defined]
                parent = self.source.parent(node)
                if isinstance(parent, ast.Assign) and isinstance(parent.value, ast.Constant):
                    constant.add(node.attr)  # type: ignore[attr-defined]
        return frozenset(name for name in constant if counts[name] == 1)

    @cached_property
    def own_names(self) -> list[str]:
        """The attributes of self that the class uses and that are no methods of it."""
        if self.class_ is None:
            return []
        methods = {each.name for each in self.class_.body if isinstance(each, ast.FunctionDef)}
        used = [node for node in ast.walk(self.class_) if self._is_own(node)]
        names = [node.attr for node in used]  # type: ignore[attr-defined]
        return [name for name in dict.fromkeys(names) if name not in methods]

    @cached_property
    def own_unread(self) -> frozenset[str]:
        """Attributes of self that the class sets and does not read."""
        read: set[str] = set()
        for node in ast.walk(self.class_) if self.class_ is not None else ():
            if self._is_own(node) and isinstance(node.ctx, ast.Load):  # type: ignore[attr-defined]
                read.add(node.attr)  # type: ignore[attr-defined]
        return frozenset(self.own_attributes) - read

    def _is_own(self, node: ast.AST) -> bool:
        """An attribute of self."""
        return (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == self.self_name
        )

    @cached_property
    def conditions(self) -> list[ast.expr]:
        """Conditions of this function and the terms that they are made of, in order."""
        found: list[ast.expr] = []
        for node in self.nodes:
            if isinstance(node, ast.If | ast.While | ast.IfExp | ast.Assert):
                found.append(node.test)
            elif isinstance(node, ast.comprehension):
                found += node.ifs
        for node in list(found):
            if isinstance(node, ast.BoolOp):
                found += node.values
        return found

    @cached_property
    def returned(self) -> list[str]:
        """What the function returns, as text, each once."""
        return list(
            dict.fromkeys(
                self.source.segment(node.value)
                for node in self.nodes
                if isinstance(node, ast.Return) and node.value is not None
            )
        )

    @cached_property
    def unread(self) -> frozenset[str]:
        """Parameters and locals that are never used: the sign of a forgotten use."""
        read = {
            node.id
            for node in ast.walk(self.root)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
        }
        return frozenset(self.locals) - read - {"self", "cls", "_"}

    @cached_property
    def unchanged(self) -> frozenset[str]:
        """Names that are given a constant once and never another value."""
        counts = Counter(
            node.id
            for node in self.nodes
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
        )
        return frozenset(
            node.targets[0].id
            for node in self.nodes
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and isinstance(node.value, ast.Constant)
            and counts[node.targets[0].id] == 1
        )

    @property
    def recursive(self) -> bool:
        name = self.function.name if self.function else None
        return any(
            isinstance(node, ast.Call) and last_name(node.func) == name for node in self.nodes
        )

    @property
    def is_generator(self) -> bool:
        return any(isinstance(node, ast.Yield | ast.YieldFrom) for node in self.nodes)

    def block_of(self, statement: ast.stmt) -> Sequence[ast.stmt]:
        parent = self.source.parent(statement)
        for _, value in ast.iter_fields(parent) if parent is not None else ():
            if isinstance(value, list) and any(each is statement for each in value):
                return value
        return [statement]

    @cached_property
    def changed(self) -> ChangedFunction | None:
        """The function as an edit of its body names it."""
        if self.function is None:
            return None
        outer = outermost(self.source, self.function)
        return ChangedFunction(
            file=self.source.path,
            qualname=qualified_name(self.source, self.function),
            outer=qualified_name(self.source, outer),
            first_line=first_line(outer),
            start=self.source.line_start(first_line(outer)),
            stop=self.source.next_line(outer),
            head=head_of(self.source, outer),
            flags=self.module.flags,
            body_only=True,
        )

    @cached_property
    def body_start(self) -> int:
        """Where the body of the outermost function begins."""
        if self.function is None:
            return 0
        outer = outermost(self.source, self.function)
        if outer.body[0].lineno == outer.lineno:
            return self.source.span(outer.body[0])[0]
        return self.source.line_start(outer.body[0].lineno)
