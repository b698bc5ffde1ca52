"""The test that keeps the steps of an operation, or the beats of a sequence file, in their order."""

from __future__ import annotations

import json

from selfheal.repair.beats import SequenceText, sequence_text, sequences
from selfheal.repair.behaviour import Rule, Step, plain, rules, step_of
from selfheal.repair.problem import Problem


def sequence_check(problem: Problem, name: str, test_path: str) -> str | None:
    """A test of the declared order of a sequence file; None where no file has the rule's beats."""
    for rule in rules(problem):
        for sequence in sequences(problem):
            asserted = _declared(problem, rule, sequence)
            if asserted is not None:
                return _sequence_text(rule, sequence, name, test_path, asserted)
    return None


def _declared(problem: Problem, rule: Rule, sequence: SequenceText) -> str | None:
    steps = sequence.find(rule.step)
    others = sequence.find(rule.other) if rule.other else []
    if rule.violation == "swapped" and steps and others:
        return f"beats.index({_text(steps[0].name)}) < beats.index({_text(others[0].name)})"
    if rule.violation == "duplicated" and len(steps) > 1:
        return f"beats.count({_text(steps[0].name)}) == 1"
    if rule.violation == "extra" and steps:
        return f"{_text(steps[0].name)} not in beats"
    if rule.violation == "missing" and not steps:
        good = sequence_text(sequence.path, problem.good_sources.get(sequence.path, ""))
        lost = good.find(rule.step) if good is not None else []
        return f"{_text(lost[0].name)} in beats" if lost else None
    return None


def _sequence_text(
    rule: Rule, sequence: SequenceText, name: str, test_path: str, asserted: str
) -> str:
    up = len(test_path.split("/")) - 1
    lines = [
        f'"""{_story(rule, sequence.path)}"""',
        "",
        "import json",
        "from pathlib import Path",
        "",
        f"FILE = Path(__file__).resolve().parents[{up}] / {_text(sequence.path)}",
        "",
        "",
        f"def {name}():",
        '    sequence = json.loads(FILE.read_text("utf-8"))',
        "    beats = [",
        '        beat.get("name") or beat.get("handler") or beat.get("beat")',
        '        for movement in sequence["movements"]',
        '        for beat in movement["beats"]',
        "    ]",
        f"    assert {asserted}",
        "",
    ]
    return "\n".join(lines)


def order_check(
    problem: Problem, name: str, request_lines: list[str], fixture: str, sent: str
) -> str | None:
    """A test that sends the recorded requests and notes the steps that are taken.

    `request_lines` define REQUESTS, `sent` sends one through `fixture`. None where no
    function of the project is known as a step of the rule.
    """
    for rule in rules(problem):
        places = {
            each: _places(problem, step_of(problem, each))
            for each in (rule.step, rule.other)
            if each
        }
        if all(places.values()):
            return _order_text(rule, places, name, request_lines, fixture, sent)
    return None


def _places(problem: Problem, step: Step) -> list[tuple[str, str]]:
    """(file, function) of the functions that are a step, at the good commit too."""
    found = {
        (source.path, function.name)
        for source in problem.python()
        for function in source.functions()
        if function.name in step.functions or plain(function.name) == plain(step.name)
    }
    return sorted(found)


def _order_text(
    rule: Rule,
    places: dict[str, list[tuple[str, str]]],
    name: str,
    request_lines: list[str],
    fixture: str,
    sent: str,
) -> str:
    lines = [
        f'"""{_story(rule, "The operation")}"""',
        "",
        "import sys",
        "",
        *request_lines,
        "# The functions that are the steps, by file and name.",
        "STEPS = {",
        *(
            f"    ({_text(file)}, {_text(function)}): {_text(step)},"
            for step, known in places.items()
            for file, function in known
        ),
        "}",
        "",
        "",
        f"def {name}({fixture}):",
        "    for method, target, body, content_type in REQUESTS[:-1]:",
        f"        {sent}",
        "    method, target, body, content_type = REQUESTS[-1]",
        "    taken = []",
        "",
        "    def note(frame, event, argument):",
        '        if event == "call":',
        "            code = frame.f_code",
        "            for (file, function), step in STEPS.items():",
        "                if code.co_name == function and code.co_filename.endswith(file):",
        "                    taken.append(step)",
        "",
        "    sys.setprofile(note)",
        "    try:",
        f"        response = {sent}",
        "    finally:",
        "        sys.setprofile(None)",
        "    assert response.status_code < 500",
        *(f"    assert {each}" for each in _asserted(rule)),
        "",
    ]
    return "\n".join(lines)


def _asserted(rule: Rule) -> list[str]:
    step = _text(rule.step)
    if rule.violation == "swapped" and rule.other:
        other = _text(rule.other)
        return [
            f"{step} in taken and {other} in taken",
            f"taken.index({step}) < taken.index({other})",
        ]
    if rule.violation == "duplicated":
        return [f"taken.count({step}) == 1"]
    return [f"{step} not in taken" if rule.violation == "extra" else f"{step} in taken"]


def _story(rule: Rule, where: str) -> str:
    step = rule.step.replace("\\", "/").replace('"', "'")
    other = (rule.other or "").replace("\\", "/").replace('"', "'")
    told = {
        "swapped": f"took {other} before {step}",
        "missing": f"left {step} out",
        "duplicated": f"took {step} more than once",
        "extra": f"took {step}, which it never had",
    }
    return f"{where} {told[rule.violation]}."


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
