"""Enumerating edits: every operator on every suspicious statement, likeliest first.

The order is score before place, so that likely kinds of fix are tried on all suspicious
lines before unlikely ones on the first. What compiles to the code of the original, or
of an earlier edit, is left out (trivial compiler equivalence, Papadakis et al., ICSE
2015). Only edits that are asked for are compiled.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from types import CodeType
from typing import NamedTuple

from selfheal.repair.edits.hints import identifiers
from selfheal.repair.edits.model import CodeEdit, Draft, Hints, Operator, Suspect
from selfheal.repair.edits.module import Module
from selfheal.repair.edits.operators import OPERATORS
from selfheal.repair.edits.piece import Piece, piece_of
from selfheal.repair.edits.site import Site
from selfheal.repair.source import FUNCTIONS

LIMIT = 5_000
MENTIONED = 1.6
MOST = 1.5
ALL_AT_ONCE = 0.5
MINIMUM_SCORE = 0.02


def propose_edits(
    sources: Mapping[str, str],
    suspects: Sequence[Suspect],
    hints: Hints | None = None,
    limit: int = LIMIT,
    operators: Sequence[Operator] = OPERATORS,
) -> Iterator[CodeEdit]:
    """Edits that may fix the failure, likeliest first; equal inputs give equal edits.

    `sources` are texts by path; a suspect in a file that is not there, or that does not
    parse, is passed over. Every edit compiles, changes the compiled code, and differs in
    its code from those before it.
    """
    return islice(_distinct(_ordered(sources, suspects, hints or Hints(), operators)), limit)


class _Scored(NamedTuple):
    score: float
    draft: Draft
    operator: str
    site: Site


def _ordered(
    sources: Mapping[str, str],
    suspects: Sequence[Suspect],
    hints: Hints,
    operators: Sequence[Operator],
) -> Iterator[_Scored]:
    """Drafts by falling score; an operator is asked only once its best could be next."""
    names = frozenset(identifiers(hints))
    failures = _failures(hints)
    highest = MOST * (MENTIONED if names else 1)
    tasks: list[tuple[float, int, Operator, Site]] = []
    for site, suspiciousness in _sites(sources, suspects, hints):
        for operator in operators:
            prior = operator.prior * _fit(operator, failures) * suspiciousness
            tasks.append((-prior, len(tasks), operator, site))
    tasks.sort(key=lambda task: task[:2])
    waiting: list[tuple[tuple[object, ...], int, _Scored]] = []
    count = 0
    for negative, _, operator, site in tasks:
        while waiting and waiting[0][2].score > -negative * highest + 1e-9:
            yield heapq.heappop(waiting)[2]
        for draft in _with_twins(operator, site):
            mentioned = any(name in each.text for each in draft.splices for name in names)
            weight = min(draft.weight, MOST) * (MENTIONED if mentioned else 1)
            scored = _Scored(round(-negative * weight, 9), draft, operator.name, site)
            count += 1
            heapq.heappush(waiting, (_order(scored), count, scored))
    while waiting:
        yield heapq.heappop(waiting)[2]


def _with_twins(operator: Operator, site: Site) -> Iterator[Draft]:
    """What an operator proposes, and the same change at all like places of the function."""
    for draft in operator.propose(site):
        yield draft
        if operator.spreads and len(draft.splices) == 1 and site.scope.function is not None:
            splice = draft.splices[0]
            old = site.source.text[splice.start : splice.stop]
            places = site.scope.segments.get(old, [])
            if len(places) > 1 and (splice.start, splice.stop) in places:
                twins = tuple(
                    splice.model_copy(update={"start": start, "stop": stop})
                    for start, stop in places
                )
                yield Draft(twins, draft.weight * ALL_AT_ONCE, f"{draft.wrong} everywhere")


def _order(each: _Scored) -> tuple[object, ...]:
    splices = [
        (splice.path, splice.start, splice.stop, splice.text) for splice in each.draft.splices
    ]
    return -each.score, splices, each.operator


def _sites(
    sources: Mapping[str, str], suspects: Sequence[Suspect], hints: Hints
) -> Iterator[tuple[Site, float]]:
    """The suspicious statements, each once with the best score of its lines."""
    modules: dict[str, Module | None] = {}
    best: dict[tuple[str, int, int], tuple[Site, float]] = {}
    for suspect in suspects:
        if suspect.file not in modules:
            modules[suspect.file] = _module(suspect.file, sources.get(suspect.file))
        module = modules[suspect.file]
        statement = module.statement_at(suspect.line) if module else None
        if module is None or statement is None:
            continue
        key = (suspect.file, statement.lineno, statement.col_offset)
        known = best.get(key)
        score = max(suspect.score, MINIMUM_SCORE)
        if known is None:
            function = statement if isinstance(statement, FUNCTIONS) else None
            scope = module.scope(function or module.source.function_of(statement))
            best[key] = Site(scope, statement, hints), score
        elif known[1] < score:
            best[key] = known[0], score
    yield from (best[key] for key in sorted(best))


def _module(path: str, text: str | None) -> Module | None:
    try:
        return Module(path, text) if text is not None else None
    except (SyntaxError, ValueError, RecursionError):
        return None


def _fit(operator: Operator, failures: Sequence[str]) -> float:
    """The best factor among the failures; 1 where nothing is known of them."""
    if not failures:
        return 1.0
    other = operator.fits.get("", 1.0)
    return max(operator.fits.get(name, 1.0 if name in _VALUES else other) for name in failures)


def _failures(hints: Hints) -> list[str]:
    """The exceptions, and ``NoneType`` beside those that None was the reason of."""
    found = list(hints.exceptions)
    if hints.wanted or hints.expected:
        found.append("AssertionError")
    if any("NoneType" in text for text in hints.messages):
        found.append("NoneType")
    return list(dict.fromkeys(found))


_VALUES = ("AssertionError", "Failed")


def _distinct(ordered: Iterable[_Scored]) -> Iterator[CodeEdit]:
    seen: set[str] = set()
    originals: dict[Piece, tuple[Piece, str | None]] = {}
    for each in ordered:
        edit = _edit(each, originals)
        if edit is not None and edit.fingerprint not in seen:
            seen.add(edit.fingerprint)
            yield edit


def _edit(each: _Scored, originals: dict[Piece, tuple[Piece, str | None]]) -> CodeEdit | None:
    site, draft = each.site, each.draft
    piece, body_only = piece_of(site.scope, site.statement, draft.splices)
    if piece not in originals:
        originals[piece] = piece, fingerprint(piece.compiled(()))
    piece, original = originals[piece]
    code = fingerprint(piece.compiled(draft.splices))
    if (
        code is None
        or code == original
        or piece.settled(draft.splices).adds_to(piece.settled_before)
    ):
        return None
    function = site.scope.changed
    if function is not None and not body_only:
        function = function._replace(body_only=False)
    where = function.qualname if function else "the module"
    return CodeEdit(
        file=site.source.path,
        line=site.statement.lineno,
        splices=draft.splices,
        operator=each.operator,
        score=each.score,
        explanation=f"{draft.wrong[:1].upper()}{draft.wrong[1:]} in {where}, "
        f"line {site.statement.lineno}.",
        function=function,
        fingerprint=f"{piece.key}:{code}",
    )


def fingerprint(code: CodeType | None) -> str | None:
    """Equal for code that does the same instructions, wherever it stands; None for None."""
    if code is None:
        return None
    return hashlib.sha256(repr(_parts(code)).encode("utf-8", "surrogatepass")).hexdigest()[:24]


def _parts(code: CodeType) -> tuple[object, ...]:
    constants = tuple(
        _parts(each) if isinstance(each, CodeType) else (type(each).__name__, _stable(each))
        for each in code.co_consts
    )
    return (
        code.co_name, code.co_code, constants, code.co_names, code.co_varnames,
        code.co_freevars, code.co_cellvars, code.co_flags, code.co_argcount,
        code.co_kwonlyargcount, code.co_exceptiontable,
    )  # fmt: skip


def _stable(value: object) -> str:
    """A text that does not depend on the order of a set."""
    if isinstance(value, frozenset):
        return repr(sorted(map(repr, value)))
    return repr(value)
