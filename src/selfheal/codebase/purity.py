"""Whether a function's result depends on its arguments alone, and may be kept.

A conservative effect analysis in the sense of Sălcianu and Rinard, "Purity and side effect
analysis for Java programs" (VMCAI 2005): what is not known to be harmless is refused. A
result may be kept if in addition arguments are told apart by value (immutable, hashable)
and callers cannot change what they are given (immutable results).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from selfheal.codebase.costly_shapes import imported_names
from selfheal.codebase.index import FunctionNode, dotted, own_nodes
from selfheal.codebase.mutation import (
    changes_of,
    is_mutable_value,
    local_names,
    module_values,
    value_of,
)

_BUILTINS_WORDS = """
    abs all any ascii bin bool bytes chr complex dict divmod enumerate filter float format
    frozenset hex int isinstance issubclass len list map max min oct ord pow range repr reversed
    round set slice sorted str sum tuple zip True False None"""
_BUILTINS = frozenset(_BUILTINS_WORDS.split())
_MODULES = frozenset(["math", "re", "operator", "string", "unicodedata", "textwrap"])
_METHODS_WORDS = """
    split rsplit splitlines join strip lstrip rstrip lower upper casefold title capitalize
    replace removeprefix removesuffix startswith endswith find rfind index rindex count get items
    keys values format encode decode isdigit isalpha isalnum isspace islower isupper isnumeric
    isdecimal partition rpartition zfill center ljust rjust translate bit_length bit_count
    union intersection difference issubset issuperset copy group groups match search fullmatch
    findall sub"""
_METHODS = frozenset(_METHODS_WORDS.split())
_TEXT_METHODS_WORDS = """
    join strip lstrip rstrip lower upper casefold title capitalize replace removeprefix
    removesuffix format encode decode zfill center ljust rjust translate bit_length bit_count
    count find rfind index rindex startswith endswith isdigit isalpha isalnum sub"""
_TEXT_METHODS = frozenset(_TEXT_METHODS_WORDS.split())
_IMMUTABLE_CALLS_WORDS = """
    abs bin bool bytes chr complex divmod float format frozenset hex int len oct ord repr round
    str isinstance all any"""
_IMMUTABLE_CALLS = frozenset(_IMMUTABLE_CALLS_WORDS.split())
_IMMUTABLE_TYPES = frozenset(["int", "str", "bool", "bytes", "None", "date", "datetime", "Path"])
_REFUSED = (
    ast.Global,
    ast.Nonlocal,
    ast.With,
    ast.AsyncWith,
    ast.AsyncFor,
    ast.Yield,
    ast.YieldFrom,
    ast.Await,
    ast.Import,
    ast.ImportFrom,
    ast.Delete,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
)


def may_be_kept(function: FunctionNode, tree: ast.Module) -> bool:
    """Whether the results of a module's function may be cached by its arguments."""
    plain = isinstance(function, ast.FunctionDef) and function in tree.body
    arguments = function.args
    if not plain or function.decorator_list or arguments.vararg or arguments.kwarg:
        return False
    parameters = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    if not parameters or not all(_by_value(each, function) for each in parameters):
        return False
    return is_pure(function, tree) and _gives_immutable(function, tree)


def is_pure(function: FunctionNode, tree: ast.Module, within: frozenset[str] = frozenset()) -> bool:
    """Whether a function has no effect and reads nothing that changes, as far as can be seen.

    `within` are the functions under examination: a recursion is as pure as the rest of it.
    """
    within |= {function.name}
    nodes = [each for part in function.body for each in (part, *own_nodes(part))]
    if any(isinstance(node, _REFUSED) for node in nodes):
        return False
    own = local_names(function)
    return (
        all(_stores_locally(node, own, function) for node in nodes)
        and all(_harmless_call(node, function, own, tree) for node in nodes)
        and all(_constant(name, tree, within) for name in _outer_names(nodes, own))
    )


def _stores_locally(node: ast.AST, own: set[str], function: FunctionNode) -> bool:
    """Nothing is stored into what came from outside: neither by attribute, nor item, nor ``+=``."""
    if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
        return False
    if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
        return _is_fresh(dotted(node.value), function)
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
        return node.target.id in own
    return True


def _is_fresh(name: str, function: FunctionNode) -> bool:
    """Whether a local name holds only containers that the function made itself."""
    values = [
        node.value
        for node in own_nodes(function)
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if dotted(target) == name
    ]
    bound = [
        node
        for node in own_nodes(function)
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store)
    ]
    made = [value for value in values if is_mutable_value(value) or _makes_list(value)]
    return bool(values) and len(made) == len(values) == len(bound)


def _makes_list(value: ast.expr | None) -> bool:
    return isinstance(value, ast.BinOp) and isinstance(value.left, ast.List)


def _harmless_call(node: ast.AST, function: FunctionNode, own: set[str], tree: ast.Module) -> bool:
    if not isinstance(node, ast.Call):
        return True
    name = dotted(node.func)
    root, _, last = name.rpartition(".")
    if isinstance(node.func, ast.Attribute):
        imported = imported_names(tree).get(root, "")
        if imported in _MODULES or last in _METHODS:
            return True
        return bool(changes_of([node], root)) and _is_fresh(root, function)
    known = name in _BUILTINS or name in _functions(tree)
    return (known and name not in own) or _raised(node, function)


def _raised(call: ast.Call, function: FunctionNode) -> bool:
    """The exception that a ``raise`` makes: what fails is not kept."""
    return any(isinstance(node, ast.Raise) and node.exc is call for node in own_nodes(function))


def _outer_names(nodes: list[ast.AST], own: set[str]) -> set[str]:
    raised = {
        id(each)
        for node in nodes
        if isinstance(node, ast.Raise | ast.ExceptHandler)
        for head in (node.exc if isinstance(node, ast.Raise) else node.type,)
        if head is not None
        for each in ast.walk(head)
    }
    inner = {
        each.id
        for node in nodes
        if isinstance(node, ast.comprehension)
        for each in ast.walk(node.target)
        if isinstance(each, ast.Name)
    }
    return {
        node.id
        for node in nodes
        if isinstance(node, ast.Name)
        and isinstance(node.ctx, ast.Load)
        and node.id not in own | inner
        and id(node) not in raised
    }


def _functions(tree: ast.Module) -> dict[str, FunctionNode]:
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


def _constant(name: str, tree: ast.Module, within: frozenset[str]) -> bool:
    """A name from outside that always means the same: a builtin, a constant, a pure function."""
    if name in within or imported_names(tree).get(name) in _MODULES:
        return True
    called = _functions(tree).get(name)
    if called is not None:
        return is_pure(called, tree, within)
    statement = module_values(tree).get(name)
    if statement is None:
        return name in _BUILTINS
    bindings = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id == name and not isinstance(node.ctx, ast.Load)
    ]
    if len(bindings) != 1:
        return False
    value = value_of(statement)
    if value is None or not all(_is_literal(each) for each in ast.walk(value)):
        return False
    return not changes_of(ast.walk(tree), name)


def _is_literal(node: ast.AST) -> bool:
    return isinstance(
        node,
        ast.Constant
        | ast.Tuple
        | ast.List
        | ast.Dict
        | ast.Set
        | ast.UnaryOp
        | ast.BinOp
        | ast.unaryop
        | ast.operator
        | ast.expr_context,
    )


def _by_value(argument: ast.arg, function: FunctionNode) -> bool:
    """Whether an argument is immutable: by its annotation, else a number or a text by its use.

    Floats are told apart by ``==`` alone, which does not tell 0.0 from -0.0.
    """
    if argument.annotation is not None:
        return _immutable_annotation(argument.annotation)
    return any(_shows_value(node, argument.arg) for node in own_nodes(function))


def _immutable_annotation(annotation: ast.expr) -> bool:
    text = annotation.value if isinstance(annotation, ast.Constant) else ast.unparse(annotation)
    if text is None:
        return True
    parts = [part.strip() for part in str(text).split("|")]
    if str(text).startswith(("tuple[", "frozenset[")):
        inner = str(text).partition("[")[2].rstrip("]").replace("...", "None")
        parts = [part.strip() for part in inner.split(",")]
    return all(part.rpartition(".")[2] in _IMMUTABLE_TYPES for part in parts)


def _shows_value(node: ast.AST, name: str) -> bool:
    if isinstance(node, ast.BinOp) and not isinstance(node.op, ast.Mult | ast.MatMult):
        sides = (node.left, node.right)
        return any(_is(each, name) for each in sides) and any(_is_integer(each) for each in sides)
    if isinstance(node, ast.Compare) and _is(node.left, name):
        ordered = isinstance(node.ops[0], ast.Lt | ast.LtE | ast.Gt | ast.GtE)
        return ordered and _is_integer(node.comparators[0])
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr in ("startswith", "lower", "upper", "strip", "encode") and _is(
            node.func.value, name
        )
    return False


def _is(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _is_integer(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is int


def _gives_immutable(function: FunctionNode, tree: ast.Module) -> bool:
    if function.returns is not None:
        text = ast.unparse(function.returns)
        return text in ("float", "'float'") or _immutable_annotation(function.returns)
    returned = [node.value for node in own_nodes(function) if isinstance(node, ast.Return)]
    constants = {
        name
        for name, statement in module_values(tree).items()
        if isinstance(value_of(statement), ast.Constant)
    }
    known = frozenset(constants - local_names(function))
    return all(value is None or _immutable(value, function, known) for value in returned)


def _immutable(node: ast.expr, function: FunctionNode, seen: frozenset[str]) -> bool:
    """Whether an expression gives something that nobody can change."""
    if isinstance(node, ast.Constant | ast.Compare | ast.JoinedStr):
        return True
    if isinstance(node, ast.Name):
        return node.id in seen or _immutable_name(node.id, function, seen | {node.id})
    if isinstance(node, ast.Call):
        name = dotted(node.func)
        if isinstance(node.func, ast.Attribute):
            root = name.rpartition(".")[0]
            return root == "math" or node.func.attr in _TEXT_METHODS
        if name in ("sum", "min", "max"):
            return all(_immutable_elements(each, function, seen) for each in node.args)
        return name == function.name or name in _IMMUTABLE_CALLS
    parts = _parts(node)
    return parts is not None and all(_immutable(each, function, seen) for each in parts)


def _parts(node: ast.expr) -> list[ast.expr] | None:
    if isinstance(node, ast.BinOp):
        return [node.left, node.right]
    if isinstance(node, ast.BoolOp):
        return node.values
    if isinstance(node, ast.IfExp):
        return [node.body, node.orelse]
    if isinstance(node, ast.Tuple):
        return node.elts
    if isinstance(node, ast.UnaryOp):
        return [node.operand]
    return [node.value] if isinstance(node, ast.Subscript) else None


def _immutable_elements(node: ast.expr, function: FunctionNode, seen: frozenset[str]) -> bool:
    if isinstance(node, ast.GeneratorExp | ast.ListComp):
        return _immutable(node.elt, function, seen)
    if isinstance(node, ast.List | ast.Tuple):
        return all(_immutable(each, function, seen) for each in node.elts)
    return _immutable(node, function, seen)


def _immutable_name(name: str, function: FunctionNode, seen: frozenset[str]) -> bool:
    parameters = {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)}
    values = list(_values_of(name, function))
    known = all(value is not None and _immutable(value, function, seen) for value in values)
    return known and (bool(values) or name in parameters)


def _values_of(name: str, function: FunctionNode) -> Iterator[ast.expr | None]:
    """What a local name is bound to; None for a binding that says nothing (a loop's target)."""
    for node in own_nodes(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if _is(target, name):
                    yield node.value
                elif isinstance(target, ast.Tuple | ast.List):
                    yield from _unpacked(target, node.value, name)
        elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr):
            if _is(node.target, name):
                yield node.value
        elif isinstance(node, ast.For | ast.comprehension) and _binds(node.target, name):
            over_range = isinstance(node.iter, ast.Call) and _is(node.iter.func, "range")
            yield ast.Constant(0) if over_range else None


def _binds(target: ast.expr, name: str) -> bool:
    return any(_is(each, name) for each in ast.walk(target))


def _unpacked(
    target: ast.Tuple | ast.List, value: ast.expr, name: str
) -> Iterator[ast.expr | None]:
    """``a, b = b, a + b``: each name's own part."""
    if not _binds(target, name):
        return
    if isinstance(value, ast.Tuple) and len(value.elts) == len(target.elts):
        for each, part in zip(target.elts, value.elts, strict=True):
            if _is(each, name):
                yield part
    else:
        yield None
