"""Which releases of which services are compared."""

from __future__ import annotations

from selfheal.analysis.model import Comparison, ReleaseWindow
from selfheal.artifacts import Dataset
from selfheal.errors import ConfigurationError
from selfheal.telemetry.statistics import UNKNOWN

_WINDOWS = f"""
WITH seen AS (
    SELECT service, release, start_ns AS time_ns, coalesce(end_ns, start_ns) AS last_ns,
        kind IN ('server', 'consumer') OR parent_span_id IS NULL AS entry
    FROM spans WHERE start_ns IS NOT NULL
    UNION ALL
    SELECT service, release, time_ns, time_ns, false FROM errors
    UNION ALL
    SELECT service, release, time_ns, time_ns, false FROM logs WHERE time_ns IS NOT NULL
    UNION ALL
    SELECT service, release, time_ns, time_ns, false FROM metrics WHERE time_ns IS NOT NULL
)
SELECT coalesce(service, '{UNKNOWN}') AS service, coalesce(release, '{UNKNOWN}') AS version,
    coalesce(min(time_ns), 0) AS start_ns, coalesce(max(last_ns), 0) AS end_ns,
    count(*) FILTER (entry) AS requests, count(time_ns) > 0 AS timed
FROM seen GROUP BY 1, 2 ORDER BY service, start_ns, version
"""


def windows(dataset: Dataset) -> dict[str, list[ReleaseWindow]]:
    """The releases of each service in the order of their first appearance."""
    found: dict[str, list[ReleaseWindow]] = {}
    for row in dataset.rows(_WINDOWS):
        found.setdefault(row.pop("service"), []).append(ReleaseWindow(**row))
    return found


def two_sides(dataset: Dataset, service: str, baseline: str, candidate: str) -> Comparison | None:
    """Two named releases of a service; None where the candidate is not there."""
    releases = {release.version: release for release in windows(dataset).get(service, ())}
    if candidate not in releases:
        return None
    return Comparison(
        service=service, baseline=releases.get(baseline), candidate=releases[candidate]
    )


def compare(
    dataset: Dataset, *, baseline: str | None = None, candidate: str | None = None
) -> list[Comparison]:
    """For each service, the release to judge and the one before it.

    By default the last two releases by their first appearance; a named one is taken
    instead. Services without the named candidate are left out. Raises
    ConfigurationError where no service has a named release.
    """
    seen = windows(dataset)
    for name in (baseline, candidate):
        _check(name, seen)
    found = []
    for service, releases in seen.items():
        pair = _pair(releases, baseline, candidate)
        if pair is not None:
            found.append(Comparison(service=service, baseline=pair[0], candidate=pair[1]))
    return found


def _pair(
    releases: list[ReleaseWindow], baseline: str | None, candidate: str | None
) -> tuple[ReleaseWindow | None, ReleaseWindow] | None:
    known = [release for release in releases if release.version != UNKNOWN] or releases
    judged = (
        [known[-1]]
        if candidate is None and known[-1].version != baseline
        else [release for release in releases if release.version == candidate]
    )
    if not judged:
        return None
    before = [
        release
        for release in (releases if baseline else known)
        if release is not judged[0] and (baseline is None or release.version == baseline)
    ]
    if baseline is None:
        before = [release for release in before if release.start_ns <= judged[0].start_ns]
    return (before[-1] if before else None), judged[0]


def _check(name: str | None, seen: dict[str, list[ReleaseWindow]]) -> None:
    versions = sorted({release.version for releases in seen.values() for release in releases})
    if name is not None and seen and name not in versions:
        raise ConfigurationError(
            f"the telemetry has no release {name!r}.",
            where="detect",
            hint=f"It has {', '.join(versions)}.",
        )
