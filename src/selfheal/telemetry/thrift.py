"""Thrift's compact protocol, as far as Parquet footers use it, without a schema.

A struct is a dictionary from field number to (type, value); what is not understood is
kept, so that ``encoded(decoded(data))`` means the same as `data`. Source: the compact
protocol's specification, thrift/doc/specs/thrift-compact-protocol.md.
"""

from __future__ import annotations

from typing import Any

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, _MAP, STRUCT = range(1, 13)

Struct = dict[int, tuple[int, Any]]


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def struct(self) -> Struct:
        fields: Struct = {}
        number = 0
        while (head := self._byte()) != 0:
            kind = head & 15
            number = number + (head >> 4) if head >> 4 else self._integer()
            fields[number] = (kind, self._value(kind))
        return fields

    def _value(self, kind: int) -> Any:
        match kind:
            case 1 | 2:  # of a field, the type itself says which
                return None
            case 3:
                return self._byte()
            case 4 | 5 | 6:
                return self._integer()
            case 7:
                return self._bytes(8)
            case 8:
                return self._bytes(self._varint())
            case 9 | 10:
                return self._list()
            case 12:
                return self.struct()
        raise ValueError(f"Thrift type {kind} is not known")

    def _list(self) -> tuple[int, list[Any]]:
        head = self._byte()
        kind, size = head & 15, head >> 4
        size = self._varint() if size == 15 else size
        if kind in (TRUE, FALSE):
            return kind, [self._byte() for _ in range(size)]
        return kind, [self._value(kind) for _ in range(size)]

    def _integer(self) -> int:
        number = self._varint()
        return (number >> 1) ^ -(number & 1)

    def _varint(self) -> int:
        number = shift = 0
        while (byte := self._byte()) >= 0x80:
            number |= (byte & 0x7F) << shift
            shift += 7
        return number | byte << shift

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _bytes(self, size: int) -> bytes:
        self._at += size
        return self._data[self._at - size : self._at]


def decoded(data: bytes) -> Struct:
    """The struct that `data` begins with. Raises ValueError, IndexError where it is none."""
    return _Reader(data).struct()


def encoded(struct: Struct) -> bytes:
    """A struct as bytes."""
    output = bytearray()
    _write_struct(output, struct)
    return bytes(output)


def _write_struct(output: bytearray, struct: Struct) -> None:
    before = 0
    for number, (kind, value) in sorted(struct.items()):
        if 0 < number - before < 16:
            output.append((number - before) << 4 | kind)
        else:
            output.append(kind)
            _write_integer(output, number)
        before = number
        _write_value(output, kind, value)
    output.append(0)


def _write_value(output: bytearray, kind: int, value: Any) -> None:
    match kind:
        case 1 | 2:
            pass
        case 3:
            output.append(value)
        case 4 | 5 | 6:
            _write_integer(output, value)
        case 7:
            output += value
        case 8:
            _write_varint(output, len(value))
            output += value
        case 9 | 10:
            _write_list(output, *value)
        case 12:
            _write_struct(output, value)


def _write_list(output: bytearray, kind: int, values: list[Any]) -> None:
    output.append(min(len(values), 15) << 4 | kind)
    if len(values) >= 15:
        _write_varint(output, len(values))
    for value in values:
        if kind in (TRUE, FALSE):
            output.append(value)
        else:
            _write_value(output, kind, value)


def _write_integer(output: bytearray, number: int) -> None:
    _write_varint(output, number << 1 if number >= 0 else (-number << 1) - 1)


def _write_varint(output: bytearray, number: int) -> None:
    while number >= 0x80:
        output.append(number & 0x7F | 0x80)
        number >>= 7
    output.append(number)
