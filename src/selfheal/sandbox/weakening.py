"""Whether a patch turns the tests green by asking less of the code."""

from __future__ import annotations

import ast
import configparser
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from selfheal.sandbox.changes import ChangedFile

BROAD = {"Exception", "BaseException"}
SKIPS = ("skip", "xfail")


def weakenings(files: Sequence[ChangedFile]) -> list[str]:
    """Every way in which the patch asks less than before, as ``file: what``; empty if none.

    Tests removed, assertions removed or changed, skips and expected failures added, a
    changed conftest.py or test configuration, and in the code new ``except:`` clauses
    and new broad ones that swallow in silence.
    """
    return [f"{file.path}: {found}" for file in files for found in _of_file(file)]


def _of_file(file: ChangedFile) -> Iterator[str]:
    name = PurePosixPath(file.path).name
    if name == "conftest.py":
        yield "changes the fixtures that the tests stand on"
    elif _settings(name, file.before) != _settings(name, file.after):
        yield "changes how the tests are run"
    elif file.role == "test":
        yield from _tests(file)
    elif file.path.endswith(".py"):
        yield from _code(file)


def _tests(file: ChangedFile) -> Iterator[str]:
    if file.before is None:
        return
    if file.after is None:
        yield "removes a file of tests"
        return
    before, after = _parsed(file.before), _parsed(file.after)
    if before is None or after is None:
        return
    asked, asks = dict(_functions(before)), dict(_functions(after))
    for name, function in asked.items():
        if name not in asks:
            yield f"removes {name}"
            continue
        if lost := _assertions(function) - _assertions(asks[name]):
            yield f"removes or changes an assertion of {name}: {next(iter(lost))}"
    if _skips(after) > _skips(before):
        yield "skips a test or expects it to fail"


def _code(file: ChangedFile) -> Iterator[str]:
    before, after = _parsed(file.before or ""), _parsed(file.after or "")
    if before is None or after is None:
        return
    if _bare(after) > _bare(before):
        yield "adds an except clause that catches everything"
    if _silent(after) > _silent(before):
        yield "adds an except clause that swallows exceptions in silence"


def _parsed(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return None


def _functions(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    for node in tree.body:
        members = node.body if isinstance(node, ast.ClassDef) else [node]
        owner = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
        for member in members:
            if not isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if member.name.startswith("test"):
                yield owner + member.name, member


def _assertions(function: ast.AST) -> Counter[str]:
    found: Counter[str] = Counter()
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            found[ast.unparse(node)] += 1
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func).rpartition(".")[2]
            if called.lower().startswith("assert") or called in ("raises", "warns"):
                found[ast.unparse(node)] += 1
    return found


def _skips(tree: ast.Module) -> int:
    names = (
        node.attr if isinstance(node, ast.Attribute) else node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute | ast.Name)
    )
    return sum(name.lower().startswith(SKIPS) or name == "importorskip" for name in names)


def _handlers(tree: ast.Module) -> Iterator[ast.ExceptHandler]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler))


def _bare(tree: ast.Module) -> int:
    return sum(handler.type is None for handler in _handlers(tree))


def _silent(tree: ast.Module) -> int:
    return sum(
        isinstance(handler.type, ast.Name)
        and handler.type.id in BROAD
        and all(isinstance(node, ast.Pass | ast.Continue) for node in handler.body)
        for handler in _handlers(tree)
    )


def _settings(name: str, text: str | None) -> object:
    """The part of a configuration file that governs tests, to be compared."""
    if name == "pytest.ini":
        return text
    if name == "pyproject.toml":
        try:
            tools = tomllib.loads(text or "").get("tool", {})
        except tomllib.TOMLDecodeError:
            return text
        return tools.get("pytest"), tools.get("coverage")
    if name in ("setup.cfg", "tox.ini"):
        parser = configparser.RawConfigParser(strict=False)
        try:
            parser.read_string(text or "")
        except configparser.Error:
            return text
        return [parser.items(part) for part in parser.sections() if part.endswith("pytest")]
    return None
