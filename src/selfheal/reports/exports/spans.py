"""Spans on lanes for chrome://tracing, Perfetto and speedscope.

Formats: the Trace Event Format (complete events, times in microseconds) and speedscope's
file format (evented profiles, times in milliseconds). Bars of one slot nest, which both
formats ask of a thread.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from selfheal import __version__
from selfheal.reports.model import Bar, Lane, Report

SPEEDSCOPE = "https://www.speedscope.app/file-format-schema.json"


def chrome_trace(report: Report) -> str:
    """Each lane is a process, each of its slots a thread."""
    lanes, bars = report.lanes_and_bars()
    events: list[dict[str, Any]] = []
    for number, lane in enumerate(lanes):
        events.append(_metadata("process_name", number, 0, lane.title))
    for lane_number, slot in sorted({(bar.lane, bar.slot) for bar in bars}):
        events.append(_metadata("thread_name", lane_number, slot, f"slot {slot + 1}"))
    events += [_event(bar) for bar in bars]
    return json.dumps(
        {
            "traceEvents": events,
            "displayTimeUnit": "ms",
            "otherData": {"report": report.report, "run": report.run_id},
        },
        ensure_ascii=False,
    )


def _metadata(name: str, process: int, thread: int, value: str) -> dict[str, Any]:
    return {"name": name, "ph": "M", "pid": process, "tid": thread, "args": {"name": value}}


def _event(bar: Bar) -> dict[str, Any]:
    told = {
        "trace": bar.trace_id,
        "span": bar.span_id,
        "code": bar.place,
        "statement": bar.statement,
        "recorded": bar.recorded,
    }
    return {
        "name": bar.name,
        "cat": bar.status,
        "ph": "X",
        "ts": round(bar.at_ms * 1000, 3),
        "dur": round(bar.lasts_ms * 1000, 3),
        "pid": bar.lane,
        "tid": bar.slot,
        "args": {name: value for name, value in told.items() if value},
    }


def speedscope(report: Report) -> str:
    """One evented profile per slot of a lane."""
    lanes, bars = report.lanes_and_bars()
    frames: dict[tuple[str, str | None], int] = {}
    for bar in bars:
        frames.setdefault((bar.name, bar.place), len(frames))
    ordered = sorted(bars, key=lambda bar: (bar.lane, bar.slot, bar.at_ms, bar.depth))
    profiles = [
        _profile(lanes[lane], slot, list(group), frames)
        for (lane, slot), group in groupby(ordered, key=lambda bar: (bar.lane, bar.slot))
    ]
    return json.dumps(
        {
            "$schema": SPEEDSCOPE,
            "name": f"{report.TITLE}, {report.run_id}",
            "exporter": f"selfheal {__version__}",
            "activeProfileIndex": 0 if profiles else None,
            "shared": {"frames": [_frame(name, place) for name, place in frames]},
            "profiles": profiles,
        },
        ensure_ascii=False,
    )


def _frame(name: str, place: str | None) -> dict[str, Any]:
    file, _, line = (place or "").rpartition(":")
    if not file:
        return {"name": name, "file": line} if line else {"name": name}
    return {"name": name, "file": file, "line": int(line)} if line.isdigit() else {"name": name}


def _profile(
    lane: Lane, slot: int, bars: Sequence[Bar], frames: dict[tuple[str, str | None], int]
) -> dict[str, Any]:
    events = list(_events(bars, frames))
    return {
        "type": "evented",
        "name": lane.title if slot == 0 else f"{lane.title} ({slot + 1})",
        "unit": "milliseconds",
        "startValue": events[0]["at"],
        "endValue": events[-1]["at"],
        "events": events,
    }


def _events(
    bars: Sequence[Bar], frames: dict[tuple[str, str | None], int]
) -> Iterator[dict[str, Any]]:
    """Opened and closed in the order of a call stack; times never run backwards."""
    stack: list[tuple[float, int]] = []
    now = 0.0
    for bar in bars:
        while len(stack) > bar.depth:
            end, frame = stack.pop()
            now = max(now, end)
            yield {"type": "C", "frame": frame, "at": now}
        now = max(now, bar.at_ms)
        frame = frames[bar.name, bar.place]
        stack.append((bar.at_ms + bar.lasts_ms, frame))
        yield {"type": "O", "frame": frame, "at": now}
    while stack:
        end, frame = stack.pop()
        now = max(now, end)
        yield {"type": "C", "frame": frame, "at": now}
