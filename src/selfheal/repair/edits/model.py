"""What the search for small edits is given and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from selfheal.repair.edit import Edit, Splice, spliced

if TYPE_CHECKING:
    from selfheal.repair.edits.site import Site

SEARCH = "search"


class Suspect(NamedTuple):
    """A suspicious line (from 1) of a file; `score` from 0 to 1, as diagnosis gave it."""

    file: str
    line: int
    score: float


@dataclass(frozen=True)
class Hints:
    """What the failures say: all of it may be empty.

    `exceptions` are types by their own names (``IndexError``), `names` identifiers and
    keys that the messages mention, `expected` and `actual` the two sides of failed
    assertions as Python literals in text, pair by pair, `wanted` exceptions that tests
    expected and did not see, `homes` the modules that define such, by name. See `selfheal.repair.edits.hints`.
    """

    exceptions: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()
    expected: tuple[str, ...] = ()
    actual: tuple[str, ...] = ()
    wanted: tuple[str, ...] = ()
    homes: tuple[tuple[str, str], ...] = ()


class ChangedFunction(NamedTuple):
    """The function that an edit changes.

    `qualname` is Python's ``__qualname__``; `outer` that of the outermost function around
    it (the same for a function that is not nested), which is the smallest piece that can
    be compiled alone: characters ``start:stop`` of the original text, from `first_line`
    on (decorators counted), below the lines `head` and with the compiler's `flags`.
    `body_only` is False where decorators, parameters or anything outside of the body
    changes as well: replacing ``__code__`` does not show the effect of such an edit.
    """

    file: str
    qualname: str
    outer: str
    first_line: int
    start: int
    stop: int
    head: str
    flags: int
    body_only: bool


@dataclass(frozen=True)
class CodeEdit:
    """Splices of original texts (character offsets), made by one operator.

    `score` orders edits: suspiciousness × prior of the operator × fit to the hints ×
    weight of the variant. `function` is None for an edit of module or class level.
    A pair of edits has `parts`. `fingerprint` is equal for edits whose code is equal.
    """

    file: str
    line: int
    splices: tuple[Splice, ...]
    operator: str
    score: float
    explanation: str
    function: ChangedFunction | None
    fingerprint: str
    parts: tuple[CodeEdit, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """The files that change."""
        return tuple(sorted({each.path for each in self.splices}))

    @property
    def body_only(self) -> bool:
        """Whether replacing the code of functions shows the whole effect."""
        if self.parts:
            return all(part.body_only for part in self.parts)
        return self.function is not None and self.function.body_only

    def apply(self, source: str, file: str | None = None) -> str:
        """The text of a file (by default the edit's own) after the edit."""
        path = file or self.file
        return spliced(source, [each for each in self.splices if each.path == path])

    def as_edit(self, fit: float | None = None) -> Edit:
        """The edit for the strategy table; its `fit` keeps the order of scores."""
        where = self.function.qualname if self.function else self.file
        return Edit(
            strategy=SEARCH,
            template=self.operator,
            explanation=self.explanation,
            fit=round(self.score / (1 + self.score) if fit is None else fit, 6),
            parameters={"operator": self.operator, "function": where},
            splices=list(self.splices),
        )


class Draft(NamedTuple):
    """What an operator yields: splices of one file, how likely among its own (0–1), and
    what was wrong in plain words that go on with "in f, line 12"."""

    splices: tuple[Splice, ...]
    weight: float
    wrong: str


class OperatorExample(NamedTuple):
    """A function before and after; `line` is the suspicious one, `message` the failure's text."""

    before: str
    after: str
    line: int
    message: str = ""


@dataclass(frozen=True)
class Operator:
    """One kind of fix. `prior` (0–1) is how often fixes are of this kind.

    `fits` multiplies the prior where a failure ends in that exception; the key
    ``"AssertionError"`` stands for a wrong value, ``"NoneType"`` for errors that None
    was the reason of, and ``""`` for every other exception. With `spreads`, what replaces
    one piece of code is also proposed for all its like in the function at once.
    """

    name: str
    prior: float
    propose: Callable[[Site], Iterator[Draft]]
    examples: tuple[OperatorExample, ...] = ()
    fits: Mapping[str, float] = field(default_factory=dict)
    spreads: bool = False
