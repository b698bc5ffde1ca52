"""What a run taught, in words: from exact counts, for the artifact; with figures, for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from selfheal.artifacts import Deployment, Diagnoses, Diagnosis, Pattern, Patterns, Validation
from selfheal.artifacts.patterns import Insight, trouble_context
from selfheal.learning.assessment import Assessments, Improvement
from selfheal.learning.ledger import Use


def insights_of(
    *,
    run_id: str,
    library: Patterns,
    uses: Sequence[Use],
    diagnoses: Diagnoses,
    validation: Validation,
    deployment: Deployment,
) -> list[Insight]:
    """Findings that equal inputs repeat: counts, names and verdicts, no measured times.

    `library` is the one after this run.
    """
    causes = {diagnosis.id: diagnosis for diagnosis in diagnoses.diagnoses}
    patterns = {pattern.id: pattern for pattern in library.patterns}
    found = [
        _effort(causes[selection.diagnosis_id], selection.tried, library, run_id)
        for selection in validation.selections
        if selection.diagnosis_id in causes
    ]
    told = dict.fromkeys(use.pattern.id for use in uses)
    found += [_standing(patterns[name]) for name in told if name in patterns]
    delivery = f"{deployment.outcome.replace('_', ' ')}: {deployment.reason}"
    return [*found, Insight(title="Delivery", text=delivery, basis="deployment.json")]


def _effort(diagnosis: Diagnosis, tried: int, library: Patterns, run_id: str) -> Insight:
    """How many candidates it took, beside the first run that met such a trouble."""
    context = trouble_context(diagnosis)
    earlier = Counter(
        entry.run_id
        for pattern in library.patterns
        if pattern.applicability.kind == diagnosis.kind and pattern.applicability.context == context
        for entry in pattern.provenance
        if entry.run_id != run_id
    )
    text = f"candidates tried: {tried}"
    if earlier:
        text += f" (first cycle: {earlier[min(earlier)]})"
    return Insight(title=diagnosis.title, text=text, basis="validation.json and the ledger")


def _standing(pattern: Pattern) -> Insight:
    outcomes = pattern.outcomes
    low, high = pattern.confidence_interval
    text = (
        f"tried {outcomes.tried}, validated {outcomes.validated}, merged {outcomes.merged}, "
        f"rolled back {outcomes.rolled_back}; success {pattern.confidence:.0%} "
        f"(95 % interval {low:.0%} to {high:.0%})"
    )
    return Insight(title=pattern.name, text=text, basis="the outcome ledger, Beta(1, 1) prior")


def learning_report(
    *,
    insights: Sequence[Insight],
    improvements: Sequence[Improvement],
    assessments: Assessments | None,
    observed: str,
) -> str:
    """The Markdown report of one run, with what was measured live."""
    lines = ["# What this run taught", "", "## Production before and after", "", observed, ""]
    if improvements:
        lines += [
            "| operation | measure | good release | before | after | better by | 95 % interval |",
            "|---|---|---|---|---|---|---|",
            *(_row(improvement) for improvement in improvements),
            "",
        ]
    if assessments is not None:
        lines += [f"Verdict: **{assessments.verdict}** ({assessments.reason})", ""]
        lines += [f"- {v.operation}, {v.verdict}: {v.reason}" for v in assessments.verdicts]
        lines += [""]
    lines += ["## Insights", "", *_listed(insights)]
    return "\n".join(lines) + "\n"


def _row(improvement: Improvement) -> str:
    comparison = improvement.comparison
    better = improvement.improvement
    interval = improvement.interval
    cells = [
        improvement.operation,
        improvement.measure or "",
        *(_figure(value) for value in (comparison.good, comparison.before, comparison.after)),
        "no data" if better is None else f"{better:.0%}",
        "" if interval is None else f"{interval[0]:.0%} to {interval[1]:.0%}",
    ]
    return f"| {' | '.join(cells)} |"


def _figure(value: float | None) -> str:
    return "no data" if value is None else f"{value:.4g}"


def _listed(insights: Iterable[Insight]) -> Iterable[str]:
    for insight in insights:
        yield f"- **{insight.title}**: {insight.text} (from {insight.basis})"
