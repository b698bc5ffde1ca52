"""The smallest piece of a file that can be compiled alone: an outermost function, or all."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from types import CodeType
from typing import Literal

from selfheal.repair.edit import Splice, spliced
from selfheal.repair.edits.blocks import extent, movable
from selfheal.repair.edits.definitions import head_of
from selfheal.repair.edits.model import CodeEdit
from selfheal.repair.edits.scope import Scope
from selfheal.repair.edits.settled import Settled, settled


@dataclass(frozen=True)
class Piece:
    """Characters ``start:stop`` of a text, below the lines `head`; see `ChangedFunction`."""

    path: str
    text: str
    start: int
    stop: int
    head: str
    flags: int

    @property
    def key(self) -> str:
        return f"{self.path}:{self.start}:{self.stop}"

    @cached_property
    def clean(self) -> bool:
        """Whether the compiler has nothing to say of the original."""
        return self._compiled(self.text[self.start : self.stop], "error") is not None

    def compiled(self, splices: Sequence[Splice], first_line: int = 1) -> CodeType | None:
        """The code after an edit; None where it does not compile, or not without a warning."""
        body = self._edited(splices)
        if body is None:
            return None
        return self._compiled(body, "error" if self.clean else "ignore", first_line)

    @cached_property
    def settled_before(self) -> Settled:
        """What is settled in the original."""
        return self.settled(())

    def settled(self, splices: Sequence[Splice]) -> Settled:
        """What is settled after an edit; nothing where it does not parse."""
        try:
            return settled(ast.parse(self.head + (self._edited(splices) or "")))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return Settled()

    def _edited(self, splices: Sequence[Splice]) -> str | None:
        inside = [
            each.model_copy(
                update={"start": each.start - self.start, "stop": each.stop - self.start}
            )
            for each in splices
            if self.start <= each.start and each.stop <= self.stop
        ]
        try:
            return spliced(self.text[self.start : self.stop], inside).removeprefix("\ufeff")
        except ValueError:
            return None

    def _compiled(
        self, body: str, warned: Literal["error", "ignore"], first_line: int = 1
    ) -> CodeType | None:
        lines = "\n" * max(first_line - 1 - self.head.count("\n"), 0)
        text = lines + self.head + body.removeprefix("\ufeff")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter(warned)
                code: CodeType = compile(
                    text, self.path, "exec", flags=self.flags, dont_inherit=True
                )
        except (SyntaxError, ValueError, Warning, RecursionError, MemoryError):
            return None
        return code


def piece_of(scope: Scope, statement: ast.stmt, splices: Sequence[Splice]) -> tuple[Piece, bool]:
    """The outermost function around an edit, or its statement, if that holds all of it.

    Else the whole file. True where nothing but the body of the function changes.
    """
    source, function = scope.source, scope.changed
    if function is not None:
        start, stop, head = function.start, function.stop, function.head
    elif movable(source, statement) and not isinstance(source.parent(statement), ast.Try):
        start, stop = extent(source, [statement])
        head = head_of(source, statement)
    else:
        start, stop, head = 0, len(source.text), ""
    if all(start <= each.start and each.stop <= stop for each in splices):
        piece = Piece(source.path, source.text, start, stop, head, scope.module.flags)
        inside = all(each.start >= scope.body_start for each in splices)
        return piece, function is not None and inside
    return Piece(source.path, source.text, 0, len(source.text), "", scope.module.flags), False


def compiled_function(edit: CodeEdit, source: str) -> CodeType | None:
    """The code of ``edit.function.outer`` after the edit, for ``__code__``; None for others.

    `source` is the whole original text. Line numbers are those of the file after the
    edit. For an edit with ``body_only`` false it is right, but not the whole effect.
    Raises nothing: what does not compile (some pairs) gives None.
    """
    function = edit.function
    if function is None:
        return None
    splices = [each for each in edit.splices if each.path == function.file]
    added = sum(
        each.text.count("\n") - source[each.start : each.stop].count("\n")
        for each in splices
        if each.stop <= function.start
    )
    piece = Piece(
        function.file, source, function.start, function.stop, function.head, function.flags
    )
    code = piece.compiled(splices, function.first_line + added)
    return _within(code, function.outer) if code is not None else None


def _within(code: CodeType, qualname: str) -> CodeType | None:
    for each in code.co_consts:
        if isinstance(each, CodeType):
            if each.co_qualname == qualname:
                return each
            found = _within(each, qualname)
            if found is not None:
                return found
    return None
