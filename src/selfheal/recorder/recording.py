"""Recording calls: what a wrapped function does, and when."""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from selfheal.recorder.files import CallFiles
from selfheal.recorder.redaction import keeping
from selfheal.recorder.values import MARK, REDACTED, Limits, NotRecordable, module_of, write

SCHEMA = "selfheal/call/1"
WRAPPED = "__selfheal_recorded__"
MESSAGE_CHARACTERS = 500
# A function whose values cannot be taken is not asked for them for ever.
UNUSABLE_AT_MOST = 20
_WINDOW_SECONDS = 60.0
# The service's own random numbers stay those that its seed gives.
_chance = random.Random()

Ids = tuple[str, str]
_within: ContextVar[Ids | None] = ContextVar("selfheal_recorder", default=None)
# A recorder never records what its own work calls.
_busy = threading.local()


@dataclass(frozen=True)
class Options:
    """What is recorded, and how much of it.

    Of each function of each process the `first` calls are recorded, the first of each of up
    to `kinds` kinds (types of arguments, names of keywords), and of the others a share that
    falls with their number, down to `rate` (0–1); never more than `per_minute`. A record has
    at most `record_bytes`, a file `file_bytes`, all files of the folder together
    `folder_bytes`. `secret_names` and `secret_texts` are kept back beside the usual ones (see `selfheal.recorder.redaction`).
    """

    folder: str
    rate: float = 0.01
    first: int = 20
    kinds: int = 30
    per_minute: int = 60
    limits: Limits = field(default_factory=Limits)
    record_bytes: int = 65_536
    file_bytes: int = 16 * 1024**2
    folder_bytes: int = 256 * 1024**2
    secret_names: tuple[str, ...] = ()
    secret_texts: tuple[str, ...] = ()


class Site:
    """One recorded function: where it stands, and how often it was called and recorded."""

    def __init__(self, function: Callable[..., Any]) -> None:
        inner = inspect.unwrap(function)
        code = inner.__code__
        self.module, self.function = function.__module__, function.__qualname__
        self.file, self.line = code.co_filename, code.co_firstlineno
        self.names = code.co_varnames[: code.co_argcount]
        self.is_method = "." in self.function
        self._numbers = itertools.count(1)
        self.calls = self.unusable = self._used = 0
        self._since = 0.0
        self._kinds: set[tuple[Any, ...]] = set()

    def wanted(self, options: Options, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Count a call; whether it is to be recorded."""
        self.calls = next(self._numbers)
        new = len(self._kinds) < options.kinds and self._is_new(args, kwargs)
        if not new and self.calls > options.first:
            share = options.rate and max(options.rate, options.first / self.calls)
            if _chance.random() >= share:
                return False
        if self.unusable >= UNUSABLE_AT_MOST:
            return False
        now = time.monotonic()
        if now - self._since >= _WINDOW_SECONDS:
            self._since, self._used = now, 0
        self._used += 1
        return self._used <= options.per_minute

    def _is_new(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether no call before had arguments of these types."""
        kind: tuple[Any, ...] = tuple(map(type, args))
        if kwargs:
            kind += (*kwargs, *map(type, kwargs.values()))
        if kind in self._kinds:
            return False
        self._kinds.add(kind)
        return True


@dataclass
class Begun:
    """A call that is being recorded."""

    site: Site
    record: dict[str, Any]
    began: int
    token: Any


class Recorder:
    """Writes the calls of wrapped functions. None of its methods raises, whatever happens.

    `problems` says which functions could not be wrapped and why; `dropped` counts records
    that could not be written.
    """

    def __init__(self, options: Options, environment: Mapping[str, str] = os.environ) -> None:
        self.options = options
        self.problems: list[str] = []
        self.dropped = 0
        self.files = CallFiles(
            Path(options.folder), file_bytes=options.file_bytes, folder_bytes=options.folder_bytes
        )
        self._keeping = keeping(options.secret_names, options.secret_texts)
        self._identity = identity(environment)

    def begin(self, site: Site, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Begun | None:
        """Take the arguments before the function can change them."""
        if getattr(_busy, "now", False):
            return None
        _busy.now = True
        try:
            trace_id, parent = _current() or _within.get() or (os.urandom(16).hex(), "")
            span_id = os.urandom(8).hex()
            record = {
                "schema": SCHEMA,
                "time_ns": time.time_ns(),
                "duration_ns": 0,
                "trace_id": trace_id,
                "span_id": span_id,
                "parent_span_id": parent or None,
                **self._identity,
                "module": module_of(site.module),
                "function": site.function,
                "file": site.file,
                "line": site.line,
                "calls": site.calls,
            }
            self._arguments(site, record, args, kwargs)
            return Begun(site, record, time.perf_counter_ns(), _within.set((trace_id, span_id)))
        except Exception:
            self.dropped += 1
            return None
        finally:
            _busy.now = False

    def _arguments(
        self, site: Site, record: dict[str, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        if args and site.is_method and issubclass(type(args[0]), type):
            # The class of a class method comes with its name.
            args, names = args[1:], site.names[1:]
        else:
            names = site.names
        known = dict(zip(names, args, strict=False))
        secret = {name for name in known if self._keeping.secret(name)}
        try:
            limits, keep = self.options.limits, self._keeping
            taken = write([*args], limits, keep)
            for position, name in enumerate(names[: len(args)]):
                if name in secret:
                    taken[position] = {MARK: REDACTED, "type": type(args[position]).__name__}
            record["args"] = taken
            record["kwargs"] = write(kwargs, limits, keep) if kwargs else {}
        except NotRecordable as error:
            record["unusable"] = f"an argument: {error}"

    def end(
        self, begun: Begun | None, result: Any = None, error: BaseException | None = None
    ) -> None:
        """Write the call with what came of it."""
        if begun is None:
            return
        took = time.perf_counter_ns() - begun.began
        if error is not None and not isinstance(error, Exception):
            # It was cancelled, or the process ends: that says nothing of the function.
            self._leave(begun)
            return
        _busy.now = True
        try:
            record = begun.record
            record["duration_ns"] = took
            if error is not None:
                record["exception"] = self._exception(error)
            elif "unusable" not in record:
                record["result"] = write(result, self.options.limits, self._keeping)
            self._write(begun)
        except NotRecordable as reason:
            begun.record["unusable"] = f"the result: {reason}"
            self._write(begun)
        except Exception:
            self.dropped += 1
        finally:
            _busy.now = False
            self._leave(begun)

    def _leave(self, begun: Begun) -> None:
        # The call may end in another context than it began in.
        with contextlib.suppress(ValueError):
            _within.reset(begun.token)

    def _write(self, begun: Begun) -> None:
        record = begun.record
        line = b"" if "unusable" in record else _line(record)
        if len(line) > self.options.record_bytes:
            record["unusable"] = f"the record is longer than {self.options.record_bytes} bytes"
        if "unusable" in record:
            begun.site.unusable += 1
            for name in ("args", "kwargs", "result"):
                record.pop(name, None)
            line = _line(record)
        if not self.files.append(line):
            self.dropped += 1

    def _exception(self, error: BaseException) -> dict[str, Any]:
        kind = type(error)
        given = error.args[0] if error.args and type(error.args[0]) is str else ""
        message = self._keeping.cleaned(given[:MESSAGE_CHARACTERS])
        return {"class": f"{kind.__module__}:{kind.__qualname__}", "message": message}


def _line(record: dict[str, Any]) -> bytes:
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def identity(environment: Mapping[str, str]) -> dict[str, str]:
    """Service, release and commit, as OpenTelemetry's variables name them."""
    attributes = dict(
        pair.strip().split("=", 1)
        for pair in environment.get("OTEL_RESOURCE_ATTRIBUTES", "").split(",")
        if "=" in pair
    )
    found = {
        "service": environment.get("OTEL_SERVICE_NAME") or attributes.get("service.name"),
        "release": attributes.get("service.version"),
        "commit": attributes.get("vcs.ref.head.revision"),
        "instance": attributes.get("service.instance.id"),
        "environment": attributes.get("deployment.environment.name"),
    }
    return {name: value for name, value in found.items() if value}


def _current() -> Ids | None:
    """The ids of OpenTelemetry's current span, where the service uses it."""
    tracing = sys.modules.get("opentelemetry.trace")
    if tracing is None:
        return None
    context = tracing.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


class Switch:
    """The recorder that wrapped functions write to; None while nothing is recorded."""

    recorder: Recorder | None = None


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, recording its calls while a recorder is installed.

    Raises TypeError for what is no plain function and for generators, whose result is no
    value.
    """
    if not inspect.isfunction(function):
        raise TypeError(f"{function!r} is no plain function")
    inner = inspect.unwrap(function)
    if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
        raise TypeError(f"{function.__qualname__} is a generator")
    site = Site(function)
    made = _asynchronous(function, site) if _is_async(function) else _plain(function, site)
    setattr(made, WRAPPED, True)
    return made


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        inspect.unwrap(function)
    )


def _plain(function: Callable[..., Any], site: Site) -> Callable[..., Any]:
    @functools.wraps(function)
    def recorded(*args: Any, **kwargs: Any) -> Any:
        recorder = Switch.recorder
        if recorder is None or not site.wanted(recorder.options, args, kwargs):
            return function(*args, **kwargs)
        begun = recorder.begin(site, args, kwargs)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            recorder.end(begun, error=error)
            raise
        recorder.end(begun, result)
        return result

    return recorded


def _asynchronous(function: Callable[..., Any], site: Site) -> Callable[..., Any]:
    @functools.wraps(function)
    async def recorded(*args: Any, **kwargs: Any) -> Any:
        recorder = Switch.recorder
        if recorder is None or not site.wanted(recorder.options, args, kwargs):
            return await function(*args, **kwargs)
        begun = recorder.begin(site, args, kwargs)
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            recorder.end(begun, error=error)
            raise
        recorder.end(begun, result)
        return result

    return recorded
