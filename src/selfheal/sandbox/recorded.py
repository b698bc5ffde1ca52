"""Making recorded calls again in a checkout, to see which of what they give is steady.

Each call is made in two processes: in another order, with another seed of hashes and in
another time zone. What differs between the two, or from what production recorded, is
marked and will be asked by its class alone; so is all that code which reads the clock
gives. (Keploy finds the noisy fields of recorded replies by a second run in the same way.)
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from selfheal.artifacts.canonical import short_id
from selfheal.config import TestsConfig
from selfheal.recorder import values
from selfheal.repair.recorded import (
    ObservedCall,
    RecordedBehaviour,
    RecordedCall,
    Records,
    Spread,
    agreed,
    class_of,
    is_marked,
    marked,
    marks,
    shaped,
    telling,
)
from selfheal.repair.recorded_source import Expressions
from selfheal.repair.recorded_test import property_alone
from selfheal.sandbox import recorded_runner
from selfheal.sandbox.process import left_behind, report_folder, run
from selfheal.sandbox.suite import import_paths, interpreter, is_pytest, run_suite

MANIFESTS = (
    *("pyproject.toml", "setup.cfg", "setup.py", "tox.ini", "Pipfile"),
    *("requirements*.txt", "requirements/*.txt", "requirements/*.in"),
)
TESTS_LOOKED_AT = 500
OTHERWISE = "it steadily answers otherwise than in production"
SURROUNDINGS = ({"PYTHONHASHSEED": "0", "TZ": "UTC"}, {"PYTHONHASHSEED": "1", "TZ": "UTC+11"})
Told = dict[str, Any]


def observe(
    worktree: str | os.PathLike[str],
    tests: TestsConfig,
    records: Records,
    *,
    timeout_seconds: float = 60.0,
    memory_megabytes: int | None = None,
) -> RecordedBehaviour:
    """How the function of some records behaves in a checkout; `timeout_seconds` for each process.

    Never raises for what the project does: `RecordedBehaviour.unavailable` tells.
    """
    calls = records.calls
    if not calls:
        told = "no call of it was recorded that can be used"
        return RecordedBehaviour(module="", function="", unused=records.unused, unavailable=told)
    behaviour = RecordedBehaviour(
        module=calls[0].module,
        function=calls[0].function,
        recorded=sum(call.seen for call in calls),
        unused=records.unused,
    )
    forwards = list(range(len(calls)))
    runs = []
    for order, surroundings in zip((forwards, forwards[::-1]), SURROUNDINGS, strict=True):
        told_by_call = made_again(
            Path(worktree), tests, records, order, surroundings, timeout_seconds, memory_megabytes
        )
        if isinstance(told_by_call, str):
            return behaviour.model_copy(update={"unavailable": told_by_call})
        runs.append(told_by_call)
    unused: Counter[str] = Counter(records.unused)
    observed, apart = [], []
    for call, first, second in zip(calls, *runs, strict=True):
        found = _settled(call, first, second)
        if isinstance(found, str):
            unused[found] += call.seen
        elif _otherwise(call, first, second):
            apart.append((call, found))
        else:
            observed.append(found)
    # Few that differ met another state in production; where most do, it is in what they answer.
    if len(apart) >= len(observed):
        observed += [found for _, found in apart]
    elif apart:
        unused[OTHERWISE] += sum(call.seen for call, _ in apart)
    return behaviour.model_copy(
        update={
            "calls": telling(_alike(observed)),
            "unused": dict(sorted(unused.items())),
            "is_async": any(told.get("async") for told in runs[0]),
            "unavailable": None if observed else "no recorded call can be made again",
        }
    )


def spread(
    worktree: str | os.PathLike[str],
    tests: TestsConfig,
    behaviour: RecordedBehaviour,
    *,
    memory_megabytes: int | None = None,
) -> Spread:
    """How far around the recorded arguments the function keeps its type, as hypothesis finds.

    Asked only where the project uses hypothesis itself; the file for it is removed again.
    """
    folder = Path(worktree)
    if not (is_pytest(tests) and behaviour.calls and uses_hypothesis(folder, tests.folder)):
        return "none"
    ways: tuple[Spread, ...] = ("wide", "narrow")
    before = ""
    for way in ways:
        found = property_alone(behaviour.model_copy(update={"spread": way}))
        if found is None or found[0] == before:
            continue
        before, name = found
        place = folder / tests.folder if (folder / tests.folder).is_dir() else folder
        file = place / f"test_{short_id('near', before).replace('-', '_')}.py"
        try:
            file.write_text(before, encoding="utf-8")
            node = f"{file.relative_to(folder).as_posix()}::{name}"
            ran = run_suite(worktree, tests, select=[node], memory_megabytes=memory_megabytes)
        finally:
            file.unlink(missing_ok=True)
        if ran.state == "passed" and ran.outcome(node) == "passed":
            return way
    return "none"


def uses_hypothesis(checkout: Path, tests_folder: str) -> bool:
    """Whether the project's own requirements or tests name hypothesis."""
    files = [file for pattern in MANIFESTS for file in sorted(checkout.glob(pattern))]
    files += sorted((checkout / tests_folder).rglob("*.py"))[:TESTS_LOOKED_AT]
    return any(
        re.search(rb"\bhypothesis\b", file.read_bytes())
        for file in files
        if file.is_file() and not file.is_symlink()
    )


def made_again(
    worktree: Path,
    tests: TestsConfig,
    records: Records,
    order: Sequence[int],
    surroundings: dict[str, str],
    timeout_seconds: float,
    memory_megabytes: int | None,
    *,
    seconds_each: float = 0.0,
) -> list[Told] | str:
    """What each call did in one process, as `selfheal.sandbox.recorded_runner` tells it.

    A call that needs more than `seconds_each` of processor time (0: no limit) is of no use.
    A text says why nothing is known.
    """
    calls = records.calls
    with report_folder() as reports:
        settings = {
            "values": Path(values.__file__).read_text(encoding="utf-8"),
            "paths": import_paths(worktree),
            "file": records.file,
            "calls": [
                {
                    "target": call.target,
                    "args": json.loads(call.args),
                    "kwargs": json.loads(call.kwargs),
                }
                for call in calls
            ],
            "order": list(order),
            "seconds": seconds_each,
            "report": str(reports / "calls.json"),
        }
        done = run(
            [interpreter(tests), recorded_runner.__file__],
            cwd=worktree,
            timeout_seconds=timeout_seconds,
            environment=surroundings,
            memory_megabytes=memory_megabytes,
            input=json.dumps(settings),
            writable=(reports,),
        )
        content = left_behind(reports / "calls.json")
    if content is None:
        why = "do not end" if done.state == "timed_out" else "end the process"
        return f"the recorded calls {why} when they are made again"
    try:
        told = json.loads(content)
        return [told[str(number)] for number in range(len(calls))]
    except (ValueError, KeyError, TypeError, RecursionError):
        return "the report of the recorded calls cannot be read"


def _settled(call: RecordedCall, first: Told, second: Told) -> ObservedCall | str:
    """What a call steadily does; why it is of no use."""
    try:
        if reason := first.get("unusable") or second.get("unusable"):
            return str(reason)
        outcomes = {first.get("exception"), second.get("exception")}
        if len(outcomes) > 1:
            return "it does not end in the same way twice"
        exception = outcomes.pop()
        if exception != call.exception:
            how = (exception or "an answer").rpartition(":")[2]
            was = (call.exception or "an answer").rpartition(":")[2]
            return f"it ends with {how} in the sandbox, in production it was {was}"
        answer = None
        if exception is None:
            answer = agreed(first["answer"], second["answer"])
            answer = agreed(answer, json.loads(call.result or "null"))
            answer = shaped(answer) if first["clock"] or second["clock"] else answer
        clock = first["clock"] or second["clock"]
        after = None if clock else _changes(first, second.get("after"), answer)
        check_writable([call.target, first["args"], first["kwargs"], answer, exception, after])
        return ObservedCall(
            args=_text(first["args"]),
            kwargs=_text(first["kwargs"]),
            answer=None if answer is None and exception else _text(answer),
            exception=exception,
            after=_text(after) if after else None,
            steps=[(int(line), int(following)) for line, following in first["steps"]],
        )
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        return "the report of the call cannot be read"


def _otherwise(call: RecordedCall, first: Told, second: Told) -> bool:
    """Whether a call steadily answers something else than in production."""
    if call.exception is not None or first["clock"] or second["clock"]:
        return False
    steady = agreed(first["answer"], second["answer"])
    return bool(agreed(steady, json.loads(call.result or "null")) != steady)


def _changes(first: Told, second: Any, answer: Any) -> Told | None:
    """The steady changes of arguments that are worth asking for; None without any.

    What an object keeps for itself is only where the answer says nothing: caches come and go.
    """
    after = first.get("after") or {}
    if not after or is_marked(agreed(after, second)):
        return None
    told = answer is not None and not (isinstance(answer, dict) and answer.get("state"))
    kept = {}
    for position, form in after.items():
        given = first["args"][int(position)]
        if not (told and class_of(given) != f"builtins:{type(given).__name__}"):
            kept[position] = form
    return kept or None


def check_writable(forms: Sequence[Any]) -> None:
    """Raises ValueError for forms that are no source: telemetry and reports can hold anything.

    `forms` are the target, arguments, options, answer, exception and changed arguments.
    """
    made = Expressions()
    target, *values, exception, after = forms
    made.named(target)
    for form in values:
        made.of(form)
    if exception is not None:
        made.named(exception)
    for position, form in (after or {}).items():
        int(position)
        made.of(form)


def _alike(calls: Sequence[ObservedCall]) -> list[ObservedCall]:
    """The calls with the marks of each in the answers of all."""
    forms = {number: json.loads(call.answer) for number, call in enumerate(calls) if call.answer}
    places = {place for form in forms.values() for place in marks(form)}
    return [
        call.model_copy(update={"answer": _text(marked(forms[number], places))})
        if number in forms
        else call
        for number, call in enumerate(calls)
    ]


def _text(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))
