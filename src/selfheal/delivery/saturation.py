"""Saturation: does the new release need more processor time or memory for the same work?

Samples of the instances' processes, children included, are taken at every look and kept
beside the fleet, so that whoever judges next has them all. Processor time is compared per
request, between neighbouring samples, by the sequential test that also compares failures
(`sequential.rate_is_higher`): ticks of the clock for failures, and how much they scatter
between samples is estimated in the same way. Memory is no rate: the largest instance of the
new release against the largest of the old one.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfheal.artifacts import Dataset
from selfheal.artifacts.model import Model
from selfheal.config import GateConfig
from selfheal.delivery.guards import Answer, Levels, Scope
from selfheal.delivery.sequential import Counts, convicts, dispersion_of, rate_is_higher
from selfheal.telemetry.statistics import significant

if TYPE_CHECKING:
    from selfheal.delivery.fleet import Instance

QUESTION = "saturation"
MEGABYTE = 1_000_000
_TICKS = 100

_REQUESTS = """
SELECT count(*) FILTER (release = $old) AS old, count(*) FILTER (release = $new) AS new
FROM spans
WHERE (kind IN ('server', 'consumer') OR parent_span_id IS NULL) AND release IN ($old, $new)
    AND start_ns >= $begun AND start_ns < $ended
"""


class Sample(Model):
    """What one instance had used at a moment: processor seconds so far, and resident bytes."""

    at_ns: int
    instance: str
    release: str
    cpu_seconds: float
    memory_bytes: int


def take(instances: Iterable[Instance]) -> list[Sample]:
    """One sample of each live instance; none where the system does not tell (no /proc)."""
    now = time.time_ns()
    found = []
    for instance in instances:
        used = [each for pid in _family(instance.pid) if (each := _used(pid)) is not None]
        if used and instance.alive:
            found.append(
                Sample(
                    at_ns=now,
                    instance=instance.id,
                    release=instance.release,
                    cpu_seconds=round(sum(seconds for seconds, _ in used), 3),
                    memory_bytes=sum(size for _, size in used),
                )
            )
    return found


def keep(file: Path, samples: Sequence[Sample]) -> None:
    """Append samples, one JSON object a line."""
    if samples:
        with file.open("a") as out:
            out.write("".join(f"{sample.model_dump_json()}\n" for sample in samples))


def kept(file: Path, since_ns: int) -> list[Sample]:
    """The samples since a moment; a line that a crash cut is passed over."""
    if not file.exists():
        return []
    found = []
    for line in file.read_text().splitlines():
        try:
            sample = Sample.model_validate_json(line)
        except ValueError:
            continue
        if sample.at_ns >= since_ns:
            found.append(sample)
    return found


def judge_saturation(
    samples: Sequence[Sample], dataset: Dataset, scope: Scope, gate: GateConfig, levels: Levels
) -> Answer:
    """Whether the new release saturates its machine more than the old one.

    `fail` where its processor time per request is beyond √`maximum_load_ratio` of the old
    release's by the sequential test, or its largest instance beyond `maximum_memory_ratio`
    of the old one's largest (and by more than 50 MB). `undecided` before the second sample.
    """
    own = [
        each
        for each in samples
        if each.release == scope.new or not scope.peers or each.instance in scope.peers
    ]
    counts = _counts(own, dataset, scope)
    sizes = {
        release: max((each.memory_bytes for each in own if each.release == release), default=0)
        for release in (scope.old, scope.new)
    }
    evidence: dict[str, Any] = {
        "memory_megabytes": [round(size / MEGABYTE, 1) for size in sizes.values()],
        "blocks": len(counts.baseline),
    }
    swollen = sizes[scope.new] > max(
        gate.maximum_memory_ratio * sizes[scope.old], sizes[scope.old] + 50 * MEGABYTE
    )
    if sizes[scope.old] and swollen:
        return Answer("fail", evidence)
    if not len(counts.baseline):
        return Answer("undecided", evidence)
    spread = dispersion_of(counts)
    path = rate_is_higher(counts, ratio=math.sqrt(gate.maximum_load_ratio), dispersion=spread)
    rates = [
        significant(float(ticks.sum()) / _TICKS / float(requests.sum()))
        for requests, ticks in (
            (counts.baseline, counts.baseline_failed),
            (counts.candidate, counts.candidate_failed),
        )
    ]
    evidence |= {"cpu_seconds_per_request": rates, "log_e": significant(float(path[-1]))}
    return Answer("fail" if convicts(path, levels.fail) else "pass", evidence)


def _counts(samples: Sequence[Sample], dataset: Dataset, scope: Scope) -> Counts:
    """Requests and ticks of both releases between neighbouring samples in which both served."""
    import numpy as np

    by_moment: dict[int, dict[str, Sample]] = {}
    for sample in samples:
        by_moment.setdefault(sample.at_ns, {})[sample.instance] = sample
    moments = sorted(by_moment)
    rows = []
    for begun, ended in pairwise(moments):
        ticks = {scope.old: 0.0, scope.new: 0.0}
        for name, later in by_moment[ended].items():
            earlier = by_moment[begun].get(name)
            if earlier is not None and later.release in ticks:
                used = max(0.0, later.cpu_seconds - earlier.cpu_seconds)
                ticks[later.release] += used * _TICKS
        window = {"old": scope.old, "new": scope.new, "begun": begun, "ended": ended}
        (asked,) = dataset.rows(_REQUESTS, window)
        if asked["old"] and asked["new"]:
            rows.append((asked["old"], ticks[scope.old], asked["new"], ticks[scope.new]))
    columns = np.asarray(rows, np.float64).reshape(-1, 4).T
    return Counts(*columns)


def _family(pid: int) -> list[int]:
    """A process and its descendants."""
    found, pending = [], [pid]
    while pending:
        current = pending.pop()
        found.append(current)
        for children in Path(f"/proc/{current}/task").glob("*/children"):
            try:
                pending += [int(child) for child in children.read_text().split()]
            except OSError:
                continue
    return found


def _used(pid: int) -> tuple[float, int] | None:
    """Processor seconds, those of ended children included, and resident bytes (proc(5))."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    ticks = sum(int(field) for field in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK"), int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
