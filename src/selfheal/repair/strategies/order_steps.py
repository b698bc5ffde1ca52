"""The steps of a function are put into the order that holds.

Where the good release is known, each step stands again where it stood there, and the rest
of the change stays. Where it is not, a step is moved before the one that it must precede
if no value depends on the order, a second taking of a step is dropped, and so is one that
should not be there.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from itertools import pairwise

from selfheal.repair.behaviour import (
    Rule,
    Step,
    callers,
    good_version,
    rules,
    step_of,
    takings,
)
from selfheal.repair.blocks import block_of
from selfheal.repair.edit import Edit, Splice, edited
from selfheal.repair.flow_docs import flow_document
from selfheal.repair.problem import Problem
from selfheal.repair.source import (
    Function,
    Source,
    module_names,
    names_bound,
    names_in,
    parse,
    same,
    walk_own,
)
from selfheal.repair.statements import (
    common_block,
    dropped,
    independent,
    leaves,
    moved_after,
    moved_before,
    relocated,
)
from selfheal.repair.strategies.base import Example, Strategy, import_splices

NAME = "order_steps"


def propose(problem: Problem) -> Iterator[Edit]:
    for rule in rules(problem):
        step = step_of(problem, rule.step)
        other = step_of(problem, rule.other) if rule.other else None
        wanted = [step, *([other] if other else [])] if rule.violation != "missing" else []
        for rank, (source, function) in enumerate(callers(problem, wanted)):
            factor = max(1 - 0.1 * rank, 0.6)
            for template, told, fit, splices in _changed(
                problem, rule, step, other, source, function
            ):
                edit = Edit(
                    strategy=NAME,
                    template=template,
                    explanation=f"In {function.name}, {told}.",
                    fit=round(fit * factor, 6),
                    parameters={"violation": rule.violation, "step": rule.step},
                    splices=splices,
                )
                yield edit.model_copy(
                    update={"files": _documented(problem, edit, source, function)}
                )


Change = tuple[str, str, float, list[Splice]]


def _changed(
    problem: Problem,
    rule: Rule,
    step: Step,
    other: Step | None,
    source: Source,
    function: Function,
) -> Iterator[Change]:
    """(template, what is done, fit, splices) of each way to make the rule hold."""
    good = good_version(problem, source, function)
    if good is not None:
        yield from _as_in_good(source, function, good, step)
        if other is not None:
            yield from _as_in_good(source, function, good, other)
    taken = takings(source, function, step)
    if rule.violation == "swapped" and other is not None:
        for late in taken:
            for early in takings(source, function, other):
                yield from _swapped(source, early, late, step, other)
    elif rule.violation == "duplicated":
        for statement in reversed(taken[1:]):
            yield from _dropped(source, function, statement, f"{step.name} is taken once", 0.85)
        if len(taken) == 1:
            yield from _out_of_loop(source, taken[0], step)
    elif rule.violation == "extra":
        for statement in taken:
            yield from _dropped(source, function, statement, f"{step.name} is not taken", 0.8)


def _swapped(
    source: Source, early: ast.stmt, late: ast.stmt, step: Step, other: Step
) -> Iterator[Change]:
    """`late` takes the step that must come first."""
    block = common_block(source, early, late)
    if block is None or late.lineno < early.lineno:
        return
    first, second = block.statements[block.first], block.statements[block.second]
    between = block.statements[block.first + 1 : block.second]
    told = f"{step.name} comes before {other.name}"
    lifted = 0.15 if first is not early or second is not late else 0.0
    if independent(second, [first, *between]) and not leaves([second]):
        splices = moved_before(source, second, first)
        if splices is not None:
            guarded = 0.3 if leaves(between) else 0.0
            yield "move_up", told, 0.9 - lifted - guarded, splices
    if independent(first, [*between, second]) and not leaves([first, *between, second]):
        splices = moved_after(source, first, second)
        if splices is not None:
            yield "move_down", told, 0.85 - lifted, splices


def _dropped(
    source: Source, function: Function, statement: ast.stmt, told: str, fit: float
) -> Iterator[Change]:
    """A taking of a step goes, if nobody reads what it alone gives."""
    bound = names_bound(statement)
    others = [
        node
        for node in walk_own(function)
        if isinstance(node, ast.stmt) and node is not statement and names_bound(node) & bound
    ]
    read = [
        node
        for node in walk_own(function)
        if isinstance(node, ast.Name) and node.id in bound and isinstance(node.ctx, ast.Load)
    ]
    if not isinstance(statement, ast.Expr | ast.Assign) or (bound and read and not others):
        return
    splice = dropped(source, statement)
    if splice is not None:
        yield "drop", told, fit, [splice]


def _out_of_loop(source: Source, statement: ast.stmt, step: Step) -> Iterator[Change]:
    """A step that each turn of a loop takes is taken once, after the loop or before it."""
    loop = next(
        (each for each in source.ancestors(statement) if isinstance(each, ast.For | ast.While)),
        None,
    )
    splice = dropped(source, statement)
    if loop is None or splice is None or not isinstance(statement, ast.Expr):
        return
    targets = names_bound(loop.target) if isinstance(loop, ast.For) else set()
    if names_in(statement) & targets or not source.insertable(loop):
        return
    text = source.segment(statement).split(source.newline)
    if len(text) == 1:
        told = f"{step.name} is taken once, after the loop"
        yield "after_loop", told, 0.7, [splice, source.insert_after(loop, text)]
        told = f"{step.name} is taken once, before the loop"
        yield "before_loop", told, 0.65, [splice, source.insert_before(loop, text)]


def _as_in_good(
    source: Source, function: Function, good: tuple[Source, Function], step: Step
) -> Iterator[Change]:
    """All takings of a step go, and those of the good release come back where they stood."""
    old_source, old_function = good
    wanted, present = takings(old_source, old_function, step), takings(source, function, step)
    if not wanted:
        return
    removed = [dropped(source, statement) for statement in present]
    if any(each is None for each in removed):
        return
    splices = [each for each in removed if each is not None]
    for statement in wanted:
        needed = _imports(source, function, old_source, statement)
        found = _restored(source, function, old_source, statement, present)
        if found is None or needed is None:
            return
        splices += [*needed, *found]
    if _overlap(splices):
        return
    told = f"{step.name} is taken where the good release took it"
    yield "as_in_good", told, 0.95 if present else 0.93, splices


def _overlap(splices: list[Splice]) -> bool:
    ordered = sorted(splices, key=lambda each: (each.start, each.stop))
    return any(later.start < each.stop for each, later in pairwise(ordered))


def _imports(
    source: Source, function: Function, old: Source, statement: ast.stmt
) -> list[Splice] | None:
    """Imports that a statement of the good release needs; None if it reads what is no more."""
    known = names_bound(function) | names_bound(statement) | module_names(source)
    known |= {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)}
    # A name that the function reads already comes from somewhere.
    known |= names_in(function) | set(dir(builtins))
    splices: list[Splice] = []
    for name in sorted(names_in(statement) - known):
        module = next(
            (
                node.module
                for node in old.tree.body
                if isinstance(node, ast.ImportFrom) and node.module and not node.level
                if any(each.name == name and each.asname is None for each in node.names)
            ),
            None,
        )
        if module is None:
            return None
        splices += import_splices(source, module, name)
    return splices


def _restored(
    source: Source,
    function: Function,
    old: Source,
    statement: ast.stmt,
    present: list[ast.stmt],
) -> list[Splice] | None:
    """The good release's statement beside the neighbour that both versions have.

    What stands in its place now, between the same neighbours, is replaced by it.
    """
    block = block_of(old, statement)
    at = block.index(statement)
    for before in reversed(block[:at]):
        anchor = _same_statement(function, before, present)
        if anchor is None:
            continue
        text = relocated(old, statement, source.indent(anchor), source.newline)
        if text is None:
            return None
        position = source.next_line(anchor)
        if position and source.text[position - 1] not in "\r\n":
            text = source.newline + text
        stand_in = _stand_in(source, function, anchor, block[at + 1 :], statement, present)
        stop = source.next_line(stand_in) if stand_in is not None else position
        return [Splice(path=source.path, start=position, stop=stop, text=text)]
    for after in block[at + 1 :]:
        anchor = _same_statement(function, after, present)
        if anchor is not None:
            text = relocated(old, statement, source.indent(anchor), source.newline)
            start = source.line_start(anchor.lineno)
            if text is None or not source.insertable(anchor):
                return None
            return [Splice(path=source.path, start=start, stop=start, text=text)]
    return None


def _same_statement(
    function: Function, statement: ast.stmt, present: list[ast.stmt]
) -> ast.stmt | None:
    """The one statement of a function that is the same code; None if there are several."""
    found = [
        node
        for node in walk_own(function)
        if isinstance(node, ast.stmt) and node not in present and same(node, statement)
    ]
    return found[0] if len(found) == 1 else None


def _stand_in(
    source: Source,
    function: Function,
    anchor: ast.stmt,
    following: list[ast.stmt],
    statement: ast.stmt,
    present: list[ast.stmt],
) -> ast.stmt | None:
    """What binds the same names in the statement's place: it was put there instead of it."""
    block = block_of(source, anchor)
    place = block.index(anchor) + 1
    if place >= len(block) or block[place] in present:
        return None
    here = block[place]
    kept = any(_same_statement(function, each, present) is here for each in following)
    bound = names_bound(statement)
    if kept or not bound or names_bound(here) != bound or type(here) is not type(statement):
        return None
    return here


def _documented(
    problem: Problem, edit: Edit, source: Source, function: Function
) -> dict[str, str | None]:
    """The flow of the function after the edit, in the project's documents."""
    after = parse(source.path, edited(edit, problem.sources)[source.path] or "")
    if after is None:
        return {}
    changed = next((each for each in after.functions() if each.name == function.name), None)
    if changed is None:
        return {}
    known = {each.name for other in problem.python() for each in other.functions()}
    steps = [
        ast.unparse(node.func).rpartition(".")[2]
        for node in walk_own(changed)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name | ast.Attribute)
        and ast.unparse(node.func).rpartition(".")[2] in known
    ]
    return flow_document(problem, problem.diagnosis.operation, steps) if steps else {}


STRATEGY = Strategy(
    NAME,
    frozenset({"behavioral"}),
    propose,
    (
        Example(
            before="def order(cart, log):\n    charge(cart)  # at once\n    log(cart)\n"
            "    # what is left\n    reserve(cart)\n    return cart\n",
            after="def order(cart, log):\n    # what is left\n    reserve(cart)\n"
            "    charge(cart)  # at once\n    log(cart)\n    return cart\n",
            line=2,
            evidence={"violation": "swapped", "step": "reserve", "other": "charge"},
        ),
        Example(
            before="from till import charge, price\n\n\ndef order(cart):\n"
            "    total = price(cart)\n    charge(cart, total)\n    return total\n",
            good="from stock import reserve\nfrom till import charge, price\n\n\n"
            "def order(cart):\n    total = price(cart)\n    reserve(cart)\n"
            "    charge(cart, total)\n    return total\n",
            after="from stock import reserve\nfrom till import charge, price\n\n\n"
            "def order(cart):\n    total = price(cart)\n    reserve(cart)\n"
            "    charge(cart, total)\n    return total\n",
            line=5,
            evidence={"violation": "missing", "step": "shop.reserve"},
        ),
        Example(
            before="def order(cart):\n    reserve(cart)\n    charge(cart)\n    if cart:\n"
            "        charge(cart)\n    return cart\n",
            after="def order(cart):\n    reserve(cart)\n    charge(cart)\n    if cart:\n"
            "        pass\n    return cart\n",
            line=2,
            evidence={"violation": "duplicated", "step": "charge"},
        ),
        Example(
            before="def order(cart):\n    for line in cart:\n        book(line)\n"
            "        mail(cart)\n    return cart\n",
            after="def order(cart):\n    for line in cart:\n        book(line)\n"
            "    mail(cart)\n    return cart\n",
            line=2,
            evidence={"violation": "duplicated", "step": "mail"},
        ),
    ),
)
