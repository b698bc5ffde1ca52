"""Columns of spans, as the fast readers of OTLP share them, whatever the encoding."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from selfheal.telemetry.columns import Column, Memo, Unusual, hex_ids, numbered, taken
from selfheal.telemetry.formats.attributes import SPAN_COLUMNS, json_text, text_or_none
from selfheal.telemetry.formats.events import Resource
from selfheal.telemetry.formats.otlp_records import (
    INTEGERS,
    PLACES,
    SPAN_COLUMN_NAMES,
    TOGETHER,
    add_event,
    column_value,
)
from selfheal.telemetry.formats.times import time_ns
from selfheal.telemetry.sink import Sink

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

MEMO_BYTES = 4 * 1024 * 1024
# So many are read together; below it, one by one is faster.
FEW = 48
# Numbers from here on are nanoseconds as they stand (see `times.time_ns`).
_NANOSECONDS_FROM = 10**17
# Fewer texts are read one by one.
_MANY = 32
_ISO = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?"
_DESCRIBED = ("status", "attributes", *SPAN_COLUMNS)
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


class Descriptions:
    """The columns that attributes and status, given as bytes, make of spans.

    What repeats is read `one` by one and remembered. Many that are `alike`, which is to say
    that this gives the same for them and not None, are read together: `many` gives the
    numbers of those that it could read, and their columns, or raises Unusual.
    """

    def __init__(
        self,
        one: Callable[[bytes], Description],
        many: Callable[[list[bytes]], tuple[Sequence[int], dict[str, pa.Array]]],
        alike: Callable[[bytes], Hashable | None],
    ) -> None:
        self._known = Memo(one, len, MEMO_BYTES)
        self._many = many
        self._alike = alike

    def columns(self, raws: list[bytes]) -> dict[str, pa.Array]:
        """The columns of `status`, `attributes` and SPAN_COLUMNS. Raises Unusual."""
        import numpy as np
        import pyarrow as pa

        encoded = pa.array(raws, pa.binary()).dictionary_encode()
        distinct, places = encoded.dictionary.to_pylist(), np.asarray(encoded.indices)
        known = self._known
        remembered = [at for at, raw in enumerate(distinct) if raw in known]
        fresh: dict[Hashable, list[int]] = {}
        if len(remembered) < len(distinct):
            alike = self._alike
            for at, raw in enumerate(distinct):
                if raw not in known:
                    fresh.setdefault(alike(raw), []).append(at)
        remembered += fresh.pop(None, ())
        order: list[int] = []
        tables: list[pa.Table] = []
        for members in fresh.values():
            left = members
            while len(left) >= FEW:
                try:
                    found, columns = self._many([distinct[at] for at in left])
                except Unusual:
                    break
                order += [left[number] for number in found]
                tables.append(_sorted(columns))
                done = set(found)
                left = [at for number, at in enumerate(left) if number not in done]
            remembered += left
        if remembered:
            order += remembered
            tables.append(_table([self._known[distinct[at]] for at in remembered]))
        row = np.empty(len(distinct), dtype=np.int64)
        row[order] = np.arange(len(order))
        table, rows = pa.concat_tables(tables), pa.array(row[places])
        return {name: _taken(table[name], rows) for name in table.column_names}


def _taken(column: pa.ChunkedArray, rows: pa.Array) -> pa.Array:
    import pyarrow as pa

    if column.null_count == len(column):
        return pa.nulls(len(rows), column.type)
    return column.combine_chunks().take(rows)


def _sorted(columns: Mapping[str, pa.Array]) -> pa.Table:
    import pyarrow as pa

    return pa.table({name: columns[name] for name in _DESCRIBED})


def _table(descriptions: Sequence[Description]) -> pa.Table:
    import pyarrow as pa

    kinds = [pa.int32() if at in INTEGERS else pa.string() for at in range(len(SPAN_COLUMNS))]
    columns = zip(*descriptions, strict=True)
    arrays = map(pa.array, columns, (pa.string(), pa.string(), *kinds))
    return pa.table(dict(zip(_DESCRIBED, arrays, strict=True)))


def each_of(column: Column, function: Callable[[Any], Any], kind: pa.DataType) -> pa.Array:
    """The column of a function's results; it is called once for values that are alike."""
    distinct, places = column.distinct()
    return taken([function(one) for one in distinct], kind, places)


def texts_of(column: Column) -> pa.Array:
    """A column of `text_or_none`."""
    import pyarrow as pa

    texts = column.texts()
    return each_of(column, text_or_none, pa.string()) if texts is None else texts


def attribute_columns(others: Mapping[str, Column], rows: int) -> dict[str, pa.Array]:
    """The columns of SPAN_COLUMNS and `attributes`."""
    import pyarrow as pa

    columns: dict[str, pa.Array] = {
        name: pa.nulls(rows, pa.int32() if position in INTEGERS else pa.string())
        for position, name in enumerate(SPAN_COLUMN_NAMES)
    }
    rest: list[str] = []
    seen: set[int] = set()
    for key, column in others.items():
        if key in TOGETHER:
            raise Unusual
        if key not in PLACES:
            rest.append(key)
            continue
        position = PLACES[key][0]
        if position in seen:
            raise Unusual
        seen.add(position)
        columns[SPAN_COLUMN_NAMES[position]] = (
            each_of(column, partial(column_value, position), pa.int32())
            if position in INTEGERS
            else texts_of(column)
        )
    columns["attributes"] = json_of_attributes([(key, others[key]) for key in rest], rows)
    return columns


def json_of_attributes(others: Sequence[tuple[str, Column]], rows: int) -> pa.Array:
    """What has no column, as JSON: what of a key is alike is written once, and put together."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not others:
        return pa.nulls(rows, pa.string())
    pieces = []
    for key, column in others:
        distinct, places = column.distinct()
        texts = [(json_text({key: one}) or "")[1:-1] for one in distinct]
        pieces.append(taken(texts, pa.string(), places))
    joined = pc.binary_join_element_wise(*pieces, ",")
    return pc.binary_join_element_wise("{", joined, "}", "")


def ids_of(column: Column, size: int, *, required: bool) -> pa.Array:
    import pyarrow as pa

    texts = column.texts()
    if texts is not None:
        return hex_ids(texts.fill_null("") if texts.null_count else texts, size, required=required)
    if required or column.distinct()[0] != [None]:
        raise Unusual
    return pa.nulls(len(column), pa.string())


def moments_of(column: Column) -> np.ndarray[Any, Any]:
    """Times in nanoseconds, 0 where there is none."""
    import numpy as np

    numbers = column.integers()
    if numbers is not None and numbers.min() >= _NANOSECONDS_FROM:
        return numbers
    texts = column.texts()
    if texts is not None and (moments := iso_moments(texts)) is not None:
        return moments
    distinct, places = column.distinct()
    moments = np.array([time_ns(one) or 0 for one in distinct], dtype=np.int64)
    found: np.ndarray[Any, Any] = moments[np.asarray(places)]
    return found


def iso_moments(texts: pa.Array) -> np.ndarray[Any, Any] | None:
    """ISO 8601 to the second or finer, all in UTC or all without a zone; None for other texts."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if texts.null_count or len(texts) < _MANY:
        return None
    zone = "Z" if texts[0].as_py().endswith("Z") else ""
    if not pc.all(pc.match_substring_regex(texts, _ISO + zone + "$")).as_py():
        return None
    try:
        moments = pc.replace_substring(texts, ",", ".").cast(
            pa.timestamp("ns", (zone and "UTC") or None)
        )
    except pa.ArrowInvalid:
        return None
    found = np.asarray(moments.cast(pa.int64()))
    return found * (found > 0)


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
