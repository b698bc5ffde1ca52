"""More shapes of code that costs more than it must, beside those of `slow_patterns`.

After the classes of Jin et al., "Understanding and detecting real-world performance bugs"
(PLDI 2012), and of Olivo, Dillig, Lin, "Static detection of asymptotic performance bugs in
collection traversals" (PLDI 2015): what is built by copying, moved by every step,
computed in whole for a part, asked again, or waited for where others wait too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Literal, NamedTuple

from selfheal.codebase.index import FunctionNode, dotted, own_nodes
from selfheal.codebase.mutation import MUTATORS, is_name

CostlyShapeName = Literal[
    "repeated_recursion",
    "unlimited_query",
    "list_shifting",
    "list_copying",
    "string_building",
    "aggregate_in_loop",
    "sort_for_few",
    "eager_evaluation",
    "blocking_call",
    "repeated_chain",
]
CHAIN = 3  # links; shorter ones cost less than what they would gain
LOOPS = (ast.For, ast.AsyncFor, ast.While)
# Calls that wait for the world, by their full name; their module's other calls do not all wait.
BLOCKING = frozenset(
    [
        "time.sleep",
        "requests.get",
        "requests.post",
        "requests.put",
        "requests.patch",
        "requests.delete",
        "requests.head",
        "requests.request",
        "httpx.get",
        "httpx.post",
        "httpx.request",
        "urllib.request.urlopen",
        "urllib.request.urlretrieve",
        "subprocess.run",
        "subprocess.call",
        "subprocess.check_call",
        "subprocess.check_output",
        "os.system",
        "shutil.copy",
        "shutil.copyfile",
        "shutil.copytree",
        "shutil.move",
        "shutil.rmtree",
        "socket.create_connection",
        "socket.gethostbyname",
        "socket.getaddrinfo",
        "smtplib.SMTP",
    ]
)


class Shape(NamedTuple):
    """A shape at a node; `loop` is the loop that repeats it, None where none is needed."""

    name: CostlyShapeName
    node: ast.expr | ast.stmt
    loop: ast.stmt | None
    detail: str


def costly_shapes(function: FunctionNode, tree: ast.Module | None = None) -> list[Shape]:
    """The shapes in one function, in source order. `tree` is its module, for what it imports."""
    found = [*_in_loops(function), *_anywhere(function), *recursion(function)]
    if isinstance(function, ast.AsyncFunctionDef):
        found += [
            Shape("blocking_call", call, None, f"blocks the event loop: {ast.unparse(call)}")
            for call, _ in blocking_calls(function, tree)
        ]
    return sorted(found, key=lambda each: (each.node.lineno, each.node.col_offset, each.name))


def repeated(loop: ast.stmt) -> Iterator[ast.AST]:
    """The nodes that a loop runs again in each turn, nested definitions left out."""
    if not isinstance(loop, LOOPS):
        return
    roots: list[ast.AST] = [*loop.body, *([loop.test] if isinstance(loop, ast.While) else [])]
    for root in roots:
        yield root
        yield from own_nodes(root)


def chains(loop: ast.stmt) -> dict[str, list[ast.expr]]:
    """Long chains like ``a.b["c"].d`` that a turn of a loop follows more than once, by their text.

    The longest chain counts, not its parts; a method that is called is no link of it.
    """
    found: dict[str, list[ast.expr]] = {}
    nodes = list(repeated(loop))
    called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    parts = {
        id(node.value)
        for node in nodes
        if isinstance(node, ast.Attribute | ast.Subscript) and id(node) not in called
    }
    for node in nodes:
        if not isinstance(node, ast.Attribute | ast.Subscript) or id(node) in parts | called:
            continue
        if isinstance(node.ctx, ast.Load) and _links(node) >= CHAIN:
            found.setdefault(ast.unparse(node), []).append(node)
    return {text: each for text, each in found.items() if len(each) > 1}


def _links(node: ast.expr) -> int:
    """How many attributes and constant keys a chain has; 0 where it is rooted in no name."""
    if isinstance(node, ast.Attribute) or (
        isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant)
    ):
        inner = node.value
    else:
        return 0
    if isinstance(inner, ast.Name):
        return 1
    links = _links(inner)
    return links + 1 if links else 0


def _in_loops(function: FunctionNode) -> Iterator[Shape]:
    texts = string_names(function)
    seen: set[int] = set()
    loops = [node for node in own_nodes(function) if isinstance(node, LOOPS)]
    for loop in loops:
        for text, nodes in chains(loop).items():
            detail = f"follows {text} {len(nodes)} times in each turn"
            yield Shape("repeated_chain", nodes[0], loop, detail)
    for loop in reversed(loops):  # the innermost loop is the one that repeats a node
        for node in repeated(loop):
            if id(node) in seen:
                continue
            seen.add(id(node))
            name = grown_by_copy(node)
            if name is not None and isinstance(node, ast.Assign | ast.AugAssign):
                if name in texts:
                    detail = f"builds {name} by copying it in each turn: {ast.unparse(node)}"
                    yield Shape("string_building", node, loop, detail)
                elif isinstance(node, ast.Assign) and isinstance(_added(node), ast.List):
                    detail = f"copies {name} in each turn: {ast.unparse(node)}"
                    yield Shape("list_copying", node, loop, detail)
            elif isinstance(node, ast.Assign) and shortened(node) is not None:
                detail = f"copies the rest in each turn: {ast.unparse(node)}"
                yield Shape("list_copying", node, loop, detail)
            elif isinstance(node, ast.Call) and is_shift(node):
                detail = f"moves all elements in each turn: {ast.unparse(node)}"
                yield Shape("list_shifting", node, loop, detail)
            elif isinstance(node, ast.Call) and is_aggregate(node, loop):
                detail = f"adds all up again in each turn: {ast.unparse(node)}"
                yield Shape("aggregate_in_loop", node, loop, detail)


def string_names(function: FunctionNode) -> set[str]:
    """The local names that begin as a text."""
    return {
        target.id
        for node in own_nodes(function)
        if isinstance(node, ast.Assign) and is_text(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def is_text(node: ast.expr) -> bool:
    """Whether an expression is a text without doubt."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str)
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Call) and is_name(node.func, "str")
    )


def grown_by_copy(node: ast.AST) -> str | None:
    """The name in ``x += …`` or ``x = x + …``, None for other code."""
    if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add):
        return node.target.id if isinstance(node.target, ast.Name) else None
    if not isinstance(node, ast.Assign) or len(node.targets) != 1:
        return None
    target, value = node.targets[0], node.value
    added = isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add)
    if isinstance(target, ast.Name) and isinstance(value, ast.BinOp) and added:
        return target.id if is_name(value.left, target.id) else None
    return None


def shortened(node: ast.Assign) -> str | None:
    """The name in ``x = x[1:]``, None for other code."""
    target, value = node.targets[0], node.value
    if not isinstance(target, ast.Name) or not isinstance(value, ast.Subscript):
        return None
    part = value.slice
    rest = isinstance(part, ast.Slice) and part.upper is None and part.step is None
    if isinstance(part, ast.Slice) and rest and _is_number(part.lower, 1):
        return target.id if is_name(value.value, target.id) else None
    return None


def _added(node: ast.Assign) -> ast.expr:
    return node.value.right if isinstance(node.value, ast.BinOp) else node.value


def is_shift(node: ast.Call) -> bool:
    """``names.insert(0, x)`` or ``names.pop(0)``."""
    if not isinstance(node.func, ast.Attribute) or not node.args or node.keywords:
        return False
    wanted = {"insert": 2, "pop": 1}.get(node.func.attr)
    return wanted == len(node.args) and _is_number(node.args[0], 0)


def _is_number(node: ast.AST | None, value: int) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is int and node.value == value


def is_aggregate(node: ast.Call, loop: ast.stmt) -> bool:
    """``sum(xs)`` where the loop makes `xs` longer, or ``sum(xs[:i])`` of a part that grows."""
    if not is_name(node.func, "sum") or len(node.args) != 1 or node.keywords:
        return False
    argument = node.args[0]
    if isinstance(argument, ast.Subscript):
        return isinstance(argument.slice, ast.Slice) and isinstance(argument.value, ast.Name)
    return isinstance(argument, ast.Name) and any(
        isinstance(each, ast.Call) and dotted(each.func) == f"{argument.id}.append"
        for each in repeated(loop)
    )


def _anywhere(function: FunctionNode) -> Iterator[Shape]:
    for node in own_nodes(function):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            if few_of_sorted(node):
                detail = f"sorts all for a few: {ast.unparse(node)}"
                yield Shape("sort_for_few", node, None, detail)
            elif _is_fetchall(node.value):
                part = isinstance(node.slice, ast.Slice)
                name: CostlyShapeName = "unlimited_query" if part else "eager_evaluation"
                yield Shape(name, node, None, f"reads all rows for a part: {ast.unparse(node)}")
        elif isinstance(node, ast.Call):
            if is_eager(node):
                detail = f"computes all before it asks: {ast.unparse(node)}"
                yield Shape("eager_evaluation", node, None, detail)
        elif isinstance(node, ast.For) and _is_readlines(node.iter):
            detail = f"reads all lines first: {ast.unparse(node.iter)}"
            yield Shape("eager_evaluation", node.iter, None, detail)
        elif isinstance(node, ast.Assign) and _is_fetchall(node.value):
            yield from _fetched(function, node)


def few_of_sorted(node: ast.Subscript) -> bool:
    """``sorted(…)[0]``, ``[-1]`` or ``[:3]``."""
    call = node.value
    if not isinstance(call, ast.Call) or not is_name(call.func, "sorted"):
        return False
    part = node.slice
    if isinstance(part, ast.Slice):
        positive = isinstance(part.upper, ast.Constant) and type(part.upper.value) is int
        return positive and part.lower is None and part.step is None
    return _is_number(part, 0) or ast.unparse(part) == "-1"


def is_eager(node: ast.Call) -> bool:
    """``any([… for …])`` and ``all([… for …])``: the list is built before it is asked."""
    named = is_name(node.func, "any") or is_name(node.func, "all")
    return named and len(node.args) == 1 and isinstance(node.args[0], ast.ListComp)


def _is_fetchall(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and dotted(node.func).endswith(".fetchall") and not node.args


def _is_readlines(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and dotted(node.func).endswith(".readlines") and not node.args


def _fetched(function: FunctionNode, node: ast.Assign) -> Iterator[Shape]:
    """``rows = ….fetchall()`` of which only ``rows[:n]`` or ``rows[0]`` is read."""
    name = dotted(node.targets[0])
    reads = reads_of(function, name)
    subscripts = [each for each in reads if isinstance(each, ast.Subscript)]
    if not subscripts or len(node.targets) > 1:
        return
    if all(isinstance(each, ast.Subscript) and isinstance(each.slice, ast.Slice) for each in reads):
        detail = f"reads all rows, and takes {ast.unparse(subscripts[0])}"
        yield Shape("unlimited_query", node, None, detail)
    elif all(_is_number(each.slice, 0) for each in subscripts):
        detail = f"reads all rows, and takes {ast.unparse(subscripts[0])}"
        yield Shape("eager_evaluation", node, None, detail)


def reads_of(function: FunctionNode, name: str) -> list[ast.AST]:
    """Where a local name is read: the subscript where it is subscripted, else the name itself."""
    subscripted = [
        node
        for node in own_nodes(function)
        if isinstance(node, ast.Subscript) and is_name(node.value, name)
    ]
    inside = {id(node.value) for node in subscripted}
    plain = [
        node
        for node in own_nodes(function)
        if is_name(node, name)
        and isinstance(getattr(node, "ctx", None), ast.Load)
        and id(node) not in inside
    ]
    return [*subscripted, *plain]


def recursion(function: FunctionNode) -> list[Shape]:
    """A function that calls itself twice on one way through: the calls multiply.

    Two calls in exclusive branches of an ``if`` are one on each way.
    """
    if _self_calls(function.body, function.name) < 2:
        return []
    first = next(
        node
        for node in own_nodes(function)
        if isinstance(node, ast.Call) and _calls_itself(node, function.name)
    )
    detail = f"calls itself more than once: {ast.unparse(first)}"
    return [Shape("repeated_recursion", first, None, detail)]


def _calls_itself(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and is_name(node.func, name)


def _self_calls(statements: list[ast.stmt], name: str) -> int:
    """The most calls of a function to itself on one way through some statements."""
    total = 0
    for statement in statements:
        if isinstance(statement, ast.If):
            total += _count(statement.test, name)
            branches = [_self_calls(statement.body, name), _self_calls(statement.orelse, name)]
            if statement.body and isinstance(statement.body[-1], ast.Return):
                # What follows runs only where the branch was not taken.
                rest = statements[statements.index(statement) + 1 :]
                return total + max(branches[0], branches[1] + _self_calls(rest, name))
            total += max(branches)
        elif isinstance(statement, LOOPS):
            inner = _self_calls(statement.body, name)
            total += 2 * inner
        else:
            total += _count(statement, name)
    return total


def _count(node: ast.AST, name: str) -> int:
    return sum(_calls_itself(each, name) for each in ast.walk(node))


def blocking_calls(function: FunctionNode, tree: ast.Module | None) -> list[tuple[ast.Call, str]]:
    """The calls of a coroutine that block its event loop, with their full names."""
    known = imported_names(tree) if tree is not None else {}
    found = []
    for node in own_nodes(function):
        if not isinstance(node, ast.Call):
            continue
        written = dotted(node.func)
        root, _, rest = written.partition(".")
        full = known.get(root, root if rest else "") + (f".{rest}" if rest else "")
        if full in BLOCKING:
            found.append((node, full))
    return found


def imported_names(tree: ast.Module) -> dict[str, str]:
    """What the names that a module imports mean: ``sleep`` → ``time.sleep``."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                root = each.name.partition(".")[0]
                found[each.asname or root] = each.name if each.asname else root
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for each in node.names:
                found[each.asname or each.name] = f"{node.module}.{each.name}"
    return found


def mutations(loop: ast.stmt, name: str) -> list[ast.Call]:
    """The calls in a loop that change what a name holds: ``name.append(x)`` and the like."""
    return [
        node
        for node in repeated(loop)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in MUTATORS
        and is_name(node.func.value, name)
    ]
