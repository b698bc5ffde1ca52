"""hypothesis strategies around recorded arguments, and what may be asked of a function there.

Recorded arguments are valid ones, so that the values between them mostly are: integers and
floats within their range, lists as long as those recorded, texts of the same characters
(``wide``) or the recorded texts alone (``narrow``). The property is that the answer is of a
class that was recorded, and no exception comes that was not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from selfheal.recorder.values import MARK
from selfheal.repair.recorded import RecordedBehaviour, class_of
from selfheal.repair.recorded_source import Expression, Expressions, Group, Named, quoted

LONGEST_TEXT = 40
_NUMBERS = (int, float)


class Property(NamedTuple):
    """`called` is the call by the names of the strategies; `kinds` and `allowed` are expressions."""

    strategies: list[tuple[str, Expression]]
    called: str
    kinds: str
    allowed: str


def property_of(behaviour: RecordedBehaviour, made: Expressions, target: str) -> Property | None:
    """The property of a function by its calls; None without a `spread` or without variety.

    Calls with the number and names of arguments that most of them have are taken together.
    """
    if behaviour.spread == "none":
        return None
    shapes: dict[tuple[int, tuple[str, ...]], list[tuple[list[Any], dict[str, Any]]]] = {}
    for call in behaviour.calls:
        args, kwargs = json.loads(call.args), json.loads(call.kwargs)
        shapes.setdefault((len(args), tuple(sorted(kwargs))), []).append((args, kwargs))
    (count, names), calls = max(shapes.items(), key=lambda each: (len(each[1]), each[0]))
    answered = [call for call in behaviour.calls if call.exception is None]
    if len(calls) < 2 or not answered or not all(name.isidentifier() for name in names):
        return None
    wide = behaviour.spread == "wide"
    columns = [(f"argument_{n}", [args[n] for args, _ in calls]) for n in range(count)]
    columns += [(f"option_{name}", [kwargs[name] for _, kwargs in calls]) for name in names]
    if not any(_varies(forms) for _, forms in columns):
        return None
    strategies = [(name, strategy(forms, made, wide=wide)) for name, forms in columns]
    given = [f"argument_{n}" for n in range(count)] + [f"{name}=option_{name}" for name in names]
    classes = {class_of(json.loads(call.answer or "null")) for call in answered}
    refused = {call.exception for call in behaviour.calls if call.exception is not None}
    return Property(
        strategies=strategies,
        called=f"{target}({', '.join(given)})",
        kinds=_union(made, classes),
        allowed=_union(made, refused) if refused else "",
    )


def _union(made: Expressions, classes: set[str]) -> str:
    named = sorted(map(made.named, classes))
    return named[0] if len(named) == 1 else f"({', '.join(named)})"


def _varies(forms: Sequence[Any]) -> bool:
    return len({json.dumps(form, sort_keys=True) for form in forms}) > 1


def strategy(forms: Sequence[Any], made: Expressions, *, wide: bool) -> Expression:
    """The strategy for values like those of some JSON forms."""
    some = [form for form in forms if form is not None]
    if not some:
        return "st.none()"
    found = _alike(some, made, wide) if _varies(some) else _sampled(some, made)
    if len(some) < len(forms):
        return Group("st.one_of(", ["st.none()", found], ")")
    return found


def _alike(forms: Sequence[Any], made: Expressions, wide: bool) -> Expression:
    kinds = {type(form) for form in forms}
    if kinds == {bool}:
        return "st.booleans()"
    if kinds == {int}:
        return f"st.integers({min(forms)}, {max(forms)})"
    if kinds <= set(_NUMBERS):
        return f"st.floats({float(min(forms))!r}, {float(max(forms))!r})"
    if kinds == {str} and wide:
        return _texts(forms)
    if kinds == {list}:
        return _lists(forms, made, wide)
    if kinds == {dict}:
        return _dictionaries(forms, made, wide)
    return _sampled(forms, made)


def _texts(forms: Sequence[str]) -> Expression:
    characters = "".join(sorted({character for form in forms for character in form}))
    lengths = [len(form) for form in forms]
    if max(lengths) > LONGEST_TEXT or not characters:
        return Group("st.sampled_from([", [quoted(form) for form in sorted(set(forms))], "])")
    return Group(
        "st.text(",
        [quoted(characters), f"min_size={min(lengths)}", f"max_size={max(lengths)}"],
        ")",
    )


def _lists(forms: Sequence[list[Any]], made: Expressions, wide: bool) -> Expression:
    items = [item for form in forms for item in form]
    lengths = [len(form) for form in forms]
    parts: list[Expression] = [strategy(items, made, wide=wide)]
    parts += [f"min_size={min(lengths)}", f"max_size={max(lengths)}"]
    return Group("st.lists(", parts, ")")


def _dictionaries(forms: Sequence[Mapping[str, Any]], made: Expressions, wide: bool) -> Expression:
    first = forms[0]
    if MARK not in first and all(set(form) == set(first) for form in forms):
        columns = {key: [form[key] for form in forms] for key in first}
        parts = [
            Named(f"{quoted(key)}: ", strategy(columns[key], made, wide=wide)) for key in columns
        ]
        return Group("st.fixed_dictionaries({", parts, "})")
    if all(form.get(MARK) == "object" and not form.get("held") for form in forms):
        made_of = [form.get("init", form["fields"]) for form in forms]
        alike = all(set(given) == set(made_of[0]) for given in made_of)
        if alike and len({form["class"] for form in forms}) == 1:
            parts = [
                Named(f"{name}=", strategy([given[name] for given in made_of], made, wide=wide))
                for name in made_of[0]
            ]
            return Group("st.builds(", [made.named(first["class"]), *parts], ")")
    if all(form.get(MARK) == "tuple" for form in forms):
        lengths = {len(form["items"]) for form in forms}
        if len(lengths) == 1:
            columns_of = zip(*(form["items"] for form in forms), strict=True)
            return Group(
                "st.tuples(", [strategy(list(each), made, wide=wide) for each in columns_of], ")"
            )
    return _sampled(forms, made)


def _sampled(forms: Sequence[Any], made: Expressions) -> Expression:
    """The recorded values themselves, made anew for each example."""
    distinct = {json.dumps(form, sort_keys=True): form for form in forms}
    parts = [Named("lambda: ", made.of(distinct[key])) for key in sorted(distinct)]
    if all(isinstance(form, str | int | float | bool | None) for form in distinct.values()):
        parts_plain = [made.of(distinct[key]) for key in sorted(distinct)]
        if len(parts_plain) == 1:
            return Group("st.just(", parts_plain, ")")
        return Group("st.sampled_from([", parts_plain, "])")
    return Group("st.sampled_from([", parts, "]).map(lambda make: make())")
