"""The last point of the causal proof of a suspect commit: the bad release with the fix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfheal.artifacts import Diagnoses, Validation
from selfheal.artifacts.validation import CausalProof, Result
from selfheal.diagnosis.conviction import Outcome, with_fix


def with_causes(validation: Validation, diagnosis: Diagnoses) -> Validation:
    """The selections with the proof of their diagnosis's suspect commit, where it has one.

    The first three points are of the diagnose phase. The fourth is settled by what shows the
    trouble, run with the fix that was chosen; without one it is not asked.
    """
    known = {each.id: each.evidence.get("conviction") or {} for each in diagnosis.diagnoses}
    results = {each.candidate_id: each for each in validation.results}
    selections = []
    for each in validation.selections:
        chosen = results.get(each.candidate_id) if each.candidate_id else None
        cause = _cause(known.get(each.diagnosis_id, {}), chosen)
        selections.append(each.model_copy(update={"cause": cause}))
    return validation.model_copy(update={"selections": selections})


def _cause(known: Mapping[str, Any], chosen: Result | None) -> CausalProof | None:
    if not known.get("commit"):
        return None
    found = with_fix(known, _outcome(chosen)) if chosen is not None else None
    points = {name: known.get(name) for name in ("good", "bad", "without_commit")}
    return CausalProof(
        commit=known["commit"],
        reproducer=known["reproducer"],
        **points,
        with_fix=found.with_fix if found else None,
        convicted=found.convicted if found else False,
        reason=found.reason if found else "no fix was found to complete the proof",
    )


def _outcome(result: Result) -> Outcome:
    """What shows the trouble says with the fix: its test, else the anomaly's own detector."""
    checks = {check.name: check.verdict for check in result.checks}
    for name in ("regression_test", "detector"):
        if checks.get(name) == "passed":
            return "ok"
        if checks.get(name) == "failed":
            return "anomalous"
    return "unavailable"
