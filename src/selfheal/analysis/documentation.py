"""Documents that tell another story than production.

A document promises an operation that production does not show: that counts where the
code does not name its path either, for an operation that nobody asked for is not gone.
The reverse: production serves an operation, or is sent a parameter, that the documents
do not name, though they do name others. Flags of the project's own command count as
promised where the code does not name them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from selfheal.analysis.documented_code import EXAMPLE, Claim, Drift
from selfheal.analysis.model import Comparison, DetectionData, Findings
from selfheal.analysis.promises import METHODS, DocumentedOperation, Promises, alike, parts
from selfheal.artifacts import Anomaly, Dataset
from selfheal.artifacts.anomalies import Detector
from selfheal.artifacts.canonical import short_id
from selfheal.config import DetectConfig
from selfheal.telemetry.statistics import UNKNOWN, iso

DETECTOR = "documentation"
# Documents that name fewer operations do not claim to name all.
MINIMUM_DOCUMENTED = 3
# A parameter in fewer of an operation's requests may be a visitor's own invention.
MINIMUM_SHARE = 0.05

_SHOWN = f"""
SELECT operation, any_value(http_method) AS method,
    coalesce(any_value(http_route), any_value(http_path)) AS path, count(*)::BIGINT AS requests
FROM spans
WHERE coalesce(service, '{UNKNOWN}') = $service AND coalesce(release, '{UNKNOWN}') = $candidate
    AND (kind = 'server' OR parent_span_id IS NULL) AND coalesce(http_status, 0) < 400
GROUP BY operation ORDER BY operation
"""
_PARAMETERS = f"""
SELECT operation, name, count(*)::BIGINT AS requests FROM (
    SELECT operation, unnest(list_distinct([split_part(pair, '=', 1)
        FOR pair IN string_split(ltrim(http_query, '?'), '&')])) AS name
    FROM spans
    WHERE coalesce(service, '{UNKNOWN}') = $service AND coalesce(release, '{UNKNOWN}') = $candidate
        AND kind = 'server' AND http_query <> '' AND coalesce(http_status, 0) < 400
) WHERE name <> '' GROUP BY ALL ORDER BY ALL
"""

Contradiction = (
    Literal[
        "operation not shown",
        "operation not documented",
        "parameter not documented",
        "flag not in code",
        "flow step not shown",
        "flow order not shown",
        "flow not documented",
    ]
    | Drift
)


class Shown(NamedTuple):
    """An operation as production shows it."""

    operation: str
    method: str
    path: tuple[str, ...]
    requests: int

    def fits(self, documented: DocumentedOperation) -> bool:
        return self.method == documented.method and alike(self.path, parts(documented.path))


def detect_documentation(data: DetectionData, config: DetectConfig) -> Findings:
    """What documents and production tell differently, for every service whose code is known."""
    anomalies: list[Anomaly] = []
    for comparison in data.comparisons:
        promises = data.promises.get(comparison.service)
        if promises is not None:
            anomalies += _contradictions(data.dataset, comparison, promises, config)
    return Findings(anomalies=anomalies)


def shown_operations(dataset: Dataset, comparison: Comparison) -> list[Shown]:
    """The operations over HTTP that the judged release answered."""
    values = {"service": comparison.service, "candidate": comparison.candidate.version}
    found = []
    for row in dataset.rows(_SHOWN, values):
        method, path = row["method"], row["path"]
        first, _, rest = row["operation"].partition(" ")
        if first in METHODS and rest.startswith("/"):
            method, path = first, rest
        if method and path:
            found.append(Shown(row["operation"], method, parts(path), row["requests"]))
    return found


def _contradictions(
    dataset: Dataset, comparison: Comparison, promises: Promises, config: DetectConfig
) -> Iterator[Anomaly]:
    yield from _of_claims(comparison, promises)
    shown = shown_operations(dataset, comparison)
    release = comparison.candidate.version
    for one in promises.operations if shown else ():
        if not one.in_code and not any(other.fits(one) for other in shown):
            yield documentation_anomaly(
                comparison, "operation not shown", one.name, one.file, one.line, 0,
                f"{one.file}:{one.line} names {one.name}, which {release} neither shows nor has in its code",
            )  # fmt: skip
    for flag in promises.flags:
        if not flag.in_code:
            yield documentation_anomaly(
                comparison, "flag not in code", flag.flag, flag.file, flag.line, 0,
                f"{flag.file}:{flag.line} names {flag.flag} of {flag.command}, which the code does not know",
            )  # fmt: skip
    if len(promises.operations) < MINIMUM_DOCUMENTED:
        return
    files = sorted({one.file for one in promises.operations})
    for other in shown:
        named = any(other.fits(one) for one in promises.operations)
        if not named and other.requests >= config.minimum_traces:
            yield documentation_anomaly(
                comparison, "operation not documented", other.operation, files[0], None, other.requests,
                f"{other.operation} served {other.requests} requests of {release}; {', '.join(files)} "
                f"{'name' if len(files) > 1 else 'names'} {len(promises.operations)} operations and not this one",
            )  # fmt: skip
    yield from _parameters(dataset, comparison, promises, shown, config)


def _of_claims(comparison: Comparison, promises: Promises) -> Iterator[Anomaly]:
    """What is said wrongly of one function or constant, once however many places say it."""
    seen: set[tuple[str, str, str]] = set()
    for claim in promises.claims:
        key = (claim.drift, claim.subject, claim.name)
        if key in seen:
            continue
        seen.add(key)
        yield documentation_anomaly(
            comparison, claim.drift, claim.name, claim.file, claim.line, 0,
            _sentence(claim),
            operation=claim.subject,
            facts=claim.model_dump(exclude={"drift", "name", "file", "line"}),
        )  # fmt: skip


def _sentence(claim: Claim) -> str:
    told, actual = (" ".join(each.split()) for each in (claim.told, claim.actual))
    place = f"{claim.file}:{claim.line}"
    if claim.drift == EXAMPLE:
        return f"{place}: the example {claim.subject} prints {actual}; {told} is told"
    about = f" of {claim.subject}" if claim.subject != claim.name else ""
    return f"{place} tells of {claim.name}{about}: {told}; the code has {actual}"


def _parameters(
    dataset: Dataset,
    comparison: Comparison,
    promises: Promises,
    shown: list[Shown],
    config: DetectConfig,
) -> Iterator[Anomaly]:
    values = {"service": comparison.service, "candidate": comparison.candidate.version}
    by_name = {one.operation: one for one in shown}
    for row in dataset.rows(_PARAMETERS, values):
        operation = by_name.get(row["operation"])
        documented = [one for one in promises.operations if operation and operation.fits(one)]
        if operation is None or not documented:
            continue
        known = {name for one in documented for name in one.parameters}
        least = max(config.minimum_traces, MINIMUM_SHARE * operation.requests)
        if row["name"] in known or row["requests"] < least:
            continue
        place = documented[0]
        yield documentation_anomaly(
            comparison, "parameter not documented", row["name"], place.file, place.line, row["requests"],
            f"{operation.operation} got the parameter {row['name']} in {row['requests']} of "
            f"{operation.requests} requests; {place.file}:{place.line} does not name it",
            operation=operation.operation,
        )  # fmt: skip


def documentation_anomaly(
    comparison: Comparison,
    contradiction: Contradiction,
    name: str,
    file: str,
    line: int | None,
    count: int,
    title: str,
    *,
    operation: str | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Anomaly:
    """The anomaly of one contradiction, at `file:line` of the document.

    `facts` join the evidence: what a repair needs to know beside the name.
    """
    evidence: dict[str, Any] = {
        "contradiction": contradiction,
        "name": name,
        "file": file,
        "line": line,
        "requests": comparison.candidate.requests,
        **(facts or {}),
    }
    return Anomaly(
        id=short_id("anomaly", DETECTOR, comparison.service, contradiction, operation, name),
        kind="documentation",
        service=comparison.service,
        operation=operation or name,
        severity="low",
        score=0.5,
        title=title,
        first_seen=iso(comparison.candidate.start_ns),
        last_seen=iso(comparison.candidate.end_ns),
        count=count,
        detector=Detector(
            name=DETECTOR,
            parameters={"contradiction": contradiction, "name": name},
            window=comparison.window,
        ),
        evidence=evidence,
    )
