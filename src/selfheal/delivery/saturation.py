"""Saturation: does the new release need more processor time or memory for the same work?

Samples of the instances' processes, children included, are taken at every look and kept
beside the fleet, so that whoever judges next has them all. Instances of equal age are
compared. Processor time is compared between neighbouring samples by the sequential test that
also compares failures (`sequential.rate_is_higher`): ticks of the clock for failures, and how
much they scatter between samples is estimated in the same way. Memory is no rate: the largest
instance of the new release against the largest of its peers.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from selfheal.artifacts import Dataset
from selfheal.artifacts.model import Model
from selfheal.config import GateConfig
from selfheal.delivery.guards import Answer, Levels, Scope
from selfheal.delivery.sequential import Counts, convicts, dispersion_of, rate_is_higher
from selfheal.telemetry.statistics import significant

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from selfheal.delivery.fleet import Instance

QUESTION = "saturation"
MEGABYTE = 1_000_000
_TICKS = 100

_REQUESTS = """
WITH moments AS (SELECT unnest($moments) AS begun)
SELECT begun, count(*) FILTER (release = $old) AS old, count(*) FILTER (release = $new) AS new
FROM spans ASOF JOIN moments ON start_ns >= begun
WHERE (kind IN ('server', 'consumer') OR parent_span_id IS NULL)
    AND (release = $new OR release = $old AND list_contains($peers, instance))
GROUP BY begun
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
    for line in file.read_text(errors="replace").splitlines():
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

    `scope` names peers: instances of the old release as young as those of the new one, for
    a process that warms up needs more. `fail` where the processor time is beyond
    √`maximum_load_ratio` of theirs by the sequential test, however much of it is spent
    without any request, or the largest instance is beyond `maximum_memory_ratio` of their
    largest (and by more than 50 MB). `undecided` before the second sample; `pass` says that
    nothing spoke against the release.
    """
    own = [each for each in samples if each.release == scope.new or each.instance in scope.peers]
    work = _work(own, dataset, scope)
    sizes = {
        release: max((each.memory_bytes for each in own if each.release == release), default=0)
        for release in (scope.old, scope.new)
    }
    evidence: dict[str, Any] = {
        "memory_megabytes": [round(size / MEGABYTE, 1) for size in sizes.values()],
        "intervals": len(work.old.requests),
    }
    swollen = sizes[scope.new] > max(
        gate.maximum_memory_ratio * sizes[scope.old], sizes[scope.old] + 50 * MEGABYTE
    )
    if sizes[scope.old] and swollen:
        return Answer("fail", evidence)
    if not len(work.old.requests):
        return Answer("undecided", evidence)
    path = _needs_more(work, math.sqrt(gate.maximum_load_ratio))
    evidence |= {
        "cpu_seconds_per_request": [
            significant(float(side.ticks.sum()) / _TICKS / float(side.requests.sum()))
            for side in work
        ],
        "log_e": significant(float(path[-1])),
    }
    return Answer("fail" if convicts(path, levels.fail) else "pass", evidence)


class Side(NamedTuple):
    """What one release had to do between neighbouring samples, and the processor ticks for it."""

    requests: NDArray[np.float64]
    seconds: NDArray[np.float64]
    ticks: NDArray[np.float64]


class Work(NamedTuple):
    old: Side
    new: Side


def _needs_more(work: Work, ratio: float) -> NDArray[np.float64]:
    """Evidence that the new release needs more than `ratio` times the processor time.

    A process also works without requests (timers, exporters), so that where the sides have
    unequal shares of the traffic, their times per request differ though they are alike.
    Processor time is taken as proportional to requests + k · seconds of life; k is not
    known, and what counts is the least evidence over five values of it: 0, infinity, and a
    quarter, the whole and four times the old release's requests a second.
    """
    import numpy as np

    rate = float(work.old.requests.sum() / work.old.seconds.sum())
    least: NDArray[np.float64] = np.full(len(work.old.ticks), np.inf)
    for requests, seconds in (1.0, 0.0), (1.0, rate / 4), (1.0, rate), (1.0, 4 * rate), (0.0, 1.0):
        exposed = [requests * side.requests + seconds * side.seconds for side in work]
        counts = Counts(exposed[0], work.old.ticks, exposed[1], work.new.ticks)
        path = rate_is_higher(counts, ratio=ratio, dispersion=dispersion_of(counts))
        least = np.minimum(least, path)
    return least


def _work(samples: Sequence[Sample], dataset: Dataset, scope: Scope) -> Work:
    """What both releases did between neighbouring samples in which both served.

    Not where an instance began, ended or began anew meanwhile: what it spent is not known.
    """
    import numpy as np

    by_moment: dict[int, dict[str, Sample]] = {}
    for sample in samples:
        by_moment.setdefault(sample.at_ns, {})[sample.instance] = sample
    moments = sorted(by_moment)
    window = {"moments": moments, "old": scope.old, "new": scope.new, "peers": list(scope.peers)}
    asked = {row["begun"]: row for row in dataset.rows(_REQUESTS, window)} if moments else {}
    rows = []
    for begun, ended in pairwise(moments):
        spent = {scope.old: [0.0, 0.0], scope.new: [0.0, 0.0]}
        before, after = by_moment[begun], by_moment[ended]
        used = {n: after[n].cpu_seconds - before[n].cpu_seconds for n in after.keys() & before}
        if after.keys() != before.keys() or min(used.values()) < 0:
            continue
        for name, seconds in used.items():
            spent[after[name].release][0] += (ended - begun) / 1e9
            spent[after[name].release][1] += seconds * _TICKS
        served = asked.get(begun)
        if served and all((served["old"], served["new"], spent[scope.old][0], spent[scope.new][0])):
            rows.append((served["old"], *spent[scope.old], served["new"], *spent[scope.new]))
    columns = np.asarray(rows, np.float64).reshape(-1, 6).T
    return Work(Side(*columns[:3]), Side(*columns[3:]))


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
