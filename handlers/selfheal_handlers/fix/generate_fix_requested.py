"""Decides which diagnoses can be repaired in this repository."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfheal.artifacts import Diagnoses, Diagnosis
from selfheal.artifacts.patch import Dropped
from selfheal.config import FixConfig
from selfheal.contract import handler
from selfheal.errors import ConfigurationError
from selfheal.repair import STRATEGY_NAMES
from selfheal_handlers.fix._examples import diagnoses
from selfheal_handlers.fix._results import FixRequest


def example(_folder: Path) -> Mapping[str, Any]:
    return {"diagnosis": diagnoses("0" * 40, "1" * 40), "config": FixConfig()}


@handler("generate_fix_requested", kind="pure", example=example)
def generate_fix_requested(diagnosis: Diagnoses, config: FixConfig) -> FixRequest:
    unknown = sorted(set(config.strategies) - set(STRATEGY_NAMES))
    if unknown:
        raise ConfigurationError(
            f"there is no strategy {unknown[0]!r}.",
            where="fix.strategies",
            hint=f"The strategies are {', '.join(STRATEGY_NAMES)}.",
        )
    reasons = {each.id: _obstacle(each) for each in diagnosis.diagnoses}
    return FixRequest(
        diagnosis_ids=[name for name, reason in reasons.items() if reason is None],
        declined=[
            Dropped(diagnosis_id=name, strategy="none", reason=reason)
            for name, reason in reasons.items()
            if reason is not None
        ],
        changelog=config.changelog,
    )


def _obstacle(diagnosis: Diagnosis) -> str | None:
    """Why a diagnosis cannot be repaired by a change of code here."""
    # What a library or a manifest causes is mended in the manifest; a sick service is not.
    of_manifest = diagnosis.kind == "dependency" and diagnosis.verdict == "dependency"
    if diagnosis.verdict != "code_cause" and not of_manifest:
        return f"the verdict is {diagnosis.verdict}: {diagnosis.reason}"
    if not diagnosis.locations:
        return "no place in the code is accused"
    if diagnosis.bad_commit is None:
        return "the commit of the sick release is not known"
    return None
