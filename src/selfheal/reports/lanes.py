"""Laying spans out on lanes, so that what overlaps lies apart and what nests lies inside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from selfheal.reports.model import Bar, Lane


class Idle(NamedTuple):
    """A stretch of time in which a lane has no span; ms since the beginning of what is shown."""

    lane: int
    at_ms: float
    lasts_ms: float


class _Open(NamedTuple):
    end_ns: int
    span_id: str


class Arrangement(NamedTuple):
    """Where a span lies."""

    lane: int
    slot: int
    depth: int


LANE = """coalesce(service, 'unknown') AS lane_service, instance AS lane_instance,
    CASE WHEN attributes LIKE '%"thread.%' THEN coalesce(
        attributes ->> '$."thread.name"', attributes ->> '$."thread.id"') END AS lane_thread"""


def lane_of(row: Mapping[str, Any]) -> Lane:
    """The lane of a row that was selected with `LANE`."""
    thread = row["lane_thread"]
    return Lane(
        service=row["lane_service"],
        instance=row["lane_instance"],
        thread=f"thread {thread}" if thread and thread.isdigit() else thread,
    )


def arrange(rows: Sequence[Mapping[str, Any]]) -> tuple[list[Lane], list[Arrangement]]:
    """The lanes, and where each row lies: spans sorted by start, the longer first.

    A slot holds one call stack at a time. A span goes where an ancestor of it is the top
    of the stack and holds it entirely, else to the first slot that is empty by then.
    """
    parents = {(row["trace_id"], row["span_id"]): row["parent_span_id"] for row in rows}
    lanes: dict[Lane, int] = {}
    slots: dict[int, list[list[_Open]]] = {}
    arranged = []
    for row in rows:
        lane = lanes.setdefault(lane_of(row), len(lanes))
        stacks = slots.setdefault(lane, [])
        slot = _slot(stacks, row, _ancestors(row, parents))
        arranged.append(Arrangement(lane, slot, len(stacks[slot])))
        stacks[slot].append(_Open(row["end_ns"], row["span_id"]))
    return list(lanes), arranged


def _ancestors(
    row: Mapping[str, Any], parents: Mapping[tuple[str, str], str | None]
) -> frozenset[str]:
    found: set[str] = set()
    above = row["parent_span_id"]
    while above and above not in found:
        found.add(above)
        above = parents.get((row["trace_id"], above))
    return frozenset(found)


def _slot(stacks: list[list[_Open]], row: Mapping[str, Any], ancestors: frozenset[str]) -> int:
    free = None
    for index, stack in enumerate(stacks):
        while stack and stack[-1].end_ns <= row["start_ns"]:
            stack.pop()
        if stack and stack[-1].span_id in ancestors and stack[-1].end_ns >= row["end_ns"]:
            return index
        if not stack and free is None:
            free = index
    if free is None:
        stacks.append([])
        return len(stacks) - 1
    return free


def lanes_data(
    lanes: Sequence[Lane],
    bars: Sequence[Bar],
    idle: Iterable[Idle],
    *,
    lasts_ms: float,
    zoom: str,
) -> dict[str, Any]:
    """The data of a chart of kind `lanes`: one row per depth of each slot of each lane."""
    rows, first = _rows(lanes, bars)
    names: dict[str, int] = {}
    drawn = [
        {
            "row": first[bar.lane, bar.slot] + bar.depth,
            "at": bar.at_ms,
            "lasts": bar.lasts_ms,
            "name": names.setdefault(bar.name, len(names)),
            "bad": bar.status == "error",
            "own": bar.own_ms,
            "trace": bar.trace_id,
            "place": bar.place,
            "statement": _short(bar.statement),
            "recorded": bar.recorded,
        }
        for bar in bars
    ]
    return {
        "rows": rows,
        "names": list(names),
        "bars": drawn,
        "idle": [
            {"row": first.get((gap.lane, 0), 0), "at": gap.at_ms, "lasts": gap.lasts_ms}
            for gap in idle
        ],
        "lasts": lasts_ms,
        "zoom": zoom,
    }


def _rows(
    lanes: Sequence[Lane], bars: Sequence[Bar]
) -> tuple[list[str], dict[tuple[int, int], int]]:
    """The titles of the rows, and the first row of each slot of each lane."""
    depths: dict[tuple[int, int], int] = {(index, 0): 0 for index in range(len(lanes))}
    for bar in bars:
        key = (bar.lane, bar.slot)
        depths[key] = max(depths.get(key, 0), bar.depth)
    titles: list[str] = []
    first = {}
    for lane, slot in sorted(depths):
        first[lane, slot] = len(titles)
        title = lanes[lane].title if slot == 0 else ""
        titles += [title, *[""] * depths[lane, slot]]
    return titles, first


def _short(statement: str | None) -> str:
    text = " ".join((statement or "").split())
    return text if len(text) <= 90 else text[:89] + "…"
