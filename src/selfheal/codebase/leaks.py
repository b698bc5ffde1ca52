"""What a function leaves behind: caches that only grow, open files, listeners, changed settings."""

from __future__ import annotations

import ast

from selfheal.codebase.index import FunctionNode, dotted, own_nodes
from selfheal.codebase.mutation import escapes, is_name, local_names, module_values, value_of

# How a listener is added, and how the same API takes it away again.
LISTENER_PAIRS = {
    "add_listener": "remove_listener",
    "add_observer": "remove_observer",
    "add_callback": "remove_callback",
    "add_handler": "remove_handler",
    "add_signal_handler": "remove_signal_handler",
    "addHandler": "removeHandler",
    "addFilter": "removeFilter",
    "addListener": "removeListener",
    "attach": "detach",
    "connect": "disconnect",
    "on": "off",
    "register": "unregister",
    "subscribe": "unsubscribe",
}

# Where `on`, `connect` and the like take a function, not an address or a name.
_AMBIGUOUS = frozenset({"on", "connect", "register", "attach"})

# Calls that change the process for every later caller.
SETTING_CALLS = frozenset(
    ["os.chdir", "locale.setlocale", "os.umask", "warnings.simplefilter", "random.seed"]
)


def unbounded_decorator(function: FunctionNode) -> ast.expr | None:
    """``functools.cache``, or an ``lru_cache`` whose bound is None, on a function with arguments."""
    if not any(isinstance(node, ast.arg) for node in ast.walk(function.args)):
        return None
    for node in function.decorator_list:
        name = dotted(node.func if isinstance(node, ast.Call) else node)
        if name in ("functools.cache", "cache") and not isinstance(node, ast.Call):
            return node
        if name in ("functools.lru_cache", "lru_cache") and isinstance(node, ast.Call):
            bounds = [
                *node.args[:1],
                *(each.value for each in node.keywords if each.arg == "maxsize"),
            ]
            if any(isinstance(each, ast.Constant) and each.value is None for each in bounds):
                return node
    return None


def cache_stores(
    function: FunctionNode, owner: ast.ClassDef | None, tree: ast.Module
) -> list[ast.Subscript]:
    """The stores of `cached` into what nothing ever shrinks."""
    found = []
    for store in cached(function, owner, tree):
        name = dotted(store.value)
        holder: ast.AST = owner if owner is not None and "." in name else tree
        if not _shrinks(holder, name.rpartition(".")[2]):
            found.append(store)
    return found


def cached(
    function: FunctionNode, owner: ast.ClassDef | None, tree: ast.Module
) -> list[ast.Subscript]:
    """``CACHE[key] = value`` on a dictionary that outlives the call.

    The key changes with the call, and the function asks for it as well: a cache, not a
    register of a few names.
    """
    own, values = local_names(function), module_values(tree)
    shared = {name for name, each in values.items() if _is_dict(value_of(each)) and name not in own}
    attributes = _dict_attributes(owner) if owner is not None and function.args.args else set()
    self_name = function.args.args[0].arg if function.args.args else ""
    names = shared | {f"{self_name}.{name}" for name in attributes}
    found = []
    for node in own_nodes(function):
        if not isinstance(node, ast.Subscript) or not isinstance(node.ctx, ast.Store):
            continue
        name = dotted(node.value)
        constant = not any(isinstance(each, ast.Name) for each in ast.walk(node.slice))
        if name in names and not constant and _asks(function, name):
            found.append(node)
    return found


def _is_dict(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Dict) or (
        isinstance(value, ast.Call)
        and dotted(value.func).rpartition(".")[2] in ("dict", "OrderedDict", "defaultdict")
    )


def _dict_attributes(owner: ast.ClassDef) -> set[str]:
    return {
        target.attr
        for method in owner.body
        if isinstance(method, ast.FunctionDef) and method.name == "__init__" and method.args.args
        for node in own_nodes(method)
        if isinstance(node, ast.Assign | ast.AnnAssign) and _is_dict(node.value)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Attribute)
    }


def _asks(function: FunctionNode, name: str) -> bool:
    """Whether a function reads what it may have stored: ``in``, ``.get`` or an item."""
    for node in own_nodes(function):
        if isinstance(node, ast.Compare) and any(
            isinstance(operator, ast.In | ast.NotIn) and dotted(right) == name
            for operator, right in zip(node.ops, node.comparators, strict=True)
        ):
            return True
        if isinstance(node, ast.Call) and dotted(node.func) == f"{name}.get":
            return True
    return False


def _shrinks(holder: ast.AST, name: str) -> bool:
    """Whether anything takes out of a container, asks for its size or binds it anew in a function."""
    for node in ast.walk(holder):
        if isinstance(node, ast.Call):
            called = dotted(node.func)
            if (
                called.rpartition(".")[2] in ("pop", "popitem", "clear")
                and _last(called.rpartition(".")[0]) == name
            ):
                return True
            if called == "len" and node.args and _last(dotted(node.args[0])) == name:
                return True
        elif isinstance(node, ast.Delete):
            for target in node.targets:
                if isinstance(target, ast.Subscript) and _last(dotted(target.value)) == name:
                    return True
        elif isinstance(node, ast.Global) and name in node.names:
            return True
    return False


def _last(name: str) -> str:
    return name.rpartition(".")[2]


_OPENERS = frozenset(
    [
        "open",
        "io.open",
        "gzip.open",
        "bz2.open",
        "lzma.open",
        "tarfile.open",
        "zipfile.ZipFile",
        "socket.socket",
        "tempfile.NamedTemporaryFile",
        "tempfile.TemporaryFile",
        "os.fdopen",
        "codecs.open",
        "sqlite3.connect",
    ]
)


def unclosed(function: FunctionNode) -> list[ast.Call]:
    """The calls that open a file or the like outside of ``with``, and are kept by nobody else."""
    nodes = list(own_nodes(function))
    guarded = {
        id(each)
        for node in nodes
        if isinstance(node, ast.With | ast.AsyncWith)
        for item in node.items
        for each in ast.walk(item.context_expr)
    }
    found = []
    for node in nodes:
        if not isinstance(node, ast.Assign | ast.AnnAssign | ast.Expr | ast.Return | ast.For):
            continue
        heads = [node.iter] if isinstance(node, ast.For) else [node.value]
        for head in heads:
            for call in ast.walk(head) if head is not None else ():
                opens = isinstance(call, ast.Call) and dotted(call.func) in _OPENERS
                if not opens or id(call) in guarded:
                    continue
                assert isinstance(call, ast.Call)
                if _kept(function, node, call):
                    continue
                found.append(call)
    return found


def _kept(function: FunctionNode, node: ast.stmt, call: ast.Call) -> bool:
    """Whether an opened thing is handed to someone else, or closed in a ``finally``."""
    if isinstance(node, ast.Return) and node.value is call:
        return True
    if isinstance(node, ast.Assign) and node.value is call:
        target = node.targets[0]
        if len(node.targets) > 1 or not isinstance(target, ast.Name):
            return True
        name = target.id
        closed = any(
            isinstance(each, ast.Call) and dotted(each.func) == f"{name}.close"
            for tried in own_nodes(function)
            if isinstance(tried, ast.Try)
            for last in tried.finalbody
            for each in ast.walk(last)
        )
        return closed or _passed_on(function, name)
    if isinstance(node, ast.Expr | ast.Return | ast.Assign | ast.AnnAssign):
        parent = next(
            (
                each
                for each in ast.walk(node)
                if isinstance(each, ast.Call)
                and call in [*each.args, *(k.value for k in each.keywords)]
            ),
            None,
        )
        # An argument of a call may be kept by what is called, but for readers that take it whole.
        return parent is not None and dotted(parent.func) not in (
            "json.load",
            "pickle.load",
            "tomllib.load",
            "csv.reader",
            "list",
            "len",
            "sum",
            "sorted",
        )
    return False


def _passed_on(function: FunctionNode, name: str) -> bool:
    """Whether a local name leaves the function or is kept in something that does."""
    if escapes(function, name):
        return True
    for node in own_nodes(function):
        if isinstance(node, ast.withitem) and any(
            is_name(each, name) for each in ast.walk(node.context_expr)
        ):
            return True
        if isinstance(node, ast.Return | ast.Yield | ast.YieldFrom) and node.value is not None:
            held = isinstance(node.value, ast.Tuple | ast.List | ast.Dict)
            if held and any(is_name(each, name) for each in ast.walk(node.value)):
                return True
        if isinstance(node, ast.Call) and _may_keep(node):
            given = [*node.args, *(each.value for each in node.keywords)]
            if any(is_name(each, name) for each in given):
                return True
        appends = isinstance(node, ast.Call) and dotted(node.func).endswith(".append")
        if appends and any(is_name(each, name) for each in ast.iter_child_nodes(node)):
            return True
    return any(isinstance(node, ast.Yield | ast.YieldFrom) for node in own_nodes(function))


def _may_keep(call: ast.Call) -> bool:
    """A class is called by its name: the object may keep what it is given. Readers of CSV do not outlive it."""
    name = dotted(call.func)
    return name.rpartition(".")[2][:1].isupper() and not name.startswith("csv.")


def kept_listeners(
    function: FunctionNode, owner: ast.ClassDef | None, tree: ast.Module
) -> list[ast.Call]:
    """The calls that register a listener in a function that runs often, never removed in its scope."""
    if function.name in ("__init__", "main", "setup", "register", "create_app", "configure"):
        return []
    holder: ast.AST = owner if owner is not None else tree
    called = {
        dotted(node.func).rpartition(".")[2]
        for node in ast.walk(holder)
        if isinstance(node, ast.Call)
    }
    found = []
    for node in own_nodes(function):
        if (
            not isinstance(node, ast.Call)
            or not isinstance(node.func, ast.Attribute)
            or not node.args
        ):
            continue
        name = node.func.attr
        callback = node.args[-1]
        function_like = isinstance(callback, ast.Name | ast.Attribute | ast.Lambda)
        if name not in LISTENER_PAIRS or LISTENER_PAIRS[name] in called:
            continue
        if name in _AMBIGUOUS and not (function_like and _is_callback(callback, tree, function)):
            continue
        found.append(node)
    return found


def _is_callback(node: ast.expr, tree: ast.Module, function: FunctionNode) -> bool:
    """A lambda, or the name of a function that the module, the class or the function defines."""
    if isinstance(node, ast.Lambda):
        return True
    name = dotted(node).rpartition(".")[2]
    defined = {
        each.name
        for each in ast.walk(tree)
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    return name in defined and name != function.name


def kept_settings(function: FunctionNode) -> list[tuple[ast.stmt, str]]:
    """Statements that change the process (`SETTING_CALLS`, ``os.environ[…] =``, a context's precision).

    Not those within a ``try`` that has a ``finally``, nor within a ``with``.
    """
    sheltered = {
        id(each)
        for node in own_nodes(function)
        if (isinstance(node, ast.Try) and node.finalbody) or isinstance(node, ast.With)
        for part in node.body
        for each in ast.walk(part)
    }
    restored = {id(each) for pair in late_restores(function) for each in pair}
    found: list[tuple[ast.stmt, str]] = []
    for node in own_nodes(function):
        if not isinstance(node, ast.stmt) or id(node) in sheltered or id(node) in restored:
            continue
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            if dotted(node.value.func) in SETTING_CALLS and not _restores(function, node):
                found.append((node, dotted(node.value.func)))
        elif isinstance(node, ast.Assign):
            target = node.targets[0]
            if isinstance(target, ast.Subscript) and dotted(target.value) == "os.environ":
                if not _restores(function, node):
                    found.append((node, ast.unparse(target)))
            elif isinstance(target, ast.Attribute) and ast.unparse(target.value) in (
                "decimal.getcontext()",
                "getcontext()",
            ):
                found.append((node, ast.unparse(target)))
    return sorted(found, key=lambda each: each[0].lineno)


def _restores(function: FunctionNode, statement: ast.stmt) -> bool:
    """Whether a ``try`` with a ``finally`` follows that mentions the same setting."""
    subject = (
        dotted(statement.value.func)
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
        else "os.environ"
    )
    return any(
        isinstance(node, ast.Try) and any(subject in ast.unparse(last) for last in node.finalbody)
        for node in own_nodes(function)
    )


def late_restores(function: FunctionNode) -> list[tuple[ast.stmt, ast.stmt]]:
    """Pairs of statements that change something and put it back, with code between that may fail.

    ``saved = x.y``, ``x.y = other``, …, ``x.y = saved`` in one block: the second and the last.
    """
    found: list[tuple[ast.stmt, ast.stmt]] = []
    for node in [function, *own_nodes(function)]:
        for name in ("body", "orelse"):
            block = getattr(node, name, None)
            if isinstance(block, list) and not isinstance(node, ast.Try):
                found += _late_in(block)
    return sorted(found, key=lambda pair: pair[0].lineno)


def _late_in(block: list[ast.stmt]) -> list[tuple[ast.stmt, ast.stmt]]:
    found: list[tuple[ast.stmt, ast.stmt]] = []
    for at, change in enumerate(block):
        target = _setting(change)
        if target is None:
            continue
        saved = {
            dotted(each.targets[0])
            for each in block[:at]
            if isinstance(each, ast.Assign) and ast.unparse(each.value) == target
        }
        for later in block[at + 2 :]:
            if _setting(later) != target or not isinstance(later, ast.Assign):
                continue
            if dotted(later.value) in saved:
                found.append((change, later))
            break
    return found


def _setting(statement: ast.stmt) -> str | None:
    """The attribute or item that an assignment changes."""
    if not isinstance(statement, ast.Assign) or len(statement.targets) > 1:
        return None
    target = statement.targets[0]
    return ast.unparse(target) if isinstance(target, ast.Attribute | ast.Subscript) else None
