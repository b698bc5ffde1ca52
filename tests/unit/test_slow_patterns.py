"""Slow shapes are recognised, and their harmless cousins are not."""

from __future__ import annotations

import pytest

from selfheal.codebase.index import CodeIndex
from selfheal.codebase.slow_patterns import query_functions, query_helpers, slow_patterns

SLOW = {
    "queries_in_loop": [
        "for id in ids:\n    rows.append(db.execute('SELECT', (id,)).fetchone())",
        "rows = [db.execute('SELECT', (id,)).fetchone() for id in ids]",
        "while more:\n    more = session.scalar(query(more))",
    ],
    "nested_loops": [
        "for a in left:\n    for b in right:\n        if a.id == b.id:\n            out.append(b)",
        "out = [b for a in left for b in right if a.id == b.id]",
        "for a in left:\n    out.append(next(b for b in right if b.id == a.id))",
        "for a in left:\n    out.append([b for b in right if b.id == a.id])",
    ],
    "membership_in_list": [
        "seen = []\nfor a in left:\n    if a not in seen:\n        seen.append(a)",
        "names = [b.name for b in right]\nout = [a for a in left if a in names]",
        "for a in left:\n    if a in list(right):\n        out.append(a)",
    ],
    "repeated_call": [
        "for a in left:\n    out.append(a * load_rate(currency))",
        "out = [a * load_rate() for a in left]",
    ],
    "sort_in_loop": ["for a in left:\n    out.append(a)\n    out.sort()"],
    "compile_in_loop": ["for a in left:\n    out.append(re.compile(prefix + a))"],
    "string_building": [
        "text = ''\nfor a in left:\n    text += a",
        "text = f'{ids}'\nwhile left:\n    text = text + left.pop()",
    ],
    "list_copying": ["for a in left:\n    out = out + [a]"],
    "list_shifting": ["for a in left:\n    out.insert(0, a)", "while left:\n    left.pop(0)"],
    "aggregate_in_loop": [
        "for a in left:\n    out.append(a)\n    print(sum(out))",
        "for n in range(9):\n    out.append(sum(left[:n]))",
    ],
    "repeated_chain": ["for a in left:\n    out.append(db.a.b.c + db.a.b.c)"],
    "sort_for_few": ["return sorted(left)[0]", "return sorted(left, key=len)[:3]"],
    "eager_evaluation": [
        "return any([a > 1 for a in left])",
        "for line in db.readlines():\n    out.append(line)",
        "rows = db.execute('SELECT').fetchall()\nreturn rows[0] if rows else None",
    ],
    "unlimited_query": [
        "return db.execute('SELECT').fetchall()[:10]",
        "rows = db.execute('SELECT').fetchall()\nreturn rows[:10]",
    ],
    "repeated_recursion": [
        "return f(left[1:]) + f(left[2:])",
        "if left:\n    return f(1)\nreturn f(2) + f(3)",
        "for a in left:\n    f(a)",
    ],
}
HARMLESS = [
    "for order in orders:\n    for line in order.lines:\n        out.append(line)",
    "out = [line for order in orders for line in order.lines]",
    "rows = db.execute('SELECT').fetchall()\nfor row in rows:\n    out.append(row)",
    "for row in db.execute('SELECT'):\n    out.append(row)",
    "names = {b.name for b in right}\nout = [a for a in left if a in names]",
    "for a in left:\n    out.append(len(right))",
    "for a in left:\n    out.append(transform(a))",
    "for a in left:\n    for n in range(3):\n        out.append(a)",
    "for a in left:\n    started = time.monotonic()",
    "total = 0\nfor a in left:\n    total += a",
    "for a in left:\n    out.insert(len(out), a)\n    out.pop()",
    "for a in left:\n    out.append(a.b.c.d + db.a.b)",
    "return sorted(left)",
    "return sorted(left)[1:]",
    "return any(a > 1 for a in left)",
    "rows = db.execute('SELECT').fetchall()\nreturn len(rows), rows[:10]",
    "if left:\n    return f(1)\nelse:\n    return f(2)",
    "if left:\n    return f(1)\nreturn f(2)",
]


def function(body: str) -> str:
    indented = "\n".join(f"    {line}" for line in body.split("\n"))
    return f"def f(left, right, ids, db, out):\n{indented}\n"


@pytest.mark.parametrize(
    ("name", "body"), [(name, body) for name, bodies in SLOW.items() for body in bodies]
)
def test_a_slow_shape_is_named(name: str, body: str) -> None:
    assert name in {found.name for found in slow_patterns(function(body), "f")}


@pytest.mark.parametrize("body", HARMLESS)
def test_a_harmless_shape_is_left_alone(body: str) -> None:
    assert slow_patterns(function(body), "f") == []


def test_a_query_behind_helpers_is_seen_through_them() -> None:
    index = CodeIndex.of(
        {
            "a.py": "from b import price\n\ndef f(db, ids):\n    return [price(db, id) for id in ids]\n",
            "b.py": "def price(db, id):\n    return one(db, id)\n\ndef one(db, id):\n    return db.execute('S', (id,))\n",
        }
    )
    asking = query_functions(index)
    assert asking == {("b.py", "price"), ("b.py", "one"), ("a.py", "f")}
    helpers = query_helpers(index, index.find("f")[0], asking)
    found = slow_patterns(
        "def f(db, ids):\n    return [price(db, id) for id in ids]\n", "f", helpers
    )
    assert [(item.name, item.callee) for item in found] == [("queries_in_loop", "price")]


def test_a_query_that_asks_the_same_each_turn_is_also_a_repeated_call() -> None:
    body = "for a in left:\n    out.append(db.execute('SELECT').fetchone())"
    assert [found.name for found in slow_patterns(function(body), "f")] == [
        "queries_in_loop",
        "repeated_call",
    ]


def test_what_does_not_parse_or_is_not_there_has_no_shapes() -> None:
    assert slow_patterns("def (", "f") == []
    assert slow_patterns("def g(): ...\n", "f") == []


def test_a_coroutine_that_blocks_is_named_by_what_its_module_imports() -> None:
    text = "from time import sleep as nap\nasync def f():\n    nap(1)\n    await g()\n"
    assert [found.name for found in slow_patterns(text, "f")] == ["blocking_call"]
    assert slow_patterns(text.replace("from time", "from own"), "f") == []
    assert slow_patterns(text.replace("async ", "").replace("await ", ""), "f") == []
