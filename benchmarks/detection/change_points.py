"""Change points: false positives on series that never change, F1 on those that step up."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import NamedTuple

from benchmarks.detection import baselines
from benchmarks.detection.report import Goal, percent, table
from benchmarks.detection.series import LENGTH, NOISES, Series, sample
from selfheal.analysis.statistics.change_point import change_points

SHIFTS = (0.1, 0.2, 0.5)
GOALS = (0.47, 0.77, 0.99)
MAXIMUM_FALSE = 14.0
# A change is found if one is named within this distance.
TOLERANCE = LENGTH // 20

Finder = Callable[[Series], list[int]]

FINDERS: dict[str, Finder] = {
    "selfheal": lambda series: [change.at for change in change_points(series)],
    "PELT, BIC": baselines.pelt_bic,
    "ADWIN": baselines.adwin,
    "bare ratio 1.1": baselines.bare_ratio,
    "static threshold": baselines.static_threshold,
}


class Score(NamedTuple):
    """Counts over series: changes found and missed, places named where nothing changed."""

    found: int
    missed: int
    false: int

    def __add__(self, other: object) -> Score:
        assert isinstance(other, Score)
        return Score(*(a + b for a, b in zip(self, other, strict=True)))

    @property
    def precision(self) -> float:
        return self.found / max(1, self.found + self.false)

    @property
    def recall(self) -> float:
        return self.found / max(1, self.found + self.missed)

    @property
    def f1(self) -> float:
        return 2 * self.found / max(1, 2 * self.found + self.false + self.missed)


def score(finder: Finder, noise: str, shift: float, count: int) -> Score:
    total = Score(0, 0, 0)
    for values, at in sample(noise, shift, count):
        named = finder(values)
        hits = [place for place in named if at is not None and abs(place - at) <= TOLERANCE]
        hit = bool(hits)
        total += Score(int(hit), int(at is not None and not hit), len(named) - int(hit))
    return total


def alarms(finder: Finder, noise: str, count: int) -> float:
    """How many of 1,000 series without a change get at least one."""
    return 1000 * sum(bool(finder(one.values)) for one in sample(noise, 0, count)) / count


def run(count: int) -> list[Goal]:
    """`count` null series of each noise, half as many of each shift."""
    print(
        f"\nChange points: {count} null series and {count // 2} per shift of each noise, n = {LENGTH}"
    )
    goals: list[Goal] = []
    for name, finder in FINDERS.items():
        if finder is baselines.pelt_bic and find_spec("ruptures") is None:
            print(f"\n{name}: left out, ruptures is not installed (pip install --group bench)")
            continue
        rows, null, shifted = [], [], {shift: Score(0, 0, 0) for shift in SHIFTS}
        # Baselines are slow and far from their goals: fewer series tell as much.
        runs = count if name == "selfheal" else max(20, count // 8)
        for noise in NOISES:
            null.append(alarms(finder, noise, runs))
            scores = [score(finder, noise, shift, runs // 2) for shift in SHIFTS]
            rows.append([noise, f"{null[-1]:.0f}", *(f"{one.f1:.2f}" for one in scores)])
            shifted = {s: shifted[s] + one for s, one in zip(SHIFTS, scores, strict=True)}
        mean = sum(null) / len(null)
        total = ["all", f"{mean:.1f}", *(f"{one.f1:.2f}" for one in shifted.values())]
        heads = ["false per 1,000", *(f"F1 at +{percent(shift)}" for shift in SHIFTS)]
        table([name, *heads], [*rows, total] if name == "selfheal" else [total])
        if name == "selfheal":
            goals.append(Goal("false positives per 1,000 null series", mean, "≤", MAXIMUM_FALSE))
            for (shift, one), goal in zip(shifted.items(), GOALS, strict=True):
                told = f"precision {one.precision:.2f}, recall {one.recall:.2f}"
                goals.append(Goal(f"F1 at +{percent(shift)} ({told})", one.f1, "≥", goal))
    return goals
