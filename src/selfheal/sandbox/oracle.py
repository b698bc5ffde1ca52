"""The anomaly's own detector as the judge of a trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from selfheal.artifacts import Anomaly
from selfheal.artifacts.dataset import Dataset
from selfheal.artifacts.validation import Check, CheckVerdict

if TYPE_CHECKING:
    from selfheal.analysis import Judgement

Judgements = Mapping[tuple[str, str], "Judgement"]


def judge_all(
    anomalies: Sequence[Anomaly],
    dataset: Dataset,
    *,
    baseline: str,
    bad: str,
    candidates: Sequence[str],
    round_seconds: float,
) -> Judgements:
    """What each anomaly's detector says of each release, by (anomaly id, release).

    Where a detector asks how often something happens, the rate seen on `bad` in the same
    dataset is the one to expect of a candidate that heals nothing. Where it asks how much
    slower something is, a bucket is one round of the trial, which holds every session
    alike, and candidates are asked as `selfheal.analysis.judge_healed` asks.
    """
    from selfheal.analysis import judge, judge_healed

    judged: dict[tuple[str, str], Judgement] = {}
    for anomaly in anomalies:
        asked: dict[str, float] = {}
        if "bucket_seconds" in anomaly.detector.parameters:
            asked["bucket_seconds"] = round_seconds
        before = judge(anomaly, dataset, baseline=baseline, candidate=bad, parameters=asked)
        judged[anomaly.id, bad] = before
        asked |= _expected(anomaly, before)
        for name in candidates:
            judged[anomaly.id, name] = judge_healed(
                anomaly, dataset, good=baseline, healed=name, parameters=asked
            )
    return judged


def _expected(anomaly: Anomaly, before: Judgement) -> dict[str, float]:
    seen, requests = before.evidence.get("seen", 0), before.evidence.get("requests", 0)
    if "expected_rate" not in anomaly.detector.parameters or not seen or not requests:
        return {}
    return {"expected_rate": min(1.0, seen / requests)}


def may_show(anomaly: str, judged: Judgements, bad: str) -> bool:
    """Whether the trouble shows on the unpatched release, or might with more data."""
    answer = judged.get((anomaly, bad))
    return answer is not None and answer.state in ("anomalous", "inconclusive")


def undecided(judged: Judgements, bad: str) -> bool:
    """Whether more data might decide: a detector was inconclusive.

    One that is quiet on the unpatched release decides nothing on a candidate.
    """
    return any(
        answer.state == "inconclusive" and may_show(anomaly, judged, bad)
        for (anomaly, _), answer in judged.items()
    )


def detector_check(
    anomalies: Sequence[Anomaly],
    judged: Judgements,
    *,
    bad: str,
    candidate: str,
    absent: Mapping[str, str],
    broken: int,
    measurements: str | None = None,
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
    counts: dict[str, Any] = {
        "fired_before": len(fired),
        "fire_after": list(states.values()).count("anomalous"),
    }
    from selfheal.analysis import allowed_ratio

    allowed = {each.id: ratio for each in fired if (ratio := allowed_ratio(each)) is not None}
    if allowed:
        counts["allowed_ratio"] = {name: float(f"{ratio:.6g}") for name, ratio in allowed.items()}
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
    measurements: str | None,
    counts: dict[str, Any] | None = None,
) -> Check:
    return Check(
        name="detector",
        verdict=verdict,
        summary=summary,
        counts=counts or {},
        measurements=measurements,
    )
