"""Who may roll out, and what is known of it outside of the process that does.

One folder per service holds::

    rollout.json          the present rollout (RolloutRecord), replaced atomically
    rollout.lock          locked by the process that moves traffic, freed by its death
    rollout.request.json  what a human asked for meanwhile: abort or promote

So there is one rollout of a service at a time, and everyone can see whether the one in
rollout.json is in anybody's hands.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field

from selfheal.artifacts.deployment import RolloutStep
from selfheal.artifacts.model import Model
from selfheal.artifacts.replacing import replace_text

M = TypeVar("M", bound=Model)
State = Literal["running", "paused", "asking", "returned", "returning", "finished", "rolled_back"]
ENDED: frozenset[State] = frozenset({"finished", "rolled_back"})


class RolloutRecord(Model):
    """The present rollout.

    `percent` is the step that traffic stands at. `paused`: undecided in time; `asking`:
    waits for a human before the next step; both until `until` (Unix time). `returned`:
    traffic was taken back while nobody was there to finish it; `failed` says that the
    release was the reason. `returning`: it is taken back, after the gate of `step` failed if
    there is one. `seen` holds, for each step, the smallest effects that it
    could see.
    """

    run_id: str
    old: str
    new: str
    commit: str
    percent: int = 0
    state: State = "running"
    reason: str = ""
    failed: bool = False
    until: float | None = None
    step: RolloutStep | None = None
    asked: int | None = None
    promoted: list[int] = Field(default_factory=list)
    seen: dict[str, dict[str, Any]] = Field(default_factory=dict)


class Request(Model):
    """What a human asked for."""

    action: Literal["abort", "promote"]
    by: str
    reason: str = ""

    @property
    def told(self) -> str:
        return f"aborted by {self.by}" + (f": {self.reason}" if self.reason else "")


class RolloutFolder:
    """The folder of a service's rollouts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    def record(self) -> RolloutRecord | None:
        """The present or the last rollout, None where there was none."""
        return _read(self.folder / "rollout.json", RolloutRecord)

    def write(self, record: RolloutRecord) -> RolloutRecord:
        self.folder.mkdir(parents=True, exist_ok=True)
        _write(self.folder / "rollout.json", record)
        return record

    def update(self, **changes: Any) -> RolloutRecord:
        """Change some fields of the present record, which there must be."""
        record = self.record()
        assert record is not None
        return self.write(record.model_copy(update=changes))

    def request(self, request: Request) -> None:
        """Ask whoever has the rollout in hand."""
        _write(self.folder / "rollout.request.json", request)

    def requested(self) -> Request | None:
        return _read(self.folder / "rollout.request.json", Request)

    def take_request(self, action: str) -> Request | None:
        """The request for an action, which is answered with this."""
        request = self.requested()
        if request is None or request.action != action:
            return None
        self.forget_request()
        return request

    def forget_request(self) -> None:
        (self.folder / "rollout.request.json").unlink(missing_ok=True)

    def abort_asked(self) -> str | None:
        """The words of a request to abort, None where there is none."""
        request = self.requested()
        return request.told if request is not None and request.action == "abort" else None

    @contextmanager
    def in_hand(self, patience_seconds: float = 0.0) -> Iterator[bool]:
        """Hold the lock, False where another process does after waiting for so long."""
        self.folder.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + patience_seconds
        with (self.folder / "rollout.lock").open("w") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    if time.monotonic() >= deadline:
                        yield False
                        return
                    time.sleep(0.05)
                else:
                    break
            yield True

    def is_in_hand(self) -> bool:
        """Whether some process holds the lock now."""
        with self.in_hand() as free:
            return not free


def _read(path: Path, model: type[M]) -> M | None:
    try:
        return model.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None


def _write(path: Path, content: Model) -> None:
    replace_text(path, content.model_dump_json(indent=2) + "\n")
