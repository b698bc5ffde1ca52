"""The learn phase: verdicts from the same detectors, a ledger that counts once, honest silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from selfheal_handlers.learning import _examples
from selfheal_handlers.learning._results import DeploymentInfo
from selfheal_handlers.learning.assess_success import assess_success
from selfheal_handlers.learning.calculate_improvement import calculate_improvement
from selfheal_handlers.learning.compare_metrics import compare_metrics
from selfheal_handlers.learning.generate_insights import generate_insights
from selfheal_handlers.learning.load_deployment_info import load_deployment_info
from selfheal_handlers.learning.store_effectiveness import store_effectiveness
from selfheal_handlers.learning.update_learning_models import update_learning_models

from selfheal.artifacts import Patterns
from selfheal.artifacts.deployment import Gate, Merge, RolloutStep
from selfheal.artifacts.validation import Composition
from selfheal.config import LearnConfig
from selfheal.learning.assessment import improvement_of
from selfheal.learning.ledger import recorded
from selfheal.learning.library import holds, read_library
from selfheal.learning.observation import Comparison, wilson


def test_production_before_and_after_is_measured_and_judged(tmp_path: Path) -> None:
    (comparison,) = compare_metrics(**compare_metrics.example(tmp_path))
    assert (comparison.good, comparison.before, comparison.after) == (0.0, 0.1, 0.0)
    assert comparison.counts == {"good": 120, "before": 120, "after": 120}
    assert comparison.judgement == "quiet"
    (improvement,) = calculate_improvement([comparison])
    assert improvement.improvement == 1.0
    assert assess_success(LearnConfig(), [improvement]).verdict == "success"


@pytest.mark.parametrize(
    ("judgement", "after", "verdict"),
    [
        ("quiet", 0.01, "success"),
        ("quiet", 0.095, "undecided"),
        ("anomalous", 0.01, "failed"),
        ("inconclusive", 0.0, "undecided"),
        ("no_data", None, "undecided"),
    ],
)
def test_success_needs_the_detector_and_the_figure(
    judgement: Any, after: float | None, verdict: str
) -> None:
    comparison = Comparison(
        anomaly_id="a",
        service="s",
        operation="o",
        measure="error_rate",
        before=0.1,
        after=after,
        improvement=None if after is None else 1 - after / 0.1,
        judgement=judgement,
    )
    found = assess_success(LearnConfig(), [improvement_of(comparison)])
    assert found.verdict == verdict


def test_nothing_observed_is_undecided() -> None:
    assert assess_success(LearnConfig(), None).verdict == "undecided"


def outcomes(tmp_path: Path, **changes: Any) -> dict[str, str]:
    given = {**update_learning_models.example(tmp_path), **changes}
    return {use.candidate_id: use.outcome for use in update_learning_models(**given).uses}


def test_outcomes_follow_the_delivery(tmp_path: Path) -> None:
    deployed = _examples.deployment()
    assert outcomes(tmp_path) == {"candidate-1": "failed", "candidate-2": "merged"}
    unmerged = deployed.model_copy(
        update={"merge": Merge(merged=False), "outcome": "not_deployed", "rollout": []}
    )
    assert outcomes(tmp_path, deployment=unmerged)["candidate-2"] == "validated"


@pytest.mark.parametrize(
    ("judgements", "outcome"),
    [
        ({"error_rate": "fail"}, "rolled_back"),
        ({"anomaly-1": "fail"}, "rolled_back"),
        ({"anomaly-9": "fail"}, "validated"),
        ({"anomaly-1": "undecided"}, "validated"),
    ],
    ids=["guard", "own detector", "another cause's detector", "nobody knows"],
)
def test_only_a_failed_gate_that_concerns_a_change_convicts_it(
    tmp_path: Path, judgements: dict[str, Any], outcome: str
) -> None:
    gate = Gate(state="fail", judgements=judgements, reason="")
    back = _examples.deployment().model_copy(
        update={"outcome": "rolled_back", "rollout": [RolloutStep(percent=10, gate=gate)]}
    )
    assert outcomes(tmp_path, deployment=back)["candidate-2"] == outcome


def test_a_later_cycle_is_compared_with_the_first(tmp_path: Path) -> None:
    given = generate_insights.example(tmp_path)
    first = given["update_learning_models"].uses
    earlier = recorded(Patterns(patterns=[]), [u.model_copy(update={"run_id": "a"}) for u in first])
    info = DeploymentInfo(run_id="b", watched=[], library=earlier)
    library = recorded(earlier, [first[1].model_copy(update={"run_id": "b"})])
    learned = given["update_learning_models"].model_copy(update={"library": library})
    told = generate_insights(
        **{**given, "load_deployment_info": info, "update_learning_models": learned}
    )
    assert told[0].text == "candidates tried: 2 (first cycle: 2)"


def test_storing_twice_leaves_one_entry_and_no_live_figure_in_the_artifact(
    tmp_path: Path,
) -> None:
    given = store_effectiveness.example(tmp_path)
    first = store_effectiveness(**given)
    (tmp_path / "effects.jsonl").unlink()
    assert store_effectiveness(**given) == first
    library = read_library(given["workspace"].artifacts_folder)
    assert library.patterns == first.patterns
    assert [pattern.outcomes.tried for pattern in library.patterns] == [1, 1]
    report = (given["workspace"].run_folder / "reports" / "learning.md").read_text()
    assert "Production before and after" in report


def test_another_outcome_of_the_same_run_reaches_the_library(tmp_path: Path) -> None:
    given = store_effectiveness.example(tmp_path)
    store_effectiveness(**given)
    learned = given["update_learning_models"]
    uses = [use.model_copy(update={"outcome": "rolled_back"}) for use in learned.uses]
    changed = learned.model_copy(update={"uses": uses})
    store_effectiveness(**{**given, "update_learning_models": changed})
    assert holds(read_library(given["workspace"].artifacts_folder), uses)


def test_wilson_interval_matches_the_published_example() -> None:
    # Newcombe, Statistics in Medicine 17, 1998, table I: 81 of 263.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)


def test_of_a_part_that_was_shipped_only_its_own_anomalies_are_watched(tmp_path: Path) -> None:
    """A policy held the other cause back: it is still there, and not this fix's failure."""
    given = {**load_deployment_info.example(tmp_path)}
    (healed,) = given["diagnosis"].diagnoses
    held = healed.model_copy(update={"id": "held", "anomaly_ids": ["anomaly-held"]})
    one = given["patch"].candidates[1]
    other = one.model_copy(update={"id": "candidate-held", "diagnosis_id": "held"})
    both = Composition(id="combined", candidate_ids=[one.id, other.id], patch=one.patch)
    given["diagnosis"] = given["diagnosis"].model_copy(update={"diagnoses": [healed, held]})
    given["patch"] = given["patch"].model_copy(
        update={"candidates": [*given["patch"].candidates, other]}
    )
    given["validation"] = given["validation"].model_copy(
        update={"selected": both.id, "composition": both}
    )
    whole = given["deployment"].model_copy(update={"candidate_id": both.id})
    assert load_deployment_info(**given).watched == sorted(healed.anomaly_ids)
    watched = load_deployment_info(**{**given, "deployment": whole}).watched
    assert watched == sorted([*healed.anomaly_ids, "anomaly-held"])
