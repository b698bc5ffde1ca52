"""The text of the tests that recorded calls make: pinned answers, and a property around them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from selfheal.recorder.values import MARK
from selfheal.repair.recorded import ObservedCall, RecordedBehaviour, own_name
from selfheal.repair.recorded_source import Expression, Expressions, Group, Named, joined, lines
from selfheal.repair.recorded_strategies import Property, property_of

LIKE_LINES = [
    "class Like:",
    '    """Equal to every value of a class: what differs from run to run."""',
    "",
    "    def __init__(self, kind):",
    "        self.kind = kind",
    "",
    "    def __eq__(self, other):",
    "        return isinstance(other, self.kind)",
    "",
    "    def __repr__(self):",
    '        return f"Like({self.kind.__name__})"',
]
HOLDING_LINES = [
    "def holding(kind, **held):",
    '    """An object that holds these attributes, made without its constructor."""',
    "    made = object.__new__(kind)",
    "    for name, value in held.items():",
    "        object.__setattr__(made, name, value)",
    "    return made",
]
STATE_LINES = [
    "def state(value):",
    '    """What an object holds; other values themselves."""',
    '    return vars(value) if hasattr(value, "__dict__") else value',
]


def test_names(behaviour: RecordedBehaviour) -> list[str]:
    """The names of the tests that `recorded_tests` writes, the chief one first."""
    return [name for name, calls in _parts(behaviour) if calls]


test_names.__test__ = False  # type: ignore[attr-defined]


def recorded_tests(behaviour: RecordedBehaviour, story: str) -> str:
    """A test file that asks for what the observed calls steadily did; `story` says why it is there.

    With a `spread`, hypothesis tries arguments around the recorded ones too.
    """
    made = Expressions()
    target = made.named(f"{behaviour.module}:{behaviour.function}")
    called = f"{target}(*arguments, **options)"
    called = f"asyncio.run({called})" if behaviour.is_async else called
    answered, refused, changing = (calls for _, calls in _parts(behaviour))
    states = any(_is_state(call) for call in answered)
    blocks = []
    slug = _slug(behaviour)
    if answered:
        blocks.append(_answers(made, slug, called, answered, states))
    if refused:
        blocks.append(_refusals(made, slug, called, refused))
    if changing:
        blocks.append(_changes(made, slug, called, changing))
    near = property_of(behaviour, made, target)
    if near is not None:
        blocks.append(_property(slug, near, behaviour.is_async))
    helpers = [LIKE_LINES] if made.uses_like else []
    helpers += [HOLDING_LINES] if made.uses_holding else []
    helpers += [STATE_LINES] if states or changing else []
    parts = [*helpers, *blocks]
    return "\n".join(
        [
            f'"""{story}"""',
            "",
            *_imports(made, behaviour, near is not None),
            *joined(["", "", *part] for part in parts),
            "",
        ]
    )


def crash_tests(behaviour: RecordedBehaviour, story: str) -> str:
    """A test file that asks of calls which raised in production that they do not any more."""
    made = Expressions()
    target = made.named(f"{behaviour.module}:{behaviour.function}")
    called = f"{target}(*arguments, **options)"
    called = f"asyncio.run({called})" if behaviour.is_async else called
    rows = [_arguments(made, call) for call in behaviour.calls]
    name = crash_test_name(behaviour)
    test = [
        *_table("CRASHED", rows),
        *_parametrised("arguments, options", "CRASHED", name),
        f"    {called}",
    ]
    helpers = ["", "", *HOLDING_LINES] if made.uses_holding else []
    imports = _imports(made, behaviour, False)
    return "\n".join([f'"""{story}"""', "", *imports, *helpers, "", "", *test, ""])


def crash_test_name(behaviour: RecordedBehaviour) -> str:
    return (
        f"test_{_slug(behaviour)}_does_not_raise_{own_name(behaviour.calls[0].exception).lower()}"
    )


crash_test_name.__test__ = False  # type: ignore[attr-defined]


def property_alone(behaviour: RecordedBehaviour) -> tuple[str, str] | None:
    """A file with the property alone, and the name of its test; None where there is none."""
    made = Expressions()
    target = made.named(f"{behaviour.module}:{behaviour.function}")
    near = property_of(behaviour, made, target)
    if near is None:
        return None
    imports = _imports(made, behaviour, True)
    body = _property(_slug(behaviour), near, behaviour.is_async)
    helpers = ["", "", *HOLDING_LINES] if made.uses_holding else []
    text = "\n".join([*imports, *helpers, "", "", *body, ""])
    return text, _near_name(_slug(behaviour))


def _parts(behaviour: RecordedBehaviour) -> list[tuple[str, list[ObservedCall]]]:
    """The tests and their calls: answers, exceptions, changed arguments."""
    slug = _slug(behaviour)
    changing = [call for call in behaviour.calls if call.after is not None]
    says_nothing = {id(call) for call in changing if call.answer == "null"}
    return [
        (
            f"test_{slug}_answers_as_recorded",
            [c for c in behaviour.calls if c.exception is None and id(c) not in says_nothing],
        ),
        (
            f"test_{slug}_refuses_as_recorded",
            [c for c in behaviour.calls if c.exception is not None],
        ),
        (f"test_{slug}_changes_its_arguments_as_recorded", changing),
    ]


def _slug(behaviour: RecordedBehaviour) -> str:
    """``Cart.__call__`` → ``cart_call``."""
    return re.sub(r"\W|_{2,}", "_", behaviour.function).strip("_").lower()[:60].rstrip("_")


def _near_name(slug: str) -> str:
    return f"test_{slug}_keeps_its_type_near_recorded_arguments"


def _imports(made: Expressions, behaviour: RecordedBehaviour, near: bool) -> list[str]:
    modules = set(made.modules) | ({"asyncio"} if behaviour.is_async else set())
    own = sorted(name for name in modules if _is_own(name, behaviour.module))
    others = sorted(modules - set(own))
    third = ["import pytest"]
    if near:
        third = ["import hypothesis", *third, "from hypothesis import strategies as st"]
    groups = [[f"import {name}" for name in others], third, [f"import {name}" for name in own]]
    return joined([*group, ""] for group in groups if group)[:-1]


def _is_own(name: str, module: str) -> bool:
    return name.partition(".")[0] == module.partition(".")[0]


def _arguments(made: Expressions, call: ObservedCall) -> list[Expression]:
    positional = made.of({MARK: "tuple", "items": json.loads(call.args)})
    return [positional, made.dictionary(json.loads(call.kwargs))]


def _table(name: str, rows: Sequence[Sequence[Expression]]) -> list[str]:
    table = Group("[", [Group("(", row, ")") for row in rows], "]")
    return lines(Named(f"{name} = ", table))


def _parametrised(columns: str, table: str, name: str) -> list[str]:
    names = ", ".join(f'"{column}"' for column in columns.split(", "))
    numbered = f"ids=range(len({table}))"
    return [
        *("", "", f"@pytest.mark.parametrize(({names}), {table}, {numbered})"),
        f"def {name}({columns}):",
    ]


def _answers(
    made: Expressions, slug: str, called: str, calls: Sequence[ObservedCall], states: bool
) -> list[str]:
    rows = [[*_arguments(made, call), _answer(made, call, states)] for call in calls]
    name = f"test_{slug}_answers_as_recorded"
    asked = f"state({called})" if states else called
    return [
        *_table("ANSWERED", rows),
        *_parametrised("arguments, options, answer", "ANSWERED", name),
        f"    assert {asked} == answer",
    ]


def _answer(made: Expressions, call: ObservedCall, states: bool) -> Expression:
    form = json.loads(call.answer or "null")
    if states and isinstance(form, dict) and form.get(MARK) == "object":
        return made.dictionary(form["fields"], expected=True)
    return made.of(form, expected=True)


def _is_state(call: ObservedCall) -> bool:
    form = json.loads(call.answer or "null")
    return isinstance(form, dict) and form.get("state") is True


def _refusals(
    made: Expressions, slug: str, called: str, calls: Sequence[ObservedCall]
) -> list[str]:
    rows = [[*_arguments(made, call), made.named(call.exception or "")] for call in calls]
    name = f"test_{slug}_refuses_as_recorded"
    return [
        *_table("REFUSED", rows),
        *_parametrised("arguments, options, exception", "REFUSED", name),
        "    with pytest.raises(exception):",
        f"        {called}",
    ]


def _changes(made: Expressions, slug: str, called: str, calls: Sequence[ObservedCall]) -> list[str]:
    rows = []
    for call in calls:
        after: dict[str, Any] = json.loads(call.after or "{}")
        parts = [
            Named(f"{position}: ", made.of(after[position], expected=True)) for position in after
        ]
        rows.append([*_arguments(made, call), Group("{", parts, "}")])
    name = f"test_{slug}_changes_its_arguments_as_recorded"
    return [
        *_table("CHANGING", rows),
        *_parametrised("arguments, options, after", "CHANGING", name),
        f"    {called}",
        "    for position, changed in after.items():",
        "        assert state(arguments[position]) == changed",
    ]


def _property(slug: str, near: Property, is_async: bool) -> list[str]:
    called = f"asyncio.run({near.called})" if is_async else near.called
    body = [f"    assert isinstance({called}, {near.kinds})"]
    if near.allowed:
        body = [
            "    try:",
            f"        answer = {called}",
            f"    except {near.allowed}:",
            "        return",
            f"    assert isinstance(answer, {near.kinds})",
        ]
    given = Group(
        "@hypothesis.given(", [Named(f"{name}=", each) for name, each in near.strategies], ")"
    )
    return [
        "@hypothesis.settings(derandomize=True, database=None, deadline=None, max_examples=50)",
        *lines(given),
        f"def {_near_name(slug)}({', '.join(name for name, _ in near.strategies)}):",
        *body,
    ]
