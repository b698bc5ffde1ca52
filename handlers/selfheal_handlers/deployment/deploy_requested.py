"""Decide whether there is something to ship, and who has to agree."""

from __future__ import annotations

from collections.abc import Sequence

from selfheal.artifacts import Candidate, Diagnoses, Patch, Validation
from selfheal.config import DeployConfig, FixConfig, TestsConfig
from selfheal.contract import handler
from selfheal.delivery.plan import chosen_candidates
from selfheal.delivery.policy import Ruling, doubted, ruling_of, strictest
from selfheal_handlers.deployment import _examples
from selfheal_handlers.deployment._results import DeployRequest


@handler("deploy_requested", kind="pure", version="3", example=_examples.deploy_requested)
def deploy_requested(
    *,
    validation: Validation,
    patch: Patch,
    diagnosis: Diagnoses,
    config: DeployConfig,
    tests: TestsConfig,
    fix: FixConfig,
) -> DeployRequest:
    """The selected change, or why there is nothing to ship.

    Of several changes that were proven together, a policy may forbid some. The gravest
    of the others was proven by itself as well, and is shipped alone.
    """
    if validation.selected is None:
        return DeployRequest(
            candidate_id=None, refusal=f"no change was selected: {validation.reason}"
        )
    if config.approval == "never":
        refusal = "the policy deploy.approval is never"
        return DeployRequest(candidate_id=validation.selected, refusal=refusal)
    kinds = {each.id: each.kind for each in diagnosis.diagnoses}
    companions = [f"{tests.folder}/", fix.changelog]
    doubts = {each.diagnosis_id: each.weak_suite for each in validation.selections}
    ruled = []
    for each in chosen_candidates(validation, patch):
        ruling = ruling_of(each, kinds.get(each.diagnosis_id), config, companions)
        ruled.append((each, doubted(ruling, doubts.get(each.diagnosis_id))))
    return _request(validation.selected, ruled, {d.id: d.title for d in diagnosis.diagnoses})


def _request(
    selected: str, ruled: Sequence[tuple[Candidate, Ruling]], titles: dict[str, str]
) -> DeployRequest:
    allowed = [(each, ruling) for each, ruling in ruled if ruling.approval != "never"]
    if ruled and not allowed:
        return DeployRequest(candidate_id=selected, refusal=ruled[0][1].reason)
    if len(allowed) == len(ruled):
        rulings = [ruling for _, ruling in ruled]
        return DeployRequest(candidate_id=selected, ruling=strictest(rulings) if rulings else None)
    shipped, ruling = allowed[0]
    together = "it was proven only together with what a policy forbids; the next run takes it up"
    left_out = [
        f"{titles.get(each.diagnosis_id, each.id)}: "
        + (said.reason if said.approval == "never" else together)
        for each, said in ruled
        if each.id != shipped.id
    ]
    return DeployRequest(candidate_id=shipped.id, ruling=ruling, left_out=left_out)
