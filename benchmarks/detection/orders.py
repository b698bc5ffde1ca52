"""Order contracts: traces of random operations, some with a step swapped, dropped, doubled
or called by another one.

An operation is a chain of steps; some are optional, some repeat, some run beside each
other, one calls an inner step. All of that varies in both releases and is legal. In the second release one
operation in two breaks its order in a part of its traces.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from benchmarks.detection.change_points import Score
from benchmarks.detection.datasets import START, write
from benchmarks.detection.report import Goal, table
from selfheal.analysis.behaviour import detect_behaviour
from selfheal.analysis.model import DetectionData
from selfheal.analysis.releases import compare
from selfheal.config import DetectConfig

TRACES = 150
BATCH = 50
Breach = Literal["missing", "duplicated", "swapped", "wrong caller"]
BREACHES: tuple[Breach, ...] = ("missing", "duplicated", "swapped", "wrong caller")


class Step(NamedTuple):
    name: str
    probability: float
    repeats: bool
    beside_next: bool


class Operation(NamedTuple):
    """`breach` concerns the step at `place` (swapped: with the one after it).

    That step calls `inner`; where the caller is wrong, the step after it does.
    """

    name: str
    steps: list[Step]
    breach: Breach | None
    place: int
    share: float

    @property
    def inner(self) -> str:
        return f"{self.steps[self.place].name}.inner"

    @property
    def concerned(self) -> str:
        return self.inner if self.breach == "wrong caller" else self.steps[self.place].name


def operation(number: int, breach: Breach | None, generator: np.random.Generator) -> Operation:
    count = int(generator.integers(4, 13))
    steps = [
        Step(
            f"{number:03}.step{place:02}",
            float(generator.choice([1.0, 1.0, 1.0, 0.98, 0.6, 0.2])),
            bool(generator.random() < 0.15),
            bool(generator.random() < 0.2),
        )
        for place in range(count)
    ]
    # What is broken has to be a rule before: always there, once, one after the other.
    place = int(generator.integers(count - 1))
    for near in (place, place + 1):
        steps[near] = Step(steps[near].name, 1.0, False, False)
    return Operation(f"op{number:03}", steps, breach, place, float(generator.uniform(0.1, 0.5)))


def trace(
    one: Operation, broken: bool, generator: np.random.Generator
) -> list[tuple[str, int, int, int]]:
    """(step, first ns, last ns, number of the calling span; 0 the entry) from its start on."""
    steps = list(one.steps)
    caller = one.steps[one.place + int(broken and one.breach == "wrong caller")].name
    if broken and one.breach == "missing":
        del steps[one.place]
    elif broken and one.breach == "swapped":
        steps[one.place], steps[one.place + 1] = steps[one.place + 1], steps[one.place]
    elif broken and one.breach == "duplicated":
        steps.insert(one.place + 1, steps[one.place])
    spans, clock = [], 1000
    for step in steps:
        if generator.random() >= step.probability:
            continue
        for _ in range(1 + int(step.repeats and generator.integers(0, 3))):
            lasting = int(generator.lognormal(13, 0.4))
            last = clock + lasting
            spans.append((step.name, clock, last, 0))
            if step.name == caller:
                spans.append((one.inner, clock + lasting // 10, clock + lasting // 2, len(spans)))
            # Beside the next: it begins before this one ends, and either may end first.
            clock += int(lasting * generator.random()) if step.beside_next else lasting + 1000
        clock = max(clock, last + 1000) if not step.beside_next else clock
    return spans


def record(operations: list[Operation], generator: np.random.Generator) -> dict[str, Any]:
    columns: dict[str, list[Any]] = {
        name: []
        for name in ("trace_id", "span_id", "parent_span_id", "release", "operation", "kind",
                     "start_ns", "end_ns", "duration_ms")
    }  # fmt: skip
    number = 0

    def add(*values: Any) -> None:
        for column, value in zip(columns.values(), values, strict=True):
            column.append(value)

    for release in ("1.0", "1.1"):
        for one in operations:
            for place in range(TRACES):
                broken = release == "1.1" and bool(generator.random() < one.share)
                number += 1
                trace_id, root = f"{number:032x}", f"{number:08x}00000000"
                start = START + ((release == "1.1") * TRACES + place) * 1_000_000_000
                steps = trace(one, broken, generator)
                end = start + max((last for _, _, last, _ in steps), default=0) + 1000
                add(
                    trace_id,
                    root,
                    None,
                    release,
                    one.name,
                    "server",
                    start,
                    end,
                    (end - start) / 1e6,
                )
                for nth, (name, first, last, caller) in enumerate(steps, 1):
                    parent = f"{number:08x}{caller:08x}"
                    add(trace_id, f"{number:08x}{nth:08x}", parent, release, name, "internal",
                        start + first, start + last, (last - first) / 1e6)  # fmt: skip
    return {**columns, "service": "shop", "status": "ok"}


def found(columns: dict[str, Any]) -> set[tuple[str, str, str]]:
    """(operation, violation, step) of every anomaly."""
    with tempfile.TemporaryDirectory(prefix="selfheal-benchmark-") as folder:
        dataset = write(Path(folder), columns)
        data = DetectionData(dataset=dataset, comparisons=compare(dataset))
        anomalies = detect_behaviour(data, DetectConfig()).anomalies
    return {(one.operation, one.evidence["violation"], one.evidence["step"]) for one in anomalies}


def unseen_sequences(columns: dict[str, Any]) -> set[str]:
    """The baseline: operations of which a release shows a sequence of steps never seen before."""
    names: dict[str, str] = {}
    traces: dict[tuple[str, str], list[tuple[int, str]]] = {}
    rows = zip(
        *(columns[c] for c in ("trace_id", "kind", "release", "operation", "start_ns")), strict=True
    )
    for trace_id, kind, release, name, start in rows:
        if kind == "server":
            names[trace_id] = name
            traces[release, trace_id] = []
        else:
            traces[release, trace_id].append((start, name))
    seen: dict[str, dict[str, set[tuple[str, ...]]]] = {"1.0": {}, "1.1": {}}
    for (release, trace_id), steps in traces.items():
        sequence = tuple(name for _, name in sorted(steps))
        seen[release].setdefault(names[trace_id], set()).add(sequence)
    return {name for name, sequences in seen["1.1"].items() if sequences - seen["1.0"][name]}


def run(count: int) -> list[Goal]:
    """`count` operations with each breach, and as many without one as with."""
    print(f"\nOrder of steps: {count} operations of each breach, {TRACES} traces a release")
    scores = {breach: Score(0, 0, 0) for breach in BREACHES}
    clean = Score(0, 0, 0)
    naive = Score(0, 0, 0)
    generator = np.random.default_rng(5)
    wanted: list[Breach | None] = [breach for breach in BREACHES for _ in range(count)]
    wanted += [None] * len(wanted)
    operations = [operation(n, breach, generator) for n, breach in enumerate(wanted)]
    generator.shuffle(operations)  # type: ignore[arg-type]
    for start in range(0, len(operations), BATCH):
        batch = operations[start : start + BATCH]
        columns = record(batch, generator)
        named, unseen = found(columns), unseen_sequences(columns)
        for one in batch:
            flagged = one.name in unseen
            naive += Score(
                int(flagged and one.breach is not None),
                int(not flagged and one.breach is not None),
                int(flagged and one.breach is None),
            )
            own = {finding for finding in named if finding[0] == one.name}
            if one.breach is None:
                clean += Score(0, 0, len(own))
                continue
            hit = (one.name, one.breach, one.concerned) in own
            scores[one.breach] += Score(int(hit), int(not hit), len(own) - int(hit))
    rows = [
        [breach, f"{one.precision:.3f}", f"{one.recall:.3f}", f"{one.f1:.3f}"]
        for breach, one in scores.items()
    ]
    table(["selfheal", "precision", "recall", "F1"], rows)
    told = f"precision {naive.precision:.3f}, recall {naive.recall:.3f}"
    print(f"  baseline, a sequence never seen before (names no step): {told}")
    print(f"  {clean.false} false alarms at {len(wanted) // 2} operations without a breach")
    total = sum(scores.values(), start=clean)
    return [
        Goal("order: precision", total.precision, "≥", 0.98),
        Goal("order: recall", total.recall, "≥", 0.98),
    ]
