"""Which candidates are proven, and on which recorded requests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from selfheal.artifacts import Anomalies, Anomaly, Dataset, Diagnoses, Diagnosis, Model, Patch
from selfheal.artifacts.patch import RecordedRequest, Reproducer
from selfheal.repair.problem import OF_FILES
from selfheal.sandbox.evidence import Subject, Untested

# Enough to see an operation's variety, few enough to be replayed many times.
SESSIONS = 4
LOOKED_AT = 60


class Planned(Model):
    """One diagnosis: candidates in the order of rank, and those beyond the limit."""

    diagnosis_id: str
    candidate_ids: list[str]
    left_out: list[str]


class Plan(Model):
    """Every diagnosis that has candidates, gravest first."""

    diagnoses: list[Planned]

    @property
    def summary(self) -> str:
        count = sum(len(planned.candidate_ids) for planned in self.diagnoses)
        return f"{count} candidates for {len(self.diagnoses)} diagnoses"


def plan(patch: Patch, diagnosis: Diagnoses, limit: int) -> Plan:
    """At most `limit` candidates of each diagnosis, best rank first."""
    planned = []
    for each in diagnosis.diagnoses:
        own = [candidate for candidate in patch.candidates if candidate.diagnosis_id == each.id]
        ids = [candidate.id for candidate in sorted(own, key=lambda c: (c.rank, c.id))]
        if ids:
            planned.append(
                Planned(diagnosis_id=each.id, candidate_ids=ids[:limit], left_out=ids[limit:])
            )
    return Plan(diagnoses=planned)


def subjects(
    plan: Plan, patch: Patch, diagnosis: Diagnoses, anomalies: Anomalies, dataset: Dataset
) -> list[Subject]:
    """The planned diagnoses with their commits, regression tests and recorded sessions."""
    diagnoses = {each.id: each for each in diagnosis.diagnoses}
    known = {anomaly.id: anomaly for anomaly in anomalies.anomalies}
    bases = {candidate.id: candidate.base_commit for candidate in patch.candidates}
    found = []
    for planned in plan.diagnoses:
        each = diagnoses[planned.diagnosis_id]
        own = [known[name] for name in each.anomaly_ids if name in known]
        reproducer = patch.reproducers.get(each.id, Reproducer())
        found.append(
            Subject(
                diagnosis_id=each.id,
                kind=each.kind,
                operation=each.operation,
                anomaly_ids=[anomaly.id for anomaly in own],
                candidate_ids=planned.candidate_ids,
                left_out=planned.left_out,
                bad_commit=bases[planned.candidate_ids[0]],
                good_commit=each.good_commit,
                test=_node_id(reproducer),
                tests=reproducer.tests,
                test_unavailable=reproducer.unavailable,
                untold=reproducer.untold,
                sessions=[] if each.kind in OF_FILES else sessions(each, own, reproducer, dataset),
                untested=_untested(each),
            )
        )
    return found


def _untested(diagnosis: Diagnosis) -> list[Untested]:
    if diagnosis.kind != "coverage":
        return []
    return [
        Untested(file=place.file, function=place.function, line=place.line)
        for place in diagnosis.locations
    ]


def sessions(
    diagnosis: Diagnosis, anomalies: Sequence[Anomaly], reproducer: Reproducer, dataset: Dataset
) -> list[list[RecordedRequest]]:
    """Recorded sessions to replay: the reproducer's first, then some of the operation.

    Of the bad release's requests those with distinct targets are preferred, the
    shortest sessions first; an error's own traces come before others.
    """
    from selfheal.telemetry.requests import recorded_requests

    release = next((each.detector.window.candidate_release for each in anomalies), None)
    traces = [trace for each in anomalies for trace in each.evidence.get("trace_ids", [])]
    found: list[list[RecordedRequest]] = [list(reproducer.requests)] if reproducer.requests else []
    for trace in traces[:SESSIONS]:
        found += recorded_requests(dataset, trace_id=str(trace), limit=1)
    failing = _distinct(found)[: SESSIONS // 2 if diagnosis.kind == "error" else 1]
    others: list[list[RecordedRequest]] = []
    for operation in _entries(diagnosis, anomalies):
        others += recorded_requests(dataset, operation=operation, release=release, limit=LOOKED_AT)
    sound = [each for each in others if (each[-1].status or 200) < 500]
    pool = sorted(sound or others, key=len)
    return _distinct([*failing, *pool])[:SESSIONS]


def _entries(diagnosis: Diagnosis, anomalies: Iterable[Anomaly]) -> list[str]:
    """The entry operations of a diagnosis: its own, or its anomalies' entries."""
    entries = [each.operation for each in anomalies if each.evidence.get("entry") is True]
    return list(dict.fromkeys([*entries, diagnosis.operation]))


def _distinct(found: Iterable[list[RecordedRequest]]) -> list[list[RecordedRequest]]:
    seen: dict[tuple[str, str, str, str | None], list[RecordedRequest]] = {}
    for session in found:
        last = session[-1]
        seen.setdefault((last.method, last.path, last.query, last.body), session)
    return list(seen.values())


def _node_id(reproducer: Reproducer) -> str | None:
    if reproducer.test_file is None or reproducer.test_name is None:
        return None
    if not reproducer.test_name:
        return reproducer.test_file
    return f"{reproducer.test_file}::{reproducer.test_name}"
