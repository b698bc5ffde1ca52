"""The outcome ledger: how often each pattern was tried, and what became of it.

A pattern's figures are a fold over its provenance, and a use is known by run and
candidate. Recording a use again replaces it, so a resumed or repeated run counts once.

The confidence is the posterior mean of success under a uniform prior, Beta(1, 1), and
the interval its central 95 % (Gelman et al., Bayesian Data Analysis, 3rd ed., §2.4):
success is a candidate that was proven and not taken back in production. A use weighs
`DECAY` to the power of the number of later runs that used the pattern, as in discounted
Thompson sampling (Raj and Kalyani, 2017): what happens now counts more, and no clock is read.

A pattern retires by itself when what it ships turns out badly: when the one-sided 90 %
upper bound on the success of its shipped uses is below one half. Without a success that
takes `selfheal.learning.retirement.incidents_to_retire` fixes taken back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import Field

from selfheal.artifacts import Candidate, Diagnosis, Pattern, Patterns
from selfheal.artifacts.model import Model
from selfheal.artifacts.patterns import (
    Applicability,
    EditTemplate,
    Outcomes,
    Provenance,
    pattern_id,
    trouble_context,
)
from selfheal.learning.accepted import joined_templates
from selfheal.learning.retirement import retirement

Outcome = Literal["failed", "validated", "merged", "ineffective", "rolled_back"]

PROVEN = frozenset({"validated", "merged", "ineffective", "rolled_back"})
SHIPPED = frozenset({"merged", "ineffective", "rolled_back"})
SUCCESSFUL = frozenset({"validated", "merged"})
DECAY = 0.98


class Use(Model):
    """One use of a pattern in one run.

    `failed` was tried and not proven, `validated` proven and not shipped, `merged`
    shipped, `ineffective` shipped without the trouble getting better, `rolled_back`
    shipped and taken back.
    """

    pattern: Pattern
    run_id: str
    candidate_id: str
    operation: str
    outcome: Outcome
    commit: str | None = None
    pull_request: int | None = None
    templates: list[EditTemplate] = Field(default_factory=list)


def blank_pattern(candidate: Candidate, diagnosis: Diagnosis) -> Pattern:
    """The pattern that a candidate is a use of, with nothing in its ledger."""
    context = trouble_context(diagnosis)
    template = candidate.edit.get("template")
    about = ", ".join(str(value) for value in context.values()) or "any"
    variant = f"/{template}" if template and template != candidate.strategy else ""
    mean, interval = confidence(0, 0)
    return Pattern(
        id=pattern_id(diagnosis.kind, context, candidate.strategy, template),
        name=f"{candidate.strategy}{variant} for {diagnosis.kind} ({about})",
        applicability=Applicability(kind=diagnosis.kind, context=context),
        edit={"strategy": candidate.strategy, "template": template},
        outcomes=Outcomes(),
        confidence=mean,
        confidence_interval=interval,
        provenance=[],
    )


def recorded(library: Patterns, uses: Iterable[Use]) -> Patterns:
    """The library with these uses in its ledgers, most trusted pattern first."""
    patterns = {pattern.id: pattern for pattern in library.patterns}
    for use in uses:
        pattern = patterns.get(use.pattern.id, use.pattern)
        known = {(entry.run_id, entry.candidate_id): entry for entry in pattern.provenance}
        known[use.run_id, use.candidate_id] = Provenance(
            run_id=use.run_id,
            candidate_id=use.candidate_id,
            operation=use.operation,
            outcome=use.outcome,
            commit=use.commit,
            pull_request=use.pull_request,
            templates=use.templates,
        )
        patterns[pattern.id] = settled(pattern, known.values())
    ordered = sorted(patterns.values(), key=lambda p: (-p.confidence_interval[0], p.id))
    return library.model_copy(update={"patterns": ordered})


def settled(pattern: Pattern, provenance: Iterable[Provenance]) -> Pattern:
    """The pattern with figures that follow from its provenance."""
    entries = sorted(provenance, key=lambda entry: (entry.run_id, entry.candidate_id))
    found = [entry.outcome for entry in entries]
    outcomes = Outcomes(
        tried=len(found),
        validated=sum(outcome in PROVEN for outcome in found),
        merged=sum(outcome in SHIPPED for outcome in found),
        rolled_back=found.count("rolled_back"),
    )
    weights = decayed([entry.run_id for entry in entries])
    good = [outcome in SUCCESSFUL for outcome in found]
    succeeded = sum(weight for weight, well in zip(weights, good, strict=True) if well)
    mean, interval = confidence(succeeded, sum(weights))
    accepted = [each for entry in entries if entry.outcome == "merged" for each in entry.templates]
    held = [
        entry.outcome
        for entry in entries
        if entry.outcome in SHIPPED and entry.run_id not in pattern.pardoned
    ]
    return pattern.model_copy(
        update={
            "outcomes": outcomes,
            "confidence": mean,
            "confidence_interval": interval,
            "provenance": entries,
            "templates": joined_templates(accepted) if accepted else pattern.templates,
            "retired": retirement(held, pattern.retired),
        }
    )


def decayed(runs: Sequence[str]) -> list[float]:
    """The weight of a use in each of these runs: `DECAY` per later run."""
    order = {run: place for place, run in enumerate(sorted(set(runs), reverse=True))}
    return [DECAY ** order[run] for run in runs]


def confidence(successes: float, tried: float) -> tuple[float, tuple[float, float]]:
    """Posterior mean and central 95 % interval of the success rate, to 6 digits."""
    from scipy.stats import beta

    posterior = beta(1 + successes, 1 + tried - successes)
    low, high = posterior.ppf([0.025, 0.975])
    return round(float(posterior.mean()), 6), (round(float(low), 6), round(float(high), 6))
