"""What passes between the steps of a diagnosis."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from selfheal.artifacts.anomalies import Anomaly
from selfheal.artifacts.canonical import short_id
from selfheal.artifacts.diagnosis import Complexity, Impact, Location, SuspectCommit, Verdict
from selfheal.artifacts.model import SEVERITIES, AnomalyKind, Model
from selfheal.codebase.changes import CommitChange
from selfheal.codebase.index import CodeIndex
from selfheal.diagnosis.spectrum import Spectrum


class ReleasePair(Model):
    """Two releases of a service that a detector compared; `baseline` None where there was one."""

    service: str
    baseline: str | None
    candidate: str | None


class AnomalySet(Model):
    """The anomalies to explain, gravest first, and the releases that they compare."""

    anomalies: list[Anomaly]
    pairs: list[ReleasePair]

    def of(self, kind: AnomalyKind) -> list[Anomaly]:
        return [anomaly for anomaly in self.anomalies if anomaly.kind == kind]

    @property
    def summary(self) -> str:
        kinds = sorted({anomaly.kind for anomaly in self.anomalies})
        return f"{len(self.anomalies)} anomalies ({', '.join(kinds)})" if kinds else "no anomalies"


class BlameRange(Model):
    """Lines whose last writer is a commit of the range."""

    first: int
    last: int
    sha: str


class CodeRange(Model):
    """The code between two releases, as far as the anomalies need it.

    `good` and `bad` are commits; None where unknown, and then `gaps` says why. `sources`
    are texts at `bad` by path, `good_sources` the same files at `good` by the path at
    `bad`. `changes` are the commits that `bad` has and `good` has not, newest first.
    `blame` covers the lines of `sources` that those commits wrote. `manifests` are the files
    that require distributions, where an anomaly is about one.
    """

    pair: ReleasePair
    good: str | None = None
    bad: str | None = None
    gaps: list[str] = Field(default_factory=list)
    index: CodeIndex
    sources: dict[str, str] = Field(default_factory=dict)
    good_sources: dict[str, str] = Field(default_factory=dict)
    changes: list[CommitChange] = Field(default_factory=list)
    blame: dict[str, list[BlameRange]] = Field(default_factory=dict)
    manifests: dict[str, str] = Field(default_factory=dict)

    @property
    def compares(self) -> bool:
        """Whether two different commits are known, so that a change can be accused."""
        return self.good is not None and self.bad is not None and self.good != self.bad

    def writer(self, file: str, line: int) -> str | None:
        """The commit of the range that wrote a line, None where it is older."""
        for found in self.blame.get(file, []):
            if found.first <= line <= found.last:
                return found.sha
        return None

    def commit(self, sha: str) -> CommitChange | None:
        return next((change for change in self.changes if change.sha == sha), None)


class Codebase(Model):
    """One code range per pair of releases; `spectra` of the commits whose failing tests were run."""

    ranges: list[CodeRange]
    spectra: list[Spectrum] = Field(default_factory=list)

    def spectrum_of(self, span: CodeRange) -> Spectrum | None:
        """What the tests ran at the bad commit of a range, None where that was not measured."""
        return next((found for found in self.spectra if found.commit == span.bad), None)

    def range_of(self, anomaly: Anomaly) -> CodeRange:
        """The range of the releases that an anomaly's detector compared."""
        pair = pair_of(anomaly)
        found = next((item for item in self.ranges if item.pair == pair), None)
        return found or CodeRange(
            pair=pair, gaps=["the code of these releases was not read"], index=CodeIndex.of({})
        )

    @property
    def summary(self) -> str:
        commits = {change.sha for item in self.ranges for change in item.changes}
        functions = sum(len(item.index.definitions) for item in self.ranges[:1])
        return f"{functions} definitions, {len(commits)} commits between the releases"


class Cause(Model):
    """One explanation of some anomalies, before its impact is assessed and fixes are named.

    What an analysis returns; a project's own analysis returns a list of them too. Fields as
    in `selfheal.artifacts.Diagnosis`.
    """

    anomaly_ids: list[str]
    kind: AnomalyKind
    service: str
    operation: str
    title: str
    verdict: Verdict
    reason: str
    locations: list[Location] = Field(default_factory=list)
    suspect_commits: list[SuspectCommit] = Field(default_factory=list)
    root_service: str = ""
    good_commit: str | None = None
    bad_commit: str | None = None
    evidence: dict[str, Any] = Field(default_factory=dict)

    @property
    def id(self) -> str:
        return short_id(
            "diagnosis", self.kind, self.service, self.operation, sorted(self.anomaly_ids)
        )


class Assessed(Model):
    """A cause with its measured weight."""

    cause: Cause
    impact: Impact
    complexity: Complexity

    @property
    def rank(self) -> tuple[int, bool, bool, int, str]:
        """Sorts the gravest first, what can be acted on before what cannot."""
        grave = SEVERITIES.index(self.impact.severity)
        acts = self.cause.verdict in ("code_cause", "dependency")
        missing_test = self.cause.kind == "coverage"
        return -grave, not acts, missing_test, -self.impact.affected_requests, self.cause.id


def pair_of(anomaly: Anomaly) -> ReleasePair:
    """The releases that an anomaly's detector compared."""
    window = anomaly.detector.window
    return ReleasePair(
        service=anomaly.service,
        baseline=window.baseline_release,
        candidate=window.candidate_release,
    )


def anomaly_set(anomalies: list[Anomaly]) -> AnomalySet:
    """Anomalies gravest first, with the pairs of releases in them."""
    ordered = sorted(
        anomalies, key=lambda item: (-SEVERITIES.index(item.severity), -item.score, item.id)
    )
    pairs = {
        (pair.service, pair.baseline or "", pair.candidate or ""): pair
        for pair in map(pair_of, ordered)
    }
    return AnomalySet(anomalies=ordered, pairs=[pairs[key] for key in sorted(pairs)])
