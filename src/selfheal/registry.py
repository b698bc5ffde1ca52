"""Which handler does which beat: entry points and the project's own folder.

The entry point group ``selfheal.handlers`` offers explicit tables (a sequence of
`Handler`); a project offers the `Handler` objects of ``<beats folder>/handlers/*.py``.
Nothing is imported before the first question, and nothing else is scanned.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from selfheal.contract import Handler
from selfheal.errors import HandlerError

GROUP = "selfheal.handlers"
PROJECT_MODULES = "selfheal_project_beats"

AnyHandler = Handler[..., Any]


class Registry:
    """The handlers of this installation and, where `folder` is given, of a project.

    `folder` is the project's beats folder; its ``handlers/*.py`` are imported in the
    order of their names. `packages` false leaves installed packages out.
    """

    def __init__(self, folder: Path | None = None, *, packages: bool = True) -> None:
        self.folder = folder
        self.packages = packages

    def get(self, name: str) -> AnyHandler:
        """The handler of a beat. Raises HandlerError naming the nearest one."""
        try:
            return self._table[name][0]
        except KeyError:
            near = get_close_matches(name, self._table, 1)
            raise HandlerError(
                f"no handler {name} is registered.",
                hint=f"Did you mean {near[0]}?" if near else "See: selfheal beats",
            ) from None

    def origin(self, name: str) -> str:
        """Where a handler comes from: a package's entry point or a file."""
        self.get(name)
        return self._table[name][1]

    def names(self) -> list[str]:
        """Every registered name, in the order of the tables."""
        return list(self._table)

    def __contains__(self, name: str) -> bool:
        return name in self._table

    def __iter__(self) -> Iterator[AnyHandler]:
        return (handler for handler, _ in self._table.values())

    def __len__(self) -> int:
        return len(self._table)

    @cached_property
    def _table(self) -> dict[str, tuple[AnyHandler, str]]:
        table: dict[str, tuple[AnyHandler, str]] = {}
        for handler, origin in self._offered():
            if handler.name in table:
                raise HandlerError(
                    f"two handlers are named {handler.name}: "
                    f"{table[handler.name][0].declaration} from {table[handler.name][1]}, and "
                    f"{handler.declaration} from {origin}.",
                    where=origin,
                    hint="Rename one of them.",
                )
            table[handler.name] = handler, origin
        return table

    def _offered(self) -> Iterator[tuple[AnyHandler, str]]:
        if self.packages:
            for point in sorted(entry_points(group=GROUP), key=lambda found: found.name):
                origin = f"entry point {point.name} = {point.value}"
                for handler in _table_of(point, origin):
                    yield handler, origin
        if self.folder is not None:
            for file in sorted((self.folder / "handlers").glob("*.py")):
                if not file.name.startswith("_"):
                    for handler in _handlers_in(_imported(file)):
                        yield handler, str(file)


def _table_of(point: EntryPoint, origin: str) -> Iterable[AnyHandler]:
    try:
        table = tuple(point.load())
    except Exception as error:
        raise HandlerError(
            f"the handlers of an installed package cannot be loaded: "
            f"{type(error).__name__}: {error}",
            where=origin,
            hint="Update or uninstall the package that offers them.",
        ) from error
    for entry in table:
        if not isinstance(entry, Handler):
            raise HandlerError(
                f"{entry!r} is no handler.", where=origin, hint="Decorate it with @handler(…)."
            )
    return table


def _imported(file: Path) -> ModuleType:
    name = f"{PROJECT_MODULES}.{file.stem}"
    present = sys.modules.get(name)
    if present is not None and present.__file__ == str(file):
        return present
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise HandlerError("this file cannot be imported.", where=str(file))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        line = getattr(error, "lineno", None) or _line_of(error, file)
        raise HandlerError(
            f"this file of handlers does not load: {type(error).__name__}: {error}",
            where=f"{file}:{line}" if line else str(file),
        ) from error
    return module


def _line_of(error: Exception, file: Path) -> int | None:
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(file):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _handlers_in(module: ModuleType) -> Iterator[AnyHandler]:
    for value in vars(module).values():
        if isinstance(value, Handler) and value.function.__module__ == module.__name__:
            yield value
