"""What code changes in place: containers that outlive a call, and who can see the change."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from selfheal.codebase.index import FunctionNode, dotted, own_nodes

MUTATORS = frozenset(
    [
        "append",
        "add",
        "extend",
        "update",
        "insert",
        "setdefault",
        "pop",
        "popitem",
        "remove",
        "discard",
        "clear",
        "sort",
        "reverse",
        "appendleft",
        "popleft",
        "extendleft",
        "rotate",
        "subtract",
        "difference_update",
        "intersection_update",
        "symmetric_difference_update",
    ]
)

_MUTABLE_TYPES = frozenset(
    [
        "list",
        "dict",
        "set",
        "bytearray",
        "defaultdict",
        "OrderedDict",
        "Counter",
        "deque",
        "WeakKeyDictionary",
    ]
)


def is_mutable_value(node: ast.expr | None) -> bool:
    """Whether an expression makes a list, a dictionary, a set or another mutable container."""
    if isinstance(node, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp):
        return True
    return isinstance(node, ast.Call) and dotted(node.func).rpartition(".")[2] in _MUTABLE_TYPES


def defaults_of(function: FunctionNode) -> list[tuple[ast.arg, ast.expr]]:
    """Each parameter that has a default, with it."""
    arguments = function.args
    plain = [*arguments.posonlyargs, *arguments.args]
    pairs = list(zip(plain[::-1], arguments.defaults[::-1], strict=False))[::-1]
    keyword = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return [*pairs, *((argument, value) for argument, value in keyword if value is not None)]


def changes_of(nodes: Iterable[ast.AST], text: str) -> list[ast.AST]:
    """The nodes that change in place what `text` (a name or ``self.name``) holds."""
    found: list[ast.AST] = []
    for node in nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in MUTATORS and dotted(node.func.value) == text:
                found.append(node)
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            if dotted(node.value) == text:
                found.append(node)
        elif isinstance(node, ast.AugAssign) and dotted(node.target) == text:
            found.append(node)
    return found


def escapes(function: FunctionNode, name: str) -> list[ast.AST]:
    """Where a function lets others keep what a local name holds: returned, yielded or stored."""
    found: list[ast.AST] = []
    for node in own_nodes(function):
        if isinstance(node, ast.Return | ast.Yield) and is_name(node.value, name):
            found.append(node)
        elif isinstance(node, ast.Assign) and is_name(node.value, name):
            found += [node for target in node.targets if not isinstance(target, ast.Name)][:1]
    return found


def is_name(node: ast.AST | None, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def class_values(owner: ast.ClassDef) -> dict[str, ast.stmt]:
    """The class attributes that hold a mutable container, with the statement that makes it."""
    found: dict[str, ast.stmt] = {}
    for node in owner.body:
        if isinstance(node, ast.Assign) and is_mutable_value(node.value):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            found |= dict.fromkeys(names, node)
        elif isinstance(node, ast.AnnAssign) and is_mutable_value(node.value):
            shared = "ClassVar" in ast.unparse(node.annotation)
            if isinstance(node.target, ast.Name) and not shared:
                found[node.target.id] = node
    return found


def assigned_on_self(owner: ast.ClassDef) -> set[str]:
    """The attributes that some method of a class binds on its instance."""
    return {
        target.attr
        for method in owner.body
        if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef) and method.args.args
        for node in own_nodes(method)
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Attribute) and dotted(target.value) == method.args.args[0].arg
    }


def changed_in_class(owner: ast.ClassDef, attribute: str) -> bool:
    """Whether some method of a class changes an attribute of its instance in place."""
    return any(
        bool(changes_of(own_nodes(method), f"{method.args.args[0].arg}.{attribute}"))
        for method in owner.body
        if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef) and method.args.args
    )


def module_values(tree: ast.Module) -> dict[str, ast.stmt]:
    """The names that a module binds at its top level, with the last statement that does."""
    found: dict[str, ast.stmt] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            found |= {target.id: node for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = node
    return found


def value_of(statement: ast.stmt) -> ast.expr | None:
    return statement.value if isinstance(statement, ast.Assign | ast.AnnAssign) else None


def local_names(function: FunctionNode) -> set[str]:
    """The names that are a function's own: its parameters, and what it binds without ``global``."""
    shared = {
        name
        for node in own_nodes(function)
        if isinstance(node, ast.Global | ast.Nonlocal)
        for name in node.names
    }
    bound = {
        node.id
        for node in own_nodes(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del)
    }
    arguments = {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)}
    return (bound | arguments) - shared


def is_decorated(function: FunctionNode, *names: str) -> bool:
    return any(
        dotted(node.func if isinstance(node, ast.Call) else node).rpartition(".")[2] in names
        for node in function.decorator_list
    )


def shared_aliases(function: FunctionNode, tree: ast.Module) -> list[ast.Assign]:
    """``name = SHARED`` or ``name = SHARED[key]`` of a module's container, changed in place later.

    The local name is bound once, so that what it changes is what the module holds.
    """
    own = local_names(function)
    shared = {
        name for name, each in module_values(tree).items() if is_mutable_value(value_of(each))
    } - own
    found = []
    for node in own_nodes(function):
        if not isinstance(node, ast.Assign) or len(node.targets) > 1:
            continue
        target, value = node.targets[0], node.value
        root = value.value if isinstance(value, ast.Subscript) else value
        if not isinstance(target, ast.Name) or dotted(root) not in shared:
            continue
        bindings = [
            each
            for each in own_nodes(function)
            if is_name(each, target.id) and isinstance(getattr(each, "ctx", None), ast.Store)
        ]
        if len(bindings) == 1 and changes_of(own_nodes(function), target.id):
            found.append(node)
    return found


def element_changes(function: FunctionNode, name: str) -> list[ast.AST]:
    """Where a loop over what a local name holds changes the elements in place."""
    return [
        changed
        for node in own_nodes(function)
        if isinstance(node, ast.For) and is_name(node.iter, name)
        if isinstance(node.target, ast.Name)
        for changed in changes_of(
            [each for part in node.body for each in ast.walk(part)], node.target.id
        )
        if not isinstance(changed, ast.AugAssign)
    ]
