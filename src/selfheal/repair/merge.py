"""Three-way merge of texts, by lines, and the merge of patches with one base.

The method is diff3 (Khanna, Kunal, Pierce, "A Formal Investigation of Diff3", 2007):
a change of one side is taken where the other side left the base as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from selfheal.errors import InvalidInput
from selfheal.repair.diff import apply_patch, lines_of, opcodes, patch_of


@dataclass(frozen=True)
class Change:
    """Lines ``start:stop`` of the base become `lines`."""

    start: int
    stop: int
    lines: tuple[str, ...]


def changes(base: str, other: str) -> list[Change]:
    """What `other` changed in `base`, in order."""
    old, new = lines_of(base), lines_of(other)
    return [
        Change(a, b, tuple(new[c:d])) for tag, a, b, c, d in opcodes(old, new) if tag != "equal"
    ]


def apply_changes(base: str, wanted: Sequence[Change]) -> str:
    """`base` with changes that do not overlap."""
    lines = lines_of(base)
    for change in sorted(wanted, key=lambda each: (each.start, each.stop), reverse=True):
        lines[change.start : change.stop] = change.lines
    return "".join(lines)


def merge(base: str, ours: str, theirs: str, *, union: bool = False) -> str | None:
    """`ours` with what `theirs` changed in `base`; None on conflict.

    With `union`, lines that both insert at one place are both kept, ours first and what
    both begin or end with once: two entries of a change log.
    """
    kept = list(changes(base, ours))
    for change in changes(base, theirs):
        if change in kept:
            continue
        rivals = [other for other in kept if _overlap(change, other)]
        if not rivals:
            kept.append(change)
            continue
        rival = rivals[0]
        insertions = change.start == change.stop == rival.start == rival.stop
        if not union or len(rivals) > 1 or not insertions:
            return None
        kept[kept.index(rival)] = _both(rival, change)
    return apply_changes(base, kept)


def _overlap(one: Change, other: Change) -> bool:
    if one.start == one.stop or other.start == other.stop:
        return one.start <= other.stop and other.start <= one.stop
    return one.start < other.stop and other.start < one.stop


def _both(first: Change, second: Change) -> Change:
    head = _common(first.lines, second.lines)
    one, two = first.lines[head:], second.lines[head:]
    tail = _common(one[::-1], two[::-1])
    end = one[len(one) - tail :]
    lines = [*first.lines[:head], *one[: len(one) - tail], *two[: len(two) - tail], *end]
    ended = [line if line.endswith("\n") else f"{line}\n" for line in lines[:-1]]
    return Change(first.start, first.stop, (*ended, *lines[-1:]))


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many first lines are the same."""
    pairs = zip(one, other, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def merge_patches(
    before: Mapping[str, str | None], patches: Sequence[str]
) -> dict[str, str | None]:
    """The changed files after several patches that were each made against `before`.

    Two patches may change the same file, and may insert at the same place of a text
    that is not code. Raises InvalidInput that names the file where they contradict
    each other.
    """
    after: dict[str, str | None] = {}
    for patch in patches:
        for path, theirs in apply_patch(before, patch).items():
            if path not in after or after[path] == theirs:
                after[path] = theirs
                continue
            base, ours = before.get(path), after[path]
            merged = (
                merge(base or "", ours, theirs, union=not path.endswith(".py"))
                if ours is not None and theirs is not None
                else None
            )
            if merged is None:
                raise InvalidInput("two patches change the same lines.", where=path)
            after[path] = merged
    return after


def combine_patches(before: Mapping[str, str | None], patches: Sequence[str]) -> str:
    """One patch that does what several do; errors as `merge_patches`."""
    return patch_of(before, merge_patches(before, patches))


def revert(
    before: str, after: str, now: str, *, within: Sequence[tuple[int, int]] = ()
) -> str | None:
    """`now` without what turned `before` into `after`; None where it changed since.

    `within` limits it to changes that touch these line ranges (1-based, inclusive) of
    `after`; empty takes all. Equal to `now` where nothing is left to revert.
    """
    backward = changes(after, before)
    if within:
        backward = [change for change in backward if _touches(change, within)]
    return merge(after, now, apply_changes(after, backward))


def _touches(change: Change, ranges: Sequence[tuple[int, int]]) -> bool:
    return any(
        change.start + 1 <= last + 1 and max(change.stop, change.start + 1) >= first
        for first, last in ranges
    )
