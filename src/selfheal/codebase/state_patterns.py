"""Shapes of code that let state outlive a call or be shared by callers, found in the syntax tree.

The shapes are those of the language's own warnings (the Python FAQ on default values and
on shared class attributes, pylint's ``dangerous-default-value``, ``consider-using-with``,
``lru-cache``) and of work on aliasing and on leaks of listeners and caches (Clarke,
Potter, Noble, "Ownership types for flexible alias protection", OOPSLA 1998; Jump,
McKinley, "Cork: dynamic memory leak detection", POPL 2007). A shape alone accuses nobody:
it counts together with state that production saw change.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Literal

from selfheal.artifacts.model import Model
from selfheal.codebase.index import FunctionNode, dotted, own_nodes, scopes
from selfheal.codebase.leaks import (
    cache_stores,
    cached,
    kept_listeners,
    kept_settings,
    late_restores,
    unbounded_decorator,
    unclosed,
)
from selfheal.codebase.mutation import (
    assigned_on_self,
    changed_in_class,
    changes_of,
    class_values,
    defaults_of,
    element_changes,
    escapes,
    is_decorated,
    is_mutable_value,
    local_names,
    module_values,
    shared_aliases,
    value_of,
)

StatePatternKind = Literal[
    "mutable_default",
    "shared_class_attribute",
    "module_global",
    "argument_changed",
    "missing_copy",
    "growing_cache",
    "unclosed_resource",
    "listener_kept",
    "setting_kept",
]


class StatePattern(Model):
    """One shape at a line; `name` is the parameter, attribute, global or call that it is about."""

    kind: StatePatternKind
    line: int
    name: str
    explanation: str


def find_state_patterns(source: str, function: str = "") -> list[StatePattern]:
    """The shapes in one function of a file by its qualified name (empty: in all), by line.

    A file that does not parse has none, nor has a function that is not there.
    """
    try:
        tree = ast.parse(source.removeprefix("\ufeff"))
    except (SyntaxError, ValueError, RecursionError):
        return []
    found: set[tuple[int, str, StatePatternKind, str]] = set()
    for name, node, parent in scopes(tree):
        if isinstance(node, ast.ClassDef) or (function and name != function):
            continue
        owner = parent if isinstance(parent, ast.ClassDef) else None
        for pattern in _in_function(node, owner, tree):
            found.add((pattern.line, pattern.name, pattern.kind, pattern.explanation))
    return [
        StatePattern(kind=kind, line=line, name=name, explanation=explanation)
        for line, name, kind, explanation in sorted(found)
    ]


def _in_function(
    node: FunctionNode, owner: ast.ClassDef | None, tree: ast.Module
) -> Iterator[StatePattern]:
    yield from _defaults(node)
    yield from _globals(node, owner, tree)
    yield from _arguments(node)
    yield from _shared(node, tree)
    yield from _caches(node, owner, tree)
    yield from _resources(node)
    yield from _listeners(node, owner, tree)
    yield from _settings(node)
    if owner is not None:
        yield from _class_attributes(node, owner)
        yield from _aliases(node, owner)


def _defaults(function: FunctionNode) -> Iterator[StatePattern]:
    for argument, value in defaults_of(function):
        if not is_mutable_value(value):
            continue
        name = argument.arg
        changed = changes_of(own_nodes(function), name)
        kept = escapes(function, name)
        if changed or kept:
            how = "changed" if changed else "handed out"
            yield StatePattern(
                kind="mutable_default",
                line=value.lineno,
                name=name,
                explanation=f"the default `{ast.unparse(value)}` of {name} is made once and {how} "
                f"in {function.name}: every later call sees it",
            )


def _class_attributes(function: FunctionNode, owner: ast.ClassDef) -> Iterator[StatePattern]:
    if not function.args.args or is_decorated(function, "classmethod", "staticmethod"):
        return
    self_name, bound = function.args.args[0].arg, assigned_on_self(owner)
    for name, statement in class_values(owner).items():
        if name in bound:
            continue
        for node in changes_of(own_nodes(function), f"{self_name}.{name}"):
            yield StatePattern(
                kind="shared_class_attribute",
                line=getattr(node, "lineno", statement.lineno),
                name=name,
                explanation=f"{self_name}.{name} is the one of the class {owner.name} (line "
                f"{statement.lineno}), which all its instances share",
            )


def _globals(
    function: FunctionNode, owner: ast.ClassDef | None, tree: ast.Module
) -> Iterator[StatePattern]:
    own, values = local_names(function), module_values(tree)
    own |= {dotted(store.value) for store in cached(function, owner, tree)}
    declared = {
        name: node
        for node in own_nodes(function)
        if isinstance(node, ast.Global)
        for name in node.names
    }
    for name, statement in sorted(values.items()):
        if name in own:
            continue
        changed = changes_of(own_nodes(function), name)
        if name in declared:
            changed += [
                node
                for node in own_nodes(function)
                if isinstance(node, ast.Name)
                and node.id == name
                and isinstance(node.ctx, ast.Store)
            ]
        elif not is_mutable_value(value_of(statement)):
            continue
        if changed:
            line = min(getattr(node, "lineno", function.lineno) for node in changed)
            yield StatePattern(
                kind="module_global",
                line=line,
                name=name,
                explanation=f"{function.name} changes the module's {name} (line "
                f"{statement.lineno}), which outlives the call",
            )


def _arguments(function: FunctionNode) -> Iterator[StatePattern]:
    """Parameters that are changed in place; those whose name is bound anew are the function's own."""
    parameters = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    rebound = {
        node.id
        for node in own_nodes(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    with_default = {argument.arg for argument, _ in defaults_of(function)}
    for argument in parameters:
        name = argument.arg
        if name in ("self", "cls") or name in rebound or name in with_default:
            continue
        changed = changes_of(own_nodes(function), name) + element_changes(function, name)
        for node in changed:
            yield StatePattern(
                kind="argument_changed",
                line=getattr(node, "lineno", function.lineno),
                name=name,
                explanation=f"{function.name} changes its argument {name} in place: "
                "the caller's own value changes",
            )


def _shared(function: FunctionNode, tree: ast.Module) -> Iterator[StatePattern]:
    for node in shared_aliases(function, tree):
        text = ast.unparse(node.value)
        yield StatePattern(
            kind="missing_copy",
            line=node.lineno,
            name=text,
            explanation=f"{ast.unparse(node.targets[0])} is the module's own {text}, not a copy, "
            f"and {function.name} changes it",
        )


def _aliases(function: FunctionNode, owner: ast.ClassDef) -> Iterator[StatePattern]:
    """An argument kept, or an attribute handed out, uncopied where the class changes it."""
    if not function.args.args:
        return
    self_name = function.args.args[0].arg
    parameters = {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)}
    for node in own_nodes(function):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
            for target in node.targets:
                if (
                    isinstance(target, ast.Attribute)
                    and dotted(target.value) == self_name
                    and node.value.id in parameters
                    and changed_in_class(owner, target.attr)
                ):
                    yield StatePattern(
                        kind="missing_copy",
                        line=node.lineno,
                        name=target.attr,
                        explanation=f"{owner.name} keeps the caller's own {node.value.id} "
                        f"and changes it later",
                    )
        elif isinstance(node, ast.Return) and isinstance(node.value, ast.Attribute):
            attribute = node.value
            if dotted(attribute.value) == self_name and changed_in_class(owner, attribute.attr):
                yield StatePattern(
                    kind="missing_copy",
                    line=node.lineno,
                    name=attribute.attr,
                    explanation=f"{function.name} hands out {owner.name}'s own {attribute.attr}: "
                    "callers can change it, and see it change",
                )


def _caches(
    function: FunctionNode, owner: ast.ClassDef | None, tree: ast.Module
) -> Iterator[StatePattern]:
    decorator = unbounded_decorator(function)
    if decorator is not None:
        yield StatePattern(
            kind="growing_cache",
            line=decorator.lineno,
            name=function.name,
            explanation=f"`{ast.unparse(decorator)}` keeps every result of {function.name} for ever",
        )
    for store in cache_stores(function, owner, tree):
        name = dotted(store.value)
        yield StatePattern(
            kind="growing_cache",
            line=store.lineno,
            name=name,
            explanation=f"{function.name} adds to {name} with each new key, and nothing ever "
            "takes one out",
        )


def _resources(function: FunctionNode) -> Iterator[StatePattern]:
    for call in unclosed(function):
        yield StatePattern(
            kind="unclosed_resource",
            line=call.lineno,
            name=dotted(call.func),
            explanation=f"`{ast.unparse(call)}` is not closed where {function.name} fails or leaves",
        )


def _listeners(
    function: FunctionNode, owner: ast.ClassDef | None, tree: ast.Module
) -> Iterator[StatePattern]:
    for call in kept_listeners(function, owner, tree):
        yield StatePattern(
            kind="listener_kept",
            line=call.lineno,
            name=dotted(call.func),
            explanation=f"each call of {function.name} registers one more listener "
            f"(`{ast.unparse(call)}`), and nothing removes it",
        )


def _settings(function: FunctionNode) -> Iterator[StatePattern]:
    for statement, name in kept_settings(function):
        yield StatePattern(
            kind="setting_kept",
            line=statement.lineno,
            name=name,
            explanation=f"{function.name} changes {name} for the whole process, and does not put it "
            "back where it fails",
        )
    for change, later in late_restores(function):
        name = ast.unparse(change).partition(" = ")[0]
        yield StatePattern(
            kind="setting_kept",
            line=change.lineno,
            name=name,
            explanation=f"{function.name} puts {name} back in line {later.lineno}, but not where "
            "the code between fails",
        )
