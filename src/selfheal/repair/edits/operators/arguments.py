"""Wrong, missing, extra or swapped arguments."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import combinations

from selfheal.repair.edit import Splice
from selfheal.repair.edits.definitions import last_name, parameters
from selfheal.repair.edits.model import Draft, Operator, OperatorExample
from selfheal.repair.edits.operators.names import similarity
from selfheal.repair.edits.site import Site
from selfheal.repair.source import names_in

# Longer expressions of other calls are not taken for an argument.
_LONGEST = 60


def swap_arguments(site: Site) -> Iterator[Draft]:
    """Two arguments the other way round, those next to each other first."""
    for node in site.of(ast.Call):
        assert isinstance(node, ast.Call)
        given = [each for each in node.args if not isinstance(each, ast.Starred)]
        values = [*given, *(each.value for each in node.keywords if each.arg)]
        for (place, one), (other_place, other) in combinations(enumerate(values[:5]), 2):
            splices = (site.replace(one, site.text(other)), site.replace(other, site.text(one)))
            wrong = f"passes `{site.text(one)}` and `{site.text(other)}` the wrong way round"
            yield Draft(splices, 1.0 if other_place == place + 1 else 0.6, wrong)
        if isinstance(node.func, ast.Attribute) and len(given) == 1:
            base = node.func.value
            splices = (
                site.replace(base, site.within(given[0], 16)), site.replace(given[0], site.text(base)),
            )  # fmt: skip
            wrong = f"calls `{node.func.attr}` on `{site.text(given[0])}` the wrong way round"
            yield Draft(splices, 0.5, wrong)


def drop_argument(site: Site) -> Iterator[Draft]:
    """A call without one of its arguments."""
    for node in site.of(ast.Call):
        assert isinstance(node, ast.Call)
        every: list[ast.expr | ast.keyword] = sorted(
            [*node.args, *node.keywords], key=lambda each: (each.lineno, each.col_offset)
        )
        for position, argument in enumerate(every):
            path, (start, stop) = site.source.path, site.source.span(argument)
            if position:
                start = site.source.span(every[position - 1])[1]
            elif len(every) > 1:
                stop = site.source.span(every[1])[0]
            weight = 1.0 if isinstance(argument, ast.keyword) else 0.6
            if isinstance(argument, ast.keyword) and argument.arg in (meant := _unexpected(site)):
                weight = 2.0
                yield from _other_keywords(site, node, argument, meant[argument.arg])
            yield Draft(
                (Splice(path=path, start=start, stop=stop, text=""),),
                weight, f"passes `{site.text(argument)}` too many",
            )  # fmt: skip


_LACKS = re.compile(
    r"(?P<callee>[\w.]+)\(\) missing \d+ required (?:positional|(?P<keyword>keyword-only)) "
    r"arguments?: (?P<names>[^\n]+)"
)
_UNEXPECTED = re.compile(r"got an unexpected keyword argument '(\w+)'(?:\. Did you mean '(\w+)')?")


def _unexpected(site: Site) -> dict[str | None, str | None]:
    """The keywords that the failure says are not taken, with what it says was meant, if it does."""
    found = (each for text in site.hints.messages for each in _UNEXPECTED.finditer(text))
    return {each[1]: each[2] for each in found}


def _other_keywords(
    site: Site, node: ast.Call, keyword: ast.keyword, meant: str | None
) -> Iterator[Draft]:
    """A keyword that the function does not take gets the name of one that it takes."""
    name, given = keyword.arg or "", {each.arg for each in node.keywords}
    function = site.scope.module.functions.get(last_name(node.func) or "")
    taken = parameters(function) if function is not None else ()
    names = {each: 1.0 + 2.0 * similarity(name, each) for each in taken}
    if meant:
        names[meant] = 4.0
    start = site.source.span(keyword)[0]
    for other, weight in sorted(names.items(), key=lambda each: (-each[1], each[0]))[:4]:
        if other not in given and other not in ("self", "cls"):
            splice = Splice(path=site.source.path, start=start, stop=start + len(name), text=other)
            yield Draft((splice,), weight, f"passes `{name}` where `{other}` is taken")


# Arguments that calls of well-known functions are often left without.
_KNOWN_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "sorted": ("reverse=True", "key=len", "key=lambda each: each[1]", "key=str"), "sort": ("reverse=True", "key=len", "key=lambda each: each[1]"),
    "min": ("default=0", "default=None", "key=len", "key=lambda each: each[1]"), "max": ("default=0", "default=None", "key=len", "key=lambda each: each[1]"),
    "next": ("None",), "getattr": ("None",), "pop": ("None", "0", "-1"),
    "get": ('""', "0", "[]", "{}", "False"), "enumerate": ("1", "start=1"), "sum": ("[]", "()"),
    "split": ("1", '","', 'maxsplit=1', '" "'), "rsplit": ("1",), "round": ("2", "1", "0"),
    "open": ('encoding="utf-8"', 'newline=""'), "read_text": ('encoding="utf-8"',),
    "write_text": ('encoding="utf-8"',), "encode": ('"utf-8"',), "int": ("10", "16", "2"),
    "decode": ('"utf-8"', 'errors="replace"'), "dumps": ("default=str", "sort_keys=True", "ensure_ascii=False"),
    "dump": ("default=str", "sort_keys=True", "ensure_ascii=False"), "makedirs": ("exist_ok=True",),
    "mkdir": ("exist_ok=True", "parents=True"), "replace": ("1",), "zip": ("strict=True",),
    "writer": ('lineterminator="\\n"',), "to_bytes": ('"big"', '"little"'), "lstrip": ('"0"',),
    "compile": ("re.IGNORECASE", "re.MULTILINE", "re.DOTALL"), "sub": ("flags=re.IGNORECASE",),
    "match": ("re.IGNORECASE",), "search": ("re.IGNORECASE", "re.MULTILINE", "re.DOTALL"),
    "findall": ("re.IGNORECASE", "re.MULTILINE", "re.DOTALL"), "strip": ('"/"', '" "', '"\\n"'),
    "rstrip": ('"\\n"', '"/"'), "fromkeys": ("0",), "setdefault": ("[]", "{}", "0"),
    "defaultdict": ("int", "list"), "range": (), "print": ('end=""',), "product": ("repeat=2",),
}  # fmt: skip


def add_argument(site: Site) -> Iterator[Draft]:
    """An argument that is missing: one that is near, that other calls have, or well known."""
    for node in site.of(ast.Call):
        assert isinstance(node, ast.Call)
        name = last_name(node.func) or ""
        given = {each.arg for each in node.keywords}
        found: dict[str, float] = dict(_asked_for(site, node, name))
        for text in _KNOWN_ARGUMENTS.get(name, ()):
            if text.split("=")[0] not in given:
                found[text] = 0.7
        found = dict(_of_signature(site, node, name, given)) | found
        for other in site.scope.module.calls.get(name, ()):
            for keyword in other.keywords:
                if keyword.arg and keyword.arg not in given and len(site.text(keyword)) <= _LONGEST:
                    found.setdefault(site.text(keyword), 0.9)
        found = dict(_rest(site, node)) | found
        for parameter in site.scope.parameters:
            if parameter not in given and parameter not in ("self", "cls", "args", "kwargs"):
                known = any(
                    isinstance(each, ast.Name) and each.id == parameter for each in node.args
                )
                if not known and name not in _KNOWN_ARGUMENTS:
                    found.setdefault(f"{parameter}={parameter}", 0.3)
        for text in _as_elsewhere(site, node, name):
            found.setdefault(text, 0.9)
        for text in _positional(site, node, name):
            found.setdefault(text, 0.4)
        for text, weight in found.items():
            yield Draft(
                (_appended(site, node, text),), weight, f"lacks the argument `{text}` of `{name}`"
            )


def _as_elsewhere(site: Site, node: ast.Call, name: str) -> Iterator[str]:
    """What other calls of the name have at the place after the last argument."""
    place = len(node.args)
    known = site.scope.nameable
    starred = any(isinstance(each, ast.Starred) for each in node.args)
    for other in site.scope.module.calls.get(name, ()) if not node.keywords and not starred else ():
        if len(other.args) > place and ast.dump(other.func) == ast.dump(node.func):
            text = site.text(other.args[place])
            if len(text) <= _LONGEST and "\n" not in text and names_in(other.args[place]) <= known:
                yield text


def _asked_for(site: Site, node: ast.Call, name: str) -> Iterator[tuple[str, float]]:
    """What the failure says that the call lacks: the variable of that name, or another one."""
    for message in site.hints.messages:
        for told in _LACKS.finditer(message):
            if told["callee"].rpartition(".")[2] not in (name, "__init__", "__new__"):
                continue
            for missing in re.findall(r"'(\w+)'", told["names"]):
                passed = {site.text(each) for each in node.args}
                for variable in sorted(set(site.scope.readable) - passed - {"self", "cls"}):
                    weight = 3.0 if variable == missing else 2.0
                    if variable not in site.scope.parameters and variable != missing:
                        weight = 0.8
                    text = f"{missing}={variable}" if told["keyword"] or node.keywords else variable
                    yield text, weight


def _rest(site: Site, node: ast.Call) -> Iterator[tuple[str, float]]:
    """The ``*args`` and ``**kwargs`` of the function, where it does not pass them on."""
    if site.scope.function is None:
        return
    arguments = site.scope.function.args
    starred = {site.text(each.value) for each in node.args if isinstance(each, ast.Starred)}
    doubled = {site.text(each.value) for each in node.keywords if each.arg is None}
    if arguments.vararg and arguments.vararg.arg not in starred and not node.keywords:
        yield f"*{arguments.vararg.arg}", 0.7
    if arguments.kwarg and arguments.kwarg.arg not in doubled:
        yield f"**{arguments.kwarg.arg}", 0.9


def _of_signature(
    site: Site, node: ast.Call, name: str, given: set[str | None]
) -> Iterator[tuple[str, float]]:
    """Parameters of a function of the file that the call leaves out, where the name is known."""
    function = site.scope.module.functions.get(name)
    if function is None:
        return
    names = parameters(function)
    if names[:1] in (["self"], ["cls"]):
        names = names[1:]
    for parameter in names[len(node.args) :]:
        if parameter not in given and parameter in site.scope.readable:
            yield f"{parameter}={parameter}", 1.0


def _positional(site: Site, node: ast.Call, name: str) -> list[str]:
    """Names in scope as one argument more; of a function of the file, if it takes more."""
    if node.keywords or any(isinstance(each, ast.Starred) for each in node.args):
        return []
    function = site.scope.module.functions.get(name)
    if function is not None:
        most = len([each for each in parameters(function) if each not in ("self", "cls")])
        if len(node.args) >= most:
            return []
    elif isinstance(node.func, ast.Attribute) or name in ("len", "str", "list", "set", "print"):
        return []
    passed = {site.text(each) for each in node.args}
    return [each for each in site.scope.locals if each not in passed and each != "self"][:6]


def _appended(site: Site, node: ast.Call, text: str) -> Splice:
    """One argument more at the end of a call."""
    stop = site.source.span(node)[1] - 1
    before = site.source.text[site.source.span(node.func)[1] : stop].rstrip()
    glue = " " if before.endswith(",") else ", "
    if not node.args and not node.keywords:
        glue = ""
    return Splice(path=site.source.path, start=stop, stop=stop, text=f"{glue}{text}")


OPERATORS = (
    Operator(
        "argument_order",
        0.6,
        swap_arguments,
        (
            OperatorExample("def f(a, b):\n    return g(a, b)\n", "def f(a, b):\n    return g(b, a)\n", 2),
            OperatorExample("def f(a, b):\n    return g(a, k=b)\n", "def f(a, b):\n    return g(b, k=a)\n", 2),
        ),
        fits={"TypeError": 1.2, "": 0.7},
    ),
    Operator(
        "extra_argument",
        0.35,
        drop_argument,
        (
            OperatorExample("def f(a, b):\n    return g(a, b)\n", "def f(a, b):\n    return g(a)\n", 2),
            OperatorExample("def f(a, b):\n    return g(a, k=b)\n", "def f(a, b):\n    return g(a)\n", 2),
            OperatorExample("def g(a, limit=1):\n    return a\n\ndef f(a, b):\n    return g(a, limits=b)\n", "def g(a, limit=1):\n    return a\n\ndef f(a, b):\n    return g(a, limit=b)\n", 5, "TypeError: g() got an unexpected keyword argument 'limits'"),
        ),
        fits={"TypeError": 1.4, "": 0.5},
    ),
    Operator(
        "missing_argument",
        0.4,
        add_argument,
        (
            OperatorExample("import functools\n\ndef f(made, method):\n    made.x = 1\n    return functools.update_wrapper(made)\n", "import functools\n\ndef f(made, method):\n    made.x = 1\n    return functools.update_wrapper(made, method)\n", 5, "TypeError: update_wrapper() missing 1 required positional argument: 'wrapped'"),
            OperatorExample("def f(xs):\n    return sorted(xs)\n", "def f(xs):\n    return sorted(xs, reverse=True)\n", 2),
            OperatorExample("def f(xs, x, y):\n    xs.insert(0, (x, y))\n    xs.insert(0)\n", "def f(xs, x, y):\n    xs.insert(0, (x, y))\n    xs.insert(0, (x, y))\n", 3),
            OperatorExample("def f(a, **kwargs):\n    return g(a)\n", "def f(a, **kwargs):\n    return g(a, **kwargs)\n", 2),
            OperatorExample("def g(a, sep=','):\n    return sep\n\ndef f(a, sep):\n    return g(a)\n", "def g(a, sep=','):\n    return sep\n\ndef f(a, sep):\n    return g(a, sep=sep)\n", 5),
        ),
        fits={"TypeError": 1.4, "KeyError": 1.2, "ValueError": 1.2, "StopIteration": 2.0, "UnicodeDecodeError": 2.0, "UnicodeEncodeError": 2.0, "FileExistsError": 2.0, "": 0.6},
    ),
)  # fmt: skip
