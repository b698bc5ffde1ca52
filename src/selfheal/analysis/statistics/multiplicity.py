"""Many questions at once."""

from __future__ import annotations

from collections.abc import Sequence


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values that control the false discovery rate, in the order given.

    Y. Benjamini, Y. Hochberg, J. R. Statist. Soc. B 57, 1995: of the sorted p-values,
    p(i)·n/i, made monotone from the largest down.
    """
    count = len(p_values)
    adjusted = [0.0] * count
    smallest = 1.0
    for rank, index in zip(
        range(count, 0, -1),
        sorted(range(count), key=lambda index: p_values[index], reverse=True),
        strict=True,
    ):
        smallest = min(smallest, p_values[index] * (count / rank))
        adjusted[index] = smallest
    return adjusted
