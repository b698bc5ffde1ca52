"""Functions as documents tell of them: parameters and defaults, and values that are literals."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from selfheal.analysis.docstrings import Text

Function = ast.FunctionDef | ast.AsyncFunctionDef
MISSING = object()


class Signature(NamedTuple):
    """The parameters of a function as a caller sees them, with the sources of their defaults."""

    name: str
    file: str
    parameters: dict[str, str | None]
    open: bool
    text: str


class Module(NamedTuple):
    """A Python file that parses."""

    file: str
    read: Text
    tree: ast.Module


def modules_of(texts: Mapping[str, str]) -> Iterator[Module]:
    """The Python files among texts that parse, by path."""
    for file in sorted(texts):
        if file.endswith(".py"):
            try:
                tree = ast.parse(texts[file].removeprefix("\ufeff"))
            except (SyntaxError, ValueError):
                continue
            yield Module(file, Text(texts[file]), tree)


def signature_of(module: Module, function: Function) -> Signature:
    """A function's parameters without ``self`` and ``cls``; `open` where it takes any keyword."""
    arguments = function.args
    every = _own(function)
    defaults = _defaults(function)
    starred = [arguments.vararg] if arguments.vararg else []
    names = [each.arg for each in (*every, *starred, *arguments.kwonlyargs)]
    parameters = {
        name: module.read.source(defaults[name]) if name in defaults else None for name in names
    }
    written = _written(function, parameters)
    return Signature(function.name, module.file, parameters, arguments.kwarg is not None, written)


def _own(function: Function) -> list[ast.arg]:
    every = [*function.args.posonlyargs, *function.args.args]
    return every[1:] if every and every[0].arg in ("self", "cls") else every


def _defaults(function: Function) -> dict[str, ast.expr]:
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    with_default = positional[len(positional) - len(arguments.defaults) :]
    found = {each.arg: node for each, node in zip(with_default, arguments.defaults, strict=True)}
    keywords = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return found | {each.arg: node for each, node in keywords if node is not None}


def _written(function: Function, parameters: Mapping[str, str | None]) -> str:
    """The parameters as a signature tells them: names and defaults, without types."""

    def word(each: ast.arg) -> str:
        default = parameters[each.arg]
        return each.arg if default is None else f"{each.arg}={default}"

    arguments = function.args
    words = [word(each) for each in _own(function)]
    if arguments.vararg:
        words.append(f"*{arguments.vararg.arg}")
    elif arguments.kwonlyargs:
        words.append("*")
    return ", ".join([*words, *(word(each) for each in arguments.kwonlyargs)])


def facts_of(module: Module, function: Function, name: str) -> tuple[str, str]:
    """The annotation and the default of a parameter as they are written, as far as there are any."""
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    annotation = next((each.annotation for each in every if each.arg == name), None)
    default = _defaults(function).get(name)
    return (
        module.read.source(annotation) if annotation is not None else "",
        module.read.source(default) if default is not None else "",
    )


def literal(source: str) -> Any:
    """The value that a literal writes; `MISSING` for what is none."""
    try:
        return ast.literal_eval(source)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return MISSING


def are_numbers(one: Any, other: Any) -> bool:
    """Whether two values are numbers, and neither is a truth value."""
    kinds = (int, float)
    return all(isinstance(each, kinds) and not isinstance(each, bool) for each in (one, other))


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal and of one type, or equal numbers."""
    return bool(one == other and (type(one) is type(other) or are_numbers(one, other)))


def arguments_of(text: str) -> dict[str, str | None] | None:
    """Names and defaults of what reads as a signature; None for what does not, or is a call."""
    try:
        source = f"def f({text}): ..."
        module = Module("", Text(source), ast.parse(source))
    except SyntaxError:
        return None
    node = module.tree.body[0]
    if not isinstance(node, ast.FunctionDef) or node.args.kwarg:
        return None
    return signature_of(module, node).parameters or None
