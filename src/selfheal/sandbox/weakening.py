"""Whether a patch turns the tests green by asking less of the code."""

from __future__ import annotations

import ast
import configparser
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from selfheal.sandbox.changes import ChangedFile
from selfheal.sandbox.tampering import tampering

ADDABLE = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef),
    *(ast.Assign, ast.Import, ast.ImportFrom),
)
BROAD = {"Exception", "BaseException"}
SKIPS = ("skip", "xfail", "expectedfailure", "collect_ignore", "__test__", "importorskip")


def weakenings(files: Sequence[ChangedFile]) -> list[str]:
    """Every way in which the patch asks less than before, as ``file: what``; empty if none.

    Tests removed, assertions removed or changed, skips and expected failures added, a
    changed conftest.py or test configuration, and in the code new ``except:`` clauses,
    new broad ones that swallow in silence, and what `selfheal.sandbox.tampering` finds.
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
    if before is None:
        return
    if after is None:
        yield "is no Python any more"
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
    if before is None:
        return
    if after is None:
        yield "is no Python any more"
        return
    yield from tampering(before, after)
    if _bare(after) > _bare(before):
        yield "adds an except clause that catches everything"
    if _silent(after) > _silent(before):
        yield "adds an except clause that swallows exceptions in silence"


def new_tests(files: Sequence[ChangedFile]) -> list[str]:
    """The pytest node ids of the tests that a patch adds, sorted."""
    found = []
    for file in files:
        after = _parsed(file.after or "")
        if file.role != "test" or after is None:
            continue
        before = _parsed(file.before or "")
        known = dict(_functions(before)) if before else {}
        found += [
            f"{file.path}::{name.replace('.', '::')}"
            for name, _ in _functions(after)
            if name not in known
        ]
    return sorted(found)


def to_restore(files: Sequence[ChangedFile]) -> list[str]:
    """Files of tests that were there before and that a patch does more to than add to.

    They are graded as they were: what a patch says in them counts for nothing. Adding is
    to leave every statement where it is and to bind no name anew.
    """
    return sorted(
        file.path
        for file in files
        if file.role == "test" and file.before is not None and not _only_adds(file)
    )


def _only_adds(file: ChangedFile) -> bool:
    before, after = _parsed(file.before or ""), _parsed(file.after or "")
    return before is not None and after is not None and _adds_to(before.body, after.body)


def _adds_to(before: Sequence[ast.stmt], after: Sequence[ast.stmt]) -> bool:
    rest = iter(after)
    added: list[ast.stmt] = []
    for old in before:
        for new in rest:
            if ast.dump(old) == ast.dump(new) or _grows(old, new):
                break
            added.append(new)
        else:
            return False
    added += rest
    names = [name for node in before for name in _bound(node)]
    fresh = [name for node in added for name in _bound(node)]
    harmless = all(isinstance(node, ADDABLE) for node in added)
    return harmless and not set(names) & set(fresh)


def _grows(old: ast.stmt, new: ast.stmt) -> bool:
    """Whether a class is the same one with more members."""
    if not (isinstance(old, ast.ClassDef) and isinstance(new, ast.ClassDef)):
        return False
    heads = [ast.ClassDef(n.name, n.bases, n.keywords, [], n.decorator_list) for n in (old, new)]
    return ast.dump(heads[0]) == ast.dump(heads[1]) and _adds_to(old.body, new.body)


def _bound(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        for alias in node.names:
            yield alias.asname or alias.name.partition(".")[0]
    else:
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                yield part.id
            elif isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store):
                yield ast.unparse(part).partition(".")[0]


def _parsed(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
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
    return sum(name.lower().startswith(SKIPS) for name in names)


def _handlers(tree: ast.Module) -> Iterator[ast.ExceptHandler]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler))


def _bare(tree: ast.Module) -> int:
    return sum(handler.type is None for handler in _handlers(tree))


def _silent(tree: ast.Module) -> int:
    handlers = sum(
        handler.type is not None
        and _is_broad(handler.type)
        and all(map(_says_nothing, handler.body))
        for handler in _handlers(tree)
    )
    return handlers + sum(
        isinstance(node, ast.Call)
        and ast.unparse(node.func).rpartition(".")[2] == "suppress"
        and any(map(_is_broad, node.args))
        for node in ast.walk(tree)
    )


def _is_broad(caught: ast.expr) -> bool:
    kinds = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(ast.unparse(kind).rpartition(".")[2] in BROAD for kind in kinds)


def _says_nothing(node: ast.stmt) -> bool:
    """Whether a statement neither tells of an exception nor does anything about it."""
    if isinstance(node, ast.Return):
        return node.value is None or isinstance(node.value, ast.Constant)
    empty = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return empty or isinstance(node, ast.Pass | ast.Continue | ast.Break)


def _settings(name: str, text: str | None) -> object:
    """The part of a configuration file that governs tests, to be compared."""
    if name in ("pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml"):
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
