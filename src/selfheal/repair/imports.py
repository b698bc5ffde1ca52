"""The statements by which code imports a library, so that they can be tried by themselves."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence

from selfheal.repair.source import Source, parse

MOST = 200
_PLAIN = (ast.Import, ast.ImportFrom, ast.Assign, ast.Pass, ast.Expr)


def import_statements(sources: Mapping[str, str], modules: Iterable[str]) -> list[str]:
    """Each distinct import of the modules (top-level names) in files by path, sorted.

    An attribute that is taken of an imported module is a second line after its import. An
    import that falls back by ``except ImportError`` is one statement with its fallback;
    imports for type checkers alone are left out.
    """
    tops = {each.partition(".")[0] for each in modules}
    found: set[str] = set()
    for path, text in sorted(sources.items()):
        if not any(top in text for top in tops):
            continue
        source = parse(path, text)
        if source is not None:
            found |= set(_of(source, tops))
    return sorted(found)[:MOST]


def _of(source: Source, tops: set[str]) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Import | ast.ImportFrom) or not _names(node) & tops:
            continue
        around = list(source.ancestors(node))
        if any(isinstance(each, ast.If) and "TYPE_CHECKING" in ast.unparse(each.test) for each in around):  # fmt: skip
            continue
        tried = next((each for each in around if isinstance(each, ast.Try)), None)
        if tried is None or not _falls_back(tried):
            statement = ast.unparse(node)
        elif all(isinstance(each, _PLAIN) for each in _parts(tried)):
            statement = textwrap.dedent(ast.unparse(tried))
        else:
            continue
        yield statement
        if isinstance(node, ast.Import) and tried is None:
            yield from _attributes(source, node, tops)


def _names(node: ast.Import | ast.ImportFrom) -> set[str]:
    if isinstance(node, ast.ImportFrom):
        return set() if node.level else {(node.module or "").partition(".")[0]}
    return {each.name.partition(".")[0] for each in node.names}


def _falls_back(node: ast.Try) -> bool:
    caught = " ".join(ast.unparse(each.type) if each.type else "ImportError" for each in node.handlers)  # fmt: skip
    return any(name in caught for name in ("ImportError", "ModuleNotFoundError", "Exception"))


def _parts(node: ast.Try) -> Sequence[ast.stmt]:
    handled = [each for handler in node.handlers for each in handler.body]
    return [*node.body, *handled, *node.orelse, *node.finalbody]


def _attributes(source: Source, node: ast.Import, tops: set[str]) -> Iterator[str]:
    for given in node.names:
        name = given.asname or given.name
        if given.name.partition(".")[0] not in tops or "." in name:
            continue
        for used in ast.walk(source.tree):
            if (
                isinstance(used, ast.Attribute)
                and isinstance(used.ctx, ast.Load)
                and isinstance(used.value, ast.Name)
                and used.value.id == name
            ):
                yield f"{ast.unparse(node)}\n{name}.{used.attr}"
