"""Operations that became slower within one release: a change point in bucket medians.

What most operations share (the host) is taken out first: each bucket is divided by the
median, over the entry operations or over the steps inside them, of how far each stands
from its own level.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from selfheal.analysis.latency import (
    BUCKETS_PER_WINDOW,
    MAX_BUCKET_SECONDS,
    MINIMUM_ENTRIES_FOR_COMMON_FACTOR,
)
from selfheal.analysis.model import ReleaseWindow
from selfheal.analysis.statistics.change_point import upward_change
from selfheal.analysis.statistics.resampling import ratio_interval
from selfheal.artifacts import Dataset
from selfheal.config import DetectConfig
from selfheal.telemetry.statistics import UNKNOWN, significant

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SERIES = f"""
SELECT operation, (start_ns - $start_ns) // $bucket_ns AS bucket, median(duration_ms) AS median_ms,
    count(*)::BIGINT AS requests,
    bool_or(kind IN ('server', 'consumer') OR parent_span_id IS NULL) AS entry
FROM spans
WHERE coalesce(service, '{UNKNOWN}') = $service AND coalesce(release, '{UNKNOWN}') = $release
    AND duration_ms IS NOT NULL AND start_ns IS NOT NULL AND db_statement IS NULL
    AND status <> 'error' AND coalesce(http_status, 0) < 500
GROUP BY ALL ORDER BY operation, bucket
"""


class Drift(NamedTuple):
    """An operation whose level may have risen at `since_ns`; `requests` came after that."""

    operation: str
    entry: bool
    p_value: float
    since_ns: int
    before_ms: float
    after_ms: float
    ratio: float
    requests: int
    levels: tuple[NDArray[np.float64], NDArray[np.float64]]

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the ratio of the medians; made when asked for, as it is dear."""
        return ratio_interval(*self.levels)

    def evidence(self) -> dict[str, Any]:
        return {
            "ratio": significant(self.ratio),
            "p_value": significant(self.p_value),
            "interval": [significant(bound) for bound in self.interval],
            "entry": self.entry,
            "before_ms": significant(self.before_ms),
            "after_ms": significant(self.after_ms),
        }


def drifts(
    dataset: Dataset, service: str, release: ReleaseWindow, config: DetectConfig
) -> list[Drift]:
    """The most likely upward step of each operation that has enough buckets, tested."""
    seconds = (release.end_ns - release.start_ns) / 1e9
    bucket = config.bucket_seconds or max(
        min(MAX_BUCKET_SECONDS, seconds / BUCKETS_PER_WINDOW), 1e-3
    )
    bucket_ns = round(bucket * 1e9)
    # Medians and counts are the same in any order of the rows.
    with dataset.connect(threads=None) as connection:
        columns = connection.execute(
            _SERIES,
            {
                "service": service,
                "release": release.version,
                "start_ns": release.start_ns,
                "bucket_ns": bucket_ns,
            },
        ).fetchnumpy()
    found = []
    for operation, series in _without_host(_series(columns)).items():
        change = upward_change(series["level"], margin=config.minimum_buckets)
        if change is not None:
            found.append(_drift(operation, series, change.at, change.p_value, release, bucket_ns))
    return found


def _series(columns: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    import numpy as np

    operations = columns["operation"]
    starts = [0, *(np.flatnonzero(operations[1:] != operations[:-1]) + 1), len(operations)]
    return {
        str(operations[first]): {
            "bucket": np.asarray(columns["bucket"][first:end], np.int64),
            "level": np.maximum(np.asarray(columns["median_ms"][first:end], np.float64), 1e-6),
            "requests": np.asarray(columns["requests"][first:end], np.int64),
            "entry": bool(np.any(columns["entry"][first:end])),
        }
        for first, end in itertools.pairwise(starts)
        if end > first
    }


def _without_host(series: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The series with the factors taken out that their like share in a bucket.

    Entries wait for more than the processor does, so that a busy host slows the steps
    inside them by another factor: the two kinds are freed each of its own.
    """
    clean = dict(series)
    for entry in (True, False):
        alike = {name: one for name, one in series.items() if one["entry"] is entry}
        if len(alike) >= MINIMUM_ENTRIES_FOR_COMMON_FACTOR:
            clean |= _without_common_factor(alike)
    return clean


def _without_common_factor(series: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    import numpy as np

    each = list(series.values())
    buckets = np.concatenate([one["bucket"] for one in each])
    distances = np.concatenate([one["level"] / np.median(one["level"]) for one in each])
    order = np.argsort(buckets, kind="stable")
    names, starts = np.unique(buckets[order], return_index=True)
    factor: dict[int, float] = {
        int(bucket): float(np.median(one))
        for bucket, one in zip(names, np.split(distances[order], starts[1:]), strict=True)
    }
    return {
        name: {
            **one,
            "level": one["level"] / np.asarray([factor[int(bucket)] for bucket in one["bucket"]]),
        }
        for name, one in series.items()
    }


def _drift(
    operation: str,
    series: Mapping[str, Any],
    at: int,
    p_value: float,
    release: ReleaseWindow,
    bucket_ns: int,
) -> Drift:
    import numpy as np

    before: NDArray[np.float64] = series["level"][:at]
    after: NDArray[np.float64] = series["level"][at:]
    first, second = float(np.median(before)), float(np.median(after))
    return Drift(
        operation=operation,
        entry=series["entry"],
        p_value=p_value,
        since_ns=release.start_ns + int(series["bucket"][at]) * bucket_ns,
        before_ms=first,
        after_ms=second,
        ratio=second / first,
        requests=int(series["requests"][at:].sum()),
        levels=(before, after),
    )
