"""Whether what one handler returns can be what another one takes.

A structural check over annotations: subclasses fit, unions fit member by member,
generic arguments are compared covariantly (values that crossed a file are fresh, so
nobody can write a wrong element into somebody else's list). `Any` fits both ways.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
    is_typeddict,
)

from selfheal.artifacts import Dataset, Tables


def fits(produced: Any, wanted: Any) -> bool:
    """Whether a value of the annotation `produced` may be passed where `wanted` stands."""
    produced, wanted = _plain(produced), _plain(wanted)
    if produced == wanted or _anything(produced) or wanted is object or _anything(wanted):
        return True
    if _is_union(produced):
        return all(fits(member, wanted) for member in get_args(produced))
    if _is_union(wanted):
        return any(fits(produced, member) for member in get_args(wanted))
    if get_origin(produced) is Literal:
        return _literal_fits(get_args(produced), wanted)
    return _class_fits(produced, wanted)


def readable(annotation: Any) -> str:
    """An annotation as a person would write it."""
    if get_origin(annotation) is None and isinstance(annotation, type):
        return annotation.__qualname__
    return str(annotation).replace("typing.", "").replace("collections.abc.", "")


def _plain(annotation: Any) -> Any:
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if annotation is None:
        return NoneType
    return Dataset if annotation is Tables else annotation


def _anything(annotation: Any) -> bool:
    return annotation is Any or isinstance(annotation, TypeVar)


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, UnionType)


def _literal_fits(values: tuple[Any, ...], wanted: Any) -> bool:
    if get_origin(wanted) is Literal:
        return set(values) <= set(get_args(wanted))
    return isinstance(wanted, type) and all(isinstance(value, wanted) for value in values)


def _class_fits(produced: Any, wanted: Any) -> bool:
    have, want = get_origin(produced) or produced, get_origin(wanted) or wanted
    if is_typeddict(have) or is_typeddict(want):
        return want in (dict, Mapping)
    if not (isinstance(have, type) and isinstance(want, type)):
        return False
    if have is int and want is float:
        return True
    if not issubclass(have, want):
        return False
    ours, theirs = get_args(produced), get_args(wanted)
    if not ours or not theirs:
        return True
    if have is tuple and want is not tuple:
        return all(fits(member, theirs[0]) for member in ours if member is not Ellipsis)
    return len(ours) == len(theirs) and all(
        fits(a, b) for a, b in zip(ours, theirs, strict=True) if Ellipsis not in (a, b)
    )
