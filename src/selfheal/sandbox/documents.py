"""The proof of repaired documents: their detector, on the documents and code of both trees."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from selfheal.analysis.documented_code import EXAMPLE, OMITTED
from selfheal.analysis.promise_judge import (
    contradictions,
    in_words,
    judge_promises,
    shown_by,
    told_of_code,
)
from selfheal.analysis.promises import Promises, read_promises, wanted
from selfheal.artifacts import Anomaly, Candidate
from selfheal.artifacts.validation import Check, CheckVerdict
from selfheal.sandbox.bench import Bench
from selfheal.sandbox.checks import listed
from selfheal.sandbox.evidence import Subject
from selfheal.sandbox.examples import broken_examples, with_examples
from selfheal.sandbox.worktree import Worktree


def prove_document(
    bench: Bench,
    subject: Subject,
    candidate: Candidate,
    anomalies: Mapping[str, Anomaly],
    *,
    folder: Path,  # noqa: ARG001
) -> list[Check]:
    """The checks ``detector`` and ``speed`` of a candidate that mends a document.

    Passed where each contradiction is found without the candidate and not with it, no new
    one comes, and nothing that was told of the code and is in it is lost.
    """
    own = [anomalies[name] for name in subject.anomaly_ids]
    run = any(each.detector.parameters.get("contradiction") == EXAMPLE for each in own)
    before = _promises(bench, candidate.base_commit, None, run=run)
    after = _promises(bench, candidate.base_commit, candidate.patch, run=run)
    speed = Check(
        name="speed", verdict="unavailable", summary="only documents are changed", required=False
    )
    return [_judged(own, before, after), speed]


def _judged(own: list[Anomaly], before: Promises, after: Promises) -> Check:
    fired = [each for each in own if judge_promises(each, before).state == "anomalous"]
    still = [judge_promises(each, after) for each in fired]
    remaining = [each.reason for each in still if each.state != "quiet"]
    shown = {name for each in own for name in shown_by(each)}
    new = sorted(
        set(contradictions(after, shown))
        - set(contradictions(before, shown))
        - _noticed_now(before, after)
    )
    lost = sorted(set(told_of_code(before)) - set(told_of_code(after)))
    counts = {"fired_before": len(fired), "fire_after": len(remaining)}
    verdict: CheckVerdict = "failed"
    if not fired:
        verdict, why = "unavailable", "the documents of this commit show no such contradiction"
    elif remaining:
        why = f"with it, {listed(remaining)}"
    elif new:
        why = f"it tells of what the code does not have: {listed(new)}"
    elif lost:
        why = f"it no longer tells of {listed(lost)}"
    else:
        verdict = "passed"
        told = judge_promises(fired[0], before).reason
        why = f"without it, {told}; with it, {still[0].reason}"
    return Check(name="detector", verdict=verdict, summary=why, counts=counts)


def _noticed_now(before: Promises, after: Promises) -> set[str]:
    """Parameters that a docstring passed over before: only beside sound entries is it noticed."""
    unsound = {(each.file, each.subject) for each in before.claims}
    return {
        in_words(each)
        for each in after.claims
        if each.drift == OMITTED and (each.file, each.subject) in unsound
    }


def _promises(bench: Bench, commit: str, patch: str | None, *, run: bool) -> Promises:
    """What a tree promises; `run` says whether its examples are run too."""
    with bench.checkout(commit, patch) as worktree:
        files = worktree.git("ls-files", "-z").split("\0")
        texts = {
            path: text
            for path in wanted(filter(None, files))
            if (text := _text(worktree, path)) is not None
        }
        broken = broken_examples(worktree.path, bench.tests, with_examples(texts)) if run else []
    promises = read_promises(commit, texts, None)
    return promises.model_copy(update={"claims": [*promises.claims, *broken]})


def _text(worktree: Worktree, path: str) -> str | None:
    file = worktree.path / path
    if file.is_symlink() or not file.is_file():
        return None
    return file.read_bytes().decode("utf-8", "replace")
