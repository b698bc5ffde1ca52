"""Which kind of value a name holds, as far as its uses in one function show it.

No type checker: a handful of kinds, from annotations, literals, known calls and from
what is done with the name. ``None`` means not known, and not known fits anything.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

from selfheal.codebase.mutation import defaults_of

NUMBER, TEXT, LIST, DICT, SET, TUPLE, BOOL, CALLABLE, COLLECTION = (
    "number", "text", "list", "dict", "set", "tuple", "bool", "callable", "collection",
)  # fmt: skip
SIZED = frozenset({TEXT, LIST, DICT, SET, TUPLE, COLLECTION})
EMPTY = {LIST: "[]", DICT: "{}", SET: "set()", TUPLE: "()", TEXT: '""', NUMBER: "0", BOOL: "False"}

_ANNOTATIONS = {
    "int": NUMBER, "float": NUMBER, "complex": NUMBER, "Decimal": NUMBER, "str": TEXT,
    "bool": BOOL, "list": LIST, "List": LIST, "Sequence": LIST, "Iterable": LIST,
    "dict": DICT, "Dict": DICT, "Mapping": DICT, "set": SET, "Set": SET, "frozenset": SET,
    "tuple": TUPLE, "Tuple": TUPLE, "Callable": CALLABLE,
}  # fmt: skip
_CALLS = {
    "len": NUMBER, "int": NUMBER, "float": NUMBER, "sum": NUMBER, "abs": NUMBER, "ord": NUMBER,
    "round": NUMBER, "str": TEXT, "repr": TEXT, "chr": TEXT, "list": LIST, "sorted": LIST,
    "dict": DICT, "defaultdict": DICT, "Counter": DICT, "OrderedDict": DICT, "set": SET,
    "frozenset": SET, "tuple": TUPLE, "bool": BOOL, "isinstance": BOOL, "any": BOOL,
    "all": BOOL, "deque": LIST, "count": NUMBER, "index": NUMBER, "find": NUMBER,
    "split": LIST, "rsplit": LIST, "splitlines": LIST, "readlines": LIST, "partition": TUPLE,
    "rpartition": TUPLE, "join": TEXT, "strip": TEXT, "lstrip": TEXT, "rstrip": TEXT, "lower": TEXT,
    "upper": TEXT, "casefold": TEXT, "title": TEXT, "capitalize": TEXT, "replace": TEXT,
    "removeprefix": TEXT, "removesuffix": TEXT, "format": TEXT, "startswith": BOOL,
    "endswith": BOOL,
}  # fmt: skip
# What these give holds texts.
_OF_TEXTS = {"split", "rsplit", "splitlines", "readlines", "partition", "rpartition"}
_METHODS = {
    "append": LIST, "extend": LIST, "insert": LIST, "sort": LIST, "reverse": LIST,
    "appendleft": LIST, "popleft": LIST, "keys": DICT, "values": DICT, "items": DICT,
    "get": DICT, "setdefault": DICT, "add": SET, "discard": SET, "union": SET,
    "intersection": SET, "strip": TEXT, "lower": TEXT, "upper": TEXT, "split": TEXT,
    "startswith": TEXT, "endswith": TEXT, "replace": TEXT, "join": TEXT, "encode": TEXT,
    "isdigit": TEXT, "lstrip": TEXT, "rstrip": TEXT, "splitlines": TEXT, "title": TEXT,
    "partition": TEXT, "rpartition": TEXT, "rsplit": TEXT, "casefold": TEXT, "isalpha": TEXT,
    "isspace": TEXT, "removeprefix": TEXT, "removesuffix": TEXT, "zfill": TEXT,
}  # fmt: skip
_DISPLAYS: dict[type[ast.expr], str] = {
    ast.List: LIST, ast.ListComp: LIST, ast.Dict: DICT, ast.DictComp: DICT, ast.Set: SET,
    ast.SetComp: SET, ast.Tuple: TUPLE, ast.JoinedStr: TEXT, ast.Compare: BOOL,
    ast.Lambda: CALLABLE,
}  # fmt: skip
# What names are mostly used for; a guess that orders edits and rules none out.
_CUSTOM = {
    TEXT: "text name line word string title label prefix suffix s char token url message msg path "
    "key content body email code raw language separator sep delimiter filename",
    NUMBER: "n i j k m count index idx size length width height total start end stop limit offset "
    "position pos number num left right low high mid amount price step depth level value cost weight distance balance rate fee score age year "
    "month day hours minutes seconds quantity rank time",
    COLLECTION: "items rows lines words values numbers names results entries data elements nodes "
    "keys children queue stack pending records tokens parts args",
}
_GUESSES = {name: kind for kind, names in _CUSTOM.items() for name in names.split()}
_ARITHMETIC = ast.Sub | ast.Div | ast.FloorDiv | ast.Pow | ast.Mult


class Kinds:
    """The kinds of the names of one function; `nodes` are those of its own body."""

    def __init__(self, root: ast.AST, nodes: Iterable[ast.AST]) -> None:
        self.names: dict[str, str] = {}
        self.loops: set[str] = set()
        if isinstance(root, ast.FunctionDef | ast.AsyncFunctionDef):
            for argument in (*root.args.posonlyargs, *root.args.args, *root.args.kwonlyargs):
                self._note(argument.arg, annotated(argument.annotation))
            for argument, default in defaults_of(root):
                self._note(argument.arg, self.of(default))
        nodes = list(nodes)
        for node in nodes:
            self._bindings(node)
        for node in nodes:
            self._uses(node)
        for node in nodes:
            self._collections(node)

    def of(self, node: ast.expr) -> str | None:
        """The kind of an expression."""
        known = _DISPLAYS.get(type(node))
        if known is not None:
            return known
        match node:
            case ast.Name():
                return self.names.get(node.id)
            case ast.Constant():
                return constant_kind(node.value)
            case ast.UnaryOp():
                return BOOL if isinstance(node.op, ast.Not) else NUMBER
            case ast.IfExp():
                return self.of(node.body) or self.of(node.orelse)
            case ast.BinOp():
                return self._of_operation(node)
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
                return _CALLS.get(name)
            case ast.Subscript(slice=ast.Slice()):
                return self.of(node.value)
        return None

    def guess(self, node: ast.expr) -> str | None:
        """The kind of an expression, else what its name is mostly used for."""
        kind = self.of(node)
        if kind in (None, COLLECTION) and isinstance(node, ast.Name | ast.Attribute):
            name = node.id if isinstance(node, ast.Name) else node.attr
            guess = _GUESSES.get(name, _GUESSES.get(name.rpartition("_")[2]))
            return guess if kind is None or guess == TEXT else kind
        return kind

    def _of_operation(self, node: ast.BinOp) -> str | None:
        left, right = self.of(node.left), self.of(node.right)
        if isinstance(node.op, ast.Mod) and left == TEXT:
            return TEXT
        if isinstance(node.op, ast.Add | ast.Mult | ast.BitOr | ast.BitAnd | ast.Sub):
            known = {left, right} - {None}
            if known & {TEXT, LIST, TUPLE, SET}:
                return next(each for each in (left, right) if each in SIZED)
            return NUMBER if NUMBER in known or isinstance(node.op, ast.Mult) else None
        return NUMBER

    def _note(self, name: str, kind: str | None) -> None:
        if kind is not None:
            self.names.setdefault(name, kind)

    def _bindings(self, node: ast.AST) -> None:
        match node:
            case ast.Assign():
                for target in node.targets:
                    if isinstance(target, ast.Name):
                        self._note(target.id, self.of(node.value))
                    elif isinstance(target, ast.Tuple):
                        self._unpack(target, node.value)
            case ast.AnnAssign() if isinstance(node.target, ast.Name):
                self._note(node.target.id, annotated(node.annotation))
            case ast.For() | ast.AsyncFor() | ast.comprehension():
                self._loop(node.target, node.iter)

    def _unpack(self, target: ast.Tuple, value: ast.expr) -> None:
        values = value.elts if isinstance(value, ast.Tuple) else ()
        for number, one in enumerate(target.elts):
            if isinstance(one, ast.Name):
                own = self.of(values[number]) if number < len(values) else _element(value)
                self._note(one.id, own)

    def _loop(self, target: ast.expr, over: ast.expr) -> None:
        self.loops |= {each.id for each in ast.walk(target) if isinstance(each, ast.Name)}
        if isinstance(target, ast.Name):
            self._note(target.id, _element(over))
        if isinstance(over, ast.Call) and isinstance(over.func, ast.Name):
            if over.func.id == "range" and isinstance(target, ast.Name):
                self._note(target.id, NUMBER)
            elif over.func.id == "enumerate" and isinstance(target, ast.Tuple):
                first = target.elts[0]
                if isinstance(first, ast.Name):
                    self._note(first.id, NUMBER)

    def _uses(self, node: ast.AST) -> None:
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)):
                self._note(name, _METHODS.get(method))
            case ast.BinOp(left=left, right=right) if isinstance(node.op, _ARITHMETIC):
                self._alike(left, right, (NUMBER,))
            case ast.Compare(left=left, comparators=[right]):
                self._alike(left, right, (NUMBER, TEXT))
            case ast.AugAssign(target=ast.Name(id=name)):
                self._note(name, self.of(node.value))
            case ast.Call(func=ast.Name(id="range"), args=numbers):
                self._numbers(numbers)
            case ast.Subscript(slice=ast.Slice(lower=lower, upper=upper)):
                self._numbers([lower, upper])

    def _alike(self, left: ast.expr, right: ast.expr, kinds: tuple[str, ...]) -> None:
        for one, other in ((left, right), (right, left)):
            if isinstance(one, ast.Name) and self.of(other) in kinds:
                self._note(one.id, self.of(other))

    def _numbers(self, nodes: Iterable[ast.expr | None]) -> None:
        for node in nodes:
            if isinstance(node, ast.Name):
                self._note(node.id, NUMBER)

    def _collections(self, node: ast.AST) -> None:
        """Names of which no more is known than that they hold several things."""
        match node:
            case (
                ast.Subscript(value=ast.Name(id=name))
                | ast.For(iter=ast.Name(id=name))
                | ast.comprehension(iter=ast.Name(id=name))
                | ast.Call(
                    func=ast.Name(id="len" | "enumerate" | "sorted"), args=[ast.Name(id=name)]
                )
                | ast.Compare(ops=[ast.In() | ast.NotIn()], comparators=[ast.Name(id=name)])
            ):
                self._note(name, COLLECTION)


def _element(over: ast.expr) -> str | None:
    """The kind of what an expression holds."""
    match over:
        case ast.Call(func=ast.Attribute(attr=name)) if name in _OF_TEXTS:
            return TEXT
    return None


def fits(one: str | None, other: str | None) -> bool:
    """Whether a value of one kind can stand for another; what is not known may."""
    if COLLECTION in (one, other):
        return {one, other} <= SIZED | {None}
    return one is None or other is None or one == other


def constant_kind(value: object) -> str | None:
    if isinstance(value, bool):
        return BOOL
    if isinstance(value, int | float | complex):
        return NUMBER
    return TEXT if isinstance(value, str) else None


def annotated(annotation: ast.expr | None) -> str | None:
    """The kind that an annotation names; ``X | None`` counts as X."""
    match annotation:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return _ANNOTATIONS.get(name)
        case ast.Constant(value=str(text)):
            return _ANNOTATIONS.get(text.split("[")[0].strip())
        case ast.Subscript(value=ast.Name(id="Optional"), slice=inner):
            return annotated(inner)
        case ast.Subscript(value=value):
            return annotated(value)
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            return annotated(left) or annotated(right)
    return None
