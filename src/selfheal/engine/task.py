"""What crosses the border to a worker: a task, and its reply. Both are plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal["succeeded", "skipped", "failed", "waiting", "fault"]


@dataclass(frozen=True)
class Stored:
    """A stored result: its file below the run folder and whose return annotation reads it.

    `artifact` names the artifact where the file is one (the payload is inside the
    envelope); `many` says that the beat had foreach and the file holds a list.
    """

    file: str
    handler: str | None
    many: bool = False
    artifact: str | None = None


@dataclass(frozen=True)
class Collected:
    """The lists of several stored results, one after the other."""

    parts: tuple[Stored, ...]


@dataclass(frozen=True)
class Literally:
    """A JSON value, read by the parameter's annotation."""

    value: Any


@dataclass(frozen=True)
class Granted:
    """The human decision as the fields of `Approval`, or None."""

    fields: dict[str, str] | None


@dataclass(frozen=True)
class Service:
    name: str


@dataclass(frozen=True)
class Nothing:
    """None, where the producer was skipped and the reader allows it."""


Given = Stored | Collected | Literally | Granted | Service | Nothing


@dataclass(frozen=True)
class RunContext:
    """What is the same for every task of a run; paths as text.

    `environment` are variables that the task's process gets.
    """

    run_id: str
    started_at: str
    run_folder: str
    artifacts_folder: str
    repository: str | None
    beats_folder: str | None
    packages: bool = True
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """One attempt of one beat (or of one item of it).

    The result goes to `temporary` (a file; tables beside it with the suffix
    ``.tables``), as it will be read at `output`; both are below the run folder unless
    `temporary` is absolute. `envelope` is set where the beat writes an artifact.
    """

    run: RunContext
    phase: str
    beat: str
    handler: str
    given: dict[str, Given]
    output: str
    temporary: str
    scratch: str
    timeout_seconds: float
    envelope: dict[str, Any] | None = None


@dataclass(frozen=True)
class Reply:
    """How an attempt ended. `failures` are the names that retry_on and catch may match."""

    outcome: Outcome
    reason: str = ""
    hint: str = ""
    slug: str = ""
    summary: str = ""
    sha256: str = ""
    tables: bool = False
    files: dict[str, str] = field(default_factory=dict)
    failures: tuple[str, ...] = ()
    trace: str = ""
    elapsed: float = 0.0
