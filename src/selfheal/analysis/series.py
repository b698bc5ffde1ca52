"""Metric series, one value at a time: spikes, changes of level, and lines gone flat.

A value is forecast by whatever has erred least of late: the level, the last value, the
usual value of this time of the day or of the week. How far it is off, and how far the
mean of the last few is off, are judged by their own tails (`statistics.tail`), so that
a spiky series has to spike more than usual. Each value costs the same time and memory,
whatever came before.
"""

from __future__ import annotations

import csv
import math
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple, TextIO

from selfheal.analysis.statistics.tail import Tail
from selfheal.errors import TelemetryError

DAY = 86_400.0
WEEK = 7 * DAY
SLOTS_A_DAY = 48
# How many values one of which may be a false alarm, for each of the two tails.
RISK = 1e-4
WARM_UP = 150
RECENT = 12
_LEVEL_MEMORY = 50.0
_ERROR_MEMORY = 200.0

Deviation = Literal["spike", "level", "flat"]


class Reading(NamedTuple):
    """What is said of a value: `score` 0–1 (0.5 at the alarm limit), what was expected.

    `deviation` is set on the first value of an alarm only: the alarm goes on until the
    series is usual again or its new level has become the usual one.
    """

    time: float
    value: float
    expected: float
    score: float
    deviation: Deviation | None


class _Season:
    """The usual value of each slot of a period, and how sure it is."""

    def __init__(self, period: float, slots: int) -> None:
        self.period = period
        self.slots = slots
        self.usual: dict[int, float] = {}
        self.seen: dict[int, int] = {}
        self.last: int | None = None

    def slot(self, time: float) -> int:
        return int(time % self.period / self.period * self.slots)

    def forecast(self, time: float) -> float | None:
        """Linear between slots; None for a slot that was not seen in an earlier period."""
        place = time % self.period / self.period * self.slots - 0.5
        first = math.floor(place) % self.slots
        second = (first + 1) % self.slots
        if self.seen.get(first, 0) < 1 or self.seen.get(second, 0) < 1:
            return None
        share = place - math.floor(place)
        return self.usual[first] * (1 - share) + self.usual[second] * share

    def learn(self, time: float, value: float) -> None:
        slot = self.slot(time)
        if slot != self.last:
            if self.last is not None:
                self.seen[self.last] = self.seen.get(self.last, 0) + 1
            self.last = slot
        # Half a period's weight for what is new: a pattern is known after a few periods.
        weight = 1 / (2 + 2 * min(self.seen.get(slot, 0), 4))
        self.usual[slot] = self.usual.get(slot, value) + weight * (
            value - self.usual.get(slot, value)
        )


class SeriesDetector:
    """Feed it times (seconds) in order, and values; it answers with a `Reading` each."""

    def __init__(self, *, risk: float = RISK, warm_up: int = WARM_UP) -> None:
        self.risk = risk
        self.warm_up = warm_up
        self.count = 0
        self.level = 0.0
        self.previous = 0.0
        self.errors: dict[str, float] = {}
        self.seasons = {
            "day": _Season(DAY, SLOTS_A_DAY),
            "week": _Season(WEEK, 7 * SLOTS_A_DAY),
        }
        self.recent: deque[float] = deque(maxlen=RECENT)
        self.points = Tail()
        self.means = Tail()
        self.started: tuple[list[float], list[float]] | None = ([], [])
        self.run = 1
        self.longest_run = 1
        self.changes = 0
        self.alarm: Deviation | None = None
        self.calm = 0
        self.alarmed_for = 0

    def update(self, time: float, value: float) -> Reading:
        """Judge one value and learn from it. Raises TelemetryError where it is no finite number."""
        if not math.isfinite(value):
            raise TelemetryError(f"a value of the series is {value}, which is no number.")
        self.count += 1
        if self.count == 1:
            self.level = self.previous = value
        forecasts = self._forecasts(time)
        best = min(forecasts, key=lambda name: self.errors.get(name, math.inf))
        expected = forecasts[best]
        # The mean of the last few is held against what does not follow the last value.
        steady = min(
            (name for name in forecasts if name != "last"),
            key=lambda name: self.errors.get(name, math.inf),
        )
        self.recent.append(value - forecasts[steady])
        off, mean = abs(value - expected), abs(sum(self.recent) / len(self.recent))
        flat = self._flat(value)
        if self.started is not None:
            score, deviation = self._warm(off, mean), None
        else:
            score, deviation = self._judge(off, mean, flat)
        self._learn(time, value, forecasts)
        return Reading(time, value, expected, score, deviation)

    def _forecasts(self, time: float) -> dict[str, float]:
        forecasts = {"level": self.level, "last": self.previous}
        for name, season in self.seasons.items():
            usual = season.forecast(time)
            if usual is not None:
                forecasts[name] = usual
        return forecasts

    def _flat(self, value: float) -> bool:
        """Whether the value stays the same for much longer than it ever did."""
        if self.count > 1 and value == self.previous:
            self.run += 1
        else:
            if self.count > 1:
                self.changes += 1
            self.longest_run = max(self.longest_run, self.run)
            self.run = 1
        usual = self.count / (self.changes + 1)
        return self.run > max(4 * RECENT, 3 * self.longest_run, 10 * usual)

    def _warm(self, off: float, mean: float) -> float:
        assert self.started is not None
        offs, means = self.started
        if self.count > min(RECENT, self.warm_up // 3):
            offs.append(off)
            means.append(mean)
        if self.count >= self.warm_up:
            self.points.learn_from(offs)
            self.means.learn_from(means)
            self.started = None
        return 0.0

    def _judge(self, off: float, mean: float, flat: bool) -> tuple[float, Deviation | None]:
        point, level = self.points.probability(off), self.means.probability(mean)
        rarest = min(point, level)
        score = _score(rarest, self.risk)
        kind: Deviation | None = None
        if flat:
            kind, score = "flat", max(score, 0.5)
        elif rarest <= self.risk:
            kind = "spike" if point <= level else "level"
        # What is unusual teaches little: as much as the alarm's limit.
        if point > self.risk:
            self.points.learn(off)
        if level > self.risk:
            self.means.learn(mean)
        begins = kind is not None and self.alarm is None
        if kind is not None:
            self.alarm, self.calm = kind, 0
            self.alarmed_for += 1
        elif self.alarm is not None:
            self.calm += 1
            if self.calm >= 2 * RECENT:
                self.alarm, self.alarmed_for = None, 0
        return score, kind if begins else None

    def _learn(self, time: float, value: float, forecasts: dict[str, float]) -> None:
        memory = min(self.count, _ERROR_MEMORY)
        limit = 5 * min(self.errors.values(), default=math.inf) or math.inf
        for name, forecast in forecasts.items():
            error = abs(value - forecast)
            known = self.errors.get(name)
            if known is None:
                # A newcomer begins as bad as the worst and has to prove itself.
                self.errors[name] = max([error, *self.errors.values()])
            else:
                self.errors[name] = known + (min(error, limit) - known) / memory
        spread = 3 * min(self.errors.values()) if self.started is None else math.inf
        shift = min(max(value - self.level, -spread), spread)
        self.level += shift / min(self.count, _LEVEL_MEMORY)
        for season in self.seasons.values():
            season.learn(time, value)
        self.previous = value


def _score(probability: float, risk: float) -> float:
    """0 for what is usual, 0.5 at the limit, towards 1 beyond."""
    if probability >= 1:
        return 0.0
    rarity = math.log(max(probability, 1e-300)) / math.log(risk)
    return rarity / (1 + rarity)


def deviations(
    points: Iterable[tuple[float, float]], *, risk: float = RISK, warm_up: int = WARM_UP
) -> Iterator[Reading]:
    """The readings at which an alarm begins."""
    detector = SeriesDetector(risk=risk, warm_up=warm_up)
    for time, value in points:
        reading = detector.update(time, value)
        if reading.deviation is not None:
            yield reading


def alarms(
    points: Iterable[tuple[float, float]], *, risk: float = RISK, warm_up: int = WARM_UP
) -> Iterator[Reading]:
    """The alarms of a series that is there as a whole: known is what became of each.

    A jump begins as a spike does. One that is still off after `RECENT` values is a change
    of level.
    """
    detector = SeriesDetector(risk=risk, warm_up=warm_up)
    begun: Reading | None = None
    off = 0
    for time, value in points:
        reading = detector.update(time, value)
        if reading.deviation is not None or detector.alarm is None:
            if begun is not None:
                yield _known(begun, off)
            begun, off = (reading, 0) if reading.deviation is not None else (None, 0)
        off += reading.score >= 0.5
    if begun is not None:
        yield _known(begun, off)


def _known(begun: Reading, off: int) -> Reading:
    lasted = begun.deviation == "spike" and off >= RECENT
    return begun._replace(deviation="level") if lasted else begun


def read_csv(file: Path) -> Iterator[tuple[float, float]]:
    """`timestamp,value` rows: ISO 8601 (UTC where no zone is given) or seconds, ms or ns since 1970.

    A first row that is no data is the head. Raises TelemetryError with file and line.
    """
    with file.open(encoding="utf-8-sig", newline="") as opened:
        yield from _rows(file, opened)


def _rows(file: Path, opened: TextIO) -> Iterator[tuple[float, float]]:
    for number, row in enumerate(csv.reader(opened), 1):
        if not row:
            continue
        try:
            time, value = _seconds(row[0]), float(row[1])
        except (ValueError, IndexError) as error:
            if number == 1:
                continue
            raise TelemetryError(
                "this row is no timestamp and value.",
                where=f"{file}:{number}",
                hint="Rows look like 2024-05-01 12:00:00,42.5",
            ) from error
        if math.isfinite(value):
            yield time, value


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    for scale in (1e9, 1e6, 1e3):
        if abs(number) > 1e8 * scale:
            return number / scale
    return number


def main() -> None:
    """`python -m selfheal.analysis.series FILE.csv`: the alarms, one a line."""
    for name in sys.argv[1:]:
        for reading in deviations(read_csv(Path(name))):
            at = datetime.fromtimestamp(reading.time, UTC).isoformat()
            sys.stdout.write(
                f"{at} {reading.deviation} {reading.value:g} (expected {reading.expected:g}, "
                f"score {reading.score:.2f})\n"
            )


if __name__ == "__main__":
    main()
