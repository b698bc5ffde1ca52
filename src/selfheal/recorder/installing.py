"""Finding the functions to record, putting their wrappers in place, and taking them out."""

from __future__ import annotations

import importlib
import inspect
import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from selfheal.recorder.recording import WRAPPED, Options, Recorder, Switch, wrapped
from selfheal.recorder.values import Limits

VARIABLE = "SELFHEAL_RECORDER"
logger = logging.getLogger("selfheal.recorder")
# Owner, name, and what stood there.
_replaced: list[tuple[Any, str, Any]] = []


def record(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: record the calls of a function while a recorder is installed.

    It stands below ``@staticmethod`` and ``@classmethod``. What cannot be recorded is
    returned as it is, with a warning in the log.
    """
    try:
        return wrapped(function)
    except Exception as error:
        logger.warning("calls cannot be recorded: %s", error)
        return function


def install(functions: Iterable[str] = (), folder: str = "calls", **options: Any) -> Recorder:
    """Record the named functions, and all that are decorated, into files in `folder`.

    A name is ``module:function``, ``module:Class.method``, ``module:Class.*`` or
    ``module:*`` (all functions and methods that the module defines). `options` are those of
    `Options`; `limits` may be a dictionary. References that other modules imported before
    are replaced too. Functions that cannot be recorded are named in the log and in
    ``problems`` of the recorder that is returned; an option that does not exist is a TypeError.
    """
    uninstall()
    limits = options.pop("limits", None)
    if limits is not None:
        options["limits"] = Limits(**limits) if isinstance(limits, Mapping) else limits
    for name in ("secret_names", "secret_texts"):
        options[name] = tuple(options.get(name, ()))
    recorder = Recorder(Options(folder=str(folder), **options))
    for name in functions:
        try:
            recorder.problems += _install(name)
        except Exception as error:
            recorder.problems.append(f"{name}: {type(error).__name__}: {error}")
    for problem in recorder.problems:
        logger.warning("calls are not recorded of %s", problem)
    Switch.recorder = recorder
    return recorder


def install_from_environment(environment: Mapping[str, str] = os.environ) -> Recorder | None:
    """Record what the JSON file says that the variable SELFHEAL_RECORDER names.

    The file is an object with the arguments of `install`. Without the variable nothing is
    recorded. Never raises: what is wrong is in the log.
    """
    path = environment.get(VARIABLE)
    if not path:
        return None
    try:
        return install(**json.loads(Path(path).read_text(encoding="utf-8")))
    except Exception as error:
        logger.warning("nothing is recorded, for %s cannot be used: %s", path, error)
        return None


def uninstall() -> None:
    """Stop recording, and put the functions back as they were."""
    recorder, Switch.recorder = Switch.recorder, None
    while _replaced:
        owner, name, original = _replaced.pop()
        setattr(owner, name, original)
    if recorder is not None:
        recorder.files.close()


def _install(name: str) -> list[str]:
    """Wrap what a name stands for; gives the problems. Raises what importing raises."""
    module_name, _, path = name.partition(":")
    if not path:
        return [f"{name}: write it as module:function"]
    module = importlib.import_module(module_name)
    problems = []
    for owner, attribute in _found(module, path):
        problem = _wrap(owner, attribute)
        if problem and "*" not in path:
            problems.append(f"{name}: {problem}")
    return problems


def _found(module: Any, path: str) -> Iterator[tuple[Any, str]]:
    """Owner and attribute of each function that a path names. Raises AttributeError."""
    *owners, last = path.split(".")
    owner = module
    for part in owners:
        owner = getattr(owner, part)
    if last != "*":
        getattr(owner, last)
        yield owner, last
        return
    for attribute, value in list(vars(owner).items()):
        if inspect.isclass(value) and owner is module and value.__module__ == module.__name__:
            for member in list(vars(value)):
                if not member.startswith("__"):
                    yield value, member
        elif not attribute.startswith("__"):
            inner = getattr(value, "__func__", value)
            if getattr(inner, "__module__", None) == module.__name__:
                yield owner, attribute


def _wrap(owner: Any, attribute: str) -> str:
    """Put a wrapper in place of an attribute; says what hinders it."""
    if attribute not in vars(owner):
        return "it is inherited: name the class that defines it"
    original = vars(owner)[attribute]
    kind = type(original) if isinstance(original, (staticmethod, classmethod)) else None
    function = original.__func__ if kind else original
    if getattr(function, WRAPPED, False):
        return ""
    try:
        made: Any = wrapped(function)
    except TypeError as error:
        return str(error)
    _replace(owner, attribute, original, kind(made) if kind else made)
    if kind is None and inspect.ismodule(owner):
        for module in list(sys.modules.values()):
            for name in _names_of(module, original):
                _replace(module, name, original, made)
    return ""


def _names_of(module: Any, value: Any) -> list[str]:
    """The names under which a module holds a value that it imported."""
    try:
        return [name for name, held in list(vars(module).items()) if held is value]
    except TypeError:
        return []


def _replace(owner: Any, name: str, original: Any, made: Any) -> None:
    setattr(owner, name, made)
    _replaced.append((owner, name, original))
