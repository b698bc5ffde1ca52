"""Finding an input of a function that raises what production saw, at the same line.

Tried are the calls that production recorded, if any, and inputs near those that the tests
call it with (`selfheal.repair.crash_inputs`). A call counts when it raises the exception at
the innermost line of the project that production's traceback names, twice, in two processes.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from selfheal import recorder
from selfheal.config import TestsConfig
from selfheal.repair.crash_inputs import nearby
from selfheal.repair.recorded import (
    ObservedCall,
    RecordedBehaviour,
    RecordedCall,
    Records,
    call_of,
    own_name,
    too_long,
)
from selfheal.repair.state_check import module_name
from selfheal.sandbox import call_recorder
from selfheal.sandbox.forkserver import options_of
from selfheal.sandbox.process import left_behind, report_folder, run
from selfheal.sandbox.recorded import SURROUNDINGS, Told, check_writable, made_again
from selfheal.sandbox.suite import import_paths, interpreter, is_pytest

# Of each function so many calls by tests are varied, in all into so many inputs.
SEEDS, INPUTS = 12, 400
# Made in one process.
BATCH = 50
KEPT = 3
TESTS_SECONDS, CALLS_SECONDS, EACH_SECONDS = 120.0, 60.0, 2.0
MEMORY_MEGABYTES = 2048
RECORDED_BYTES = 64 * 1024**2
MALFORMED = (ValueError, KeyError, TypeError, AttributeError, IndexError)


class Crash(NamedTuple):
    """An exception by its class's own name, and the innermost line of the project that raised it."""

    exception: str
    message: str
    file: str
    line: int


class Target(NamedTuple):
    """A function on the way to the crash: its file and its qualified name."""

    file: str
    function: str


class Called(NamedTuple):
    """What the suite calls functions with; `unknown` says why that is not known."""

    calls: Mapping[Target, Sequence[RecordedCall]]
    unknown: str = ""


def crashing_calls(
    worktree: str | os.PathLike[str],
    tests: TestsConfig,
    crash: Crash,
    targets: Sequence[Target],
    by_tests: Called,
    recorded: Mapping[Target, Sequence[RecordedCall]],
) -> RecordedBehaviour:
    """Calls of the first of `targets` for which some raise the crash, with that exception.

    `by_tests` are calls by the suite (`called_by_tests`), `recorded` those by production that
    ended in the exception. Never raises for what the project does;
    `RecordedBehaviour.unavailable` tells why there are none.
    """
    asked, reasons = 0, [by_tests.unknown] if by_tests.unknown else []
    for target in targets:
        known = [*recorded.get(target, ())]
        near = _near([*known, *by_tests.calls.get(target, ())][:SEEDS], crash)
        # What ends its process takes only those with it that were made up beside it.
        for calls in (known, *(near[n : n + BATCH] for n in range(0, len(near), BATCH))):
            asked += len(calls)
            found = _raising(Path(worktree), tests, crash, Records(file=target.file, calls=calls))
            if isinstance(found, RecordedBehaviour):
                return found
            if found and found not in reasons:
                reasons.append(found)
    place = f"{crash.exception} at {crash.file}:{crash.line}"
    told = f"none of {asked} inputs near those of the tests raises {place}"
    if not asked:
        told = f"no call of a function on the way to {place} is known that can be written down"
    return RecordedBehaviour(module="", function="", unavailable="; ".join([told, *reasons]))


def called_by_tests(
    worktree: str | os.PathLike[str], tests: TestsConfig, targets: Sequence[Target]
) -> Called:
    """What the suite calls functions with, each call once, the shortest first."""
    if not targets or not is_pytest(tests):
        return Called({}, "the tests are not run by pytest" if targets else "")
    names = {f"{module_name(each.file)}:{each.function}": each for each in targets}
    with report_folder() as reports:
        own = reports / "library" / "selfheal"
        shutil.copytree(Path(recorder.__file__).parent, own / "recorder")
        (own / "__init__.py").touch()
        settings = {
            "library": str(own.parent),
            "paths": import_paths(Path(worktree)),
            "functions": list(names),
            "folder": str(reports / "calls"),
            "first": 10 * SEEDS,
            "arguments": ["-q", "-p", "no:cacheprovider", *options_of(tests)],
        }
        done = run(
            [interpreter(tests), call_recorder.__file__],
            cwd=Path(worktree),
            timeout_seconds=TESTS_SECONDS,
            memory_megabytes=MEMORY_MEGABYTES,
            input=json.dumps(settings),
            writable=(reports,),
        )
        if not done.succeeded:
            ended = done.tail(1) or done.state.replace("_", " ")
            return Called({}, f"what tests call could not be recorded: {ended}")
        found: dict[Target, dict[str, RecordedCall]] = {}
        for call in _records(reports / "calls"):
            if call.target in names:
                found.setdefault(names[call.target], {}).setdefault(call.args + call.kwargs, call)
    return Called({target: sorted(each.values(), key=_length) for target, each in found.items()})


def _length(call: RecordedCall) -> tuple[int, str, str]:
    return len(call.args + call.kwargs), call.args, call.kwargs


def _records(folder: Path) -> Iterator[RecordedCall]:
    """What was written below a folder by code under repair; what is no record is passed over.

    Of no more bytes than the recorder writes at the most for a suite.
    """
    real = folder.is_dir() and not folder.is_symlink()
    room = RECORDED_BYTES
    for file in sorted(folder.glob("*.jsonl")) if real else ():
        content = left_behind(file, room) or b""
        room -= len(content)
        for line in content.decode("utf-8", "replace").splitlines():
            try:
                record = json.loads(line)
                if not record.get("unusable") and not too_long(record):
                    yield call_of(record, 1)
            except (*MALFORMED, RecursionError):
                continue


def _near(seeds: Sequence[RecordedCall], crash: Crash) -> list[RecordedCall]:
    """The seeds' variants, of each seed the likeliest first, then the next of each."""
    each = max(1, INPUTS // max(1, len(seeds)))
    varied = [[_varied(seed, form) for form in _forms(seed, crash, each)] for seed in seeds]
    rounds = [calls[place] for place in range(each) for calls in varied if place < len(calls)]
    return list({call.args + call.kwargs: call for call in rounds}.values())


def _forms(seed: RecordedCall, crash: Crash, limit: int) -> list[Any]:
    try:
        form = [json.loads(seed.args), json.loads(seed.kwargs)]
        return list(nearby(form, crash.exception, crash.message, limit))
    except (*MALFORMED, RecursionError):  # no form that the recorder writes
        return []


def _varied(seed: RecordedCall, form: Any) -> RecordedCall:
    args, kwargs = (json.dumps(each, ensure_ascii=False) for each in form)
    return RecordedCall(module=seed.module, function=seed.function, args=args, kwargs=kwargs)


def _raising(
    worktree: Path, tests: TestsConfig, crash: Crash, records: Records
) -> RecordedBehaviour | str:
    """The calls that raise the crash in two processes; else why that is not known, or nothing."""
    calls = records.calls
    for surroundings in SURROUNDINGS:
        if not calls:
            return ""
        asked = records.model_copy(update={"calls": calls})
        told = made_again(
            worktree,
            tests,
            asked,
            range(len(calls)),
            surroundings,
            CALLS_SECONDS,
            MEMORY_MEGABYTES,
            seconds_each=EACH_SECONDS,
        )
        if isinstance(told, str):
            return told
        both = zip(calls, told, strict=True)
        pairs = [(call, each) for call, each in both if _is(call, each, crash)]
        pairs = pairs[:KEPT]
        calls = [call for call, _ in pairs]
    if not calls:
        return ""
    return RecordedBehaviour(
        module=calls[0].module,
        function=calls[0].function,
        is_async=any(bool(each.get("async")) for _, each in pairs),
        recorded=sum(call.exception is not None for call in calls),
        calls=[
            ObservedCall(
                args=json.dumps(each["args"], ensure_ascii=False),
                kwargs=json.dumps(each["kwargs"], ensure_ascii=False),
                exception=str(each["exception"]),
            )
            for _, each in pairs
        ],
    )


def _is(call: RecordedCall, told: Told, crash: Crash) -> bool:
    """Whether a call ended in the crash; the report is written by code under repair."""
    try:
        exception = str(told.get("exception") or "")
        if own_name(exception) != crash.exception or told["place"] != [crash.file, crash.line]:
            return False
        check_writable([call.target, told["args"], told["kwargs"], None, exception, None])
    except (*MALFORMED, RecursionError):
        return False
    return True
