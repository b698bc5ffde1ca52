"""Wrong, missing or extra call."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from selfheal.repair.edits.definitions import last_name, parameters, root_name
from selfheal.repair.edits.kinds import BOOL, DICT, LIST, NUMBER, SET, TEXT, TUPLE
from selfheal.repair.edits.model import Draft, Operator, OperatorExample
from selfheal.repair.edits.operators.names import likely, similarity
from selfheal.repair.edits.site import Site
from selfheal.repair.source import names_in

# Functions and methods that are mistaken for each other, in families.
_FAMILIES = tuple(
    tuple(family.split())
    for family in (
        "append extend add insert appendleft", "pop popleft remove", "remove discard",
        "strip lstrip rstrip", "lower upper casefold title capitalize", "find rfind index rindex",
        "split rsplit splitlines partition rpartition", "partition rpartition",
        "startswith endswith", "items keys values", "get pop setdefault", "update extend",
        "union intersection difference symmetric_difference", "issubset issuperset isdisjoint",
        "isdigit isnumeric isdecimal isalnum isalpha", "isupper islower istitle",
        "ljust rjust center zfill", "encode decode", "read readline readlines",
        "write writelines", "match search fullmatch", "findall finditer", "sub subn",
        "min max", "any all", "sorted reversed list set tuple", "int float round",
        "floor ceil trunc round", "abs int", "log log2 log10 log1p", "sin cos tan", "str repr",
        "isinstance issubclass", "isoformat strftime", "now utcnow today", "date datetime",
        "heappush heappushpop heapreplace", "nlargest nsmallest", "bisect_left bisect_right",
        "bisect bisect_left", "combinations permutations product combinations_with_replacement",
        "loads load", "dumps dump", "exists isfile isdir", "join abspath", "copy deepcopy",
        "mean median", "filter map", "hasattr getattr", "zip zip_longest", "quote quote_plus",
        "unquote unquote_plus", "most_common elements", "remove_prefix lstrip", "count index",
        "removeprefix lstrip", "removesuffix rstrip", "timestamp timetuple", "seconds total_seconds",
        "isspace isdigit", "sort reverse", "total_seconds seconds", "ord chr", "enumerate zip",
    )
)  # fmt: skip


# What is said of many numbers in one.
_SUMMARIES = ("sum", "len", "max")

_WRAPPERS: dict[str | None, tuple[str, ...]] = {
    NUMBER: ("abs({})", "int({})", "max({}, 0)", "max({}, 1)", "str({})", "round({})", "round({}, 2)", "float({})", "math.ceil({})"),
    TEXT: ("{}.strip()", "{}.lower()", "int({})", "len({})", "{}.upper()", "float({})", "{}.split()", "list({})", "str({})", "{}.rstrip()", "{}.lstrip()"),
    LIST: ("len({})", "list({})", "sorted({})", "set({})", "tuple({})", "{}.copy()", "reversed({})", "sum({})", "max({})", "min({})", "any({})", "all({})", "enumerate({})"),
    DICT: ("{}.items()", "{}.values()", "len({})", "dict({})", "{}.copy()", "list({})", "sorted({})", "{}.keys()"),
    SET: ("len({})", "sorted({})", "list({})", "set({})", "{}.copy()"),
    TUPLE: ("list({})", "len({})", "sorted({})", "set({})"),
    BOOL: ("int({})", "bool({})"),
    None: ("str({})", "list({})", "int({})", "len({})", "sorted({})", "set({})", "abs({})", "tuple({})", "{}.copy()", "{}.strip()", "{}.lower()", "{}.items()", "float({})", "bool({})", "dict({})", "reversed({})", "enumerate({})", "iter({})"),
}  # fmt: skip


# A copy comes first: it changes nothing but what a loop that changes its own values does.
_LOOPED = ("list({})", "sorted({})", "reversed({})", "{}.items()", "set({})", "range({})", "{}.values()", "enumerate({})", "range(len({}))", "{}.keys()", "{}.split()")  # fmt: skip
_LOOPED_PAIRS = ("{}.items()", "enumerate({})", "sorted({})", "zip({})", "reversed({})", "list({})")
_WRAPPERS["collection"] = _WRAPPERS[LIST] + ("{}.items()",)


def other_callee(site: Site) -> Iterator[Draft]:
    """Another function or method: of the same family, class or module."""
    for node in site.of(ast.Call):
        assert isinstance(node, ast.Call)
        name = last_name(node.func)
        if name is None:
            continue
        base = f"{site.text(node.func.value)}." if isinstance(node.func, ast.Attribute) else ""
        found = _callees(site, node, name, base)
        found.pop(name, None)
        for other, weight in sorted(found.items(), key=lambda each: (-each[1], each[0]))[:10]:
            wrong = f"calls `{base}{name}` where `{base}{other}` was meant"
            yield site.draft(node.func, f"{base}{other}", weight, wrong)


def _callees(site: Site, node: ast.Call, name: str, base: str) -> dict[str, float]:
    module = site.scope.module
    families = (family for family in _FAMILIES if name in family)
    found = dict.fromkeys((other for family in families for other in family), 1.0)
    if not base and name in _SUMMARIES and _may_hold_numbers(site, node):
        found |= {other: max(0.5, found.get(other, 0)) for other in _SUMMARIES}
    if name == "extend" and node.args and _is_text(node.args[0]):
        found["append"] = 3.0  # A text's characters one by one are what nobody means.
    own = not base or base in ("self.", "cls.", f"{site.scope.self_name}.")
    if own or name in module.functions:
        for other, function in module.functions.items():
            if _is_method(site, function) == bool(base) and _takes(function, node):
                found.setdefault(other, 0.4 + 0.5 * similarity(name, other))
    if not base:
        found.update(dict(likely(site, name, site.scope.parameters)[:3]))
    for other in module.attributes.get(base[:-1], ()):
        if other in module.calls:
            found.setdefault(other, 0.3 + 0.5 * similarity(name, other))
    return found


def _may_hold_numbers(site: Site, node: ast.Call) -> bool:
    """Whether what a call is given may be summed: not the object itself, no text, no mapping."""
    if len(node.args) != 1 or node.keywords:
        return False
    given = node.args[0]
    own = isinstance(given, ast.Name) and given.id in ("self", "cls", site.scope.self_name)
    return not own and site.scope.kinds.guess(given) not in (TEXT, DICT)


def _is_text(node: ast.expr) -> bool:
    constant = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return constant or isinstance(node, ast.JoinedStr)


def _is_method(site: Site, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return isinstance(site.source.parent(function), ast.ClassDef)


def _takes(function: ast.FunctionDef | ast.AsyncFunctionDef, call: ast.Call) -> bool:
    names = parameters(function)
    names = names[names[:1] in (["self"], ["cls"]) :]
    given = len(call.args) + len(call.keywords)
    optional = len(function.args.defaults) + len(function.args.kw_defaults)
    return len(names) - optional <= given <= len(names) or bool(function.args.vararg)


def add_call(site: Site) -> Iterator[Draft]:
    """A value is put through a function first: a coercion, a copy, one used elsewhere."""
    used = _one_argument(site)
    for node in site.loads(
        ast.Name, ast.Attribute, ast.Subscript, ast.Call, ast.BinOp, ast.GeneratorExp
    ):
        parent = site.parent(node)
        if isinstance(parent, ast.Attribute) or node is getattr(parent, "func", None):
            continue
        if isinstance(parent, ast.Starred | ast.Expr | ast.Index | ast.Raise):
            continue
        text = site.text(node)
        if len(text) > 80:
            continue
        for rank, pattern in enumerate(_wrappers(site, node)):
            inner = text if pattern.endswith("({})") or "({}," in pattern else site.within(node, 16)
            wrong = f"lacks the call `{pattern.format('…')}` around `{text}`"
            yield site.draft(node, pattern.format(inner), 0.9 / (1 + 0.12 * rank), wrong)
        for name, weight in used.items():
            if not text.startswith(f"{name}("):
                wrong = f"lacks the call of `{name}` on `{text}`"
                yield site.draft(node, f"{name}({text})", weight, wrong)
    yield from _missing_parentheses(site)


def _may_be_none(site: Site, node: ast.expr) -> bool:
    """Whether a value is asked for with None as its default, as ``d.get(k)`` does."""
    match node:
        case ast.Name(id=name):
            return name in site.scope.optional
        case ast.Call(func=ast.Attribute(attr="get"), args=[_]):
            return True
        case ast.Call(args=[*_, ast.Constant(value=None)]):
            return last_name(node.func) in ("get", "pop", "getattr", "setdefault")
    return False


def _one_argument(site: Site) -> dict[str, float]:
    """Functions of one argument: those that nothing calls first, then those called elsewhere."""
    module, own = site.scope.module, site.scope.function
    found = {
        name: 0.9
        for name in module.unused
        if module.functions[name] is not own and len(parameters(module.functions[name])) == 1
    }
    for name, _ in module.wrappers.most_common(12):
        if name not in ("print", "super", "type"):
            found.setdefault(name, 0.45)
    return found


def _wrappers(site: Site, node: ast.expr) -> tuple[str, ...]:
    """Calls to put a value through, likeliest first for its place and its kind."""
    parent = site.parent(node)
    if isinstance(parent, ast.For | ast.AsyncFor | ast.comprehension) and node is parent.iter:
        pair = isinstance(parent.target, ast.Tuple)
        return _LOOPED_PAIRS if pair else _LOOPED
    found = _WRAPPERS.get(site.scope.kinds.guess(node), ())
    if _may_be_none(site, node):  # No one means the text "None".
        found = tuple(each for each in found if each != "str({})")
    return found


def bounded(site: Site) -> Iterator[Draft]:
    """A number is held within another one: ``max(e, n)``, ``min(e, n)``."""
    kinds, unread = site.scope.kinds, site.scope.unread
    for node in site.loads(ast.Name, ast.Attribute, ast.BinOp, ast.Call, ast.Subscript):
        parent = site.parent(node)
        placed = isinstance(parent, ast.Assign | ast.Return | ast.Tuple | ast.keyword | ast.Slice)
        if not placed and not (isinstance(parent, ast.Call) and node in parent.args):
            continue
        if kinds.guess(node) not in (None, NUMBER):
            continue
        text, used = site.text(node), names_in(node)
        names = [each for each in site.scope.locals if each not in used | {"self", "cls"}]
        likely_names = [each for each in names if kinds.names.get(each) in (None, NUMBER)]
        likely_names.sort(key=lambda each: (each not in unread, kinds.names.get(each) is None))
        for rank, name in enumerate(likely_names[:5]):
            weight = 1.0 if name in unread else 0.5 / (1 + 0.2 * rank)
            for call in ("max", "min"):
                wrong = f"does not hold `{text}` within `{name}`"
                yield site.draft(node, f"{call}({name}, {text})", weight, wrong)


def _missing_parentheses(site: Site) -> Iterator[Draft]:
    module = site.scope.module
    for node in site.loads(ast.Attribute, ast.Name):
        parent = site.parent(node)
        name = last_name(node)
        function = module.functions.get(name or "")
        known = function is not None or name in (
            "copy",
            "items",
            "keys",
            "values",
            "lower",
            "strip",
        )
        if (
            known
            and node is not getattr(parent, "func", None)
            and not isinstance(parent, ast.Attribute)
        ):
            text = f"{site.text(node)}()"
            yield site.draft(node, text, 1.0, f"names `{name}` without calling it")


def drop_call(site: Site) -> Iterator[Draft]:
    """``f(x)`` becomes ``x``, ``x.m()`` becomes ``x``, ``f()`` becomes ``f``."""
    for node in site.of(ast.Call):
        assert isinstance(node, ast.Call)
        shown = site.text(node.func)
        wrong = f"has the call of `{shown}` too many"
        # What a method is called on is lost with it, unless that is a module.
        method = isinstance(node.func, ast.Attribute) and not _is_module(site, node.func.value)
        if node.args and not isinstance(node.args[0], ast.Starred):
            whole = node.args[0]
            text = site.text(whole)
            if isinstance(whole, ast.GeneratorExp) and not text.startswith("("):
                text = f"({text})"
            yield site.draft(node, text, (0.3 if method else 1.0) / len(node.args), wrong)
        for extra in node.args[1:3]:
            if not isinstance(extra, ast.Starred):
                yield site.draft(node, site.text(extra), 0.3, wrong)
        if isinstance(node.func, ast.Attribute):
            yield site.draft(node, site.text(node.func.value), 0.7, wrong)
        if not node.args and not node.keywords:
            yield site.draft(node, shown, 0.4, f"calls `{shown}` where it was only to be named")


def _is_module(site: Site, node: ast.expr) -> bool:
    """An imported name, or what is reached through one: ``os.path``."""
    return root_name(node) in site.scope.module.imported


def awaits(site: Site) -> Iterator[Draft]:
    """``await`` that is missing or too many."""
    if not isinstance(site.scope.function, ast.AsyncFunctionDef):
        return
    for node in site.of(ast.Call, ast.Await):
        if isinstance(node, ast.Await):
            yield site.draft(node, site.text(node.value), 0.6, "waits for what is no coroutine")
        elif not isinstance(site.parent(node), ast.Await):
            yield site.draft(node, f"await {site.text(node)}", 1.0, "does not wait for a coroutine")


OPERATORS = (
    Operator(
        "callee",
        0.5,
        other_callee,
        (
            OperatorExample("def f(xs):\n    return max(xs)\n", "def f(xs):\n    return min(xs)\n", 2),
            OperatorExample("def f(s):\n    return s.strip()\n", "def f(s):\n    return s.rstrip()\n", 2),
            OperatorExample("def f(xs):\n    xs.extend('one')\n", "def f(xs):\n    xs.append('one')\n", 2),
            OperatorExample("def low(x):\n    return 1\n\ndef high(x):\n    return low(x)\n\ndef lower(x):\n    return 2\n", "def low(x):\n    return 1\n\ndef high(x):\n    return lower(x)\n\ndef lower(x):\n    return 2\n", 5),
        ),
        fits={"AttributeError": 1.2, "ValueError": 1.0, "": 0.7},
        spreads=True,
    ),
    Operator(
        "missing_call",
        0.35,
        add_call,
        (
            OperatorExample("def f(s):\n    return s == 'a'\n", "def f(s):\n    return s.lower() == 'a'\n", 2),
            OperatorExample("def f(n):\n    return 'n' + n\n", "def f(n):\n    return 'n' + str(n)\n", 2),
            OperatorExample("class A:\n    def size(self):\n        return 1\n\n    def f(self):\n        return self.size\n", "class A:\n    def size(self):\n        return 1\n\n    def f(self):\n        return self.size()\n", 6),
        ),
        fits={"TypeError": 1.6, "RuntimeError": 1.3, "AttributeError": 1.0, "KeyError": 1.0, "": 0.7},
    ),
    Operator(
        "bound",
        0.25,
        bounded,
        (OperatorExample("def f(a, b):\n    return a\n", "def f(a, b):\n    return max(b, a)\n", 2),),
        fits={"": 0.3},
    ),
    Operator(
        "extra_call",
        0.4,
        drop_call,
        (
            OperatorExample("def f(xs):\n    return sorted(xs)\n", "def f(xs):\n    return xs\n", 2),
            OperatorExample("def f(s):\n    return s.strip()\n", "def f(s):\n    return s\n", 2),
        ),
        fits={"TypeError": 1.2, "AttributeError": 1.2, "": 0.7},
    ),
    Operator(
        "await",
        0.6,
        awaits,
        (OperatorExample("async def f(x):\n    return g(x)\n", "async def f(x):\n    return await g(x)\n", 2),),
    ),
)  # fmt: skip
