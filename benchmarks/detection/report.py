"""Tables and goals as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple


class Goal(NamedTuple):
    """What was measured and what was wanted."""

    name: str
    measured: float
    relation: Literal["≤", "≥"]
    wanted: float

    @property
    def met(self) -> bool:
        if self.relation == "≤":
            return self.measured <= self.wanted
        return self.measured >= self.wanted

    def __str__(self) -> str:
        verdict = "met" if self.met else "MISSED"
        return (
            f"{verdict:7} {self.name}: {self.measured:.3g} (wanted {self.relation} {self.wanted:g})"
        )


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns, the first one left-aligned."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    widths[0] = max(widths[0], 18)
    print()
    for line in lines:
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        print("  ".join(cells))
