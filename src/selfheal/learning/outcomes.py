"""What became of each candidate of a run, for the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from selfheal.artifacts import (
    Candidate,
    Deployment,
    Diagnoses,
    Diagnosis,
    Patch,
    Validation,
)
from selfheal.artifacts.patterns import EditTemplate
from selfheal.delivery.plan import shipped_candidates
from selfheal.learning.assessment import Assessments
from selfheal.learning.ledger import SHIPPED, Outcome, Use, blank_pattern

# A verdict of `error` or `not_run` says nothing about the pattern.
_JUDGED = frozenset({"passed", "failed", "timed_out"})


def uses_of(
    run_id: str,
    *,
    patch: Patch,
    diagnoses: Diagnoses,
    validation: Validation,
    deployment: Deployment,
    assessments: Assessments | None,
    templates: Mapping[str, list[EditTemplate]] | None = None,
) -> list[Use]:
    """One use for each candidate that was judged, in the order of patch.json.

    `templates` are those of shipped candidates, by their ids.
    """
    verdicts = {result.candidate_id: result.verdict for result in validation.results}
    causes = {diagnosis.id: diagnosis for diagnosis in diagnoses.diagnoses}
    sent = [candidate.id for candidate in shipped_candidates(deployment, validation, patch)]
    commits = shipped_commits(sent, deployment)
    still_sick = {
        assessment.anomaly_id
        for assessment in (assessments.verdicts if assessments else [])
        if assessment.verdict == "failed"
    }
    uses = []
    for candidate in patch.candidates:
        diagnosis = causes.get(candidate.diagnosis_id)
        if diagnosis is None or verdicts.get(candidate.id) not in _JUDGED:
            continue
        outcome: Outcome = "validated" if verdicts[candidate.id] == "passed" else "failed"
        if candidate.id in commits and outcome == "validated":
            outcome = _shipped(diagnosis, deployment, still_sick)
        use = _use(run_id, candidate, diagnosis, outcome)
        if outcome in SHIPPED:
            use = use.model_copy(
                update={
                    "commit": commits[candidate.id],
                    "pull_request": deployment.pull_request and deployment.pull_request.number,
                    "templates": (templates or {}).get(candidate.id, []),
                }
            )
        uses.append(use)
    return uses


def shipped_commits(sent: Sequence[str], deployment: Deployment) -> dict[str, str | None]:
    """The commit of each candidate that was sent: its own, else the merge."""
    merged = deployment.merge.commit if deployment.merge else None
    own = len(deployment.commits) == len(sent)
    return dict(zip(sent, deployment.commits if own else [merged] * len(sent), strict=True))


def _use(run_id: str, candidate: Candidate, diagnosis: Diagnosis, outcome: Outcome) -> Use:
    return Use(
        pattern=blank_pattern(candidate, diagnosis),
        run_id=run_id,
        candidate_id=candidate.id,
        operation=diagnosis.operation,
        outcome=outcome,
    )


def _shipped(diagnosis: Diagnosis, deployment: Deployment, still_sick: set[str]) -> Outcome:
    if deployment.merge is None or not deployment.merge.merged:
        return "validated"
    if deployment.outcome == "rolled_back":
        return _rolled_back(diagnosis, deployment)
    return "ineffective" if still_sick & set(diagnosis.anomaly_ids) else "merged"


def _rolled_back(diagnosis: Diagnosis, deployment: Deployment) -> Outcome:
    """A gate that failed convicts; one that could not decide says nothing of the pattern.

    Where only detectors of other causes failed, this change went back as a companion.
    """
    failing: Mapping[str, str] = {}
    if deployment.rollout:
        failing = {
            question: state
            for question, state in deployment.rollout[-1].gate.judgements.items()
            if state == "fail"
        }
    guards = [question for question in failing if not question.startswith("anomaly-")]
    own = [question for question in failing if question in diagnosis.anomaly_ids]
    # Without a single gate the new release never got healthy.
    return "rolled_back" if guards or own or not deployment.rollout else "validated"
