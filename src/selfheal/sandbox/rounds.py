"""Taking candidates through the bar in the order of rank, until enough have passed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfheal.artifacts import Anomaly, Candidate
from selfheal.artifacts.validation import Check
from selfheal.config import ServiceConfig
from selfheal.repair.strategies import OF_PAST
from selfheal.sandbox.bench import Bench
from selfheal.sandbox.checks import coverage_check
from selfheal.sandbox.documentation import documentation_check
from selfheal.sandbox.evidence import Applied, Checked, Subject, Tested, TestedCandidate, passed
from selfheal.sandbox.live import WITHOUT_SERVICE, prove_live
from selfheal.sandbox.verdict import Choice, as_candidate

AT_ONCE = 2


@dataclass(frozen=True)
class Live:
    """What the proof on running services needs; `measured` keeps numbers under a name."""

    bench: Bench
    service: ServiceConfig
    anomalies: Mapping[str, Anomaly]
    folder: Path
    measured: Callable[[str, Mapping[str, Any]], str]


def run_in_rank_order(
    bench: Bench, subjects: Sequence[Subject], candidates: Sequence[Candidate], applied: Applied
) -> Tested:
    """Test the candidates of every diagnosis, best rank first, until enough pass.

    Once one has passed, at most `enough` more are tried, to compare it with, and the best
    revert of a hunk always, as all was well with what it brings back; a cure that the
    pattern library knows needs no comparison. Two run at a time. Which ones are tried
    depends on verdicts alone, never on which run ends first: of each diagnosis as many are
    started as still are wanted.
    """
    by_id = {candidate.id: candidate for candidate in candidates}
    with ThreadPoolExecutor(AT_ONCE) as pool, ThreadPoolExecutor(len(subjects)) as leaders:

        def lead(subject: Subject) -> dict[str, TestedCandidate]:
            queue = _sound(subject, applied)
            done: dict[str, TestedCandidate] = {}
            while queue:
                sound = [name for name, each in done.items() if passed(each.checks)]
                if any(by_id[name].is_known_cure for name in sound):
                    break
                wanted = max(0, bench.config.enough - len(sound))
                if by_id[queue[0]].is_known_cure:
                    wanted = min(wanted, 1)
                batch, queue = queue[:wanted], queue[wanted:]
                if sound:
                    if not any(by_id[name].strategy in OF_PAST for name in (*done, *batch)):
                        batch += [name for name in queue if by_id[name].strategy in OF_PAST][:1]
                    queue = []
                jobs = [
                    pool.submit(bench.prove, by_id[name], subject, applied.candidates[name].files)
                    for name in batch
                ]
                done |= {name: job.result() for name, job in zip(batch, jobs, strict=True)}
            return done

        # Every proof needs it, and starts with something else.
        for commit in sorted({subject.bad_commit for subject in subjects}):
            pool.submit(bench.baseline, commit)
        tested: dict[str, TestedCandidate] = {}
        for found in leaders.map(lead, subjects):
            tested |= found
    bases = sorted({by_id[name].base_commit for name in tested})
    forgotten = {"coverage": None, "output_tail": "", "seconds": 0.0}
    baselines = {base: bench.baseline(base).model_copy(update=forgotten) for base in bases}
    return Tested(candidates=tested, baselines=baselines)


def verify_in_rank_order(
    live: Live,
    subjects: Sequence[Subject],
    candidates: Sequence[Candidate],
    applied: Applied,
    tested: Tested,
    covered: Checked,
) -> Checked:
    """The live proof of the candidates that passed; one trial for those of a diagnosis.

    The trials of two diagnoses run at a time: what they do to each other falls on all
    variants of a trial alike. Where none of them passes, the candidates next in rank are tested and tried.
    """
    by_id = {candidate.id: candidate for candidate in candidates}

    def ready_of(subject: Subject) -> list[str]:
        return [
            name
            for name in _sound(subject, applied)
            if name in tested.candidates
            and passed(tested.candidates[name].checks)
            and passed(covered.checks.get(name, ()))
        ]

    def lead(subject: Subject) -> dict[str, list[Check]]:
        checks: dict[str, list[Check]] = {}
        ready = ready_of(subject)
        reserve = [name for name in _sound(subject, applied) if name not in tested.candidates]
        number = 1
        while ready or reserve:
            if ready:
                trial = _trial(live, [subject], [by_id[name] for name in ready], number)
                for name, made in trial.items():
                    checks.setdefault(name, []).extend(made)
                number += 1
                if any(passed(made) for made in trial.values()):
                    break
            ready = []
            if reserve:
                name, reserve = reserve[0], reserve[1:]
                files = applied.candidates[name].files
                proof = live.bench.prove(by_id[name], subject, files)
                checks[name] = list(proof.checks)
                if passed(proof.checks):
                    minimum = live.bench.config.minimum_changed_coverage
                    checks[name].append(coverage_check(proof, minimum))
                    ready = [name] if passed(checks[name]) else []
        return checks

    measured = [each for each in subjects if each.kind not in WITHOUT_SERVICE and ready_of(each)]
    for commit in sorted({subject.bad_commit for subject in measured}):
        live.bench.works(commit, None, [each for each in measured if each.bad_commit == commit])
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(lead, subjects))
    return Checked(checks={name: made for checks in found for name, made in checks.items()})


def prove_composition(
    live: Live, choice: Choice, subjects: Sequence[Subject], *, documented: bool
) -> list[Check]:
    """Every check of the choice's composition, proven as one change."""
    composition, files = choice.composition, choice.files
    if composition is None:
        return []
    healed = [
        subject
        for subject in subjects
        if set(subject.candidate_ids) & set(composition.candidate_ids)
    ]
    candidate = as_candidate(composition, files, healed[0].bad_commit)
    applied = live.bench.apply(candidate)
    checks = list(applied.checks)
    if not passed(checks):
        return checks
    checks.append(documentation_check(applied.files, applied.linked, expected=documented))
    tested = live.bench.prove_whole(candidate, healed, applied.files)
    checks += tested.checks
    if not passed(checks):
        return checks
    checks.append(coverage_check(tested, live.bench.config.minimum_changed_coverage))
    if passed(checks):
        checks += _trial(live, healed, [candidate], 1)[candidate.id]
    return checks


def _sound(subject: Subject, applied: Applied) -> list[str]:
    """The subject's candidates that apply and weaken no test, in the order of rank."""
    return [name for name in subject.candidate_ids if passed(applied.candidates[name].checks)]


def _trial(
    live: Live, subjects: Sequence[Subject], candidates: Sequence[Candidate], number: int
) -> dict[str, list[Check]]:
    of = subjects[0].diagnosis_id if len(subjects) == 1 else candidates[0].id
    name = f"validation-{of}" if number == 1 else f"validation-{of}-{number}"
    proof = prove_live(
        live.bench,
        live.service,
        subjects,
        candidates,
        live.anomalies,
        folder=live.folder / name,
        measurements=f"measurements/{name}.json",
    )
    live.measured(name, proof.measured)
    return proof.checks
