"""The anomaly's own detector as the judge of a trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from selfheal.artifacts import Anomaly
from selfheal.artifacts.dataset import Dataset
from selfheal.artifacts.validation import Check, CheckVerdict

if TYPE_CHECKING:
    from selfheal.analysis import Judgement

Judgements = Mapping[tuple[str, str], "Judgement"]


def judge_all(
    anomalies: Sequence[Anomaly], dataset: Dataset, *, baseline: str, releases: Sequence[str]
) -> Judgements:
    """What each anomaly's detector says of each release, by (anomaly id, release)."""
    from selfheal.analysis import judge

    return {
        (anomaly.id, release): judge(anomaly, dataset, baseline=baseline, candidate=release)
        for anomaly in anomalies
        for release in releases
    }


def undecided(judged: Judgements) -> bool:
    """Whether more data might decide: a detector was inconclusive."""
    return any(answer.state == "inconclusive" for answer in judged.values())


def detector_check(
    anomalies: Sequence[Anomaly],
    judged: Judgements,
    *,
    bad: str,
    candidate: str,
    absent: Mapping[str, str],
    broken: int,
    measurements: str,
) -> Check:
    """Passed where a detector fires on `bad`, and each that does is quiet on `candidate`.

    A detector that cannot tell is never quiet. The one exception is an inner operation
    that the candidate no longer runs at all, where the detector of another operation of
    the same cause is quiet. `broken` counts replayed sessions that only the candidate
    breaks; `absent` names variants that did not start.
    """
    if bad in absent:
        why = "the unpatched service does not become healthy in the sandbox"
        return _check("unavailable", why, measurements)
    if candidate in absent:
        return _check("failed", "the service does not become healthy with it", measurements)
    if broken:
        why = f"it breaks {broken} recorded sessions that the unpatched release answers"
        return _check("failed", why, measurements)
    fired = [each for each in anomalies if _state(judged, each, bad) == "anomalous"]
    if not fired:
        seen = ", ".join(sorted({_state(judged, each, bad) for each in anomalies}))
        why = f"the trouble does not show in the sandbox: the unpatched release is {seen}"
        return _check("unavailable", why, measurements)
    states = {each.id: _state(judged, each, candidate) for each in fired}
    gone = {
        each.id
        for each in fired
        if states[each.id] == "no_data" and each.evidence.get("entry") is False
    }
    counts = {"fired_before": len(fired), "fire_after": list(states.values()).count("anomalous")}
    names = ", ".join(sorted({each.detector.name for each in fired}))
    if counts["fire_after"]:
        return _check("failed", f"{names} still fires with it", measurements, counts)
    quiet = [name for name, state in states.items() if state == "quiet"]
    if quiet and len(quiet) + len(gone) == len(fired):
        why = f"{names} fires on the unpatched release and is quiet with it"
        return _check("passed", why, measurements, counts)
    why = f"{names} cannot tell ({', '.join(sorted(set(states.values()) - {'quiet'}))})"
    return _check("unavailable", why, measurements, counts)


def _state(judged: Judgements, anomaly: Anomaly, release: str) -> str:
    answer = judged.get((anomaly.id, release))
    return answer.state if answer else "no_data"


def _check(
    verdict: CheckVerdict,
    summary: str,
    measurements: str,
    counts: dict[str, int] | None = None,
) -> Check:
    return Check(
        name="detector",
        verdict=verdict,
        summary=summary,
        counts=counts or {},
        measurements=measurements,
    )
