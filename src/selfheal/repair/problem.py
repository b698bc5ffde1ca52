"""Everything that the strategies know of one diagnosis: the facts and the texts around it."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from typing import Any, Literal, NamedTuple

from pydantic import Field

from selfheal.artifacts.diagnosis import Diagnosis
from selfheal.artifacts.model import AnomalyKind, Model
from selfheal.artifacts.patch import RecordedRequest
from selfheal.artifacts.patterns import Pattern, trouble_context
from selfheal.repair.edit import Edit
from selfheal.repair.environment import Environment
from selfheal.repair.recorded import RecordedBehaviour
from selfheal.repair.source import Function, Source, parse

# Kinds of trouble that manifests and documents show, and no request.
OF_FILES: tuple[AnomalyKind, ...] = ("dependency", "documentation")

ClientStyle = Literal["werkzeug", "httpx", "django", "unknown"]


class FileChange(Model):
    """What a suspect commit did to one file; `path_now` is the file's name at the bad commit."""

    path: str
    path_now: str
    before: str | None
    after: str | None


class SuspectChange(Model):
    sha: str
    summary: str
    score: float
    files: list[FileChange]


class Client(Model):
    """The pytest fixture of the project that answers requests."""

    fixture: str
    style: ClientStyle
    folder: str


class Work(Model):
    """Measured work of the judged request: exact counts, None where not counted.

    `lines` (executed) and `elements` (walked through or moved by methods of lists) are
    counted where calls and statements do not show the trouble.
    """

    calls: int | None = None
    statements: int | None = None
    lines: int | None = None
    elements: int | None = None
    status: int | None = None
    unavailable: str | None = None


class FailingTest(Model):
    """A test of the suite that shows the trouble already."""

    file: str
    name: str


class Problem(Model):
    """One diagnosis with the texts at the bad commit (`sources`) and the good one.

    `requests` are recorded production requests that show the trouble, the judged one
    last; `no_requests` says why there are none. `good_work` and `bad_work` are what the
    judged request did at both commits, `shape` what its reply must have (see
    `selfheal.repair.shape`), None where that is not known. `environment` is what is
    installed, where the trouble is one of dependencies. `learned` are the pattern library's
    patterns with templates that may help (see `selfheal.repair.ranking.applicable`), and
    `proposals` the edits of a language model.
    """

    diagnosis: Diagnosis
    base_commit: str
    sources: dict[str, str]
    good_sources: dict[str, str] = Field(default_factory=dict)
    suspects: list[SuspectChange] = Field(default_factory=list)
    requests: list[RecordedRequest] = Field(default_factory=list)
    no_requests: str | None = None
    failing_test: FailingTest | None = None
    good_work: Work | None = None
    bad_work: Work | None = None
    shape: Any = None
    recorded: RecordedBehaviour | None = None
    client: Client | None = None
    tests_folder: str = "tests"
    test_files: list[str] = Field(default_factory=list)
    environment: Environment | None = None
    learned: list[Pattern] = Field(default_factory=list)
    proposals: list[Edit] = Field(default_factory=list)

    def without_tests(self, left: Collection[str]) -> Problem:
        """The problem as its other failing tests show it."""
        tests = [test for test in self.failing_tests if test not in left]
        if not left or not tests:
            return self
        evidence = self.diagnosis.evidence | {"failing_tests": tests}
        file, _, name = tests[0].partition("::")
        return self.model_copy(
            update={
                "diagnosis": self.diagnosis.model_copy(update={"evidence": evidence}),
                "failing_test": FailingTest(file=file, name=name),
            }
        )

    @property
    def environment_notes(self) -> list[str]:
        """What could not be found out of the environment."""
        known = self.environment
        if known is None:
            return []
        return [*([known.unavailable] if known.unavailable else []), *known.notes]

    @property
    def exception(self) -> str:
        """The exception's own name, without its module."""
        return str(self.diagnosis.evidence.get("exception_type") or "").rpartition(".")[2]

    @property
    def failing_tests(self) -> list[str]:
        """The node ids of the suite's tests that show the trouble, sorted."""
        found = {str(each) for each in self.diagnosis.evidence.get("failing_tests") or ()}
        named = self.failing_test
        if named is not None and not found:
            found = {f"{named.file}::{named.name}" if named.name else named.file}
        return sorted(found)

    @property
    def behaviour(self) -> RecordedBehaviour | None:
        """What recorded calls do, where a test can be made of them."""
        return self.recorded if self.recorded is not None and self.recorded.calls else None

    @property
    def message(self) -> str:
        evidence = self.diagnosis.evidence
        return str(evidence.get("message") or evidence.get("exception_message") or "")

    @property
    def slow_pattern(self) -> str:
        return str(self.diagnosis.evidence.get("slow_pattern") or "")

    @property
    def context(self) -> dict[str, Any]:
        """The facts by which the pattern library tells one kind of trouble from another."""
        return trouble_context(self.diagnosis)

    def source(self, path: str) -> Source | None:
        text = self.sources.get(path)
        return parse(path, text) if text is not None else None

    def places(self) -> Iterator[Place]:
        """The accused functions, best first, with their text at the good commit if it is there."""
        seen: set[tuple[str, int]] = set()
        for location in self.diagnosis.locations:
            source = self.source(location.file)
            function = source.function_at(location.line, location.function) if source else None
            if source is None or function is None or (location.file, function.lineno) in seen:
                continue
            seen.add((location.file, function.lineno))
            yield Place(source, function, location.line, self._good(location.file, function))

    def _good(self, path: str, function: Function) -> tuple[Source, Function] | None:
        text = self.good_sources.get(path)
        good = parse(path, text) if text is not None else None
        if good is None:
            return None
        found = next((each for each in good.functions() if each.name == function.name), None)
        return (good, found) if found else None

    def python(self) -> Iterator[Source]:
        """Every Python file that was read, tests not counted."""
        for path in sorted(self.sources):
            if path.endswith(".py") and not is_test(path):
                source = self.source(path)
                if source is not None:
                    yield source


class Place(NamedTuple):
    """An accused function, the line accused in it, and its version at the good commit."""

    source: Source
    function: Function
    line: int
    good: tuple[Source, Function] | None

    @property
    def qualified_name(self) -> str:
        """The function's name with those of the classes around it."""
        names = [self.function.name]
        for each in self.source.ancestors(self.function):
            if isinstance(each, ast.ClassDef):
                names.append(each.name)
        return ".".join(reversed(names))

    def nodes(self, *kinds: type[ast.AST]) -> list[ast.AST]:
        """The nodes of some kinds on the accused line, outermost first."""
        return [
            node
            for node in ast.walk(self.function)
            if isinstance(node, kinds)
            and isinstance(node, ast.expr | ast.stmt)
            and node.lineno <= self.line <= (node.end_lineno or node.lineno)
        ]


def is_test(path: str) -> bool:
    """Whether a path is a test's by pytest's naming, or lies in a folder of tests."""
    parts = path.split("/")
    name = parts[-1]
    return (
        name.startswith("test_")
        or name.endswith("_test.py")
        or name == "conftest.py"
        or any(part in ("tests", "test") for part in parts[:-1])
    )
