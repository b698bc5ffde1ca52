"""A cache that only grows gets a bound: the oldest entry makes room for a new one."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from selfheal.codebase.index import dotted
from selfheal.codebase.leaks import cache_stores, unbounded_decorator
from selfheal.repair.edit import Edit
from selfheal.repair.problem import Problem
from selfheal.repair.state import Owned, accused, edit, state_strategy
from selfheal.repair.strategies.base import Example, import_splices

NAME = "bound_cache"
BOUND = 1024  # as many as a request may need at once, small beside a process's memory


def propose(problem: Problem) -> Iterator[Edit]:
    for owned in accused(problem, "growing_cache"):
        decorator = unbounded_decorator(owned.function)
        if decorator is not None:
            yield from _decorated(owned, decorator)
        for store in cache_stores(owned.function, owned.owner, owned.source.tree):
            yield from _evicting(owned, store)


def _decorated(owned: Owned, decorator: ast.expr) -> Iterator[Edit]:
    source = owned.source
    name = dotted(decorator.func if isinstance(decorator, ast.Call) else decorator)
    plain = "lru_cache" if "." not in name else "functools.lru_cache"
    imports = import_splices(source, "functools", "lru_cache") if "." not in name else []
    yield edit(
        owned,
        NAME,
        "lru_cache",
        f"the {BOUND} results used last are kept, not all of them for ever.",
        0.9,
        [source.replace(decorator, f"{plain}(maxsize={BOUND})"), *imports],
        bound=BOUND,
    )


def _evicting(owned: Owned, store: ast.Subscript) -> Iterator[Edit]:
    source = owned.source
    statement = source.statement(store)
    name = source.segment(store.value)
    if not isinstance(statement, ast.Assign) or not source.insertable(statement):
        return
    lines = [f"if len({name}) >= {BOUND}:", f"{source.unit}{name}.pop(next(iter({name})))"]
    yield edit(
        owned,
        NAME,
        "evict_oldest",
        f"{name} keeps {BOUND} entries; the oldest makes room for a new one.",
        0.85,
        [source.insert_before(statement, lines)],
        bound=BOUND,
    )


STRATEGY = state_strategy(
    NAME,
    propose,
    Example(
        before="import functools\n\n\n@functools.lru_cache(maxsize=None)\ndef page(number):\n"
        "    return 'x' * number\n",
        after="import functools\n\n\n@functools.lru_cache(maxsize=1024)\ndef page(number):\n"
        "    return 'x' * number\n",
        line=6,
    ),
    Example(
        before="PAGES = {}\n\n\ndef page(number):\n    if number not in PAGES:\n"
        "        PAGES[number] = 'x' * number\n    return PAGES[number]\n",
        after="PAGES = {}\n\n\ndef page(number):\n    if number not in PAGES:\n"
        "        if len(PAGES) >= 1024:\n            PAGES.pop(next(iter(PAGES)))\n"
        "        PAGES[number] = 'x' * number\n    return PAGES[number]\n",
        line=6,
    ),
)
