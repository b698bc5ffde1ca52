"""Two edits at once, where one of them alone made progress."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import islice

from selfheal.repair.edit import Splice
from selfheal.repair.edits.model import CodeEdit

LIMIT = 2_000
SAME_FUNCTION, SAME_FILE, ELSEWHERE = 1.0, 0.3, 0.1


def propose_pairs(
    progressed: Sequence[CodeEdit], pool: Sequence[CodeEdit], limit: int = LIMIT
) -> Iterator[CodeEdit]:
    """Each edit that made progress with each edit of `pool` that it can be joined with.

    Give `progressed` best first. Likeliest pairs come first: near ones, of likely edits.
    Pairs that touch the same characters are left out; a pair need not compile.
    """
    found: dict[str, CodeEdit] = {}
    for position, first in enumerate(progressed):
        for second in pool:
            if second.fingerprint != first.fingerprint and not _touch(first, second):
                pair = _joined(first, second, 1 / (1 + position))
                known = found.get(pair.fingerprint)
                if known is None or known.score < pair.score:
                    found[pair.fingerprint] = pair
    ordered = sorted(found.values(), key=lambda each: (-each.score, each.fingerprint))
    return islice(ordered, limit)


def _touch(one: CodeEdit, other: CodeEdit) -> bool:
    return any(_overlap(a, b) for a in one.splices for b in other.splices)


def _overlap(one: Splice, other: Splice) -> bool:
    return one.path == other.path and one.start <= other.stop and other.start <= one.stop


def _joined(first: CodeEdit, second: CodeEdit, weight: float) -> CodeEdit:
    if first.file != second.file:
        near = ELSEWHERE
    else:
        near = SAME_FUNCTION if first.function == second.function else SAME_FILE
    prints = "+".join(sorted((first.fingerprint, second.fingerprint)))
    return CodeEdit(
        file=first.file,
        line=first.line,
        splices=tuple(sorted((*first.splices, *second.splices), key=_place)),
        operator=f"{first.operator}+{second.operator}",
        score=round(first.score * second.score * near * weight, 9),
        explanation=f"{first.explanation} {second.explanation}",
        function=first.function,
        fingerprint=hashlib.sha256(prints.encode()).hexdigest()[:24],
        parts=(first, second),
    )


def _place(splice: Splice) -> tuple[str, int, int]:
    return splice.path, splice.start, splice.stop
