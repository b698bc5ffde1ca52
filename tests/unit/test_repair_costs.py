"""A rewrite of costly code gives the same results with less counted work, or is refused."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from repair_problems import PATH, problem_of

from selfheal.repair import STRATEGIES, edited

BY_NAME = {strategy.name: strategy for strategy in STRATEGIES}
# The line of the fault, by a word that stands in it; what is run; inputs.
FIB = "def run(n):\n    if n < 2:\n        return n\n    return run(n - 1) + run(n - 2)\n"
PATHS = (
    "def run(rows, columns):\n    if rows == 0 or columns == 0:\n        return 1\n"
    "    return run(rows - 1, columns) + run(rows, columns - 1)\n"
)
TEXT = "def run(rows):\n    text = 'a'\n    for row in rows:\n        text += str(row)\n    return text\n"
COPIED = (
    "def run(rows):\n    found = [0]\n    for row in rows:\n        if row not in found:\n"
    "            found = found + [row]\n    return found\n"
)
FRONT = "def run(rows):\n    out = []\n    for row in rows:\n        out.insert(0, row)\n    return out\n"
QUEUE = (
    "def run(rows):\n    todo, out = 1, []\n    todo = list(rows)\n    while todo:\n"
    "        out.append(todo.pop(0))\n    return out\n"
)
QUEUE_ALONE = QUEUE.replace("todo, out = 1, []", "out = []")
BEST = "def run(rows):\n    return sorted(rows, key=lambda row: row % 7)[0]\n"
FEW = "def run(rows):\n    return sorted(rows, key=lambda row: row % 7, reverse=True)[:3]\n"
RANKED = (
    "def run(rows):\n    out = []\n    for row in rows:\n        out.append(row)\n"
    "        out.sort(key=abs)\n    return out\n"
)
PATTERN = (
    "import re\ndef run(rows, word='1+'):\n    out = 0\n    for row in rows:\n"
    "        out += len(re.findall(word, str(row)))\n    return out\n"
)
SHARES = "def run(rows):\n    return [sum(rows[:i]) for i in range(len(rows))]\n"
MEANS = (
    "def run(rows):\n    seen = []\n    out = []\n    for row in rows:\n        seen.append(row)\n"
    "        out.append(sum(seen))\n    return out\n"
)
KNOWN = "def run(rows):\n    return any([row > 3 for row in rows])\n"
CHAIN = (
    "class A:\n    reads = 0\n\n    @property\n    def b(self):\n        A.reads += 1\n"
    "        return self\n\n    c = 3\n\n\ndef run(rows, a=A()):\n    out = 0\n    for row in rows:\n"
    "        out += a.b.b.c * row - a.b.b.c\n    return out\n"
)
CASES = [
    ("hoist_chain", CHAIN, "repeated_chain", [([1, 2, 3] * 20,), ([],)]),
    ("cache_pure", FIB, "repeated_recursion", [(18,)]),
    ("cache_pure", PATHS, "repeated_recursion", [(5, 6)]),
    ("build_list", FRONT, "list_shifting", [(list(range(200)),), ([],)]),
    ("build_list", QUEUE_ALONE, "list_shifting", [(list(range(200)),), ([],)]),
    ("sort_few", RANKED, "sort_in_loop", [([3, -1, 2, -3, 1] * 20,), ([],)]),
    ("compile_once", PATTERN, "compile_in_loop", [([11, 2, 111] * 20,)]),
    ("lazy_evaluation", KNOWN, "eager_evaluation", [(list(range(200)),), ([1, 2],)]),
]
EATEN = (
    "def run(rows):\n    out = []\n    while len(rows) > 0:\n        out.append(rows[0])\n"
    "        rows = rows[1:]\n    return out\n"
)
SAME = [
    ("build_list", EATEN, "list_copying"),
    ("join_strings", TEXT, "string_building"),
    ("build_list", COPIED, "list_copying"),
    ("sort_few", BEST, "sort_for_few"),
    ("sort_few", FEW, "sort_for_few"),
    ("running_total", SHARES, "aggregate_in_loop"),
    ("running_total", MEANS, "aggregate_in_loop"),
]


def rewritten(strategy: str, text: str, pattern: str) -> list[str]:
    line = len(text.splitlines())
    problem = problem_of(text, line, {"slow_pattern": pattern}, kind="performance")
    edits = sorted(BY_NAME[strategy].propose(problem), key=lambda each: -each.fit)
    return [edited(edit, problem.sources)[PATH] or "" for edit in edits]


def loaded(text: str) -> Callable[..., Any]:
    space: dict[str, Any] = {}
    exec(compile(text, PATH, "exec"), space)
    run: Callable[..., Any] = space["run"]
    return run


def counted(text: str, arguments: tuple[Any, ...]) -> tuple[Any, int]:
    """The result, and executed lines, calls and elements that list methods move, together."""
    run, work = loaded(text), [0]

    def trace(frame: Any, event: str, argument: Any) -> Any:
        work[0] += 1
        return trace

    def profile(frame: Any, event: str, argument: Any) -> None:
        owner = getattr(argument, "__self__", None)
        moves = event == "c_call" and argument.__name__ in ("insert", "pop", "sort")
        work[0] += len(owner) if moves and isinstance(owner, list) else event == "c_call"

    before = sys.gettrace()
    sys.setprofile(profile)
    sys.settrace(trace)
    try:
        return run(*arguments), work[0]
    finally:
        sys.settrace(before)
        sys.setprofile(None)


@pytest.mark.parametrize(("strategy", "text", "pattern", "inputs"), CASES)
def test_the_rewrite_gives_the_same_with_less_work(
    strategy: str, text: str, pattern: str, inputs: list[tuple[Any, ...]]
) -> None:
    (better, *_) = rewritten(strategy, text, pattern)
    for number, arguments in enumerate(inputs):
        (was, much), (now, little) = counted(text, arguments), counted(better, arguments)
        assert now == was
        assert number or little < 0.8 * much


@pytest.mark.parametrize(("strategy", "text", "pattern"), SAME)
@settings(max_examples=20)
@given(rows=st.lists(st.integers(0, 50)))
def test_the_rewrite_gives_the_same_on_any_input(
    strategy: str, text: str, pattern: str, rows: list[int]
) -> None:
    (better, *_) = rewritten(strategy, text, pattern)

    def answer(code: str) -> Any:
        try:
            return loaded(code)(list(rows))
        except (IndexError, ValueError) as error:
            return isinstance(error, LookupError | ValueError)

    assert answer(better) == answer(text)


REFUSED = [
    # An impure function, one with results that can be changed, one told apart by identity.
    ("cache_pure", "import time\n" + FIB.replace("n < 2", "n < time.time()"), "repeated_recursion"),
    ("cache_pure", FIB.replace("return n\n", "return [n]\n"), "repeated_recursion"),
    ("cache_pure", FIB.replace("run(n)", "run(n: list)", 1), "repeated_recursion"),
    # The half-built value is seen by the loop, by a handler, or by another function.
    ("join_strings", TEXT.replace("str(row)", "str(len(text))"), "string_building"),
    (
        "join_strings",
        "def run(rows):\n    text = ''\n    try:\n        text = ''\n        for row in rows:\n"
        "            text += row\n    except TypeError:\n        pass\n    return text\n",
        "string_building",
    ),
    ("join_strings", TEXT.replace("'a'", "rows"), "string_building"),
    ("build_list", FRONT.replace("row)\n", "len(out))\n"), "list_shifting"),
    ("build_list", FRONT.replace("[]", "[9]"), "list_shifting"),
    (
        "build_list",
        COPIED.replace("    return", "        last = found\n    return"),
        "list_copying",
    ),
    ("build_list", QUEUE, "list_shifting"),
    ("build_list", QUEUE_ALONE.replace("return out", "return out, todo"), "list_shifting"),
    ("build_list", EATEN.replace("return out", "return out, rows"), "list_copying"),
    ("build_list", EATEN.replace("rows[0]", "rows.pop()"), "list_copying"),
    ("hoist_chain", CHAIN.replace("out += ", "a.c = row; out += "), "repeated_chain"),
    ("hoist_chain", CHAIN.replace("out += ", "row = abs(a.b) or row; out += "), "repeated_chain"),
    ("hoist_chain", CHAIN.replace("a.b.b.c", "a.b.b['c']"), "repeated_chain"),
    # Of equal keys, the last of the sorted is not what max gives.
    ("sort_few", BEST.replace("[0]", "[-1]"), "sort_for_few"),
    (
        "sort_few",
        "def run(rows):\n    try:\n        return sorted(rows)[0]\n    except IndexError:\n"
        "        return None\n",
        "sort_for_few",
    ),
    ("sort_few", RANKED.replace("out.sort", "if row: out.sort"), "sort_in_loop"),
    ("compile_once", PATTERN.replace("word, str", "str(row), str"), "compile_in_loop"),
    ("running_total", SHARES.replace("range(len(rows))", "range(9)"), "aggregate_in_loop"),
    (
        "running_total",
        MEANS.replace("seen.append(row)", "seen.append(row); seen.pop()"),
        "aggregate_in_loop",
    ),
    # LIMIT takes no None, as a slice does.
    (
        "limit_query",
        "def run(db, n=None):\n    return db.execute('SELECT 1').fetchall()[:n]\n",
        "unlimited_query",
    ),
    # An element has an effect that would not happen any more.
    ("lazy_evaluation", KNOWN.replace("row > 3", "rows.append(row)"), "eager_evaluation"),
    (
        "limit_query",
        "def run(db):\n    return db.execute('SELECT 1 LIMIT 3').fetchall()[:2]\n",
        "unlimited_query",
    ),
    (
        "limit_query",
        "def run(db, n):\n    return db.execute(n).fetchall()[:2]\n",
        "unlimited_query",
    ),
    (
        "async_call",
        "import time\nasync def run():\n    return [(lambda: time.sleep(1))]\n",
        "blocking_call",
    ),
    ("async_call", "import time\ndef run():\n    time.sleep(1)\n", "blocking_call"),
]


@pytest.mark.parametrize(("strategy", "text", "pattern"), REFUSED)
def test_what_might_mean_something_else_is_refused(strategy: str, text: str, pattern: str) -> None:
    assert rewritten(strategy, text, pattern) == []


def test_a_bound_that_is_no_number_means_what_it_meant() -> None:
    text = (
        "def run(db, shop, count: int):\n"
        '    return db.execute("SELECT id FROM orders WHERE shop = ? ORDER BY id", (shop,))'
        ".fetchall()[:count]\n"
    )
    (better,) = rewritten("limit_query", text, "unlimited_query")
    assert "LIMIT ?" in better
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE orders (id INTEGER, shop TEXT)")
    db.executemany("INSERT INTO orders VALUES (?, 'a')", [(n,) for n in range(9)])
    for count in (0, 3, 99, -2):
        assert loaded(better)(db, "a", count) == loaded(text)(db, "a", count)


def test_a_coroutine_that_waits_lets_others_run() -> None:
    text = (
        "import time\nasync def run(log):\n    log.append('asked')\n    time.sleep(0.01)\n"
        "    log.append('answered')\n"
    )
    (better,) = rewritten("async_call", text, "blocking_call")

    async def both(code: str) -> list[str]:
        log: list[str] = []
        await asyncio.gather(loaded(code)(log), loaded(code)(log))
        return log

    assert asyncio.run(both(text)) == ["asked", "answered"] * 2
    assert asyncio.run(both(better)) == ["asked"] * 2 + ["answered"] * 2


STYLES = [("\n", ""), ("\r\n", ""), ("\n", "# größer ✓\n"), ("\r\n", "# größer ✓\n")]
ALL = [
    (strategy.name, example)
    for strategy in STRATEGIES
    if strategy.name in {*(case[0] for case in CASES), *(case[0] for case in SAME), "limit_query"}
    for example in strategy.examples
]


@pytest.mark.parametrize(("newline", "above"), STYLES)
@pytest.mark.parametrize(("strategy", "example"), ALL)
def test_what_is_not_edited_stays_to_the_byte(
    strategy: str, example: Any, newline: str, above: str
) -> None:
    """Whatever the line ends and the comments, the result is the example's, and ends as it ended."""
    text = (above + example.before).replace("\n", newline)
    shift = above.count("\n")
    problem = problem_of(text, example.line + shift, example.evidence, kind="performance")
    made = [edited(edit, problem.sources)[PATH] for edit in BY_NAME[strategy].propose(problem)]
    wanted = (above + example.after).replace("\n", newline)
    assert wanted in made
    for each in made:
        assert each is not None
        assert newline == "\n" or "\n" not in each.replace("\r\n", "")
