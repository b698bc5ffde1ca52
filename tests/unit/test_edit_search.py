"""The fix of a small bug is among the first edits, and wrong edits do not crowd it out."""

from __future__ import annotations

import ast
import math
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest
from planted_bugs import PROGRAMS, Program
from small_bugs import BUGS, Bug

from selfheal.repair.edits import CodeEdit, Hints, Suspect, propose_edits, read_hints
from selfheal.repair.edits.settled import settled

PATH = "app.py"
STEPS = 3_000
FIRST = 600


class TooLong(BaseException):
    """The code under test took too many steps."""


def outcome(source: str, check: str) -> tuple[object, set[int]]:
    """What an expression gives or raises (its type and text), and the lines that it ran."""
    lines: set[int] = set()
    steps = 0

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal steps
        if frame.f_code.co_filename != PATH:
            return None
        steps += 1
        if steps > STEPS:
            raise TooLong
        if event == "line":
            lines.add(frame.f_lineno)
        return trace

    names: dict[str, Any] = {}
    exec(compile(source, PATH, "exec"), names)
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        return eval(check, names), lines
    except Exception as error:
        return error, lines
    except TooLong as error:
        return error, lines
    finally:
        sys.settrace(before)


def right(found: object, expected: object) -> bool:
    if isinstance(expected, type) and issubclass(expected, Exception):
        return isinstance(found, expected)
    return type(found) is type(expected) and found == expected


def facts(bug: Bug) -> tuple[list[Suspect], Hints]:
    """Ochiai's scores of the lines, and what the failures say."""
    failed: list[set[int]] = []
    passed: list[set[int]] = []
    messages = []
    for check, expected in bug.checks:
        found, lines = outcome(bug.source, check)
        if right(found, expected):
            passed.append(lines)
        else:
            failed.append(lines)
            messages.append(told(found, expected))
    assert failed, "the bug shows in a check"
    suspects = []
    for line in sorted(set().union(*failed)):
        hit = sum(line in lines for lines in failed)
        total = hit + sum(line in lines for lines in passed)
        suspects.append(Suspect(PATH, line, hit / math.sqrt(len(failed) * total)))
    return suspects, read_hints([], messages)


def told(found: object, expected: object) -> str:
    if isinstance(found, Exception):
        return f"{type(found).__name__}: {found}"
    if isinstance(expected, type):
        return f"DID NOT RAISE <class '{expected.__name__}'>"
    return f"assert {found!r} == {expected!r}"


def passing(bug: Bug, limit: int = FIRST) -> Iterator[tuple[int, CodeEdit]]:
    suspects, hints = facts(bug)
    edits = propose_edits({PATH: bug.source}, suspects, hints, limit)
    for number, edit in enumerate(edits, start=1):
        source = edit.apply(bug.source)
        if all(right(outcome(source, check)[0], expected) for check, expected in bug.checks):
            yield number, edit


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.kind)
def test_a_small_bug_is_mended_by_one_of_the_first_edits(bug: Bug):
    assert next(passing(bug), None) is not None, f"none of the first {FIRST} edits mends it"


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_programs_give_what_they_should(program: Program):
    for check, expected in program.checks:
        assert right(outcome(program.source, check)[0], expected), check
    assert all(good in program.source for good, _ in program.bugs)


@pytest.mark.parametrize("name", ["intervals", "inventory", "grid"])
def test_most_bugs_in_larger_code_are_mended_by_one_of_the_first_edits(name: str):
    program = next(each for each in PROGRAMS if each.name == name)
    shown = mended = 0
    for good, bad in program.bugs:
        bug = Bug(name, program.source.replace(good, bad, 1), program.checks)
        if any(not right(outcome(bug.source, check)[0], value) for check, value in bug.checks):
            shown += 1
            mended += next(passing(bug, 200), None) is not None
    assert mended >= 0.75 * shown, f"{mended} of {shown}"


RUNS = """\
def longest_run(values):
    best = run = 1
    previous = values[0]
    for value in values[1:]:
        run = run + 1 if value == previous + 1 else 1
        best = max(best, run)
    return best
"""


def test_a_value_that_is_carried_on_comes_before_the_number_that_the_test_wants():
    hints = read_hints([], ["assert 1 == 3"])
    suspects = [Suspect(PATH, line, 0.7) for line in range(2, 8)]
    edits = list(propose_edits({PATH: RUNS}, suspects, hints))
    healed = RUNS.replace("best, run)\n", "best, run)\n        previous = value\n")
    forged = RUNS.replace("run = 1\n", "run = 3\n")
    made = [edit.apply(RUNS) for edit in edits]
    assert made.index(healed) < 300
    assert made.index(healed) < made.index(forged)


def test_a_flag_is_no_number_to_compute_with():
    text = "def f(rows, indent=2, strict=True, width=4):\n    return ' ' * indent + rows\n"
    edits = propose_edits({PATH: text}, [Suspect(PATH, 2, 0.9)], read_hints([], []))
    made = [edit.apply(text) for edit in edits]
    assert text.replace("* indent", "* width") in made
    assert text.replace("* indent", "* strict") not in made


def test_a_parameter_that_is_called_by_default_is_edited_as_well():
    text = "def f(rows, key=lambda row: row):\n    return g(key, rows)\n"
    assert list(propose_edits({PATH: text}, [Suspect(PATH, 2, 0.9)], read_hints([], [])))


def test_what_is_split_off_a_text_is_a_text():
    text = "def f(line):\n    key, _, value = line.partition('=')\n    return key, value\n"
    edits = propose_edits({PATH: text}, [Suspect(PATH, 3, 0.9)], read_hints([], []))
    assert text.replace("key, value\n", "key, value.strip()\n") in [e.apply(text) for e in edits]


def test_what_is_always_true_is_no_condition():
    text = "from typing import Mapping\n\ndef g(x):\n    return x\n\ndef f(x, *args):\n    if isinstance(x, Mapping) and args:\n        return g(x)\n"
    edits = propose_edits({PATH: text}, [Suspect(PATH, 7, 0.9)], read_hints([], []))
    made = [edit.apply(text) for edit in edits]
    assert made
    for wrong in ("or Mapping", "and Mapping", "not Mapping", "Mapping is", "args is"):
        assert not any(wrong in each for each in made), wrong


def test_a_condition_with_one_outcome_only_is_never_proposed():
    text = "def f(a, b, xs):\n    if a < b and xs:\n        return 1\n    return len(xs) > 0\n"
    suspects = [Suspect(PATH, 2, 0.9), Suspect(PATH, 4, 0.9)]
    made = [e.apply(text) for e in propose_edits({PATH: text}, suspects, read_hints([], []))]
    for wrong in ("a < a and", "b < b and", "if xs and xs", "len(xs) >= 0", "len(xs) < 0"):
        assert not any(wrong in each for each in made), wrong
    assert text.replace("a < b", "a <= b") in made


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("if x and x is None: pass", 1),
        ("if not x.y or x.y is not None: pass", 1),
        ("if x or x is None: pass", 0),
        ("if not x and x is not None: pass", 0),
        ("if x and y is None: pass", 0),
        ("a.b <= a.b", 1),
        ("0 <= len(xs)", 1),
        ("0 > len(xs)", 1),
        ("a or not a", 1),
        ("x == 1 and x != 1", 1),
        ("x in y or x not in y", 1),
        ("x == 1 or x == 2", 0),
        ("def f(*args): return isinstance(args, list)", 1),
        ("def f(*args):\n    args = args[0]\n    return isinstance(args, list)", 0),
        ("def f(args): return isinstance(args, list)", 0),
        ("x != x", 0),
        ("next(a) == next(a)", 0),
        ("len(xs) >= 1", 0),
        ("0 >= len(xs)", 0),
        ("a < b < a", 0),
        ("a or b", 0),
        ("def f(a):\n    return a\n    return None", 1),
        ("def f(a):\n    b = a + 1\n    return a", 1),
        ("def f(a):\n    global b\n    b = a + 1", 0),
        ("def f(a):\n    b = a\n    return lambda: b", 0),
        ("for a in b:\n    if a:\n        continue\n    print(a)", 0),
    ],
)
def test_what_has_one_outcome_only_is_told_from_what_has_two(code: str, expected: int):
    assert sum(settled(ast.parse(code))) == expected


def test_what_stands_beside_the_same_condition_elsewhere_comes_first():
    text = (
        "def merge(*parts):\n    if len(parts) == 1 and not isinstance(parts[0], dict):\n"
        "        parts = parts[0]\n    return parts\n\n"
        "def first(*parts):\n    if not isinstance(parts[0], dict):\n"
        "        parts = parts[0]\n    return parts[0]\n"
    )
    edits = propose_edits({PATH: text}, [Suspect(PATH, 7, 0.9)], read_hints([], []))
    made = [edit.apply(text) for edit in edits if edit.operator == "missing_condition"]
    head, tail = text.split("def first")
    wanted = "if len(parts) == 1 and not isinstance"
    assert f"{head}def first{tail.replace('if not isinstance', wanted)}" in made[:4]


def test_what_had_no_such_attribute_is_asked_for_before_its_block():
    text = "def hours(groups, at):\n    if at is not None:\n        return groups[at].split(':')\n    return []\n"
    hints = read_hints(["AttributeError"], ["'NoneType' object has no attribute 'split'"])
    edits = propose_edits({PATH: text}, [Suspect(PATH, 2, 0.9)], hints)
    made = [edit.apply(text) for edit in edits if edit.operator == "missing_condition"]
    assert text.replace("not None:", "not None and groups[at]:") in made[:4]


def test_a_name_without_a_value_may_be_any_of_the_function_whatever_it_is_called():
    others = "".join(f"    number_{at} = value + {at}\n" for at in range(12))
    text = f"def shown(value, layout):\n{others}    number = number % value\n    return number\n"
    message = "cannot access local variable 'number' where it is not associated with a value"
    edits = propose_edits(
        {PATH: text}, [Suspect(PATH, 14, 0.9)], read_hints(["UnboundLocalError"], [message])
    )
    made = [edit.apply(text) for edit in edits]
    assert text.replace("= number %", "= layout %") in made


def test_a_value_is_looked_for_among_what_a_constant_lists():
    text = "PLAIN = {'fish', 'rice'}\n\ndef plural(word):\n    if not word:\n        return word\n    return word + 's'\n"
    edits = propose_edits({PATH: text}, [Suspect(PATH, 4, 0.9)], read_hints([], []))
    made = [edit.apply(text) for edit in edits]
    assert text.replace("not word", "not word or word in PLAIN") in made


@pytest.mark.parametrize(
    ("code", "line", "never"),
    [
        ("def f(d):\n    return d.pop('k', None)\n", 2, "str(d.pop('k', None))"),
        ("def f(d=None):\n    return g(d)\n", 2, "g(str(d))"),
        ("class A:\n    def f(self):\n        return len(self)\n", 3, "return sum(self)"),
        ("def f(a):\n    b = a[0]\n    return None\n", 2, "    return a[0]\n    return None"),
        ("def f(a, c):\n    b = a\n    return b\n", 3, "b = a\n    return c\n"),
    ],
)
def test_what_nobody_means_is_not_proposed(code: str, line: int, never: str):
    made = [edit.apply(code) for edit in propose_edits({"m.py": code}, [Suspect("m.py", line, 1)])]
    assert made
    assert not [text for text in made if never in text]


def test_an_element_of_a_builtin_stands_for_no_name():
    code = "def f(prefix):\n    return ways_dict[prefix]\n"
    hints = read_hints(["NameError"], ["name 'ways_dict' is not defined"])
    edits = propose_edits({"m.py": code}, [Suspect("m.py", 2, 1)], hints)
    made = [edit.apply(code) for edit in edits]
    assert made
    assert not [text for text in made if " dict[prefix]" in text]


@pytest.mark.parametrize(
    ("code", "likely", "unlikely"),
    [
        ("def f(u):\n    return int(u * 1000000)\n", "return round(u", "1000001"),
        ("def f(a):\n    return len(a.split('/'))\n", "return len(a)", "return len('/')"),
    ],
)
def test_what_is_rarely_meant_comes_later(code: str, likely: str, unlikely: str):
    made = [edit.apply(code) for edit in propose_edits({"m.py": code}, [Suspect("m.py", 2, 1)])]
    first = [next(n for n, text in enumerate(made) if each in text) for each in (likely, unlikely)]
    assert first == sorted(first)
