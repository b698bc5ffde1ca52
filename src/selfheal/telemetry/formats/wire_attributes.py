"""Short attributes on the wire: fewer than 128 bytes, so that one byte tells how many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from selfheal.telemetry.columns import Unusual, numbered
from selfheal.telemetry.formats.attributes import attributes_of
from selfheal.telemetry.otlp_protobuf import json_of

if TYPE_CHECKING:
    import pyarrow as pa

SHORT_ATTRIBUTE = 9 << 3 | 2


class WireValues:
    """The values of an attribute, as the messages that hold them."""

    def __init__(self, raw: list[bytes], name: bytes) -> None:
        self._raw = raw
        self._name = name

    def __len__(self) -> int:
        return len(self._raw)

    def distinct(self) -> tuple[list[Any], pa.Array]:
        import pyarrow as pa

        distinct, places = numbered(self._raw)
        return [self._value(one) for one in distinct], pa.array(places)

    def _value(self, raw: bytes) -> Any:
        text = text_of(raw)
        if text is not None:
            return text
        field = bytes((0x12, len(raw))) + raw
        (value,) = attributes_of([json_of("KeyValue", self._name + field)]).values()
        return value

    def texts(self) -> pa.Array | None:
        import pyarrow as pa

        if not all(raw[:1] == b"\x0a" and raw[1] == len(raw) - 2 < 0x7E for raw in self._raw):
            return None
        try:
            return pa.array([raw[2:] for raw in self._raw], pa.binary()).cast(pa.string())
        except pa.ArrowInvalid as error:
            raise Unusual from error

    def integers(self) -> None:
        return None


def first_name(tail: bytes) -> bytes | None:
    """The name of the first of a span's attributes; None where it has none that is short."""
    if len(tail) < 4 or tail[0] != SHORT_ATTRIBUTE:
        return None
    return tail[4 : 4 + tail[3]]


def is_short_name(raw: bytes) -> bool:
    return len(raw) > 2 and raw[0] == 0x0A and raw[1] < 0x80 and len(raw) == 2 + raw[1]


def attributes_alike(
    tails: list[bytes], names: list[bytes], behind: bytes
) -> tuple[list[int], list[list[bytes]]]:
    """Which tails are short attributes of these names and then these bytes, and the values."""
    alike: list[int] = []
    rows: list[list[bytes]] = []
    size_behind = len(behind)
    headed = [(one, len(one)) for one in names]
    for number, tail in enumerate(tails):
        at, row = 0, []
        try:
            for name, size in headed:
                length = tail[at + 1]
                value = at + 2 + size
                end = at + 2 + length
                if (
                    tail[at] != SHORT_ATTRIBUTE
                    or length >= 0x80
                    or tail[at + 2 : value] != name
                    or tail[value] != 0x12
                    or tail[value + 1] != end - value - 2
                ):
                    break
                row.append(tail[value + 2 : end])
                at = end
            else:
                if len(tail) - at == size_behind and tail.endswith(behind):
                    alike.append(number)
                    rows.append(row)
        except IndexError:
            continue
    if not alike:
        raise Unusual
    return alike, [list(column) for column in zip(*rows, strict=True)]


def text_of(raw: bytes) -> str | None:
    """A value that is a short text; None where it is another."""
    if len(raw) < 2 or raw[0] != 0x0A or not raw[1] == len(raw) - 2 < 0x7E:
        return None
    return decoded(raw[2:])


def decoded(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise Unusual from error
