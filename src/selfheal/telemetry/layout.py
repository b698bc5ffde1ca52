"""Lines of JSON that are laid out alike, as columns of their values.

What one program writes again and again differs in values only. Between quotes a line is
then the same number of texts: keys and punctuation, which have to be those of the first
line, and values. Arrow's reader of separated values finds them, with the quote for a
separator, for thousands of lines at once; no line becomes a Python object. Where a
backslash stands, quotes do not tell where texts end: such lines are left to others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from selfheal.telemetry.columns import Column, Unusual

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_LITERAL = re.compile(rb"[^\s{}\[\],:]+")
# No text of JSON holds this byte; it stands for null where others have a text.
NULL = b"\x00"
_SPACE, _ZERO = b" 0"
# Between the quotes of two texts there is always one of the characters that are left out here.
_NULL_VALUE = re.compile(rb'("[\w.@/-]+"\s*:\s*)null\b')
_MOST_LAYOUTS = 8


class Slot(NamedTuple):
    """The values of one place: texts without their quotes, `NULL` for null, or other literals."""

    raw: pa.BinaryArray
    quoted: bool

    def __len__(self) -> int:
        return len(self.raw)

    def distinct(self) -> tuple[list[Any], pa.Array]:
        """The distinct values, and for each row which it has. Raises Unusual for what is no JSON."""
        encoded = self.raw.dictionary_encode()
        return [self._value(one) for one in encoded.dictionary.to_pylist()], encoded.indices

    def _value(self, raw: bytes) -> Any:
        try:
            if not self.quoted:
                return msgspec.json.decode(raw)
            return None if raw == NULL else msgspec.json.decode(b'"%b"' % raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Unusual from error

    def texts(self) -> pa.StringArray | None:
        """The values where they are texts, or null; None where they are others. Raises Unusual."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        if not self.quoted:
            return None
        texts = self.raw
        _, data = bounds_of(texts)
        controls = np.count_nonzero(data < _SPACE)
        if controls:
            nulls = pc.equal(texts, NULL)
            texts = pc.if_else(nulls, None, texts)
            if controls != texts.null_count:
                raise Unusual
        try:
            return texts.cast(pa.string())
        except pa.ArrowInvalid as error:
            raise Unusual from error

    def integers(self) -> np.ndarray[Any, Any] | None:
        """The values where they are integers from 0 to 2^63; None where they are not."""
        import numpy as np
        import pyarrow as pa

        bounds, data = bounds_of(self.raw)
        if self.quoted or data.tobytes().translate(None, b"0123456789"):
            return None
        lengths = np.diff(bounds)
        if not lengths.all() or ((data[bounds[:-1]] == _ZERO) & (lengths > 1)).any():
            return None
        try:
            return np.asarray(self.raw.cast(pa.string()).cast(pa.int64()))
        except pa.ArrowInvalid:
            return None


class Table(NamedTuple):
    """Lines that are laid out alike: their template, their slots, and which lines they are."""

    template: Any
    slots: list[Slot]
    rows: np.ndarray[Any, Any]


def plain(content: bytes) -> bool:
    """Whether lines may be read by a layout."""
    if b"\\" in content or NULL in content:
        return False
    try:
        return content.isascii() or bool(content.decode())
    except UnicodeDecodeError:
        return False


class Layout:
    """How a line is laid out. `template` is its JSON with the number of a slot for each value.

    Texts under a key in `fixed` count as punctuation. Raises Unusual where the line is no
    JSON, or where values follow each other without a text between them.
    """

    def __init__(self, line: bytes, fixed: Sequence[bytes] = ()) -> None:
        pieces = line.split(b'"')
        if len(pieces) % 2 == 0 or len(pieces) < 3:
            raise Unusual
        self.pieces = len(pieces)
        self._constants: list[tuple[int, bytes]] = []
        self._literals: list[tuple[int, bytes, bytes]] = []
        # Where a value stands: its piece, what is before and behind it there, whether it is a text.
        self._places: list[tuple[int, int, int, bool]] = []
        template: list[bytes] = []
        key = b""
        for at, piece in enumerate(pieces):
            if at % 2 == 0:
                template.append(self._punctuation(at, piece))
            elif pieces[at + 1].lstrip()[:1] == b":":
                key = piece
                self._constants.append((at, piece))
                template.append(b'"%b"' % piece)
            elif key in fixed and pieces[at - 1].strip() == b":":
                self._constants.append((at, piece))
                template.append(b'"%b"' % piece)
            else:
                template.append(b"%d" % len(self._places))
                self._places.append((at, 0, 0, True))
        try:
            self.template = msgspec.json.decode(b"".join(template))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Unusual from error

    def _punctuation(self, at: int, piece: bytes) -> bytes:
        found = list(_LITERAL.finditer(piece))
        if not found:
            self._constants.append((at, piece))
            return piece
        if len(found) > 1:
            raise Unusual
        start, end = found[0].span()
        self._literals.append((at, piece[:start], piece[end:]))
        self._places.append((at, start, len(piece) - end, False))
        return piece[:start] + b"%d" % (len(self._places) - 1) + piece[end:]

    def read(self, content: bytes, rows: int) -> Table:
        """Read `rows` lines, of which the first is laid out so."""
        import numpy as np
        import pyarrow as pa

        try:
            table, rejected = self._separated(content)
        except pa.ArrowInvalid as error:  # a line that is not in UTF-8 and another in layout
            raise Unusual from error
        if table.num_rows + len(rejected) != rows:
            raise Unusual
        numbers = np.arange(rows)
        if rejected:
            numbers = np.delete(numbers, np.array(rejected) - 1)
        alike = self._alike(table)
        if alike is not None:
            table, numbers = table.filter(pa.array(alike)), numbers[alike]
        return Table(self.template, [self._slot(table, place) for place in self._places], numbers)

    def _separated(self, content: bytes) -> tuple[pa.Table, list[int]]:
        import pyarrow as pa
        from pyarrow import csv

        rejected: list[int] = []

        def reject(row: csv.InvalidRow) -> str:
            rejected.append(row.number)
            return "skip"

        names = [str(at) for at in range(self.pieces)]
        table = csv.read_csv(
            pa.BufferReader(content),
            read_options=csv.ReadOptions(
                use_threads=False, column_names=names, block_size=len(content) + 1
            ),
            parse_options=csv.ParseOptions(
                delimiter='"', quote_char=False, double_quote=False, escape_char=False,
                ignore_empty_lines=False, invalid_row_handler=reject,
            ),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.binary()), include_columns=names,
                strings_can_be_null=False, null_values=[], check_utf8=False,
            ),
        )  # fmt: skip
        return table, rejected

    def _alike(self, table: pa.Table) -> np.ndarray[Any, Any] | None:
        """The rows whose keys and punctuation are those of the layout; None where all are."""
        alike: np.ndarray[Any, Any] | None = None
        for at, text in self._constants:
            same = _equal(table.column(at).chunk(0), text)
            if same is not None:
                alike = same if alike is None else alike & same
        for at, before, after in self._literals:
            same = _between(table.column(at).chunk(0), before, after)
            if not same.all():
                alike = same if alike is None else alike & same
        return alike

    def _slot(self, table: pa.Table, place: tuple[int, int, int, bool]) -> Slot:
        import pyarrow.compute as pc

        at, before, after, quoted = place
        column = table.column(at).chunk(0)
        if not quoted:
            column = pc.binary_slice(column, before, -after or None)
        return Slot(column, quoted)


class Nullable:
    """Keys that have a text on some lines and null on others, learned line by line."""

    def __init__(self) -> None:
        self._written: dict[bytes, bytes] = {}

    def learn(self, line: bytes, other: bytes) -> None:
        """Remember the keys that have null on one of two lines and a text on the other."""
        for one, another in ((line, other), (other, line)):
            for match in _NULL_VALUE.finditer(one):
                if match[1] + b'"' in another:
                    self._written[match[0]] = match[1] + b'"' + NULL + b'"'

    def as_texts(self, content: bytes) -> bytes:
        """The lines, with `NULL` as a text for each null of these keys."""
        for written, text in self._written.items():
            content = content.replace(written, text)
        return content


def tables_of(content: bytes, rows: int, nullable: Nullable) -> list[Table]:
    """Lines as tables, one for each way in which they are laid out. Raises Unusual for many ways."""
    import numpy as np

    if not plain(content):
        raise Unusual
    content = nullable.as_texts(content)
    tables: list[Table] = []
    numbers = np.arange(rows)
    for _ in range(_MOST_LAYOUTS):
        layout = Layout(content.partition(b"\n")[0].rstrip(b"\r"))
        table = layout.read(content, len(numbers))
        left = np.delete(np.arange(len(numbers)), table.rows)
        tables.append(table._replace(rows=numbers[table.rows]))
        if not len(left):
            return tables
        numbers = numbers[left]
        lines = content.split(b"\n")
        nullable.learn(lines[left[0]], lines[0])
        content = nullable.as_texts(b"\n".join([lines[at] for at in left.tolist()]))
    raise Unusual


def columns_alike(
    content: bytes,
    rows: int,
    nullable: Nullable,
    columns_of: Callable[[Mapping[str, Column]], dict[str, pa.Array]],
) -> dict[str, pa.Array] | None:
    """Lines with an object each, in one table of the columns that `columns_of` makes of their keys.

    None where some line is not laid out like many, has structures in it, or where
    `columns_of` finds it Unusual.
    """
    import numpy as np
    import pyarrow as pa

    try:
        tables = tables_of(content, rows, nullable)
        batches = [columns_of(_by_key(table)) for table in tables]
    except Unusual:
        return None
    if len(batches) == 1:
        return batches[0]
    order = pa.array(np.argsort(np.concatenate([table.rows for table in tables])))
    whole = pa.concat_tables([pa.table(batch) for batch in batches]).take(order)
    return {name: whole[name].combine_chunks() for name in whole.column_names}


def _by_key(table: Table) -> dict[str, Slot]:
    """The slots of objects by their keys. Raises Unusual where others than slots are in them."""
    if not isinstance(table.template, dict):
        raise Unusual
    values = list(table.template.values())
    if not all(type(one) is int for one in values) or sorted(values) != [*range(len(table.slots))]:
        raise Unusual
    return {key: table.slots[at] for key, at in table.template.items()}


def bounds_of(texts: pa.Array) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The offsets and the bytes of texts."""
    import numpy as np

    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, dtype=np.int32)[texts.offset : texts.offset + len(texts) + 1]
    if data is None or not data.size:
        return bounds, np.empty(0, dtype=np.uint8)
    return bounds, np.frombuffer(data, dtype=np.uint8)


def _equal(texts: pa.Array, text: bytes) -> np.ndarray[Any, Any] | None:
    """Which texts are this one; None where all are."""
    import numpy as np
    import pyarrow.compute as pc

    bounds, data = bounds_of(texts)
    size, count = len(text), len(texts)
    # As many bytes as that many of it, and each at its place.
    if (
        bounds[-1] - bounds[0] == size * count
        and data[bounds[0] : bounds[-1]].tobytes() == text * count
        and (not size or (np.diff(bounds) == size).all())
    ):
        return None
    return np.asarray(pc.equal(texts, text))


def _between(texts: pa.Array, before: bytes, after: bytes) -> np.ndarray[Any, Any]:
    """Which texts are something between these two."""
    import numpy as np

    bounds, data = bounds_of(texts)
    same: np.ndarray[Any, Any] = np.diff(bounds) > len(before) + len(after)
    for place, byte in enumerate(before):
        same[same] = data[bounds[:-1][same] + place] == byte
    for place, byte in enumerate(reversed(after)):
        same[same] = data[bounds[1:][same] - 1 - place] == byte
    return same
