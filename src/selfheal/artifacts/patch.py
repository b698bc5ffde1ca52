"""patch.json: ranked candidate patches, each code + test + documentation in one diff."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from selfheal.artifacts.model import Model


class RecordedRequest(Model):
    """One request as production telemetry recorded it. `body` is text; None if there was none."""

    method: str
    path: str
    query: str = ""
    body: str | None = None
    content_type: str | None = None
    status: int | None = None
    trace_id: str | None = None


class Reproducer(Model):
    """What shows the trouble on demand: recorded requests, the last of which is the one judged.

    `test_file` and `test_name` name the regression test inside the patch; a pytest node
    id is ``test_file::test_name``. `tests` are the node ids of all failing tests where the
    suite shows the trouble already. `unavailable` says why there is none, `untold` what
    the test cannot tell.
    """

    requests: list[RecordedRequest] = Field(default_factory=list)
    test_file: str | None = None
    test_name: str | None = None
    tests: list[str] = Field(default_factory=list)
    unavailable: str | None = None
    untold: str | None = None


class Candidate(Model):
    """`patch` is the unified diff, also stored as ``patches/<id>.patch``.

    `base_commit` is what it applies to. `score` (0–1) ranks within the diagnosis and
    `score_parts` says what it is made of. `edit` describes the change for the pattern
    library: the template's name and its parameters. `pattern_id` is the library's pattern
    that fits, `pattern_confidence` (0–1) the posterior mean of its success.
    """

    id: str
    diagnosis_id: str
    strategy: str
    rank: int
    score: float
    score_parts: dict[str, float] = Field(default_factory=dict)
    files: list[str]
    patch: str
    explanation: str
    base_commit: str
    edit: dict[str, Any] = Field(default_factory=dict)
    pattern_id: str | None = None
    pattern_confidence: float | None = None

    @property
    def is_known_cure(self) -> bool:
        """Whether its pattern healed a like trouble more often than not."""
        return self.pattern_confidence is not None and self.pattern_confidence > 0.5


class Dropped(Model):
    """A candidate that was not worth proposing (syntax error, does not apply), and why."""

    diagnosis_id: str
    strategy: str
    reason: str


class Tried(Model):
    """What became of the changes of one strategy or operator: reasons with their counts."""

    strategy: str
    tried: int
    fell: dict[str, int] = Field(default_factory=dict)
    plausible: int = 0


class Search(Model):
    """The search among small edits for one diagnosis, by running its failing `tests`.

    `tried` of `proposed` changes were run, beside `guards` tests that passed before. `left`
    are failing tests of the diagnosis that no edit touched, taken for another trouble's.
    `note` says how it ended; `cut` that a time limit ended it, so that a repetition may
    find others; `unavailable` why there was none.
    """

    diagnosis_id: str
    tests: list[str] = Field(default_factory=list)
    left: list[str] = Field(default_factory=list)
    tried: int = 0
    proposed: int = 0
    guards: int = 0
    plausible: int = 0
    ledger: list[Tried] = Field(default_factory=list)
    cut: bool = False
    note: str = ""
    unavailable: str | None = None


class Patch(Model):
    """The payload of patch.json: by diagnosis in its order, best rank first."""

    candidates: list[Candidate]
    reproducers: dict[str, Reproducer] = Field(default_factory=dict)
    dropped: list[Dropped] = Field(default_factory=list)
    searches: list[Search] = Field(default_factory=list)
    documentation: Literal["included", "none"] = "included"
