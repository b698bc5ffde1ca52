"""Gives live functions the code of changed ones, in the process of `forkserver_process`.

Loaded there from its file, in the project's own interpreter, with the standard library alone.
"""

from __future__ import annotations
import __future__

import ast
import gc
import types
from collections.abc import Callable
from typing import Any

Live = dict[types.CodeType, list[types.FunctionType]]


class Unfit(Exception):
    """A change that live functions cannot take."""


def live_functions(own_path: Callable[[str], str | None]) -> dict[str, Live]:
    """All of the project's functions that live, by their file and their code.

    `own_path` tells a file's path in the project, None for other people's code.
    """
    found: dict[str, Live] = {}
    for each in gc.get_objects():
        if type(each) is types.FunctionType:
            path = own_path(each.__code__.co_filename)
            if path is not None:
                found.setdefault(path, {}).setdefault(each.__code__, []).append(each)
    return found


def replace(change: dict[str, Any], live: dict[str, Live]) -> None:
    """Give live functions the code of a changed outermost function.

    `change` has the `file`, the `name` and the possible first `lines` of the function, its
    new `source` with the indentation that it has in its file, and the `classes` around it.
    Functions within it that live already (a decorator's wrapper) are changed too. Where
    `defaults` is true, its parameters' defaults that are literals become those of `source`.
    Raises Unfit where no such function lives or its closure is another.
    """
    own = live.get(change["file"], {})
    for old in own:
        if old.co_firstlineno in change["lines"] and old.co_name == change["name"]:
            _exchange(old, compiled(change, old), own)
            if change["defaults"]:
                for function in own[old]:
                    _set_defaults(change, function)
            return
    raise Unfit("no such function lives")


def compiled(change: dict[str, Any], old: types.CodeType) -> types.CodeType:
    """The code of the changed function, compiled inside of empty classes of the same names."""
    text = _text(change)
    future = 0
    for name in __future__.all_feature_names:
        future |= old.co_flags & getattr(__future__, name).compiler_flag
    code: types.CodeType = compile(text, old.co_filename, "exec", flags=future, dont_inherit=True)
    for name in [*change["classes"], change["name"]]:
        code = _inner(code, name)
    return code


def _text(change: dict[str, Any]) -> str:
    heads = [f"{' ' * depth}class {name}:" for depth, name in enumerate(change["classes"])]
    source: str = change["source"]
    if not heads and source[:1] in " \t":
        heads = ["if 1:"]
    return "\n".join([*heads, source])


def _set_defaults(change: dict[str, Any], function: types.FunctionType) -> None:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = (each for each in ast.walk(ast.parse(_text(change))) if isinstance(each, kinds))
    arguments = next(each for each in nodes if each.name == change["name"]).args
    old = function.__defaults__ or ()
    if len(old) != len(arguments.defaults):
        raise Unfit("it has another number of defaults")
    if old:
        pairs = zip(old, arguments.defaults)  # noqa: B905 (3.9)
        function.__defaults__ = tuple(_value(node, value) for value, node in pairs)
    for name, node in zip(arguments.kwonlyargs, arguments.kw_defaults):  # noqa: B905 (3.9)
        if node is not None and function.__kwdefaults__ and name.arg in function.__kwdefaults__:
            known = function.__kwdefaults__[name.arg]
            function.__kwdefaults__[name.arg] = _value(node, known)


def _value(node: ast.expr, otherwise: Any) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        return otherwise


def _inner(code: types.CodeType, name: str) -> types.CodeType:
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType) and constant.co_name == name:
            return constant
    raise Unfit(f"{name} is not defined where it was")


def _exchange(old: types.CodeType, new: types.CodeType, live: Live) -> None:
    for function in live.get(old, ()):
        if len(function.__code__.co_freevars) != len(new.co_freevars):
            raise Unfit("the closure is another")
        function.__code__ = new
    before = [each for each in old.co_consts if isinstance(each, types.CodeType)]
    after = [each for each in new.co_consts if isinstance(each, types.CodeType)]
    if not any(each in live for each in _nested(old)):
        return
    if [each.co_name for each in before] != [each.co_name for each in after]:
        raise Unfit("functions within it live and are others")
    for number, one in enumerate(before):
        _exchange(one, after[number], live)


def _nested(code: types.CodeType) -> list[types.CodeType]:
    inner = [each for each in code.co_consts if isinstance(each, types.CodeType)]
    return inner + [deeper for each in inner for deeper in _nested(each)]
