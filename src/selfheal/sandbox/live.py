"""The proof on a running service: the anomaly's own detector, and the operation's speed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from selfheal.artifacts import Anomaly, Candidate
from selfheal.artifacts.dataset import Dataset
from selfheal.artifacts.model import AnomalyKind
from selfheal.artifacts.patch import RecordedRequest
from selfheal.artifacts.validation import Check, CheckVerdict
from selfheal.config import ServiceConfig
from selfheal.sandbox.bench import Bench
from selfheal.sandbox.comparison import Comparison, compare
from selfheal.sandbox.dependencies import prove_dependency
from selfheal.sandbox.documents import prove_document
from selfheal.sandbox.evidence import Subject
from selfheal.sandbox.oracle import Judgements, detector_check, judge_all, may_show, undecided
from selfheal.sandbox.trial import Outcome, Trial, Variant
from selfheal.sandbox.untested import prove_tests
from selfheal.sandbox.work import Work

GOOD, BAD = "good", "bad"
# Kinds whose detector compares with the good release; the others look for occurrences.
NEEDS_GOOD = ("performance",)
ATTEMPTS = 3
CLIENT_ROUNDS = 10

# Where the interval lies decides, never the point: 10 % is what a detector's practical
# floor takes for a change, and a healed error may cost what answering costs.
FASTER, MUCH_SLOWER = 1 / 1.1, 1.5


# Added tests by the suite's coverage, requirements by imports, documents by what they say.
WITHOUT_SERVICE: Mapping[AnomalyKind, Callable[..., list[Check]]] = {
    "coverage": prove_tests,
    "dependency": prove_dependency,
    "documentation": prove_document,
}


@dataclass
class LiveProof:
    """`checks` by candidate id, and in `measured` what clocks and detectors said."""

    checks: dict[str, list[Check]] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)


def prove_live(
    bench: Bench,
    service: ServiceConfig,
    subjects: Sequence[Subject],
    candidates: Sequence[Candidate],
    anomalies: Mapping[str, Anomaly],
    *,
    folder: Path,
    measurements: str,
) -> LiveProof:
    """The checks ``detector`` and ``speed`` of every candidate, from one trial.

    `candidates` all heal all of `subjects`. The trial is prolonged up to three times
    while a detector or the clock cannot tell. `measurements` is the path that checks
    cite for the numbers in `LiveProof.measured`. Kinds that files show need no service:
    `WITHOUT_SERVICE` proves them.
    """
    running = [subject for subject in subjects if subject.kind not in WITHOUT_SERVICE]
    proof = LiveProof()
    if running:
        proof = _by_trial(bench, service, running, candidates, anomalies, folder, measurements)
    for subject in subjects:
        for candidate in candidates:
            prove = WITHOUT_SERVICE.get(subject.kind)
            if prove is not None:
                own = folder / subject.kind / subject.diagnosis_id
                made = prove(bench, subject, candidate, anomalies, folder=own)
                proof.checks.setdefault(candidate.id, []).extend(made)
    return proof


def _by_trial(
    bench: Bench,
    service: ServiceConfig,
    subjects: Sequence[Subject],
    candidates: Sequence[Candidate],
    anomalies: Mapping[str, Anomaly],
    folder: Path,
    measurements: str,
) -> LiveProof:
    sessions = [session for subject in subjects for session in subject.sessions]
    missing = None if service.start else "service.start is not configured"
    missing = missing or (None if sessions else "telemetry recorded no request to replay")
    if missing:
        return _without_service(bench, subjects, candidates, missing, measurements)
    variants = [Variant(BAD, subjects[0].bad_commit)]
    variants += [Variant(each.id, each.base_commit, each.patch) for each in candidates]
    if subjects[0].good_commit and any(each.kind in NEEDS_GOOD for each in subjects):
        variants.insert(0, Variant(GOOD, subjects[0].good_commit))
    proof = LiveProof()
    with Trial(
        bench.repository,
        folder,
        service,
        bench.tests,
        variants,
        memory_megabytes=bench.config.memory_megabytes,
    ) as trial:
        for attempt in range(1, ATTEMPTS + 1):
            outcome = trial.run(sessions, bench.config.repetitions)
            judged = _judge(outcome, subjects, candidates, anomalies)
            proof.measured = {**_report(outcome, judged), "attempts": attempt}
            speeds = _compare(outcome, subjects, candidates)
            proof.measured["speed"] = _dumped(speeds)
            if not _unclear(judged, speeds, subjects):
                break
    for candidate in candidates:
        proof.checks[candidate.id] = [
            check
            for position, subject in enumerate(subjects)
            for check in (
                detector_check(
                    [anomalies[name] for name in subject.anomaly_ids],
                    judged,
                    bad=BAD,
                    candidate=candidate.id,
                    absent=outcome.absent,
                    broken=_newly_broken(outcome, candidate.id),
                    measurements=measurements,
                ),
                _speed_check(
                    bench, subject, candidate, speeds.get((candidate.id, position)), measurements
                )
                if speeds.get((candidate.id, position)) is None
                or subject.kind != "performance"
                or _shows(judged, subject)
                else _nothing_slow(measurements),
            )
        ]
    return proof


def _judge(
    outcome: Outcome,
    subjects: Sequence[Subject],
    candidates: Sequence[Candidate],
    anomalies: Mapping[str, Anomaly],
) -> Judgements:
    dataset: Dataset | None = outcome.dataset
    asked = [anomalies[name] for subject in subjects for name in subject.anomaly_ids]
    if dataset is None or BAD not in outcome.replies:
        return {}
    return judge_all(
        asked,
        dataset,
        baseline=GOOD if GOOD in outcome.replies else BAD,
        bad=BAD,
        candidates=[each.id for each in candidates if each.id in outcome.replies],
        round_seconds=outcome.round_seconds,
    )


def _spans(subjects: Sequence[Subject]) -> list[set[int]]:
    """The numbers of each subject's sessions in the concatenated list."""
    found, start = [], 0
    for subject in subjects:
        found.append(set(range(start, start + len(subject.sessions))))
        start += len(subject.sessions)
    return found


def _compare(
    outcome: Outcome, subjects: Sequence[Subject], candidates: Sequence[Candidate]
) -> dict[tuple[str, int], Comparison | None]:
    """Per candidate and subject: the candidate's seconds over the bad release's."""
    compared = {}
    for position, numbers in enumerate(_spans(subjects)):
        for candidate in candidates:
            if candidate.id not in outcome.replies or BAD not in outcome.replies:
                continue
            sound = numbers - outcome.broken(BAD) - outcome.broken(candidate.id)
            compared[candidate.id, position] = compare(
                outcome.seconds(BAD, sound), outcome.seconds(candidate.id, sound)
            )
    return compared


def _unclear(
    judged: Judgements,
    speeds: Mapping[tuple[str, int], Comparison | None],
    subjects: Sequence[Subject],
) -> bool:
    slow = {
        position
        for position, subject in enumerate(subjects)
        if subject.kind == "performance" and _shows(judged, subject)
    }
    wide = any(
        speed is not None and position in slow and speed.low < FASTER < speed.high
        for (_, position), speed in speeds.items()
    )
    return wide or undecided(judged, BAD)


def _shows(judged: Judgements, subject: Subject) -> bool:
    return any(may_show(anomaly, judged, BAD) for anomaly in subject.anomaly_ids)


def _newly_broken(outcome: Outcome, candidate: str) -> int:
    """Sessions that the candidate breaks and the bad release does not."""
    return len(outcome.broken(candidate) - outcome.broken(BAD))


def _speed_check(
    bench: Bench,
    subject: Subject,
    candidate: Candidate,
    speed: Comparison | None,
    measurements: str | None,
) -> Check:
    before, after = _work(bench, subject, candidate)
    counts = {
        name: value
        for name, value in {
            "calls_before": before.calls,
            "calls_after": after.calls,
            "statements_before": before.statements,
            "statements_after": after.statements,
        }.items()
        if value is not None
    }

    def check(verdict: Any, summary: str, required: bool = True) -> Check:
        return Check(
            name="speed",
            verdict=verdict,
            summary=summary,
            required=required,
            counts=counts,
            measurements=measurements,
        )

    if speed is None:
        why = "no answered request to compare" if subject.sessions else "no recorded request"
        return check("unavailable", why, required=subject.kind == "performance")
    return check(*speed_verdict(subject.kind, speed, before, after))


def speed_verdict(
    kind: AnomalyKind, speed: Comparison, before: Work, after: Work
) -> tuple[CheckVerdict, str]:
    """What the interval of the clock and the counted work say of a change, and in words.

    What was slow has to be faster beyond doubt, or surely not slower with half of the work;
    anything else may not be much slower with more work.
    """
    if kind == "performance":
        if speed.high < FASTER:
            return "passed", "faster than the unpatched release, beyond doubt"
        if speed.high < 1 and _halved(before, after):
            return "passed", "faster than the unpatched release, with half of the work"
        return "failed", "not clearly faster than the unpatched release"
    if speed.low > MUCH_SLOWER and _more_work(before.calls, after.calls):
        return "failed", "much slower than the unpatched release, and more work"
    return "passed", "not slower than the unpatched release"


def _nothing_slow(measurements: str) -> Check:
    """What is not slow before cannot be shown to be faster after; a ratio would say chance."""
    why = "the unpatched release is not slow in the sandbox"
    return Check(name="speed", verdict="unavailable", summary=why, measurements=measurements)


def _work(bench: Bench, subject: Subject, candidate: Candidate) -> tuple[Work, Work]:
    """Counted work before and after; of a composition it was counted with each part."""
    if candidate.id not in subject.candidate_ids:
        return Work(), Work()
    with ThreadPoolExecutor(2) as pool:
        before = pool.submit(bench.work, subject.bad_commit, None, subject)
        after = pool.submit(bench.work, candidate.base_commit, candidate.patch, subject)
        return before.result(), after.result()


def _halved(before: Work, after: Work) -> bool:
    """Whether calls or statements fell to half, and neither grew much: a count has no noise."""
    pairs = [(before.calls, after.calls), (before.statements, after.statements)]
    known = [(old, new) for old, new in pairs if old and new is not None]
    fell = any(new <= old / 2 for old, new in known)
    return fell and not any(new > MUCH_SLOWER * old for old, new in known)


def _more_work(before: int | None, after: int | None) -> bool:
    return before is None or after is None or after > MUCH_SLOWER * before


def _without_service(
    bench: Bench,
    subjects: Sequence[Subject],
    candidates: Sequence[Candidate],
    missing: str,
    measurements: str,
) -> LiveProof:
    """Speed by the project's test client, in turn; the detector has nothing to look at."""
    proof = LiveProof(measured={"speed": {}})
    for candidate in candidates:
        checks = proof.checks.setdefault(candidate.id, [])
        checks.append(
            Check(name="detector", verdict="unavailable", summary=missing, required=False)
        )
        for subject in subjects:
            speed = _client_speed(bench, subject, candidate)
            check = _speed_check(bench, subject, candidate, speed, measurements)
            if speed is None:
                check = check.model_copy(update={"required": False, "measurements": None})
            else:
                proof.measured["speed"][candidate.id] = speed.model_dump()
            checks.append(check)
    return proof


def _client_speed(bench: Bench, subject: Subject, candidate: Candidate) -> Comparison | None:
    requests: list[RecordedRequest] = subject.sessions[0] if subject.sessions else []
    sick = bench.work(subject.bad_commit, None, subject)
    if not requests or sick.unavailable:
        return None
    before, after = _work(bench, subject, candidate)
    # A request that fails at once costs less than one that is answered.
    if (sick.status or 0) >= 500 or before.status != after.status:
        return None
    with (
        bench.checkout(subject.bad_commit) as old,
        bench.checkout(candidate.base_commit, candidate.patch) as new,
    ):
        runs = [bench.timed(tree, requests, CLIENT_ROUNDS) for tree in (old, new, new, old)]
    if not all(runs):
        return None
    first, second, third, fourth = runs
    return compare(
        [list(pair) for pair in zip(first, fourth, strict=True)],
        [list(pair) for pair in zip(second, third, strict=True)],
    )


def _report(outcome: Outcome, judged: Judgements) -> dict[str, Any]:
    """The numbers of a trial for people, by variant."""
    import numpy as np

    variants: dict[str, Any] = {}
    for name in outcome.replies:
        seconds = [value for values in outcome.seconds(name) for value in values]
        variants[name] = {"requests": len(seconds), "broken_sessions": len(outcome.broken(name))}
        if seconds:
            quantiles = np.quantile(seconds, (0.5, 0.95, 0.99))
            figures = zip(("p50_ms", "p95_ms", "p99_ms"), quantiles, strict=True)
            variants[name] |= {key: round(float(value) * 1000, 3) for key, value in figures}
    return {
        "variants": variants,
        "absent": outcome.absent,
        "detectors": {
            f"{anomaly} on {release}": {"state": answer.state, "reason": answer.reason}
            for (anomaly, release), answer in sorted(judged.items())
        },
    }


def _dumped(speeds: Mapping[tuple[str, int], Comparison | None]) -> dict[str, Any]:
    return {
        f"{candidate}, diagnosis {position + 1}": speed and speed.model_dump()
        for (candidate, position), speed in sorted(speeds.items())
    }
