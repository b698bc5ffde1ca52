"""Calls near those of a test, made after it, in the process of `forkserver_process`.

Of the calls that a recorded function gets, copies of the arguments are kept; afterwards it is
called with each argument changed a little, one at a time. Held against the same calls of another
version of the function, what comes of them tells how much more than the failing input a change
alters (Xiong et al., "Identifying patch correctness in test-based program repair", ICSE 2018).

Loaded there from its file, in the project's own interpreter, with the standard library alone.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import signal
import types
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

SEEDS_AT_MOST, CALLS_AT_MOST, ITEMS_AT_MOST = 5, 60, 50
# Of CPU time, and by the clock.
EACH_SECONDS, WAIT_SECONDS = 0.1, 1.0
# Of calls that do not end so many cost time enough.
HANGING_AT_MOST = 3
ENDLESS = "does not end"
FAILED: Any = object()


class _TooLong(BaseException):
    pass


class Neighbours:
    """Keeps what functions are called with; `outcomes` are those of calls near to these."""

    def __init__(self) -> None:
        self._seeds: list[tuple[str, Callable[..., Any], dict[str, Any]]] = []
        self._known: set[tuple[str, str]] = set()

    def keep(
        self, name: str, frame: types.FrameType, arguments: Mapping[str, Any], described: str
    ) -> None:
        """Of the first unlike calls; what cannot be copied is passed over."""
        code = frame.f_code
        if len(self._seeds) >= SEEDS_AT_MOST or code.co_flags & inspect.CO_COROUTINE:
            return
        if (name, described) in self._known:
            return
        self._known.add((name, described))
        function = _function_of(frame)
        copied = _copied(dict(arguments))
        if function is not None and copied is not FAILED:
            self._seeds.append((name, function, copied))

    def outcomes(self) -> Iterator[tuple[str, dict[str, Any], str, Any]]:
        """(function, arguments, ``gives`` or ``raises``, what) of each call near those kept."""
        made = hung = 0
        for name, function, arguments in self._seeds:
            for near in _near(arguments):
                if made >= CALLS_AT_MOST or hung >= HANGING_AT_MOST:
                    return
                own = _copied(near)
                if own is FAILED:
                    break
                made += 1
                how, what = _called(function, own)
                hung += what is ENDLESS
                yield name, near, how, what


def _function_of(frame: types.FrameType) -> Callable[..., Any] | None:
    """A function of a frame's code, closed over the same values; defaults are not needed."""
    code, known = frame.f_code, frame.f_locals
    if any(name not in known for name in code.co_freevars):
        return None
    cells = tuple(types.CellType(known[name]) for name in code.co_freevars)
    return types.FunctionType(code, frame.f_globals, code.co_name, None, cells)


def _copied(value: Any) -> Any:
    try:
        return copy.deepcopy(value)
    except Exception:  # locks, files, what a project's own copying makes of it
        return FAILED


def _near(arguments: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The arguments with one of them changed, the first change of each first."""
    changes = {name: list(_changed(value)) for name, value in arguments.items()}
    for number in range(max(map(len, changes.values()), default=0)):
        for name, values in changes.items():
            if number < len(values):
                yield arguments | {name: values[number]}


def _changed(value: Any) -> Iterator[Any]:
    kind = type(value)
    if kind is bool:
        yield not value
    elif kind in (int, float):
        yield from (value + 1, value - 1)
        yield from (kind(each) for each in (0, 1, -1) if each not in (value, value + 1, value - 1))
    elif kind in (str, bytes, list, tuple):
        if value:
            yield from (value[:-1], value[1:], value + value[-1:])
            yield from (value[::-1], value[:1]) if len(value) > 1 else ()
            yield kind()
        if kind is str and value.swapcase() != value:
            yield value.swapcase()
    elif kind is dict and value:
        yield dict(list(value.items())[:-1])
        yield {}


def _called(function: Callable[..., Any], arguments: dict[str, Any]) -> tuple[str, Any]:
    code = function.__code__
    plain = code.co_varnames[: code.co_argcount]
    named = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    rest = list(code.co_varnames[code.co_argcount + code.co_kwonlyargcount :])
    given = [arguments[name] for name in plain]
    keywords = {name: arguments[name] for name in named}
    if code.co_flags & inspect.CO_VARARGS:
        given += arguments[rest.pop(0)]
    if code.co_flags & inspect.CO_VARKEYWORDS:
        keywords |= arguments[rest.pop(0)]
    try:
        with _limited():
            result = function(*given, **keywords)
            if isinstance(result, types.GeneratorType):
                result = list(islice(result, ITEMS_AT_MOST))
    except _TooLong:
        return "raises", ENDLESS
    except BaseException as error:  # whatever code under repair may raise, an exit among it
        return "raises", type(error).__name__
    return "gives", (result, arguments)


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    def over(*_: object) -> None:
        raise _TooLong

    limits = (
        (signal.SIGPROF, signal.ITIMER_PROF, EACH_SECONDS),
        (signal.SIGALRM, signal.ITIMER_REAL, WAIT_SECONDS),
    )
    for number, timer, seconds in limits:
        signal.signal(number, over)
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for number, timer, _ in limits:
            signal.setitimer(timer, 0)
            signal.signal(number, signal.SIG_DFL)
