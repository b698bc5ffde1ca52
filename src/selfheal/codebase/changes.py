"""What each commit of a range changed, function by function, in the names of the range's end."""

from __future__ import annotations

import ast
import copy
import difflib
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field

from selfheal.artifacts.model import Model
from selfheal.codebase.history import Commit, History
from selfheal.codebase.hunks import FileDiff, LineMap
from selfheal.codebase.index import SCOPES, FunctionNode, scopes
from selfheal.codebase.requirements import changed_requirements

MODULE = "<module>"
SIMILAR = 0.6

ChangeKind = Literal["added", "removed", "changed", "renamed", "cosmetic"]


class FunctionChange(Model):
    """One function (or class body, or ``<module>``) that a commit changed.

    `file` and `function` are its names at the end of the range, after later renames.
    `before` and `after` are its source, dedented, empty where it did not exist.
    ``cosmetic`` changes leave the program the same: layout, comments, docstrings,
    annotations, names of local variables. `names` are the module's or class's own names
    whose value changed.
    """

    file: str
    function: str
    kind: ChangeKind
    before: str = ""
    after: str = ""
    names: list[str] = Field(default_factory=list)


class LineRange(Model):
    first: int
    last: int


class CommitChange(Model):
    """A commit of the range. `lines` maps each file of the range's end to where the change now lies.

    `requirements` names the packages whose required version changed.
    """

    sha: str
    summary: str
    author: str
    date: str
    files: list[str]
    size: int
    functions: list[FunctionChange]
    lines: dict[str, list[LineRange]]
    requirements: list[str]

    def of(self, file: str, function: str) -> Iterator[FunctionChange]:
        """The changes of one function that are more than cosmetic."""
        for change in self.functions:
            if (change.file, change.function) == (file, function) and change.kind != "cosmetic":
                yield change

    def distance(self, file: str, line: int) -> int | None:
        """How many lines lie between a line and the nearest change in its file."""
        ranges = self.lines.get(file, [])
        gaps = [max(found.first - line, line - found.last, 0) for found in ranges]
        return min(gaps, default=None)


def changes_between(history: History, good: str, bad: str) -> list[CommitChange]:
    """The commits that `bad` has and `good` has not, newest first, merges left out."""
    names = _Names()
    commits = [commit for commit in history.commits(good, bad) if len(commit.parents) < 2]
    return [_change(history, commit, bad, names) for commit in commits]


@dataclass
class _Names:
    """What files and functions of older commits are called at the end of the range."""

    files: dict[str, str] = field(default_factory=dict)
    functions: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)

    def file(self, path: str) -> str:
        return self.files.get(path, path)

    def function(self, path: str, name: str) -> tuple[str, str]:
        return self.functions.get((path, name), (self.file(path), name))

    def moved(self, old: str, new: str) -> None:
        self.files[old] = self.file(new)
        for (path, name), now in list(self.functions.items()):
            if path == new:
                self.functions[old, name] = now


def _change(history: History, commit: Commit, bad: str, names: _Names) -> CommitChange:
    for diff in commit.diffs:
        if diff.status == "renamed":
            names.moved(diff.old_path, diff.path)
    before, after = _texts(history, commit)
    functions = _function_changes(commit.diffs, before, after, names)
    return CommitChange(
        sha=commit.sha,
        summary=commit.summary,
        author=commit.author,
        date=commit.date,
        files=sorted({names.file(diff.path) for diff in commit.diffs}),
        size=sum(diff.size for diff in commit.diffs),
        functions=functions,
        lines=_lines_now(history, commit, bad, names),
        requirements=changed_requirements(before, after),
    )


def _texts(history: History, commit: Commit) -> tuple[dict[str, str], dict[str, str]]:
    """The texts of a commit's files before and after it, both by the path after it."""
    diffs = [diff for diff in commit.diffs if not diff.binary]
    parent = commit.parents[0] if commit.parents else None
    old = history.texts([f"{parent}:{diff.old_path}" for diff in diffs]) if parent else []
    new = history.texts([f"{commit.sha}:{diff.path}" for diff in diffs])
    before = {diff.path: text for diff, text in zip(diffs, old, strict=False) if text is not None}
    after = {diff.path: text for diff, text in zip(diffs, new, strict=True) if text is not None}
    return before, after


def _function_changes(
    diffs: Sequence[FileDiff],
    before: Mapping[str, str],
    after: Mapping[str, str],
    names: _Names,
) -> list[FunctionChange]:
    gone: dict[tuple[str, str], Fragment] = {}
    come: dict[tuple[str, str], Fragment] = {}
    found: list[FunctionChange] = []
    for diff in diffs:
        if not diff.path.endswith(".py"):
            continue
        old = fragments(before.get(diff.path, ""))
        new = fragments(after.get(diff.path, ""))
        if old is None or new is None:
            continue
        gone |= {(diff.path, name): old[name] for name in old.keys() - new.keys()}
        come |= {(diff.path, name): new[name] for name in new.keys() - old.keys()}
        for name in sorted(old.keys() & new.keys()):
            if old[name].source != new[name].source:
                now = names.function(diff.path, name)
                found.append(_changed(now, old[name], new[name]))
    found += _come_and_gone(gone, come, names, {diff.path: diff.old_path for diff in diffs})
    return sorted(found, key=lambda change: (change.file, change.function, change.kind))


def _changed(now: tuple[str, str], old: Fragment, new: Fragment) -> FunctionChange:
    names = sorted(
        name
        for name in old.values.keys() | new.values.keys()
        if old.values.get(name) != new.values.get(name)
    )
    same = old.meaning == new.meaning
    return FunctionChange(
        file=now[0],
        function=now[1],
        kind="cosmetic" if same else "changed",
        before=old.source,
        after=new.source,
        names=names,
    )


def _come_and_gone(
    gone: Mapping[tuple[str, str], Fragment],
    come: Mapping[tuple[str, str], Fragment],
    names: _Names,
    old_paths: Mapping[str, str],
) -> Iterator[FunctionChange]:
    """What appeared and vanished; the like of both is one thing under a new name."""
    left = dict(gone)
    for place, fragment in sorted(come.items()):
        now = names.function(*place)
        origin = _most_similar(fragment, left)
        if origin is None:
            yield FunctionChange(file=now[0], function=now[1], kind="added", after=fragment.source)
            continue
        old = left.pop(origin)
        names.functions[old_paths.get(origin[0], origin[0]), origin[1]] = now
        same = old.meaning == fragment.meaning
        yield FunctionChange(
            file=now[0],
            function=now[1],
            kind="cosmetic" if same else "renamed",
            before=old.source,
            after=fragment.source,
        )
    for place, fragment in sorted(left.items()):
        now = names.function(*place)
        yield FunctionChange(file=now[0], function=now[1], kind="removed", before=fragment.source)


def _most_similar(
    wanted: Fragment, among: Mapping[tuple[str, str], Fragment]
) -> tuple[str, str] | None:
    best: tuple[float, tuple[str, str]] | None = None
    for place, fragment in sorted(among.items()):
        matcher = difflib.SequenceMatcher(
            None, fragment.source.splitlines()[1:], wanted.source.splitlines()[1:], autojunk=False
        )
        ratio = 1.0 if fragment.meaning == wanted.meaning else matcher.ratio()
        if ratio >= SIMILAR and (best is None or ratio > best[0]):
            best = ratio, place
    return best[1] if best else None


def _lines_now(
    history: History, commit: Commit, bad: str, names: _Names
) -> dict[str, list[LineRange]]:
    diffs = [diff for diff in commit.diffs if diff.status != "deleted" and diff.hunks]
    later: dict[str, list[FileDiff]] = {}
    if commit.sha != bad and diffs:
        paths = sorted({path for diff in diffs for path in (diff.path, names.file(diff.path))})
        for moved in history.diff(commit.sha, bad, paths):
            later.setdefault(moved.old_path, []).append(moved)
    found: dict[str, list[LineRange]] = {}
    for diff in diffs:
        onward = later.get(diff.path, [])
        if any(moved.status == "deleted" for moved in onward):
            continue
        lines = LineMap([hunk for moved in onward for hunk in moved.hunks])
        found[names.file(diff.path)] = [
            LineRange(
                first=lines.nearest(max(hunk.new_start, 1)),
                last=lines.nearest(max(hunk.new_start + hunk.new_count - 1, hunk.new_start, 1)),
            )
            for hunk in diff.hunks
        ]
    return dict(sorted(found.items()))


@dataclass(frozen=True)
class Fragment:
    """A function's, a class body's or a module's own code: nested definitions stand for themselves.

    `meaning` is equal for two fragments that differ only in looks; `values` holds the names
    that a module or class body assigns.
    """

    source: str
    meaning: str
    values: Mapping[str, str]


def fragments(text: str) -> dict[str, Fragment] | None:
    """The fragments of a file by qualified name, ``<module>`` for the top level.

    None where the text is no valid Python; an empty text has none.
    """
    if not text.strip():
        return {}
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None
    lines = text.split("\n")
    found = {MODULE: _body_fragment(tree)}
    for name, node, _ in scopes(tree):
        if isinstance(node, ast.ClassDef):
            found[name] = _body_fragment(node)
        else:
            first = min([node.lineno, *(item.lineno for item in node.decorator_list)])
            source = textwrap.dedent("\n".join(lines[first - 1 : node.end_lineno]))
            found[name] = Fragment(source=source, meaning=_meaning(node), values={})
    return found


def _body_fragment(node: ast.Module | ast.ClassDef) -> Fragment:
    own = [statement for statement in node.body if not isinstance(statement, SCOPES)]
    own = [statement for statement in own if not _is_docstring(statement)]
    values: dict[str, str] = {}
    for statement in own:
        for name in _assigned(statement):
            values[name] = ast.dump(statement)
    heads = [] if isinstance(node, ast.Module) else [*node.bases, *node.decorator_list]
    source = "\n".join(ast.unparse(part) for part in [*heads, *own])
    return Fragment(source=source, meaning=source, values=values)


def _assigned(statement: ast.stmt) -> Iterator[str]:
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def _is_docstring(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


class _Normal(ast.NodeTransformer):
    """Takes away what does not change what a function does, and numbers its local names."""

    def __init__(self, local: frozenset[str]) -> None:
        self._local = local
        self._numbers: dict[str, str] = {}

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in self._local:
            node.id = self._numbers.setdefault(node.id, f"${len(self._numbers)}")
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if node.value is None:
            return None
        return self.visit(ast.Assign(targets=[node.target], value=node.value))  # type: ignore[no-any-return]

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return ast.Expr(ast.Constant(node.name))

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return ast.Expr(ast.Constant(node.name))

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return ast.Expr(ast.Constant(node.name))


def _meaning(function: FunctionNode) -> str:
    node = copy.deepcopy(function)
    node.returns = None
    if node.body and _is_docstring(node.body[0]):
        node.body = node.body[1:]
    parameters = {found.arg for found in ast.walk(node.args) if isinstance(found, ast.arg)}
    shared = {
        name
        for found in ast.walk(node)
        if isinstance(found, ast.Global | ast.Nonlocal)
        for name in found.names
    }
    stored = {name for statement in node.body for name in _assigned(statement)}
    normal = _Normal(frozenset(stored - parameters - shared))
    parts: list[ast.AST] = [node.args, *node.decorator_list, *node.body]
    kept = (normal.visit(part) for part in parts)
    return re.sub(r", type_comment=None", "", "\n".join(ast.dump(part) for part in kept if part))
