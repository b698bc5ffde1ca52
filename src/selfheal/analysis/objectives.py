"""Service level objectives: is a budget spent faster than allowed?

Every objective but throughput is a share of bad requests: slower than the target
(p95: at the most 5 % may be), failed, or not answered. The burn rate is the observed
share over the allowed one (B. Beyer et al., The Site Reliability Workbook, 2018,
chapter 5). It counts where an exact binomial test rules chance out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from selfheal.analysis.model import Comparison, DetectionData, Findings, Judgement
from selfheal.artifacts import Anomaly, Dataset
from selfheal.artifacts.anomalies import Detector, Undecided
from selfheal.artifacts.canonical import short_id
from selfheal.artifacts.model import SEVERITIES, Severity
from selfheal.config import DetectConfig, ObjectiveConfig
from selfheal.errors import ConfigurationError
from selfheal.telemetry.statistics import UNKNOWN, iso, significant

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DETECTOR = "service_level_objective"
_ALLOWED = {"p50": 0.5, "p95": 0.05, "p99": 0.01}
BUCKET_SECONDS = 300
# How long a burn rate has to last before it is as grave, in seconds.
LASTING: dict[Severity, int] = {"critical": 3600, "high": 6 * 3600, "medium": 24 * 3600}
_SHORT = 12
# The burn rate where nothing came at all.
MOST = 1000.0

_REQUESTS = f"""
SELECT count(*)::BIGINT AS requests,
    count(*) FILTER (duration_ms > $target)::BIGINT AS slow,
    count(*) FILTER (status = 'error' OR coalesce(http_status, 0) >= 500)::BIGINT AS failed,
    quantile_cont(duration_ms, $quantile) AS quantile_ms,
    min(start_ns) AS first_ns, max(start_ns) AS last_ns
FROM spans
WHERE coalesce(service, '{UNKNOWN}') = $service AND coalesce(release, '{UNKNOWN}') = $candidate
    AND (kind IN ('server', 'consumer') OR parent_span_id IS NULL)
    AND ($operation IS NULL OR operation = $operation)
"""
_BUCKETS = f"""
SELECT (start_ns - $start_ns) // {BUCKET_SECONDS * 1_000_000_000} AS bucket,
    count(*)::BIGINT AS requests, count(*) FILTER (duration_ms > $target)::BIGINT AS slow,
    count(*) FILTER (status = 'error' OR coalesce(http_status, 0) >= 500)::BIGINT AS failed
FROM spans
WHERE coalesce(service, '{UNKNOWN}') = $service AND coalesce(release, '{UNKNOWN}') = $candidate
    AND (kind IN ('server', 'consumer') OR parent_span_id IS NULL) AND start_ns IS NOT NULL
    AND ($operation IS NULL OR operation = $operation)
GROUP BY bucket ORDER BY bucket
"""


class Burst(NamedTuple):
    """The gravest window of a release: since when (ns), how fast it burned, and how likely by chance."""

    severity: Severity
    seconds: int
    start_ns: int
    burn_rate: float
    bad: int
    requests: int
    p_value: float


class Spent(NamedTuple):
    """What an objective measured: the burn rate, the value beside the target, and the p-value."""

    burn_rate: float
    observed: float
    bad: int
    requests: int
    p_value: float
    first_ns: int | None
    last_ns: int | None


def read_objectives(text: str, where: str) -> list[ObjectiveConfig]:
    """The objectives of a file: a YAML list, or a mapping with the key ``slo``.

    Raises ConfigurationError with the place of what is wrong.
    """
    import yaml
    from pydantic import TypeAdapter, ValidationError

    try:
        given: Any = yaml.safe_load(text)
        if isinstance(given, Mapping):
            given = given.get("slo", [])
        return TypeAdapter(list[ObjectiveConfig]).validate_python(given or [])
    except yaml.YAMLError as error:
        raise ConfigurationError(f"this is no YAML: {error}", where=where) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = "/".join(str(piece) for piece in first["loc"])
        raise ConfigurationError(
            f"{first['msg']}.",
            where=f"{where}#/{place}",
            hint="An objective looks like {measure: p95, target: 200, operation: GET /cart}.",
        ) from error


def detect_objectives(data: DetectionData, config: DetectConfig) -> Findings:
    """The objectives that the judged releases do not keep, over all or for a while."""
    anomalies: list[Anomaly] = []
    undecided: list[Undecided] = []
    for comparison in data.comparisons:
        promises = data.promises.get(comparison.service)
        for objective in [*config.slo, *(promises.objectives if promises else ())]:
            if objective.service not in (None, comparison.service):
                continue
            spent = measure(data.dataset, comparison, objective)
            if spent is None:
                undecided.append(_no_data(objective, comparison))
                continue
            burst = gravest_burst(data.dataset, comparison, objective, config.significance)
            missed = spent.burn_rate > 1 and spent.p_value <= config.significance
            if missed or burst is not None:
                anomalies.append(_anomaly(objective, spent, burst, comparison))
            elif spent.burn_rate > 1:
                undecided.append(_unsure(objective, spent, comparison))
    return Findings(anomalies=anomalies, undecided=undecided)


def gravest_burst(
    dataset: Dataset, comparison: Comparison, objective: ObjectiveConfig, significance: float
) -> Burst | None:
    """The gravest window of the judged release in which the budget burned as fast as that.

    None where none did, or the release is no longer than such a window: then all of it
    is the window. Each window's test is corrected for how many there are side by side.
    """
    window = comparison.candidate
    values = {**_scope(comparison, objective), "start_ns": window.start_ns}
    rows = dataset.rows(_BUCKETS, values)
    length = (window.end_ns - window.start_ns) // (BUCKET_SECONDS * 1_000_000_000) + 1
    for severity, seconds in LASTING.items():
        wanted = objective.severities.get(severity)
        size = seconds // BUCKET_SECONDS
        if wanted is None or length <= size or not rows:
            continue
        found = _fastest(rows, length, size, objective, wanted)
        if found is not None and found.p_value * length / size <= significance:
            start_ns = window.start_ns + found.start_ns
            return found._replace(severity=severity, seconds=seconds, start_ns=start_ns)
    return None


def _fastest(
    rows: Sequence[Mapping[str, Any]],
    length: int,
    size: int,
    objective: ObjectiveConfig,
    wanted: float,
) -> Burst | None:
    """Of all windows of `size` buckets that burn at least so fast, to their end, the fastest."""
    import numpy as np

    bad_name = "slow" if objective.measure in _ALLOWED else "failed"
    totals = np.zeros((2, length + 1))
    for row in rows:
        if 0 <= row["bucket"] < length:
            totals[:, row["bucket"] + 1] = row["requests"], row[bad_name]
    totals = totals.cumsum(axis=1)
    ends = np.arange(size, length + 1)

    def burn(buckets: int) -> NDArray[np.float64]:
        requests, bad = totals[:, ends] - totals[:, ends - buckets]
        wished = objective.target * buckets * BUCKET_SECONDS
        throughput = objective.measure == "throughput"
        rate: NDArray[np.float64] = np.full(len(ends), MOST if throughput else 0.0)
        over = wished if throughput else bad / max(_allowed(objective), 1e-9)
        np.divide(over, requests, out=rate, where=requests > 0)
        return np.minimum(rate, MOST)

    long = burn(size)
    lasting = np.where(burn(max(size // _SHORT, 1)) >= wanted, long, 0.0)
    place = int(lasting.argmax())
    if lasting[place] < wanted:
        return None
    end = int(ends[place])
    requests, bad = (int(one) for one in totals[:, end] - totals[:, end - size])
    if objective.measure == "throughput":
        p_value = _fewer(requests, objective.target * size * BUCKET_SECONDS)
    else:
        p_value = _more(bad, requests, _allowed(objective))
    start = (end - size) * BUCKET_SECONDS * 1_000_000_000
    return Burst("low", 0, start, float(long[place]), bad, requests, p_value)


def _allowed(objective: ObjectiveConfig) -> float:
    """The share of requests that may be bad."""
    if objective.measure == "availability":
        return 1 - objective.target
    return _ALLOWED.get(objective.measure, objective.target)


def _scope(comparison: Comparison, objective: ObjectiveConfig) -> dict[str, Any]:
    return {
        "service": comparison.service,
        "candidate": comparison.candidate.version,
        "operation": objective.operation,
        "target": objective.target,
    }


def measure(dataset: Dataset, comparison: Comparison, objective: ObjectiveConfig) -> Spent | None:
    """What the judged release spent; None where it had no such request."""
    allowed = _ALLOWED.get(objective.measure)
    (row,) = dataset.rows(
        _REQUESTS,
        {**_scope(comparison, objective), "quantile": 1 - (allowed or 0.05)},
    )
    requests, times = row["requests"], (row["first_ns"], row["last_ns"])
    if not requests:
        return None
    if objective.measure == "throughput":
        window = comparison.candidate
        rate = requests / max((window.end_ns - window.start_ns) / 1e9, 1e-9)
        p_value = _fewer(requests, objective.target * requests / rate)
        return Spent(objective.target / rate, rate, 0, requests, p_value, *times)
    if allowed is not None:
        bad, observed = row["slow"], row["quantile_ms"]
    else:
        bad, share = row["failed"], row["failed"] / requests
        observed = 1 - share if objective.measure == "availability" else share
        allowed = _allowed(objective)
    burn_rate = bad / requests / max(allowed, 1e-9)
    return Spent(burn_rate, observed, bad, requests, _more(bad, requests, allowed), *times)


def _more(bad: int, requests: int, allowed: float) -> float:
    from scipy.stats import binom

    return float(binom.sf(bad - 1, requests, min(max(allowed, 0.0), 1.0)))


def _fewer(requests: int, expected: float) -> float:
    from scipy.stats import poisson

    return float(poisson.cdf(requests, expected))


def _severity(objective: ObjectiveConfig, burn_rate: float) -> Severity:
    reached: Severity = "low"
    for severity in get_args(Severity):
        if burn_rate >= objective.severities.get(severity, float("inf")):
            reached = severity
    return reached


def _name(objective: ObjectiveConfig, comparison: Comparison) -> str:
    return objective.operation or objective.service or comparison.service


def _wanted(objective: ObjectiveConfig) -> str:
    match objective.measure:
        case "error_rate" | "availability":
            return f"{objective.measure} {100 * objective.target:g} %"
        case "throughput":
            return f"throughput {objective.target:g} a second"
        case _:
            return f"{objective.measure} {objective.target:g} ms"


def _anomaly(
    objective: ObjectiveConfig, spent: Spent, burst: Burst | None, comparison: Comparison
) -> Anomaly:
    name = _name(objective, comparison)
    reached = _severity(objective, spent.burn_rate)
    fastest = max(spent.burn_rate, burst.burn_rate if burst else 0.0)
    grave = max(reached, burst.severity if burst else reached, key=SEVERITIES.index)
    lasting = f" for {burst.seconds // 3600} h" if burst and fastest > spent.burn_rate else ""
    return Anomaly(
        id=short_id("anomaly", DETECTOR, comparison.service, name, objective.measure),
        kind="behavioral",
        service=comparison.service,
        operation=name,
        severity=grave,
        score=significant(1 - 1 / fastest),
        title=(
            f"{name} misses its objective {_wanted(objective)} in {comparison.candidate.version}: "
            f"the budget burns {fastest:.3g} times as fast as allowed{lasting}"
        ),
        first_seen=iso(burst.start_ns if lasting and burst else spent.first_ns),
        last_seen=iso(spent.last_ns),
        count=spent.bad or spent.requests,
        detector=Detector(
            name=DETECTOR,
            parameters={"objective": objective.model_dump(mode="json")},
            window=comparison.window,
        ),
        evidence={
            "violation": "objective",
            "step": name,
            "measure": objective.measure,
            "target": objective.target,
            "observed": significant(spent.observed),
            "burn_rate": significant(spent.burn_rate),
            "bad": spent.bad,
            "requests": spent.requests,
            "p_value": significant(spent.p_value),
            **({"burst": _told_burst(burst)} if burst else {}),
        },
    )


def _told_burst(burst: Burst) -> dict[str, Any]:
    return {
        "severity": burst.severity,
        "seconds": burst.seconds,
        "since": iso(burst.start_ns),
        "burn_rate": significant(burst.burn_rate),
        "bad": burst.bad,
        "requests": burst.requests,
        "p_value": significant(burst.p_value),
    }


def _no_data(objective: ObjectiveConfig, comparison: Comparison) -> Undecided:
    return Undecided(
        detector=DETECTOR,
        operation=_name(objective, comparison),
        reason=f"no data: no request tells whether {_wanted(objective)} is kept",
        needed="requests of the operation",
    )


def _unsure(objective: ObjectiveConfig, spent: Spent, comparison: Comparison) -> Undecided:
    return Undecided(
        detector=DETECTOR,
        operation=_name(objective, comparison),
        reason=(
            f"{_wanted(objective)} burns {spent.burn_rate:.3g} times as fast as allowed, which "
            f"chance explains in {spent.requests} requests (p = {spent.p_value:.2g})"
        ),
        needed="more requests",
    )


def judge_objective(dataset: Dataset, sides: Comparison, asked: Mapping[str, Any]) -> Judgement:
    """Whether the candidate of `sides` misses the objective that the anomaly keeps."""
    objective = ObjectiveConfig.model_validate(asked["objective"])
    spent = measure(dataset, sides, objective)
    if spent is None:
        return Judgement("no_data", "the operation had no requests", {})
    numbers = {"burn_rate": significant(spent.burn_rate), "requests": spent.requests}
    told = (
        f"the budget of {_wanted(objective)} burns {spent.burn_rate:.3g} times as fast as allowed"
    )
    significance = float(asked.get("significance", DetectConfig().significance))
    burst = gravest_burst(dataset, sides, objective, significance)
    if burst is not None:
        return Judgement("anomalous", told, {**numbers, "burst": _told_burst(burst)})
    if spent.burn_rate <= 1:
        return Judgement("quiet", told, numbers)
    sure = spent.p_value <= significance
    return Judgement("anomalous" if sure else "inconclusive", told, numbers)
