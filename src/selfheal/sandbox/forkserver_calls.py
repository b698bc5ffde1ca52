"""Records what calls of some functions were given and what came of them, in the process of
`forkserver_process`.

Loaded there from its file, in the project's own interpreter, with the standard library alone.
Values are described by what they hold: two runs in two processes can so be compared, which
neither ``==`` nor an address in a ``repr`` allows. No code of the project is run for that.
"""

from __future__ import annotations

import collections
import contextlib
import dis
import hashlib
import re
import sys
import tempfile
import threading
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

CALLS_AT_MOST = 100
NODES_AT_MOST, DEPTH_AT_MOST, TEXT_AT_MOST = 400, 12, 2000
SHOWN = 100
VARIADIC = 0x04, 0x08  # inspect.CO_VARARGS, CO_VARKEYWORDS
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_EXACT = (bool, float, complex, str, bytes, type(None), type(Ellipsis), type(NotImplemented))
_NAMED = (type, types.FunctionType, types.BuiltinFunctionType, types.MethodType)
_SEQUENCES: dict[type[Any], tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    collections.deque: ("[", "]"),
}
_SETS = (set, frozenset)
_PLAIN = (str, bytes, float, complex)


class Recorder:
    """Calls of functions (``[file, qualified name]``) by one test, the outermost ones.

    A function that calls itself, or another recorded one, is one call. Of a generator
    every resumption is. `keep` is told of each call: its name, its frame, its
    arguments and these as text.
    """

    def __init__(
        self,
        functions: Iterable[Iterable[str]],
        own_path: Callable[[str], str | None],
        keep: Callable[[str, types.FrameType, dict[str, Any], str], None] | None = None,
    ) -> None:
        self._keep = keep
        self._wanted = sorted({(file, name) for file, name in functions})
        self._own_path = own_path
        self._names: dict[types.CodeType, str] = {}
        self._opcodes: dict[types.CodeType, bytes] = {}
        self._inside: set[int] = set()
        self._calls: list[list[str]] = []

    def start(self) -> None:
        self._inside.clear()
        self._calls = []
        threading.settrace(self._enter)
        sys.settrace(self._enter)

    def stop(self) -> list[list[str]]:
        """``[function, given, outcome, given in short, outcome in short]`` of each call, in order.

        `given` and `outcome` are digests; the outcome is what was returned, yielded or
        raised, with the arguments as they are then.
        """
        sys.settrace(None)
        threading.settrace(None)
        return self._calls

    def _enter(self, frame: types.FrameType, event: str, _: object) -> Any:
        code = frame.f_code
        name = self._names.get(code)
        if name is None:
            name = self._names[code] = self._name(code)
        thread = threading.get_ident()
        if not name or event != "call" or thread in self._inside:
            return None
        if len(self._calls) >= CALLS_AT_MOST:
            return None
        self._inside.add(thread)
        frame.f_trace_lines = False
        return self._follow(name, frame, thread)

    def _follow(self, name: str, frame: types.FrameType, thread: int) -> Any:
        arguments = given(frame)
        before = described(arguments)
        if self._keep is not None:
            self._keep(name, frame, arguments, before)
        raised: list[str] = []

        def local(frame: types.FrameType, event: str, value: Any) -> Any:
            if event == "exception":
                raised[:] = [f"raises {value[0].__name__} {described(_arguments_of(value[1]))}"]
            elif event == "return":
                self._inside.discard(thread)
                how = self._how(frame)
                if how is None and not raised:
                    return None
                came = raised[0] if how is None else f"{how} {described(value)}"
                after = described(arguments)
                short = came if after == before else f"{came}, given is then {after}"
                self._calls.append(
                    [
                        name,
                        digest(before),
                        digest(came + after),
                        before[1:-1][:SHOWN],
                        short[:SHOWN],
                    ]
                )
            return local

        return local

    def _name(self, code: types.CodeType) -> str:
        """The function's name if it is recorded; functions within one are, once it has returned."""
        own = self._own_path(code.co_filename)
        if own is None:
            return ""
        qualified: str = getattr(code, "co_qualname", code.co_name)
        for file, name in self._wanted:
            if file != own:
                continue
            if qualified in (name, name.rpartition(".")[2]):
                return name
            inner = qualified.removeprefix(f"{name}.<locals>.")
            if inner != qualified and not inner.endswith(">"):
                return qualified
        return ""

    def _how(self, frame: types.FrameType) -> str | None:
        """How a frame is left; None where an exception leaves it, or a generator was only made."""
        code = frame.f_code
        if code not in self._opcodes:
            self._opcodes[code] = code.co_code
        name = dis.opname[self._opcodes[code][frame.f_lasti]]
        if name in ("RETURN_VALUE", "RETURN_CONST"):
            return "gives"
        return "yields" if name in ("YIELD_VALUE", "YIELD_FROM", "SEND") else None


def told_near(name: str, near: dict[str, Any], how: str, what: Any) -> list[str]:
    """A call that was made near a recorded one, in the form of `Recorder.stop`."""
    before, came = described(near), f"{how} {described(what)}"
    return [name, digest(before), digest(came), before[1:-1][:SHOWN], came[:SHOWN]]


def given(frame: types.FrameType) -> dict[str, Any]:
    """The arguments of a frame that begins."""
    code = frame.f_code
    count = code.co_argcount + code.co_kwonlyargcount
    count += sum(bool(code.co_flags & flag) for flag in VARIADIC)
    known = frame.f_locals
    return {name: known[name] for name in code.co_varnames[:count] if name in known}


def digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()


def described(value: Any) -> str:
    """What a value holds, as text; the same for equal values in other processes.

    Of very large ones only the beginning. Attributes stand in place of a ``__repr__``.
    """
    left = [NODES_AT_MOST]
    try:
        return "".join(_parts(value, left, ()))
    except Exception:  # a foreign type, or a stack that is full: the call must not notice
        return "…"


def _parts(value: Any, left: list[int], around: tuple[int, ...]) -> Iterator[str]:
    left[0] -= 1
    if left[0] < 0 or len(around) > DEPTH_AT_MOST or id(value) in around:
        yield "…"
        return
    kind = type(value)
    around = (*around, id(value))
    if kind in _EXACT:
        yield _exact(value)
    elif plain := next((each for each in _PLAIN if issubclass(kind, each)), None):
        yield f"{kind.__qualname__} {_exact(plain(value))}"
    elif issubclass(kind, int):
        yield hex(value) if kind is not int or abs(value) > 1 << 64 else str(value)
        yield "" if kind is int else f":{kind.__qualname__}"
    elif kind in _NAMED or issubclass(kind, type):
        yield _without_places(f"{getattr(value, '__module__', '')}.{value.__qualname__}")
    elif issubclass(kind, dict):
        yield from _mapping(_named(kind, dict), dict.items(value), left, around)
    elif issubclass(kind, _SETS):
        yield f"{kind.__qualname__}{{"
        if len(value) <= NODES_AT_MOST:
            base = set if issubclass(kind, set) else frozenset
            texts = ("".join(_parts(each, left, around)) for each in base.__iter__(value))
            yield ", ".join(sorted(texts))
        yield f"}}{len(value)}"
    elif sequence := next((each for each in _SEQUENCES if issubclass(kind, each)), None):
        yield from _sequence(kind, sequence, value, left, around)
    elif issubclass(kind, BaseException):
        yield from (kind.__qualname__, *_parts(value.args, left, around))
    else:
        yield from _object(value, left, around)


def _exact(value: Any) -> str:
    text = _without_places(repr(value[:TEXT_AT_MOST])) if _long(value) else repr(value)
    return f"{text}…{len(value)}" if _long(value) else _without_places(text)


def _long(value: Any) -> bool:
    return isinstance(value, (str, bytes)) and len(value) > TEXT_AT_MOST


def _sequence(
    kind: type, sequence: type[Any], value: Any, left: list[int], around: tuple[int, ...]
) -> Iterator[str]:
    opening, closing = _SEQUENCES[sequence]
    yield _named(kind, sequence) + opening
    for number, each in enumerate(sequence.__iter__(value)):
        if left[0] <= 0:
            break
        yield ", " if number else ""
        yield from _parts(each, left, around)
    yield closing


def _mapping(
    name: str, items: Iterable[tuple[Any, Any]], left: list[int], around: tuple[int, ...]
) -> Iterator[str]:
    yield name + "{"
    for number, (key, each) in enumerate(list(items)):
        if left[0] <= 0:
            break
        yield ", " if number else ""
        yield from _parts(key, left, around)
        yield ": "
        yield from _parts(each, left, around)
    yield "}"


def _object(value: Any, left: list[int], around: tuple[int, ...]) -> Iterator[str]:
    """By its attributes; what has none by its ``repr`` where that is not written in Python."""
    kind = type(value)
    attributes: dict[Any, Any] = {}
    with contextlib.suppress(AttributeError, TypeError):
        attributes |= object.__getattribute__(value, "__dict__")
    for owner in kind.__mro__:
        for name, member in vars(owner).items():
            if isinstance(member, types.MemberDescriptorType):
                try:
                    attributes[name] = member.__get__(value, kind)
                except AttributeError:
                    continue
    if attributes:
        ordered = sorted(attributes.items(), key=lambda pair: str(pair[0]))
        yield from _mapping(kind.__qualname__, ordered, left, around)
    elif isinstance(kind.__repr__, types.WrapperDescriptorType):
        yield _without_places(repr(value)[:TEXT_AT_MOST])
    else:
        yield kind.__qualname__


def _named(kind: type, plain: type) -> str:
    return "" if kind is plain else kind.__qualname__


def _without_places(text: str) -> str:
    """Without addresses and the folder for temporary files, which differ between runs."""
    return _ADDRESS.sub("", text).replace(tempfile.gettempdir(), "")


def _arguments_of(error: Any) -> Any:
    return getattr(error, "args", ())
