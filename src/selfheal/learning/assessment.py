"""Was it a success? By the same detector, and by how much it got better."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from selfheal.artifacts.model import Model
from selfheal.learning.observation import Comparison

Success = Literal["success", "failed", "undecided"]


class Improvement(Model):
    """How much one anomaly's measure fell: 0.9 is a tenth of what it was. None: no data.

    `controlled`: it is what is left beyond the change of the other operations in the same
    hours, so that a quiet night is no improvement.
    """

    anomaly_id: str
    operation: str
    measure: str | None
    improvement: float | None
    interval: tuple[float, float] | None
    comparison: Comparison
    controlled: bool = False


class Assessment(Model):
    """The verdict on one anomaly, and why. `observable`: whether production can show it."""

    anomaly_id: str
    operation: str
    verdict: Success
    observable: bool = True
    reason: str


class Assessments(Model):
    """All verdicts; `verdict` is the worst that production can show, undecided without any."""

    verdicts: list[Assessment]
    verdict: Success
    reason: str

    @property
    def summary(self) -> str:
        return f"{self.verdict}: {self.reason}"


def improvement_of(comparison: Comparison) -> Improvement:
    """What a comparison says of the improvement, to 6 significant digits."""
    value, interval = comparison.improvement, comparison.interval
    controlled = comparison.effect is not None
    if controlled:
        value, interval = comparison.effect, comparison.effect_interval
    return Improvement(
        anomaly_id=comparison.anomaly_id,
        operation=comparison.operation,
        measure=comparison.measure,
        improvement=None if value is None else float(f"{value:.6g}"),
        interval=None
        if interval is None
        else (float(f"{interval[0]:.6g}"), float(f"{interval[1]:.6g}")),
        comparison=comparison,
        controlled=controlled,
    )


def assess(improvement: Improvement, minimum: float) -> Assessment:
    """Success needs a quiet detector and at least `minimum` relative improvement.

    Where there is no measure but the detector, its silence is enough.
    No data and an undecided detector are never a success, and never a failure.
    """
    comparison = improvement.comparison
    verdict: Success = "undecided"
    if not comparison.observable:
        reason = comparison.reason
    elif comparison.judgement == "anomalous":
        verdict, reason = "failed", f"the detector still finds it: {comparison.reason}"
    elif comparison.judgement != "quiet":
        reason = f"the detector is {comparison.judgement}: {comparison.reason}"
    elif improvement.measure is None:
        verdict, reason = "success", "the detector is quiet"
    elif improvement.improvement is None:
        reason = "the detector is quiet, and there is nothing to compare with"
    elif improvement.improvement < minimum:
        beyond = " beyond what the other operations are" if improvement.controlled else ""
        reason = f"the detector is quiet, and it is less than {minimum:.0%} better{beyond}"
    else:
        verdict = "success"
        reason = f"the detector is quiet and it is {improvement.improvement:.0%} better"
    return Assessment(
        anomaly_id=improvement.anomaly_id,
        operation=improvement.operation,
        verdict=verdict,
        observable=comparison.observable,
        reason=reason,
    )


def assess_all(improvements: Sequence[Improvement], minimum: float) -> Assessments:
    """The verdict on each anomaly and on all of them."""
    verdicts = [assess(improvement, minimum) for improvement in improvements]
    observable = [verdict for verdict in verdicts if verdict.observable]
    if not observable:
        return Assessments(
            verdicts=verdicts, verdict="undecided", reason="nothing was observed in production"
        )
    order: tuple[Success, ...] = ("failed", "undecided", "success")
    worst = min((v.verdict for v in observable), key=order.index)
    concerned = sorted({v.operation for v in observable if v.verdict == worst})
    return Assessments(
        verdicts=verdicts,
        verdict=worst,
        reason=f"{len(concerned)} of {len({v.operation for v in observable})} operations: "
        + ", ".join(concerned),
    )
