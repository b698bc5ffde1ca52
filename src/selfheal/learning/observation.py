"""Before and after: what the living service did with the old release and with the new.

*Before* is the sick release as the run's own telemetry recorded it, *after* the new
release in live telemetry since it took all traffic. The anomaly's own detector judges
the new release against the good one that the anomaly was found against.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from selfheal.artifacts import Anomaly, Dataset
from selfheal.artifacts.dataset import write_tables
from selfheal.artifacts.model import Model
from selfheal.delivery.fleet import Fleet
from selfheal.delivery.gate import is_healed
from selfheal.learning.control import control_error_ratio, control_ratio

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

Measure = Literal["p95_ms", "error_rate"]
Judged = Literal["anomalous", "quiet", "inconclusive", "no_data"]
RESAMPLES = 500
SAMPLED = 5000
_AS_HEALED: dict[str, Judged] = {
    "pass": "quiet",
    "fail": "anomalous",
    "no_data": "no_data",
    "undecided": "inconclusive",
}


class Observation(Model):
    """The live telemetry after the rollout, beside the run's own, in one dataset."""

    dataset: Dataset | None
    new: str | None
    observed_seconds: float
    requests: int

    @property
    def summary(self) -> str:
        return f"{self.requests} requests to {self.new} in {self.observed_seconds:.0f} s"


MEASURES: dict[str, Measure] = {"error": "error_rate", "performance": "p95_ms"}
_HEALED_IN_THE_REPOSITORY = frozenset({"coverage", "documentation"})


class Comparison(Model):
    """One anomaly before and after.

    Where there is nothing to measure but the detector, `measure` is None. `good`,
    `before` and `after` are the measure in the good, the sick and the new
    release (None: no data); `counts` how many requests each rests on. `improvement` is
    the relative decrease, 1 − after / before, and `interval` its 95 % interval. `shared` is
    what the other operations' measure became in the same hours, new over sick release:
    `effect` is the decrease beyond that, with `effect_interval`. None: no control.
    `control` is by how much the other operations changed, new over good. `judgement` is
    what the anomaly's own detector says of the new release; `observable` is False for
    kinds that are healed in the repository and that no request can show.
    """

    anomaly_id: str
    service: str
    operation: str
    measure: Measure | None
    good: float | None = None
    before: float | None = None
    after: float | None = None
    counts: dict[str, int] = Field(default_factory=dict)
    improvement: float | None = None
    interval: tuple[float, float] | None = None
    shared: float | None = None
    effect: float | None = None
    effect_interval: tuple[float, float] | None = None
    control: float | None = None
    judgement: Judged
    observable: bool = True
    reason: str = ""


def observe(
    fleet: Fleet, commit: str, seconds: float, recorded: Dataset, *, run_folder: Path, scratch: Path
) -> Observation:
    """Wait until the release of `commit` has carried all traffic for `seconds`; then look.

    The dataset is written in `scratch`, its path being relative to `run_folder`.
    """
    from selfheal.telemetry import ingest

    routing = fleet.routing()
    new = next((i.release for i in routing.instances if i.commit == commit), None)
    until_ns = routing.routed_at_ns + int(seconds * 1e9)
    time.sleep(max(0.0, (until_ns - time.time_ns()) / 1e9))
    files = fleet.telemetry_since(routing.offsets, scratch / "received")
    if new is None or not files:
        return Observation(dataset=None, new=new, observed_seconds=seconds, requests=0)
    live = ingest(files, scratch, "live").dataset
    path = str((scratch / "observed").relative_to(run_folder))
    dataset = write_tables(joined_with(recorded, live, new), run_folder, path)
    for name in ("received", "live"):
        shutil.rmtree(scratch / name, ignore_errors=True)
    counted = dataset.rows(
        "SELECT count(*) AS n FROM spans WHERE release = ? AND parent_span_id IS NULL", [new]
    )
    return Observation(dataset=dataset, new=new, observed_seconds=seconds, requests=counted[0]["n"])


def joined_with(recorded: Dataset, live: Dataset, new: str) -> dict[str, pa.Table]:
    """The recorded rows, and the live ones of the release `new`, table by table.

    Live telemetry may lie where the run read its own from; no row counts twice, for
    the recorded ones of `new` are left out.
    """
    import pyarrow as pa

    joined = {}
    for name in live.tables:
        if name not in recorded.tables:
            continue
        old = recorded.arrow(f'SELECT * FROM "{name}" WHERE release IS DISTINCT FROM ?', [new])
        fresh = live.arrow(f'SELECT * FROM "{name}" WHERE release = ?', [new])
        joined[name] = pa.concat_tables([old, fresh], promote_options="permissive")
    return joined


def compare(anomaly: Anomaly, observation: Observation, healed: Collection[str] = ()) -> Comparison:
    """One anomaly before and after, judged by its own detector.

    `healed` are all operations that the change shall heal; the others are the control.
    """
    measure = MEASURES.get(anomaly.kind)
    common: dict[str, Any] = {
        "anomaly_id": anomaly.id,
        "service": anomaly.service,
        "operation": anomaly.operation,
        "measure": measure,
    }
    if anomaly.kind in _HEALED_IN_THE_REPOSITORY:
        return Comparison(
            **common,
            judgement="no_data",
            observable=False,
            reason=f"what heals {anomaly.kind} is in the repository; no request shows it",
        )
    window = anomaly.detector.window
    dataset, new = observation.dataset, observation.new
    good, sick = window.baseline_release, window.candidate_release
    if dataset is None or new is None or sick is None:
        return Comparison(**common, judgement="no_data", reason="nothing was observed")
    measured = measures_of(anomaly, dataset, {"good": good, "before": sick, "after": new}, healed)
    if good is not None:
        return Comparison(
            **common, **measured, **_against_good(anomaly, dataset, good, new, healed)
        )
    state, _ = is_healed(anomaly, dataset, sick, new)
    return Comparison(
        **common,
        **measured,
        judgement=_AS_HEALED[state],
        reason=f"release {new} against release {sick}",
    )


def measures_of(
    anomaly: Anomaly,
    dataset: Dataset,
    releases: Mapping[str, str | None],
    healed: Collection[str],
) -> dict[str, Any]:
    """The anomaly's measure in the releases ``good``, ``before`` and ``after``, as `Comparison`
    has it; nothing for kinds that have no measure but the detector.

    What the operations outside of `healed` share of the change is no effect of it
    (difference in differences, on ratios).
    """
    known = {role: release for role, release in releases.items() if release is not None}
    if anomaly.kind not in MEASURES or not {"before", "after"} <= set(known):
        return {}
    figures = _errors if anomaly.kind == "error" else _latency
    with dataset.connect() as connection:
        measured = figures(connection, anomaly, known)
    if measured.get("improvement") is None:
        return measured
    others = {*healed, anomaly.operation}
    before, after = known["before"], known["after"]
    shared = (
        control_ratio(dataset, anomaly, before, after, measure="p95", healed=others)
        if anomaly.kind == "performance"
        else control_error_ratio(dataset, anomaly, before, after, healed=others)
    )
    if not shared:
        return measured
    low, high = measured["interval"]
    return measured | {
        "shared": shared,
        "effect": 1 - (1 - measured["improvement"]) / shared,
        "effect_interval": (1 - (1 - low) / shared, 1 - (1 - high) / shared),
    }


def _against_good(
    anomaly: Anomaly, dataset: Dataset, good: str, new: str, healed: Collection[str]
) -> dict[str, Any]:
    """The detector's judgement; a slowness that the control shares is not the operation's own."""
    from selfheal.analysis import allowed_ratio, judge_healed

    judgement = judge_healed(anomaly, dataset, good=good, healed=new)
    found: dict[str, Any] = {"judgement": judgement.state, "reason": judgement.reason}
    floor = allowed_ratio(anomaly)
    if judgement.state not in ("anomalous", "inconclusive") or floor is None:
        return found
    evidence = judgement.evidence
    control = control_ratio(
        dataset,
        anomaly,
        good,
        new,
        measure=evidence["measure"],
        healed={*healed, anomaly.operation},
    )
    if control is None:
        return found
    # The detector has taken the common factor out already; the control has it still.
    if evidence["ratio"] * evidence["common_factor"] <= control * floor:
        measure = str(evidence["measure"]).upper()
        found["judgement"] = "quiet"
        found["reason"] = (
            f"{judgement.reason}; the {measure} of the other operations is {control:.3g} times "
            "what it was, so it is the load"
        )
    return {**found, "control": control}


def _latency(
    connection: duckdb.DuckDBPyConnection, anomaly: Anomaly, releases: dict[str, str]
) -> dict[str, Any]:
    """P95 per release, and the improvement with a percentile bootstrap interval.

    Bootstrap: Efron & Tibshirani, An Introduction to the Bootstrap, ch. 13; fixed seed.
    """
    import numpy as np

    samples = {
        role: connection.execute(
            "SELECT duration_ms FROM spans WHERE service = ? AND operation = ? AND release = ? "
            "AND duration_ms IS NOT NULL ORDER BY start_ns, span_id LIMIT ?",
            [anomaly.service, anomaly.operation, release, SAMPLED],
        ).fetchnumpy()["duration_ms"]
        for role, release in releases.items()
    }
    found: dict[str, Any] = {
        role: float(np.percentile(values, 95)) if len(values) else None
        for role, values in samples.items()
    }
    found["counts"] = {role: len(values) for role, values in samples.items()}
    if found["before"] and found["after"] is not None:
        found["improvement"] = 1 - found["after"] / found["before"]
        random = np.random.default_rng(0)
        ratios = [
            np.percentile(random.choice(samples["after"], len(samples["after"])), 95)
            / np.percentile(random.choice(samples["before"], len(samples["before"])), 95)
            for _ in range(RESAMPLES)
        ]
        low, high = np.percentile(ratios, [2.5, 97.5])
        found["interval"] = (float(1 - high), float(1 - low))
    return found


def _errors(
    connection: duckdb.DuckDBPyConnection, anomaly: Anomaly, releases: dict[str, str]
) -> dict[str, Any]:
    """The share of an operation's requests that raise this exception, per release."""
    counted = {
        role: connection.execute(
            """
            WITH entries AS (
                SELECT DISTINCT trace_id FROM spans
                WHERE service = $service AND operation = $operation AND release = $release
            )
            SELECT count(*), count(*) FILTER (trace_id IN (
                SELECT trace_id FROM errors WHERE exception_type = $exception
                AND release = $release AND trace_id IS NOT NULL
            )) FROM entries
            """,
            {
                "service": anomaly.service,
                "operation": anomaly.operation,
                "release": release,
                "exception": anomaly.evidence.get("exception_type"),
            },
        ).fetchall()[0]
        for role, release in releases.items()
    }
    found: dict[str, Any] = {
        role: failed / requests if requests else None
        for role, (requests, failed) in counted.items()
    }
    found["counts"] = {role: requests for role, (requests, _) in counted.items()}
    if found["before"] and found["after"] is not None:
        found["improvement"] = 1 - found["after"] / found["before"]
        requests, failed = counted["after"]
        low, high = wilson(failed, requests)
        found["interval"] = (1 - high / found["before"], 1 - low / found["before"])
    return found


def wilson(hits: int, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % score interval of a proportion (Wilson, JASA 22, 1927)."""
    rate = hits / trials
    middle = (rate + z * z / (2 * trials)) / (1 + z * z / trials)
    half = (
        z
        / (1 + z * z / trials)
        * math.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials))
    )
    return max(0.0, middle - half), min(1.0, middle + half)
