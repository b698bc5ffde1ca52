"""A file under repair: what its functions share."""

from __future__ import annotations
import __future__

import ast
from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING

from selfheal.repair.edits.definitions import (
    is_member,
    last_name,
    ranked,
    root_name,
)
from selfheal.repair.source import FUNCTIONS, Function, Source, names_bound

if TYPE_CHECKING:
    from selfheal.repair.edits.scope import Scope

_TABLES = (ast.Set, ast.Dict, ast.List, ast.Tuple)


class Module:
    """A file with what its functions share. Raises SyntaxError where it does not parse."""

    def __init__(self, path: str, text: str) -> None:
        self.source = Source(path, text)
        self._scopes: dict[ast.AST | None, Scope] = {}

    def scope(self, function: Function | None) -> Scope:
        from selfheal.repair.edits.scope import Scope

        if function not in self._scopes:
            self._scopes[function] = Scope(self, function)
        return self._scopes[function]

    def statement_at(self, line: int) -> ast.stmt | None:
        """The innermost statement on a line, of several the last; None where there is none."""
        return self._statements.get(line)

    @cached_property
    def _statements(self) -> dict[int, ast.stmt]:
        found = [node for node in ast.walk(self.source.tree) if isinstance(node, ast.stmt)]
        found.sort(key=lambda each: each.lineno)
        lines: dict[int, ast.stmt] = {}
        for node in found:
            lines.update(
                dict.fromkeys(range(node.lineno, (node.end_lineno or node.lineno) + 1), node)
            )
        return lines

    @cached_property
    def flags(self) -> int:
        """The compiler's flags for the file's ``from __future__`` imports."""
        names = [
            each.name
            for node in self.source.tree.body
            if isinstance(node, ast.ImportFrom) and node.module == "__future__"
            for each in node.names
        ]
        return sum(getattr(__future__, name).compiler_flag for name in set(names))

    @cached_property
    def functions(self) -> dict[str, Function]:
        """The functions and methods by their own names; of several with one name, the last."""
        return {each.name: each for each in self.source.functions()}

    @cached_property
    def raised(self) -> list[str]:
        """The exceptions that the file raises by a call, in order."""
        return [
            ast.unparse(node.exc.func)
            for node in ast.walk(self.source.tree)
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)
        ]

    @cached_property
    def unused(self) -> list[str]:
        """Functions of the module level that nothing in the file mentions."""
        used = {node.id for node in ast.walk(self.source.tree) if isinstance(node, ast.Name)}
        return [
            node.name
            for node in self.source.tree.body
            if isinstance(node, FUNCTIONS) and node.name not in used
        ]

    @cached_property
    def beside(self) -> dict[str, list[ast.expr]]:
        """By the dump of a condition, what the file joins to it by ``and`` and ``or``."""
        found: dict[str, list[ast.expr]] = {}
        for node in ast.walk(self.source.tree):
            if isinstance(node, ast.BoolOp):
                dumps = [ast.dump(term) for term in node.values]
                for one in dict.fromkeys(dumps):
                    others = zip(dumps, node.values, strict=True)
                    found.setdefault(one, []).extend(t for other, t in others if other != one)
        return found

    @cached_property
    def types(self) -> list[str]:
        """What the file asks for by isinstance, in order."""
        found = [
            ast.unparse(node.args[1])
            for node in self.calls.get("isinstance", ())
            if len(node.args) == 2
        ]
        return list(dict.fromkeys(found))

    @cached_property
    def names(self) -> list[str]:
        """What the module level binds, in order."""
        found: list[str] = []
        for node in self.source.tree.body:
            if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
                found.append(node.name)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                found += [(each.asname or each.name).split(".")[0] for each in node.names]
            else:
                found += sorted(names_bound(node))
        return list(dict.fromkeys(found))

    @cached_property
    def imported(self) -> frozenset[str]:
        """What the imports of the module level bind."""
        return frozenset(
            (each.asname or each.name).split(".")[0]
            for node in self.source.tree.body
            if isinstance(node, ast.Import | ast.ImportFrom)
            for each in node.names
        )

    @cached_property
    def always_true(self) -> frozenset[str]:
        """Classes, functions and imports, which are no condition; constants may be imported."""
        found = {
            each.name
            for each in self.source.tree.body
            if isinstance(each, (*FUNCTIONS, ast.ClassDef))
        }
        return frozenset(name for name in found | self.imported if not name.isupper())

    @cached_property
    def tables(self) -> list[str]:
        """Constants of the module that hold several things, those first that are least used."""
        found = [
            name
            for node in self.source.tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, _TABLES)
            for name in sorted(names_bound(node))
            if name.isupper()
        ]
        used = Counter(n.id for n in ast.walk(self.source.tree) if isinstance(n, ast.Name))
        return sorted(found, key=lambda name: (used[name], name))

    @cached_property
    def wrappers(self) -> Counter[str]:
        """Functions that are called with one plain argument somewhere in the file."""
        return Counter(
            ast.unparse(node.func)
            for node in ast.walk(self.source.tree)
            if isinstance(node, ast.Call)
            and len(node.args) == 1
            and not node.keywords
            and not isinstance(node.args[0], ast.Starred | ast.GeneratorExp)
            and (isinstance(node.func, ast.Name) or is_member(node.func))
        )

    @cached_property
    def calls(self) -> dict[str, list[ast.Call]]:
        """All calls by the last name of what is called."""
        found: dict[str, list[ast.Call]] = {}
        for node in ast.walk(self.source.tree):
            if isinstance(node, ast.Call):
                name = last_name(node.func)
                if name:
                    found.setdefault(name, []).append(node)
        return found

    @cached_property
    def attributes(self) -> dict[str, list[str]]:
        """The attributes that are used on each plain name, by the name, most used first."""
        found: dict[str, Counter[str]] = {}
        for node in ast.walk(self.source.tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                found.setdefault(node.value.id, Counter())[node.attr] += 1
        return {name: [attr for attr, _ in ranked(counts)] for name, counts in found.items()}

    @cached_property
    def dotted(self) -> dict[str, list[str]]:
        """By a name, what the file reads of it and does not call (``T.A``), most used first."""
        found: dict[str, Counter[str]] = {}
        for node in ast.walk(self.source.tree):
            if not isinstance(node, ast.Attribute) or not isinstance(node.ctx, ast.Load):
                continue
            around = self.source.parent(node)
            inner = isinstance(around, ast.Attribute)
            called = isinstance(around, ast.Call) and around.func is node
            root = root_name(node)
            if root is not None and not inner and not called:
                found.setdefault(root, Counter())[ast.unparse(node)] += 1
        return {name: [text for text, _ in ranked(counts)] for name, counts in found.items()}

    @cached_property
    def strings(self) -> list[str]:
        """The short string constants of the file, most used first, docstrings left out."""
        counts = Counter(
            node.value
            for node in ast.walk(self.source.tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and len(node.value) <= 60
            and not isinstance(self.source.parent(node), ast.Expr | ast.JoinedStr)
        )
        return [each for each, _ in ranked(counts)]
