"""A text that a loop builds by ``+=`` is put together once, by ``join``.

Each ``text += part`` may copy all of the text so far; that CPython often need not is no
promise (Python FAQ, "What is the most efficient way to concatenate many strings?").
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from selfheal.codebase.costly_shapes import grown_by_copy, is_text
from selfheal.repair.costs import Built, asked, built, in_turn
from selfheal.repair.edit import Edit, Splice
from selfheal.repair.problem import Problem
from selfheal.repair.strategies.base import Example, performance_strategy
from selfheal.repair.strategies.scope import scope

NAME = "join_strings"


def propose(problem: Problem) -> Iterator[Edit]:
    if not asked(problem, "string_building"):
        return
    for source, function, factor in scope(problem):
        for text in built(source, function):
            edit = _joined(text, factor) if is_text(text.init.value) else None
            if edit is not None:
                yield edit


def _joined(text: Built, factor: float) -> Edit | None:
    source, name = text.source, text.name
    growing = [
        node
        for node in ast.walk(text.loop)
        if isinstance(node, ast.Assign | ast.AugAssign) and grown_by_copy(node) == name
    ]
    mentioned = sum(1 if isinstance(node, ast.AugAssign) else 2 for node in growing)
    if not growing or mentioned != len(text.inside()) or not in_turn(text.loop, growing[0]):
        return None
    parts = source.fresh(text.function, f"{name}_parts")
    splices: list[Splice] = []
    if text.adjacent and isinstance(text.init.value, ast.Constant) and not text.init.value.value:
        splices.append(source.replace(text.init, f"{parts} = []"))
    else:
        splices.append(source.insert_before(text.loop, [f"{parts} = [{name}]"]))
    for node in growing:
        added = node.value.right if isinstance(node, ast.Assign) else node.value  # type: ignore[attr-defined]
        start, (begin, stop) = source.span(node)[0], source.span(added)
        end = source.span(node)[1]
        before, after = source.text[start:begin], source.text[stop:end]
        if "(" in before or "\n" in before:
            # The parentheses around the added text belong to the statement.
            begin, stop = start + before.rindex("=") + 1, end
            while source.text[begin] == " ":
                begin += 1
            if not isinstance(node, ast.AugAssign):
                return None
        elif after.strip():
            return None
        splices.append(_splice(source.path, start, begin, f"{parts}.append("))
        splices.append(_splice(source.path, stop, stop, ")"))
    splices.append(source.insert_after(text.loop, [f'{name} = "".join({parts})']))
    return Edit(
        strategy=NAME,
        template=NAME,
        explanation=f"In {text.function.name}, the parts of {name} are collected and joined "
        "once, not copied with each turn.",
        fit=round(0.85 * factor, 6),
        parameters={"name": name},
        splices=splices,
    )


def _splice(path: str, start: int, stop: int, text: str) -> Splice:
    return Splice(path=path, start=start, stop=stop, text=text)


STRATEGY = performance_strategy(
    NAME,
    propose,
    Example(
        before="def page(rows):\n    text = ''\n    for row in rows:\n        for cell in row:\n"
        "            text += cell + ','  # a cell\n        text = text + '\\n'\n    return text\n",
        after="def page(rows):\n    text_parts = []\n    for row in rows:\n"
        "        for cell in row:\n            text_parts.append(cell + ',')  # a cell\n"
        "        text_parts.append('\\n')\n    text = \"\".join(text_parts)\n    return text\n",
        line=5,
        evidence={"slow_pattern": "string_building"},
    ),
    Example(
        before="def page(title, rows):\n    text = f'{title}:'\n    if rows:\n"
        "        text += ' '\n    for row in rows:\n        text += (\n            row\n"
        "        )\n    return text\n",
        after="def page(title, rows):\n    text = f'{title}:'\n    if rows:\n"
        "        text += ' '\n    text_parts = [text]\n    for row in rows:\n"
        "        text_parts.append((\n            row\n        ))\n"
        '    text = "".join(text_parts)\n    return text\n',
        line=6,
        evidence={"slow_pattern": "string_building"},
    ),
)
