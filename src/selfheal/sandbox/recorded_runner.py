"""Makes recorded calls again, in the project's own interpreter.

Started as a script by `selfheal.sandbox.recorded`, with the standard library of Python 3.9
alone: ``python recorded_runner.py``, the JSON settings on its standard input:

* `values`: the text of `selfheal.recorder.values`;
* `paths`: folders of the project to import from;
* `file`: where the function that is called has to stand, below the current folder;
* `calls`: objects with `target` (``module:qualified.name``), `args` and `kwargs` as JSON forms;
* `order`: the numbers of the calls in the order in which they are made;
* `seconds`: of processor time for each call, 0 for no limit;
* `report`: the file for what each call did, by number.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # Modules beside this script must not be found in place of those that are meant.
    del sys.path[0]

import inspect
import json
import os
import signal
import types
from pathlib import Path
from typing import Any

CLOCK = {
    *("time", "time_ns", "localtime", "gmtime", "ctime", "asctime", "monotonic"),
    *("perf_counter", "now", "utcnow", "today"),
}
LIBRARY = str(Path(os.__file__).parent)
WAITING = 5


class Unusable(Exception):
    """A recorded call that cannot be made again; says why."""


class TooLong(BaseException):
    """A call used up its time. No Exception, so that what handles those does not take it."""


def main(settings: dict[str, Any]) -> None:
    values: Any = types.ModuleType("selfheal_recorded_values")
    sys.modules[values.__name__] = values
    exec(compile(settings["values"], "values.py", "exec"), values.__dict__)
    sys.path[:0] = [str(Path.cwd()), *settings["paths"]]
    caller = Caller(values, os.path.realpath(settings["file"]), settings["seconds"])
    told = {}
    for number in settings["order"]:
        call = settings["calls"][number]
        try:
            told[str(number)] = caller.made(call)
        except Unusable as reason:
            told[str(number)] = {"unusable": str(reason)}
    Path(settings["report"]).write_text(json.dumps(told))


class Caller:
    """Makes calls; `values` is the module that reads and writes JSON forms."""

    def __init__(self, values: Any, file: str, seconds: float) -> None:
        self.values, self.file, self.seconds = values, file, seconds
        self.limits = values.Limits(depth=30, values=50_000, text=500_000, total=2_000_000)

    def made(self, call: dict[str, Any]) -> dict[str, Any]:
        """What a call does: its arguments as they can be made, and what came of it.

        Raises Unusable.
        """
        function = self._function(call["target"])
        args = self._prepared(call["args"])
        kwargs = self._prepared(call["kwargs"])
        given = self._value([args, kwargs])
        if self._written(given) != _bare([args, kwargs]):
            raise Unusable("an argument cannot be made again from what was recorded")
        told: dict[str, Any] = {"args": args, "kwargs": kwargs, "async": _is_async(function)}
        with Clock() as clock, Steps(function) as steps:
            _limit(self.seconds)
            try:
                result = function(*given[0], **given[1])
                if told["async"]:
                    import asyncio

                    result = asyncio.run(result)
            except Exception as error:
                kind = type(error)
                told["exception"] = f"{kind.__module__}:{kind.__qualname__}"
                told["place"] = _own_place(error)
            except TooLong:
                raise Unusable(f"it needs more than {self.seconds:g} s") from None
            except BaseException as error:
                raise Unusable(f"it leaves by {type(error).__name__}") from None
            finally:
                _limit(0)
        told["clock"], told["steps"] = clock.read, sorted(steps.taken)
        if "exception" not in told:
            told["answer"] = self._answer(result)
        self._afterwards(told, given[0])
        return told

    def _answer(self, result: Any) -> Any:
        """The JSON form of a result: with ``state`` where only what it holds can be compared.

        Its class alone where it cannot be made again, or what it holds is not equal then.
        """
        kind = type(result)
        try:
            form = self._prepared(self.values.write(result, self.limits))
            if (self._value(form) == result) is True:
                return form
            if (self._value(form["fields"]) == vars(result)) is True:
                return {**form, "state": True}
        except Exception:
            form = None  # Whatever its comparison raises.
        named = f"{kind.__module__}:{kind.__qualname__}"
        try:
            public = self.values.imported(named) is kind and kind.__module__ != "__main__"
        except Exception:
            public = False
        return {"$": "like", "class": named if public else "builtins:object"}

    def _afterwards(self, told: dict[str, Any], args: list[Any]) -> None:
        """The positional arguments that were changed, as they are now; of objects, what they hold."""
        changed = {}
        for position, (before, value) in enumerate(zip(told["args"], args)):  # noqa: B905 (3.9)
            try:
                form = self.values.write(value, self.limits)
                if form == _bare(before):
                    continue
                holds = form.get("$") == "object" if isinstance(form, dict) else False
                form = self._prepared(form["fields"] if holds else form)
                if (self._value(form) == (vars(value) if holds else value)) is True:
                    changed[str(position)] = form
            except Exception:
                continue
        if changed:
            told["after"] = changed

    def _function(self, name: str) -> Any:
        """What a call names, if it is the function that is meant: telemetry can name any."""
        found = self._named(name)
        try:
            place = inspect.unwrap(found).__code__.co_filename
        except (AttributeError, ValueError) as error:
            raise Unusable(f"{name} is no function of Python") from error
        if os.path.realpath(place) != self.file:
            raise Unusable(f"{name} is imported from elsewhere than the checkout")
        return found

    def _named(self, name: str) -> Any:
        try:
            return self.values.imported(name)
        except BaseException as error:
            raise Unusable(f"{name} cannot be imported alone: {type(error).__name__}") from error

    def _value(self, form: Any) -> Any:
        try:
            return self.values.read(form)
        except Exception as error:
            raise Unusable(f"a value cannot be made again: {type(error).__name__}") from error

    def _written(self, value: Any) -> Any:
        try:
            return self.values.write(value, self.limits)
        except self.values.NotRecordable as error:
            raise Unusable(f"a value cannot be made again: {error}") from error

    def _prepared(self, form: Any) -> Any:
        """The form with the arguments that objects are made with, and without secrets."""
        if isinstance(form, list):
            return [self._prepared(item) for item in form]
        if not isinstance(form, dict):
            return form
        tag = form.get("$")
        if tag == "redacted":
            return self._stand_in(form)
        if tag in ("class", "member"):
            self._named(form["class"])
            return form
        made = {key: self._prepared(item) for key, item in form.items()}
        return self._object(made) if tag == "object" else made

    def _object(self, form: dict[str, Any]) -> dict[str, Any]:
        """The form of an object that its constructor makes, or that is made without it."""
        kind = self._named(form["class"])
        try:
            made = {**form, "init": _init(kind, form["fields"])}
            if self.values.write(self.values.read(made), self.limits) == _bare(form):
                return made
        except Exception:
            return {**form, "held": True}
        return {**form, "held": True}

    def _stand_in(self, form: dict[str, Any]) -> Any:
        kind = form.get("type")
        if kind == "str":
            return "redacted"
        if kind == "NoneType":
            return None
        raise Unusable(f"a secret of the type {kind} was kept back")


def _limit(seconds: float) -> None:
    """Raise TooLong after so much processor time, or WAITING times as much by the clock; 0: never."""
    for timer, number, after in (
        (signal.ITIMER_PROF, signal.SIGPROF, seconds),
        (signal.ITIMER_REAL, signal.SIGALRM, WAITING * seconds),
    ):
        signal.setitimer(timer, 0)
        if seconds:
            signal.signal(number, _too_long)
            signal.setitimer(timer, after)


def _too_long(_number: int, _frame: Any) -> None:
    raise TooLong


def _own_place(error: BaseException) -> list[Any]:
    """[path, line] of the innermost frame below the current folder; empty where there is none."""
    root = str(Path.cwd().resolve()) + os.sep
    found: list[Any] = []
    trace = error.__traceback__
    while trace is not None:
        file = os.path.realpath(trace.tb_frame.f_code.co_filename)
        if file.startswith(root):
            found = [Path(file[len(root) :]).as_posix(), trace.tb_lineno]
        trace = trace.tb_next
    return found


def _init(kind: Any, fields: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a class's constructor, by the names of the attributes that hold them.

    Raises TypeError, ValueError where it takes something else.
    """
    given = {}
    for parameter in inspect.signature(kind).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        name = parameter.name
        held = next((each for each in (name, f"_{name}") if each in fields), None)
        if held is not None and parameter.kind is not parameter.POSITIONAL_ONLY:
            given[name] = fields[held]
        elif parameter.default is parameter.empty:
            raise TypeError(f"{name} of a {kind.__qualname__} is not among its attributes")
    return given


def _bare(form: Any) -> Any:
    if isinstance(form, list):
        return [_bare(item) for item in form]
    if isinstance(form, dict):
        hidden = ("init", "held") if form.get("$") == "object" else ()
        return {key: _bare(item) for key, item in form.items() if key not in hidden}
    return form


def _is_async(function: Any) -> bool:
    try:
        return inspect.iscoroutinefunction(inspect.unwrap(function))
    except ValueError:
        return False


class Clock:
    """Whether code outside of the standard library read the clock meanwhile."""

    def __init__(self) -> None:
        self.read = False

    def __enter__(self) -> Clock:
        sys.setprofile(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _called(self, frame: Any, event: str, function: Any) -> None:
        if event != "c_call" or getattr(function, "__name__", "") not in CLOCK:
            return
        owner = getattr(function, "__self__", None)
        named = getattr(owner, "__name__", "") if owner is not None else ""
        of_time = named == "time" or is_date_class(owner)
        file = frame.f_code.co_filename
        if of_time and (not file.startswith(LIBRARY) or "site-packages" in file):
            self.read = True


class Steps:
    """From which line to which a function went: pairs of line numbers, 0 is its start.

    Lines of other functions are not traced, and its own only in this thread.
    """

    def __init__(self, function: Any) -> None:
        self.taken: set[tuple[int, int]] = set()
        try:
            self._code = getattr(inspect.unwrap(function), "__code__", None)
        except ValueError:
            self._code = None

    def __enter__(self) -> Steps:
        sys.settrace(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _called(self, frame: Any, _event: str, _argument: Any) -> Any:
        if frame.f_code is not self._code:
            return None
        before = [0]

        def line(frame: Any, event: str, _argument: Any) -> Any:
            if event == "line":
                self.taken.add((before[0], frame.f_lineno))
                before[0] = frame.f_lineno
            return line

        return line


def is_date_class(owner: Any) -> bool:
    """Whether something is datetime.date, or a class made from it."""
    import datetime

    return isinstance(owner, type) and issubclass(owner, datetime.date)


if __name__ == "__main__":
    given = json.loads(sys.stdin.read())
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    main(given)
    sys.stdout.flush()
    # Nothing that the project registered for the end may touch the report.
    os._exit(0)
