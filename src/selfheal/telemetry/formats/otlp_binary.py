"""OTLP protobuf: one export request a file, or many, each after its length.

Lengths are four bytes big-endian, as the collector's file exporter writes them, or
protobuf varints. The messages of traces, logs and metrics look alike from outside; which
one it is shows in the records inside. A message counts as a line, and its number is
where refusals point to.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import IO, Literal

from selfheal.telemetry.columns import Unusual
from selfheal.telemetry.formats.otlp import read_request
from selfheal.telemetry.formats.otlp_wire import WireSpans
from selfheal.telemetry.otlp_protobuf import Signal, request_from_protobuf
from selfheal.telemetry.sink import Sink
from selfheal.telemetry.sources import HEAD_BYTES, LARGEST_DOCUMENT, Head, Lines, TooLarge

Framing = Literal["whole", "fixed32", "varint"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_SIZES = {_FIXED64: 8, _FIXED32: 4}
_TOGETHER_BYTES = 1 << 21
_LARGEST_MESSAGE = 1 << 28
_DATA_OF_METRIC = {5, 7, 9, 10, 11}
_LOG_FIELDS = {
    1: _FIXED64, 2: _VARINT, 3: _BYTES, 5: _BYTES, 6: _BYTES, 7: _VARINT, 8: _FIXED32,
    9: _BYTES, 10: _BYTES, 11: _FIXED64, 12: _BYTES,
}  # fmt: skip


def is_otlp_protobuf(head: Head) -> bool:
    """Whether a file begins with an OTLP export request as protobuf."""
    return _framing(head.content) is not None


def read(lines: Lines, sink: Sink) -> None:
    """Read OTLP protobuf from `lines` into `sink`."""
    file = lines.binary()
    head = _read(file, HEAD_BYTES)
    framing = _framing(head)
    if framing is None and head:
        lines.read = 1
        sink.refuse(1, "no OTLP export request in protobuf")
        return
    spans = WireSpans(sink)
    waiting: list[tuple[int, bytes]] = []
    size = 0
    for message in _messages(head, file, framing or "whole"):
        lines.read += 1
        if message is not None:
            waiting.append((lines.read, message))
            size += len(message)
        if message is None or size >= _TOGETHER_BYTES:
            _add(waiting, spans, lines, sink)
            waiting, size = [], 0
        if message is None:
            sink.refuse(lines.read, "the file ends inside of this message")
    _add(waiting, spans, lines, sink)


def _add(messages: list[tuple[int, bytes]], spans: WireSpans, lines: Lines, sink: Sink) -> None:
    """Add requests as columns; those with something unusual are found by halving."""
    if not messages:
        return
    try:
        spans.add(messages)
    except Unusual:
        if len(messages) == 1:
            _add_message(*messages[0], lines, sink)
        else:
            half = len(messages) // 2
            _add(messages[:half], spans, lines, sink)
            _add(messages[half:], spans, lines, sink)


def _add_message(number: int, message: bytes, lines: Lines, sink: Sink) -> None:
    try:
        signal = _signal(message)
        if signal is None:
            lines.passed_over += 1
        else:
            read_request(request_from_protobuf(signal, message), number, sink)
    except ValueError as error:
        sink.refuse(number, str(error))


def divide(content: mmap.mmap, size: int) -> Iterator[tuple[int, int | None]]:
    """Where a file may be divided: between messages that follow their lengths."""
    framing = _framing(content[:HEAD_BYTES])
    if framing not in ("fixed32", "varint"):
        return
    at = number = 0
    target = size
    while at + 10 < len(content):
        if at >= target:
            yield at, number
            target = at + size
        if framing == "fixed32":
            at += 4 + int.from_bytes(content[at : at + 4])
        else:
            try:
                length, begin = _varint(content[at : at + 10], 0)
            except ValueError:
                return
            at += begin + length
        number += 1


def _framing(head: bytes) -> Framing | None:
    if not head or not (head[0] == 0x0A or 0x0A in head[1:6]):
        return None
    candidates: list[tuple[Framing, bytes]] = [("whole", head)]
    if len(head) > 4:
        size = int.from_bytes(head[:4])
        candidates.append(("fixed32", head[4 : 4 + size]))
    try:
        size, start = _varint(head, 0)
        candidates.append(("varint", head[start : start + size]))
    except ValueError:
        pass
    for framing, message in candidates:
        try:
            if _signal(message) is not None:
                return framing
        except ValueError:
            continue
    return None


def _messages(head: bytes, file: IO[bytes], framing: Framing) -> Iterator[bytes | None]:
    """The messages of a file; None for one that is cut off."""
    if framing == "whole":
        content = head + _read(file, LARGEST_DOCUMENT)
        if len(content) > LARGEST_DOCUMENT:
            raise TooLarge(f"a message is larger than {LARGEST_DOCUMENT >> 20} MiB")
        if content:
            yield content
        return
    buffer = bytearray(head)

    def filled(size: int) -> bool:
        if len(buffer) < size:
            buffer.extend(_read(file, max(size - len(buffer), HEAD_BYTES)))
        return len(buffer) >= size

    while filled(1):
        if framing == "fixed32":
            start = 4
            size = int.from_bytes(buffer[:4]) if filled(4) else _LARGEST_MESSAGE
        else:
            filled(10)
            try:
                size, start = _varint(buffer, 0)
            except ValueError:
                size, start = _LARGEST_MESSAGE, 0
        if size >= _LARGEST_MESSAGE or not filled(start + size):
            yield None
            return
        yield bytes(buffer[start : start + size])
        del buffer[: start + size]


def _read(file: IO[bytes], size: int) -> bytes:
    """Up to `size` bytes; fewer only at the end of the file."""
    content = bytearray()
    while len(content) < size and (block := file.read(size - len(content))):
        content += block
    return bytes(content)


def _signal(message: bytes) -> Signal | None:
    """What an export request carries; None where it holds no record.

    Raises ValueError where it is no export request. A message may be cut off at its end.
    """
    for resource in _children(message, only=1):
        for scope in _children(resource, only=2):
            for record in _children(scope, only=2):
                return _signal_of_record(record)
    return None


def _children(message: bytes, *, only: int) -> Iterator[bytes]:
    """The messages in one field; all fields must be as in a carrier of records."""
    for number, kind, value in _fields(message):
        if kind != _BYTES or not (number <= 3 or number == 1000):
            raise ValueError("not an OTLP export request")
        if number == only:
            yield value
        elif only == 1:
            raise ValueError("not an OTLP export request")


def _signal_of_record(record: bytes) -> Signal:
    fields = list(_fields(record))
    kinds = {number: kind for number, kind, _ in fields}
    sizes = {number: len(value) for number, kind, value in fields if kind == _BYTES}
    if sizes.get(1) == 16 and sizes.get(2) == 8:
        return "traces"
    if (1 in kinds or 11 in kinds) and all(
        _LOG_FIELDS.get(number) == kind for number, kind in kinds.items()
    ):
        return "logs"
    if 1 in sizes and _DATA_OF_METRIC & sizes.keys():
        return "metrics"
    raise ValueError("the records of this message are no spans, log records or metrics")


def _fields(message: bytes) -> Iterator[tuple[int, int, bytes]]:
    """The fields of a protobuf message: number, wire type and bytes (of what has a length)."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        number, kind = tag >> 3, tag & 7
        value = b""
        if kind == _VARINT:
            _, position = _varint(message, position)
        elif kind in _FIXED_SIZES:
            position += _FIXED_SIZES[kind]
        elif kind == _BYTES:
            size, position = _varint(message, position)
            value = message[position : position + size]
            position += size
        else:
            raise ValueError("not protobuf")
        if number == 0:
            raise ValueError("not protobuf")
        yield number, kind, value


def _varint(data: bytes | bytearray, position: int) -> tuple[int, int]:
    """A base-128 number and the position after it. Raises ValueError where there is none."""
    number = 0
    for shift in range(0, 64, 7):
        if position >= len(data):
            raise ValueError("it ends inside of a number")
        byte = data[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
    raise ValueError("not protobuf")
