"""Results may be kept only of functions that depend on their arguments alone."""

from __future__ import annotations

import ast

import pytest

from selfheal.codebase.purity import may_be_kept

KEPT = [
    "def fib(n):\n    if n < 2:\n        return n\n    return fib(n - 1) + fib(n - 2)\n",
    "def f(n: int) -> int:\n    return n * 2\n",
    "import math\nK = 3\ndef f(n: int):\n    return math.sqrt(n) + K\n",
    "def paths(r, c):\n    if r == 0 or c == 0:\n        return 1\n    return paths(r - 1, c) + paths(r, c - 1)\n",
    "def f(n: int) -> int:\n    out = []\n    for i in range(n):\n        out.append(i)\n    return sum(out)\n",
    'def f(x: str):\n    if not x.strip():\n        raise ValueError("e")\n    return x.upper()\n',
]
REFUSED = [
    "def f(n: list) -> int:\n    return len(n)\n",
    "def f(n: int):\n    return [n]\n",
    "def f(n: int):\n    print(n)\n    return 1\n",
    "K = 3\ndef f(n: int):\n    return K + n\ndef g():\n    global K\n    K = 2\n",
    "T = {}\ndef f(n: int):\n    return T[n]\ndef g():\n    T[1] = 3\n",
    "def f(n: int):\n    out = []\n    for i in range(n):\n        out.append(i)\n    return sum(out)\n",
    "def f(x: str, filter):\n    return filter(x)\n",
    "def f(x: float):\n    return x\n",
    "import time\ndef f(x: int):\n    return x + time.time()\n",
    "def f(n: int):\n    return [n] * n\n",
    "class C:\n    pass\nS = C()\ndef f(n: int):\n    return S.x + n\n",
    "import random\ndef f(n: int) -> int:\n    return random.randint(0, n)\n",
    "def f(n: int, *rest):\n    return n\n",
    "@other\ndef f(n: int) -> int:\n    return n\n",
    "def f(n: int):\n    yield n\n",
    "async def f(n: int) -> int:\n    return n\ndef g():\n    return 1\n",
]


def judged(text: str) -> bool:
    tree = ast.parse(text)
    function = next(node for node in tree.body if isinstance(node, ast.FunctionDef))
    return may_be_kept(function, tree)


@pytest.mark.parametrize("text", KEPT)
def test_a_pure_function_of_values_may_be_kept(text: str) -> None:
    assert judged(text)


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_known_to_be_harmless_is_refused(text: str) -> None:
    assert not judged(text)
