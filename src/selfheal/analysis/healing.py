"""Whether an operation that was made slow is healed: the detector's question after a fix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfheal.analysis.judge import judge
from selfheal.analysis.model import Judgement
from selfheal.artifacts import Anomaly
from selfheal.artifacts.dataset import Dataset

SHARE_OF_EXCESS, MOST_OF_GOOD = 0.1, 0.5


def judge_healed(
    anomaly: Anomaly,
    dataset: Dataset,
    *,
    good: str,
    healed: str,
    parameters: Mapping[str, Any] | None = None,
) -> Judgement:
    """The anomaly's own detector on the release `healed` against the release `good`.

    For a slow operation `allowed_ratio` is the floor, and the answer is weighed with its
    interval; other kinds are asked as `selfheal.analysis.judge` asks them.
    """
    floor = allowed_ratio(anomaly)
    asked = dict(parameters or {}) | ({"minimum_ratio": floor} if floor else {})
    answer = judge(anomaly, dataset, baseline=good, candidate=healed, parameters=asked)
    return weighed(answer, anomaly, floor)


def allowed_ratio(anomaly: Anomaly) -> float | None:
    """How much slower than the good release a healed operation may be; None for other kinds.

    Releases between may have added work that was meant, which a fix must not take away.
    So a tenth of the excess that production saw may stay, at the most half of the good
    release's time, and always what the detector does not call slower.
    """
    floor, ratio = anomaly.detector.parameters.get("minimum_ratio"), anomaly.evidence.get("ratio")
    if floor is None or ratio is None:
        return None
    return max(float(floor), 1 + min(MOST_OF_GOOD, SHARE_OF_EXCESS * (float(ratio) - 1)))


def weighed(answer: Judgement, anomaly: Anomaly, floor: float | None) -> Judgement:
    """The answer in view of its interval, which is that of the medians' ratio.

    An anomaly that was found by its median is judged by its median: there the tail of a
    short trial on a busy machine convicts nobody whose interval lies below the floor.
    """
    interval = answer.evidence.get("interval")
    if floor is None or interval is None or answer.state not in ("anomalous", "inconclusive"):
        return answer
    low, high = interval
    by_median = anomaly.evidence.get("measure") == "p50"
    if by_median and answer.evidence.get("measure") != "p50" and high < floor:
        reason = f"the median is at most {high:.2f} times the baseline's; {answer.reason}"
        return answer._replace(state="quiet", reason=reason)
    if answer.state == "anomalous" and low < floor:
        reason = f"{answer.reason}, but the interval from {low:.2f} reaches below {floor:.2f}"
        return answer._replace(state="inconclusive", reason=reason)
    return answer
