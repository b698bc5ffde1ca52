"""The proof of added tests: the detector of untested code on the suite's own coverage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from selfheal.artifacts import Anomaly, Candidate
from selfheal.artifacts.validation import Check
from selfheal.sandbox.bench import Bench
from selfheal.sandbox.evidence import Subject
from selfheal.sandbox.oracle import detector_check, judge_all
from selfheal.telemetry import ingest

BAD = "bad"


def prove_tests(
    bench: Bench,
    subject: Subject,
    candidate: Candidate,
    anomalies: Mapping[str, Anomaly],
    *,
    folder: Path,
) -> list[Check]:
    """The checks ``detector`` and ``speed`` of a candidate that adds tests.

    The suite's coverage without the candidate and that of its new test are ingested as
    production's coverage reports are, and the anomaly's detector is asked about both.
    """
    speed = Check(
        name="speed", verdict="unavailable", summary="only tests are added", required=False
    )
    folder.mkdir(parents=True, exist_ok=True)
    reports = {BAD: folder / f"coverage-{BAD}.json"}
    reports[candidate.id] = folder / f"coverage-{candidate.id}.json"
    if not reports[BAD].exists():
        bench.coverage_report(subject.bad_commit, None, (), reports[BAD])
    added = (subject.test,) if subject.test else ()
    bench.coverage_report(candidate.base_commit, candidate.patch, added, reports[candidate.id])
    missing = [name for name, report in reports.items() if not report.exists()]
    if missing:
        why = "coverage of the suite cannot be measured"
        return [Check(name="detector", verdict="unavailable", summary=why), speed]
    dataset = ingest(list(reports.values()), folder, f"dataset-{candidate.id}").dataset
    own = [anomalies[name] for name in subject.anomaly_ids]
    judged = judge_all(
        own, dataset, baseline=BAD, bad=BAD, candidates=[candidate.id], round_seconds=1.0
    )
    detector = detector_check(own, judged, bad=BAD, candidate=candidate.id, absent={}, broken=0)
    return [detector, speed]
