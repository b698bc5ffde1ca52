"""The four-point proof that a commit is the cause: good, bad, bad without it, bad with the fix.

A reproducer (recorded requests, failing tests or counted work) is run in the sandbox at
the good commit, at the bad one, at the bad one with the suspect commit taken back, and at
the bad one with the fix. A commit is convicted only by ok, anomalous, ok, ok: the trouble
would not be there without it (a counterfactual cause: D. Lewis, "Causation", 1973), and
the fix takes the trouble away. The diagnose phase settles the first three points; the
fourth is settled with a candidate, by `with_fix`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import Field

from selfheal.artifacts.diagnosis import Diagnosis, Location, SuspectCommit, Verdict
from selfheal.artifacts.model import Model
from selfheal.diagnosis.recommendations import recommended
from selfheal.diagnosis.suspects import PROVEN

Outcome = Literal["ok", "anomalous", "unavailable"]
# What a proven commit's own lines gain in suspicion, joined as one more independent reason.
WRITTEN_BY_CULPRIT = 0.5
# Short of proof: its parent is well and it is not.
BEGINS = 0.9


class Conviction(Model):
    """The four points for one commit (None: no commit could be tried); None where not asked yet.

    `reproducer` says what was run. `cleared` are commits without which the trouble stays.
    `first_bad` says that the commit was found as the first with the trouble, by bisection.
    """

    commit: str | None = None
    reproducer: str
    good: Outcome | None = None
    bad: Outcome | None = None
    without_commit: Outcome | None = None
    with_fix: Outcome | None = None
    good_commit: str | None = None
    cleared: list[str] = Field(default_factory=list)
    first_bad: bool = False
    reason: str = ""

    @property
    def proven(self) -> bool:
        """Whether the first three points say that the commit is the cause."""
        return (self.good, self.bad, self.without_commit) == ("ok", "anomalous", "ok")

    @property
    def convicted(self) -> bool:
        """Whether all four do."""
        return self.proven and self.with_fix == "ok"

    @property
    def begins(self) -> bool:
        """Whether the trouble begins with the commit, which cannot be taken back alone."""
        return self.first_bad and self.without_commit == "unavailable"

    @property
    def older(self) -> bool:
        """Whether the trouble was there at the good commit already."""
        return (self.good, self.bad) == ("anomalous", "anomalous")


def with_fix(evidence: Mapping[str, Any], outcome: Outcome) -> Conviction:
    """The conviction of a diagnosis (its ``evidence["conviction"]``) with the fourth point settled.

    `outcome` is what the reproducer says at the bad commit with a candidate applied.
    """
    known = {name: evidence[name] for name in Conviction.model_fields if name in evidence}
    found = Conviction(**known).model_copy(update={"with_fix": outcome})
    points = (found.good, found.bad, found.without_commit, outcome)
    told = " / ".join(point or "not asked" for point in points)
    what = "is convicted" if found.convicted else "is not convicted"
    return found.model_copy(
        update={"reason": f"good / bad / without the commit / with the fix: {told}; it {what}"}
    )


def revised(
    diagnosis: Diagnosis,
    found: Conviction,
    culprit: SuspectCommit | None,
    wrote: Callable[[str, int], bool],
) -> Diagnosis:
    """A diagnosis after the first three points.

    `culprit` describes the commit of a proven conviction; `wrote` says whether it wrote a
    line (file, line) of the bad commit. A proven commit is the only suspect left; where the
    trouble is older than the range, and where all suspects are cleared, none is.
    """
    evidence = diagnosis.evidence | {"conviction": found.model_dump(mode="json")}
    if found.proven and culprit is not None:
        updated = _convicted(diagnosis, evidence, found, culprit, wrote)
    elif found.begins and culprit is not None:
        named = culprit.model_copy(
            update={"score": BEGINS, "reason": f"{culprit.reason}; {found.reason}"}
        )
        others = [each for each in diagnosis.suspect_commits if each.sha != culprit.sha]
        left = [each for each in others if each.sha not in found.cleared]
        updated = {"suspect_commits": [named, *left], "evidence": evidence}
    elif found.older:
        updated = _older(diagnosis, evidence, found)
    else:
        left = [each for each in diagnosis.suspect_commits if each.sha not in found.cleared]
        gone = [each for each in diagnosis.suspect_commits if each.sha in found.cleared]
        updated = {"suspect_commits": left, "evidence": evidence | _not_convicted(evidence, gone)}
    changed = diagnosis.model_copy(update=updated)
    return changed.model_copy(update={"recommendations": recommended(changed)})


def _convicted(
    diagnosis: Diagnosis,
    evidence: dict[str, Any],
    found: Conviction,
    culprit: SuspectCommit,
    wrote: Callable[[str, int], bool],
) -> dict[str, Any]:
    without = f"without it {found.reproducer} is well at the bad commit"
    named = culprit.model_copy(
        update={"score": PROVEN, "reason": f"{culprit.reason}; {without}".removeprefix("; ")}
    )
    others = [each for each in diagnosis.suspect_commits if each.sha != culprit.sha]
    lines = [
        line | {"score": _raised(line["score"])} if wrote(line["file"], line["line"]) else line
        for line in evidence.get("spectrum", [])
    ]
    if lines:
        lines.sort(key=lambda line: (-line["score"], line["file"], line["line"]))
        evidence = evidence | {"spectrum": lines}
    locations = [_after(each, named, wrote) for each in diagnosis.locations]
    convicting: Verdict = "dependency" if diagnosis.verdict == "dependency" else "code_cause"
    updated: dict[str, Any] = {
        "verdict": convicting,
        "suspect_commits": [named],
        "locations": sorted(locations, key=lambda each: (-each.score, each.file, each.line)),
        "evidence": evidence | _not_convicted(evidence, others),
    }
    if diagnosis.verdict not in ("code_cause", "dependency") or diagnosis.good_commit is None:
        updated["reason"] = f"{named.sha[:10]} {named.reason}. {diagnosis.reason}"
    if diagnosis.good_commit is None:
        updated["good_commit"] = found.good_commit
    return updated


def _after(
    location: Location, culprit: SuspectCommit, wrote: Callable[[str, int], bool]
) -> Location:
    if not wrote(location.file, location.line):
        return location
    reason = f"written by {culprit.sha[:10]}, without which it is well"
    score = _raised(location.score)
    return location.model_copy(update={"score": score, "reasons": [*location.reasons, reason]})


def _raised(score: float) -> float:
    return round(1 - (1 - score) * (1 - WRITTEN_BY_CULPRIT), 4)


def _older(diagnosis: Diagnosis, evidence: dict[str, Any], found: Conviction) -> dict[str, Any]:
    """The same input shows the trouble at the good commit: no commit of the range brought it."""
    updated: dict[str, Any] = {
        "suspect_commits": [],
        "evidence": evidence | _not_convicted(evidence, diagnosis.suspect_commits),
    }
    if diagnosis.suspect_commits:
        updated["verdict"] = "no_code_cause"
        updated["reason"] = (
            f"{found.reproducer} shows the trouble at the earlier release as well: no commit"
            f" between the releases brought it. {diagnosis.reason}"
        )
    return updated


def _not_convicted(evidence: Mapping[str, Any], gone: list[SuspectCommit]) -> dict[str, Any]:
    known = list(evidence.get("not_convicted") or [])
    known += [{"sha": each.sha, "score": each.score, "reason": each.reason} for each in gone]
    return {"not_convicted": known} if known else {}
