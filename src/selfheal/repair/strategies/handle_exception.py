"""The failing statement in a narrow ``try`` that logs, and goes on without its result."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from selfheal.repair.edit import Edit, Splice
from selfheal.repair.fallbacks import Fallback, statements
from selfheal.repair.problem import Place, Problem
from selfheal.repair.source import Source, module_names, names_bound
from selfheal.repair.strategies.base import Example, error_strategy, import_splices
from selfheal.repair.strategies.guard_conversion import attempted, exception_expression

NAME = "handle_exception"
BLOCKS = (ast.If, ast.While, ast.For, ast.AsyncFor, ast.With, ast.AsyncWith, ast.Try, ast.Match)
_LOGGER = re.compile(r"^_?(logger|log|LOGGER|LOG)$")


def propose(problem: Problem) -> Iterator[Edit]:
    in_tests_alone = problem.failing_tests and not problem.diagnosis.evidence.get("frames")
    if not problem.exception or in_tests_alone:
        return
    for place in problem.places():
        statement = _statement(place)
        caught = exception_expression(place, problem)
        if statement is None or caught is None or isinstance(statement, ast.Raise):
            continue
        names, imports = caught
        logger, logging_imports = _logger(place.source)
        said = f'{logger}.warning("{place.function.name}: %s", error, exc_info=True)'
        for fallback in _ways_on(problem, place, statement):
            yield Edit(
                strategy=NAME,
                template=f"log_{fallback.origin}",
                explanation=f"In {place.function.name}, {problem.exception} is logged, then: "
                f"`{fallback.text}` {fallback.why}.",
                fit=round(fallback.fit * 0.6, 6),
                parameters={"fallback": fallback.text, "origin": fallback.origin},
                splices=[
                    *imports,
                    *logging_imports,
                    *attempted(
                        place, statement, [f"except {names} as error:"], [said, fallback.text]
                    ),
                ],
            )


def _statement(place: Place) -> ast.stmt | None:
    """The innermost simple statement on the accused line."""
    found = [
        node
        for node in place.nodes(ast.stmt)
        if isinstance(node, ast.stmt)
        and not isinstance(node, (*BLOCKS, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        and place.source.insertable(node)
    ]
    return found[-1] if found else None


def _ways_on(problem: Problem, place: Place, statement: ast.stmt) -> list[Fallback]:
    subject = next((each for each in ast.walk(statement) if isinstance(each, ast.expr)), None)
    ways = statements(problem, place, statement, subject) if subject is not None else []
    names = sorted(names_bound(statement))
    if isinstance(statement, ast.Assign) and len(names) == 1:
        ways.append(Fallback(f"{names[0]} = None", 0.45, "neutral", "goes on without it"))
    return ways


def _logger(source: Source) -> tuple[str, list[Splice]]:
    """The module's own logger, else one by the module's name."""
    own = sorted(name for name in module_names(source) if _LOGGER.match(name))
    if own:
        return own[0], []
    return "logging.getLogger(__name__)", import_splices(source, "logging")


STRATEGY = error_strategy(
    NAME,
    propose,
    Example(
        before="import logging\n\nlogger = logging.getLogger(__name__)\n\n\n"
        "def load(rows):\n    for row in rows:\n        row.check()\n",
        after="import logging\n\nlogger = logging.getLogger(__name__)\n\n\n"
        "def load(rows):\n    for row in rows:\n        try:\n            row.check()\n"
        "        except RuntimeError as error:\n"
        '            logger.warning("load: %s", error, exc_info=True)\n'
        "            continue\n",
        line=8,
        evidence={"exception_type": "RuntimeError", "message": "stale row"},
    ),
)
