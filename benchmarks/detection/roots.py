"""Which service: generated graphs of services, one of which is at fault, or none.

A request enters at one service and goes down a random tree of calls. The fault begins at
60 % of the window: the service at fault gets slower, fails (what calls it fails with it),
or saturates: a gauge climbs, it logs a new error and gets somewhat slower. Every service
has noise, log messages and gauges of its own; callers wait for those that they call, so
that slowness and failures show all the way up. In half of the graphs the fault comes
with a release of its service, in the others no release is told.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from benchmarks.detection.datasets import START, write
from benchmarks.detection.report import Goal, percent, table
from selfheal.analysis.aggregate import aggregate
from selfheal.analysis.errors import detect_errors
from selfheal.analysis.messages import detect_messages
from selfheal.analysis.metrics import detect_metrics
from selfheal.analysis.model import DetectionData
from selfheal.analysis.performance import detect_performance
from selfheal.analysis.releases import compare
from selfheal.config import DetectConfig

SECONDS = 4000
REQUESTS = 1200
INTERVAL = 10
SECOND = 1_000_000_000
BEGINS = 0.6
Fault = Literal["slow", "failing", "saturated"]
FAULTS: tuple[Fault, ...] = ("slow", "failing", "saturated")


class Graph(NamedTuple):
    """`calls[n]` are the services that service n calls; `own_ms` the time that each needs itself."""

    calls: list[list[int]]
    own_ms: list[float]

    @property
    def names(self) -> list[str]:
        return [f"service-{number}" for number in range(len(self.calls))]


class Case(NamedTuple):
    graph: Graph
    fault: Fault | None
    root: int
    released: bool


class Columns:
    """Rows of a table, column by column."""

    def __init__(self, *names: str) -> None:
        self.columns: dict[str, list[Any]] = {name: [] for name in names}

    def add(self, *values: Any) -> None:
        for column, value in zip(self.columns.values(), values, strict=True):
            column.append(value)


def graph(generator: np.random.Generator) -> Graph:
    """A tree of 5 to 12 services with a few more calls across it."""
    count = int(generator.integers(5, 13))
    calls: list[list[int]] = [[] for _ in range(count)]
    for number in range(1, count):
        calls[int(generator.integers(max(0, number - 3), number))].append(number)
    for _ in range(count // 4):
        a, b = sorted(generator.choice(count, 2, replace=False).tolist())
        if b not in calls[a]:
            calls[a].append(b)
    return Graph(calls, generator.uniform(2, 20, count).tolist())


class Recorder:
    """Plays requests through a graph and notes what each service would tell."""

    def __init__(self, case: Case, generator: np.random.Generator) -> None:
        self.case = case
        self.generator = generator
        self.spans = Columns("trace_id", "span_id", "parent_span_id", "service", "release",
                             "operation", "kind", "start_ns", "end_ns", "duration_ms", "status",
                             "http_status")  # fmt: skip
        self.logs = Columns("time_ns", "severity", "body", "logger", "service", "release",
                            "trace_id")  # fmt: skip
        self.errors = Columns("time_ns", "service", "release", "operation", "trace_id", "span_id",
                              "exception_type", "frames", "fingerprint", "handled")  # fmt: skip
        self.metrics = Columns("time_ns", "service", "release", "name", "kind", "value")
        self.count = 0

    def release(self, service: int, late: bool) -> str | None:
        if not self.case.released:
            return None
        return "1.1" if late and service == self.case.root else "1.0"

    def request(self, number: int, at: float) -> None:
        self._call(0, None, f"{number:032x}", at, at >= BEGINS * SECONDS)

    def _call(
        self, service: int, parent: str | None, trace: str, at: float, late: bool
    ) -> tuple[float, bool]:
        """(seconds, whether it failed) of one service and of what it calls."""
        case, generator = self.case, self.generator
        self.count += 1
        span = f"{self.count:016x}"
        sick = late and service == case.root and case.fault is not None
        own = case.graph.own_ms[service] / 1000 * generator.lognormal(0, 0.25)
        own *= {"slow": 2.5, "saturated": 1.5}.get(str(case.fault), 1.0) if sick else 1.0
        failed = bool(generator.random() < (0.3 if sick and case.fault == "failing" else 0.002))
        spent = own
        for callee in case.graph.calls[service] if not failed else ():
            lasting, broke = self._call(callee, span, trace, at + spent, late)
            spent += lasting
            failed = failed or (broke and bool(generator.random() < 0.9))
        start, end = round(START + at * SECOND), round(START + (at + spent) * SECOND)
        name = case.graph.names[service]
        release = self.release(service, late)
        self.spans.add(trace, span, parent, name, release, f"POST /{name}", "server", start, end,
                       spent * 1000, "error" if failed else "ok", 500 if failed else 200)  # fmt: skip
        if failed:
            # No exception tells where it arose: every span only says that it failed.
            self.errors.add(end, name, release, f"POST /{name}", trace, span, "HTTP 500", "[]",
                            "http-500", False)  # fmt: skip
        self.logs.add(
            start, "info", f"{name} took request {self.count}", name, name, release, trace
        )
        if generator.random() < 0.004:
            body = f"cache of {name} evicted {self.count}"
            self.logs.add(start, "warn", body, name, name, release, trace)
        if sick and case.fault == "saturated" and generator.random() < 0.15:
            body = f"pool exhausted after {spent:.3f} s"
            self.logs.add(start, "error", body, name, name, release, trace)
        return spent, failed

    def gauges(self) -> None:
        generator, case = self.generator, self.case
        for service, name in enumerate(case.graph.names):
            levels = generator.uniform(0.2, 0.5), generator.uniform(0.3, 0.6)
            for metric, level in zip(
                ("process.cpu.utilization", "pool.usage"), levels, strict=True
            ):
                noise = generator.normal(0, 0.02, SECONDS // INTERVAL)
                for place, off in enumerate(noise.tolist()):
                    at = place * INTERVAL
                    late = at >= BEGINS * SECONDS
                    sick = late and service == case.root and case.fault == "saturated"
                    value = 0.97 + off / 4 if sick and metric == "pool.usage" else level + off
                    self.metrics.add(START + at * SECOND, name, None, metric, "gauge", value)


def record(case: Case, generator: np.random.Generator) -> dict[str, dict[str, Any]]:
    recorder = Recorder(case, generator)
    for number, at in enumerate(np.sort(generator.uniform(0, SECONDS, REQUESTS)).tolist(), 1):
        recorder.request(number, at)
    recorder.gauges()
    return {
        "spans": recorder.spans.columns,
        "logs": recorder.logs.columns,
        "errors": recorder.errors.columns,
        "metrics": recorder.metrics.columns,
    }


def accused(tables: dict[str, dict[str, Any]]) -> list[str]:
    """The services in the order in which selfheal suspects them."""
    config = DetectConfig()
    with tempfile.TemporaryDirectory(prefix="selfheal-benchmark-") as folder:
        dataset = write(Path(folder), **tables)
        data = DetectionData(dataset=dataset, comparisons=compare(dataset))
        found = [
            *detect_performance(data, config).anomalies,
            *detect_errors(data, config).anomalies,
            *detect_messages(data, config).anomalies,
            *detect_metrics(data).anomalies,
        ]
        return [root.service for root in aggregate(found, data, config).roots]


def largest_ratio(tables: dict[str, dict[str, Any]]) -> list[str]:
    """The baseline: services by how much their median time or failures grew after `BEGINS`."""
    spans = tables["spans"]
    service = np.asarray(spans["service"])
    late = np.asarray(spans["start_ns"]) >= START + BEGINS * SECONDS * SECOND
    lasting, failed = np.asarray(spans["duration_ms"]), np.asarray(spans["status"]) == "error"
    grown = {}
    for name in sorted(set(spans["service"])):
        own = service == name
        time = np.median(lasting[own & late]) / np.median(lasting[own & ~late])
        failures = (failed[own & late].mean() + 0.01) / (failed[own & ~late].mean() + 0.01)
        grown[name] = max(time, failures)
    return [name for name in sorted(grown, key=lambda name: -grown[name]) if grown[name] > 1.2]


def run(count: int) -> list[Goal]:
    """`count` graphs with each fault, and as many healthy ones as with one of them, twice."""
    print(f"\nRoots: {count} graphs with each fault, {2 * count} healthy, {REQUESTS} requests each")
    generator = np.random.default_rng(11)
    kinds: list[Fault | None] = [fault for fault in FAULTS for _ in range(count)]
    kinds += [None] * (2 * count)
    methods = {"selfheal": accused, "largest ratio": largest_ratio}
    first = {(method, fault): 0 for method in methods for fault in FAULTS}
    third = dict(first)
    healthy = dict.fromkeys(methods, 0)
    for number, fault in enumerate(kinds):
        made = graph(generator)
        root = int(generator.integers(1, len(made.calls)))
        case = Case(made, fault, root, released=number % 2 == 0)
        tables = record(case, generator)
        for method, rank in methods.items():
            ranked = rank(tables)
            if fault is None:
                healthy[method] += bool(ranked)
                continue
            first[method, fault] += made.names[root] in ranked[:1]
            third[method, fault] += made.names[root] in ranked[:3]
    for method in methods:
        rows = [
            [fault, percent(first[method, fault] / count), percent(third[method, fault] / count)]
            for fault in FAULTS
        ]
        table([method, "top 1", "top 3"], rows)
        print(f"  somebody accused in {healthy[method]} of {2 * count} healthy windows")
    total = count * len(FAULTS)
    return [
        Goal("roots: first, %", 100 * sum(first["selfheal", f] for f in FAULTS) / total, "≥", 85),
        Goal("roots: in the first three, %",
             100 * sum(third["selfheal", f] for f in FAULTS) / total, "≥", 95),
        Goal("roots: accused in healthy windows, %", 100 * healthy["selfheal"] / (2 * count), "≤", 5),
    ]  # fmt: skip
