"""Streams of a metric: detected anomalies, delay and false alarms, one value at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection.report import Goal, percent, table
from selfheal.analysis.series import deviations

LENGTH = 4000
INTERVAL = 300.0
START = 1_714_521_600.0
# An alarm counts from the anomaly's first value to this many after.
WINDOW = 48

Values = NDArray[np.float64]
Detector = Callable[[Values, Values], list[int]]


def steady(generator: np.random.Generator) -> Values:
    return 50 + generator.normal(0, 3, LENGTH)


def lingering(generator: np.random.Generator) -> Values:
    noise = generator.normal(0, 2, LENGTH)
    for place in range(1, LENGTH):
        noise[place] += 0.7 * noise[place - 1]
    return 50 + noise


def spiking(generator: np.random.Generator) -> Values:
    values = 20 + generator.gamma(2, 2, LENGTH)
    spikes = generator.random(LENGTH) < 0.02
    values[spikes] += generator.exponential(15, int(spikes.sum()))
    return values


def by_day(generator: np.random.Generator) -> Values:
    phase = 2 * np.pi * (np.arange(LENGTH) * INTERVAL / 86_400 + generator.random())
    return 50 + 25 * np.sin(phase) + generator.normal(0, 3, LENGTH)


def by_week(generator: np.random.Generator) -> Values:
    days = np.arange(LENGTH) * INTERVAL / 86_400
    working = np.where(np.floor(days) % 7 < 5, 1.0, 0.5)
    load = 20 + 40 * working * np.clip(np.sin(2 * np.pi * days), 0, None)
    return generator.poisson(load).astype(float)


KINDS = {
    "steady": steady,
    "lingering": lingering,
    "spiking": spiking,
    "daily": by_day,
    "weekly counts": by_week,
}


def spike(values: Values, at: int) -> None:
    values[at : at + 2] += 0.9 * np.ptp(values)


def level(values: Values, at: int) -> None:
    values[at : at + 300] += 0.5 * np.ptp(values)


def flat(values: Values, at: int) -> None:
    values[at : at + 150] = values[at]


ANOMALIES: dict[str, tuple[Callable[[Values, int], None], int]] = {
    "spike": (spike, WINDOW),
    "level": (level, WINDOW),
    "flat line": (flat, 100),
}


def selfheal(times: Values, values: Values) -> list[int]:
    pairs = zip(times.tolist(), values.tolist(), strict=True)
    return [round((one.time - START) / INTERVAL) for one in deviations(pairs)]


def three_sigma(times: Values, values: Values) -> list[int]:
    """More than 3 standard deviations from the mean of the first 15 %."""
    learned = values[: len(times) * 15 // 100]
    return _begins(np.abs(values - learned.mean()) > 3 * learned.std())


def moving(times: Values, values: Values) -> list[int]:
    """More than 4 standard deviations from the exponential mean of some 50 values."""
    outside = np.zeros(len(times), bool)
    mean, variance = float(values[0]), 0.0
    for place, value in enumerate(values.tolist()):
        off = value - mean
        outside[place] = place > 100 and off * off > 16 * variance
        mean += off / 50
        variance += (off * off - variance) / 50
    return _begins(outside)


def _begins(outside: NDArray[np.bool_]) -> list[int]:
    """Alarms less than 24 values apart are one."""
    found: list[int] = []
    last = -100
    for place in np.flatnonzero(outside).tolist():
        if place - last > 24:
            found.append(place)
        last = place
    return found


DETECTORS: dict[str, Detector] = {
    "selfheal": selfheal,
    "3 σ of the start": three_sigma,
    "4 σ, moving": moving,
}


class Outcome(NamedTuple):
    found: int
    of: int
    delays: list[int]
    false: int


def judge(detector: Detector, series: Iterable[tuple[Values, int, int]]) -> Outcome:
    """`series` are values, the anomaly's place (-1: none) and its window."""
    times = START + INTERVAL * np.arange(LENGTH)
    found, of, false = 0, 0, 0
    delays: list[int] = []
    for values, at, window in series:
        alarms = detector(times, values)
        of += at >= 0
        hits = [alarm - at for alarm in alarms if at >= 0 and at <= alarm <= at + window]
        if hits:
            found += 1
            delays.append(hits[0])
        # What an anomaly leaves behind (its end is a change too) counts for nobody.
        false += sum(not (at >= 0 and at <= alarm <= at + 600) for alarm in alarms)
    return Outcome(found, of, delays, false)


def sample(kind: str, count: int, anomaly: str | None) -> list[tuple[Values, int, int]]:
    place = 0 if anomaly is None else 1 + list(ANOMALIES).index(anomaly)
    generator = np.random.default_rng([list(KINDS).index(kind), place])
    made = []
    for _ in range(count):
        values, at, window = KINDS[kind](generator), -1, 0
        if anomaly is not None:
            put, window = ANOMALIES[anomaly]
            at = int(generator.integers(LENGTH * 6 // 10, LENGTH * 9 // 10))
            put(values, at)
        made.append((values, at, window))
    return made


def run(count: int) -> list[Goal]:
    """`count` streams of each kind with each anomaly and without."""
    print(f"\nStreams: {count} of each kind and anomaly, {LENGTH} values five minutes apart")
    goals: list[Goal] = []
    for name, detector in DETECTORS.items():
        rows, false, values = [], 0, 0
        recalls: list[float] = []
        begun = time.process_time()
        for kind in KINDS:
            clean = judge(detector, sample(kind, count, None))
            row = [kind, f"{1000 * clean.false / (count * LENGTH):.2f}"]
            false, values = false + clean.false, values + count * LENGTH
            for anomaly in ANOMALIES:
                outcome = judge(detector, sample(kind, count, anomaly))
                recalls.append(outcome.found / outcome.of)
                delay = f"{np.median(outcome.delays):.0f}" if outcome.delays else "–"
                row.append(f"{percent(recalls[-1])} ({delay})")
            rows.append(row)
        cost = 1e6 * (time.process_time() - begun) / (4 * values)
        heads = ["false per 1,000 values", *(f"{anomaly} (delay)" for anomaly in ANOMALIES)]
        table([name, *heads], rows)
        if name == "selfheal":
            print(f"  {cost:.1f} µs a value")
            goals.append(
                Goal("streams: false alarms per 1,000 values", 1000 * false / values, "≤", 0.25)
            )
            goals.append(
                Goal("streams: anomalies found, %", 100 * float(np.mean(recalls)), "≥", 90)
            )
    return goals
