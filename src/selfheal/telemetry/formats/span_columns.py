"""Columns of spans, as the fast readers of OTLP share them, whatever the encoding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from selfheal.telemetry.columns import Unusual, numbered, taken
from selfheal.telemetry.formats.attributes import SPAN_COLUMNS, json_text
from selfheal.telemetry.formats.events import Resource
from selfheal.telemetry.formats.otlp_records import (
    INTEGERS,
    PLACES,
    TOGETHER,
    add_event,
    column_value,
)
from selfheal.telemetry.sink import Sink

if TYPE_CHECKING:
    import pyarrow as pa

MEMO_BYTES = 4 * 1024 * 1024
# Status, attributes as JSON, and the columns of SPAN_COLUMNS.
Description = tuple[Any, ...]
# Spans by their number, with the exceptions among their events as OTLP JSON.
Exceptions = list[tuple[int, list[dict[str, Any]]]]


class Run(NamedTuple):
    """So many spans that came on one line from one sender and scope."""

    spans: int
    line: int
    resource: Resource
    scope: str | None


class Attribute(NamedTuple):
    """An attribute: the position of its column if it has one, and its value, or else its JSON."""

    name: str
    position: int | None
    value: Any


def attribute_of(name: str, value: Any) -> Attribute:
    """An attribute that stands for itself. Raises Unusual where it needs others beside it."""
    if name in TOGETHER:
        raise Unusual
    if name in PLACES:
        position = PLACES[name][0]
        return Attribute(name, position, column_value(position, value))
    return Attribute(name, None, (json_text({name: value}) or "")[1:-1])


def assembled(status: str, attributes: Sequence[Attribute]) -> Description:
    """The description that some attributes make, as `otlp_records.described` gives it.

    Raises Unusual where two of them are about the same.
    """
    columns: list[Any] = [None] * len(SPAN_COLUMNS)
    others: list[str] = []
    names = set()
    for name, position, value in attributes:
        names.add(name)
        if position is None:
            others.append(value)
        elif columns[position] is None:
            columns[position] = value
        else:
            raise Unusual
    if len(names) < len(attributes):
        raise Unusual
    return status, "{" + ",".join(others) + "}" if others else None, *columns


def description_columns(
    descriptions: Sequence[Description], places: pa.Array
) -> dict[str, pa.Array]:
    """The columns that descriptions fill; each row has the one at its place."""
    import pyarrow as pa

    values = list(zip(*descriptions, strict=True))
    kinds = [pa.int32() if at in INTEGERS else pa.string() for at in range(len(SPAN_COLUMNS))]
    return {
        name: taken(column, kind, places)
        for name, column, kind in zip(
            ("status", "attributes", *SPAN_COLUMNS),
            values,
            (pa.string(), pa.string(), *kinds),
            strict=True,
        )
    }


def add_spans(
    columns: dict[str, pa.Array], runs: Sequence[Run], exceptions: Exceptions, sink: Sink
) -> None:
    """Add spans with their senders and places, and what exceptions they tell of."""
    import numpy as np
    import pyarrow as pa

    lengths = np.array([run.spans for run in runs])
    senders, places = numbered([run[2:] for run in runs])
    sender = np.repeat(places, lengths)
    lines = np.repeat(np.array([run.line for run in runs], dtype=np.int32), lengths)
    for position, column in enumerate(Resource._fields):
        columns[column] = taken(
            [one[0][position] for one in senders], pa.string(), pa.array(sender)
        )
    columns["scope"] = taken([one[1] for one in senders], pa.string(), pa.array(sender))
    columns["line"] = pa.array(lines)
    columns["source"] = pa.array(np.full(len(lines), sink.source, dtype=np.int32))
    sink.spans.add_columns(columns, len(lines))
    sink.without_timestamp += columns["start_ns"].null_count
    for at, events in exceptions:
        ids = (columns["trace_id"][at].as_py(), columns["span_id"][at].as_py())
        operation = columns["operation"][at].as_py()
        for event in events:
            add_event(event, senders[sender[at]][0], operation, ids, int(lines[at]), sink)
