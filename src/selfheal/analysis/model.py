"""What detectors take and give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Concatenate, Literal, NamedTuple, ParamSpec, TypeVar, cast

from pydantic import Field, PrivateAttr

from selfheal.analysis.declared import DeclaredFlow
from selfheal.analysis.promises import Promises
from selfheal.artifacts import Anomaly, Dataset, Model
from selfheal.artifacts.anomalies import DataWindow, Undecided
from selfheal.errors import InvalidInput
from selfheal.telemetry.statistics import iso

Found = TypeVar("Found")
Asked = ParamSpec("Asked")
JudgementState = Literal["anomalous", "quiet", "inconclusive", "no_data"]


class ReleaseWindow(Model):
    """What telemetry holds of one release of a service: first and last time (ns), entry requests.

    Errors alone may come without times, as in reports of tests: then it is not `timed`, and
    the times are 0.
    """

    version: str
    start_ns: int
    end_ns: int
    requests: int
    timed: bool = True


class Comparison(Model):
    """The two releases of a service that detectors compare. `baseline` is None where there is one only."""

    service: str
    baseline: ReleaseWindow | None
    candidate: ReleaseWindow

    @property
    def window(self) -> DataWindow:
        both = [side for side in (self.baseline, self.candidate) if side is not None]
        sides = [side for side in both if side.timed]
        return DataWindow(
            baseline_release=self.baseline.version if self.baseline else None,
            candidate_release=self.candidate.version,
            start=iso(min((side.start_ns for side in sides), default=None)),
            end=iso(max((side.end_ns for side in sides), default=None)),
        )

    @property
    def concurrent(self) -> bool:
        """Whether the releases ran side by side for at least half of the shorter window."""
        first, second = self.baseline, self.candidate
        if first is None:
            return False
        shared = min(first.end_ns, second.end_ns) - max(first.start_ns, second.start_ns)
        shorter = min(first.end_ns - first.start_ns, second.end_ns - second.start_ns)
        return shorter > 0 and shared >= shorter / 2


def without_baseline(comparison: Comparison, detector: str) -> Undecided:
    """What a detector that compares releases answers where a service has one only."""
    return Undecided(
        detector=detector,
        operation=comparison.service,
        reason=f"no data: the telemetry has no release to compare {comparison.candidate.version} with",
        needed="an earlier release, or detect.baseline_release",
    )


class DetectionData(Model):
    """What the detectors share: the dataset and which releases to compare.

    `promises` is what the code of a service promises, where its commit is known;
    `declared` are the flows of declared sequences.
    `test_reports` are the numbers of the sources that are reports of test runners.
    """

    dataset: Dataset
    comparisons: list[Comparison]
    promises: dict[str, Promises] = Field(default_factory=dict)
    declared: list[DeclaredFlow] = Field(default_factory=list)
    test_reports: list[int] = Field(default_factory=list)
    _known: dict[tuple[str, ...], Any] = PrivateAttr(default_factory=dict)

    def once(self, key: tuple[str, ...], find: Callable[[], Found]) -> Found:
        """What several detectors ask for, found by the first of them."""
        if key not in self._known:
            self._known[key] = find()
        return cast("Found", self._known[key])

    @property
    def summary(self) -> str:
        pairs = [
            f"{pair.service} {pair.baseline.version if pair.baseline else '(no baseline)'}"
            f" → {pair.candidate.version}"
            for pair in self.comparisons
        ]
        return ", ".join(pairs) or "no release seen"


class Findings(Model):
    """What one detector found, and what it could not decide."""

    anomalies: list[Anomaly] = Field(default_factory=list)
    undecided: list[Undecided] = Field(default_factory=list)


def asked(
    detect: Callable[Concatenate[DetectionData, Asked], Findings],
    data: DetectionData,
    *others: Asked.args,
    **named: Asked.kwargs,
) -> Findings:
    """What a detector finds, or that its question cannot be put where the rows lie.

    A question that has no equivalent in the SQL of a database is open, not answered with no.
    """
    try:
        return detect(data, *others, **named)
    except InvalidInput as error:
        if data.dataset.remote is None:
            raise
        return Findings(
            undecided=[
                Undecided(
                    detector=detect.__name__.removeprefix("detect_"),
                    operation=data.dataset.remote.url,
                    reason=f"unavailable there: {error.message}",
                    needed="the rows as files: selfheal run --telemetry PATH",
                )
            ]
        )


class Judgement(NamedTuple):
    """The answer of a detector about other telemetry, with the numbers behind it."""

    state: JudgementState
    reason: str
    evidence: Mapping[str, Any]
