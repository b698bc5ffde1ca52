"""The shape of a JSON reply: what stays the same where values change from day to day.

An object is a dictionary of shapes, a list one shape that all of its elements have
(empty: nothing is known of them), anything else None.
"""

from __future__ import annotations

from typing import Any

Shape = Any
DEPTH = 4


def shape_of(value: Any, depth: int = DEPTH) -> Shape:
    """The shape of a JSON value; below `depth` nothing is asked."""
    if depth == 0:
        return None
    if isinstance(value, dict):
        return {str(key): shape_of(each, depth - 1) for key, each in value.items()}
    if isinstance(value, list):
        shapes = [shape_of(each, depth - 1) for each in value]
        first, *others = shapes or [None]
        for each in others:
            first = common(first, each)
        return [first] if value else []
    return None


def common(one: Shape, other: Shape) -> Shape:
    """What both shapes ask for; None where they have nothing in common."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {key: common(one[key], other[key]) for key in one if key in other}
    if isinstance(one, list) and isinstance(other, list):
        return [common(one[0], other[0])] if one and other else []
    return None


def says_something(shape: Shape) -> bool:
    """Whether a shape can be broken: objects with keys, lists with elements."""
    return bool(shape)


CHECK = """\
def has_shape(value, shape):
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(
            key in value and has_shape(value[key], inner) for key, inner in shape.items()
        )
    if isinstance(shape, list):
        if not isinstance(value, list):
            return False
        return not shape or (bool(value) and all(has_shape(each, shape[0]) for each in value))
    return True
"""
