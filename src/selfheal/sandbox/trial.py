"""A trial: variants of the service run side by side and are sent the same recorded requests.

Each variant is a real process in a checkout of its own, exporting its telemetry to a
real receiver. Requests go to the variants in turn, forwards and then backwards (A B C
C B A), so that a drift of the machine's speed falls on all of them alike. What was
exported is ingested like production telemetry, with the variant's name as the release.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from selfheal.artifacts.dataset import Dataset
from selfheal.artifacts.patch import RecordedRequest
from selfheal.config import ServiceConfig, TestsConfig
from selfheal.errors import RepositoryError, ServiceError
from selfheal.sandbox.replay import Reply, replay
from selfheal.sandbox.service import ServiceProcess
from selfheal.sandbox.worktree import Worktree
from selfheal.telemetry import ingest
from selfheal.telemetry.receiver import Receiver

EXPORT_DELAY_MILLISECONDS = 100
QUIET_SECONDS = 0.6
FLUSH_SECONDS = 15.0

FAST_EXPORT = {
    "OTEL_BSP_SCHEDULE_DELAY": str(EXPORT_DELAY_MILLISECONDS),
    "OTEL_BLRP_SCHEDULE_DELAY": str(EXPORT_DELAY_MILLISECONDS),
    "OTEL_METRIC_EXPORT_INTERVAL": "1000",
}


@dataclass(frozen=True)
class Variant:
    """A release in the trial: a commit, with a patch or without."""

    name: str
    commit: str
    patch: str | None = None


@dataclass
class Outcome:
    """What a trial gave. `replies` are per variant and round; `absent` says who did not start.

    `round_seconds` is how long a round took on the average.
    """

    replies: dict[str, list[list[Reply]]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    dataset: Dataset | None = None
    round_seconds: float = 0.0

    def seconds(self, variant: str, sessions: set[int] | None = None) -> list[list[float]]:
        """Seconds of the answered judged requests of each round, of these sessions only."""
        return [
            [
                reply.seconds
                for reply in replies
                if reply.judged
                and reply.status is not None
                and (sessions is None or reply.session in sessions)
            ]
            for replies in self.replies.get(variant, [])
        ]

    def broken(self, variant: str) -> set[int]:
        """Sessions whose judged request got no answer or a server error at least once."""
        return {
            reply.session
            for replies in self.replies.get(variant, [])
            for reply in replies
            if reply.judged and (reply.status is None or reply.status >= 500)
        }


class Trial:
    """A trial of `variants` in `folder`; a context manager that ends every process.

    Entering starts the variants, and leaving deletes the folder: what counts is in the outcome.
    Its dataset is to be read inside.
    Entering starts the variants; one that does not become healthy is noted in
    `Outcome.absent`, not raised. `run` may be called again for more data.
    """

    def __init__(
        self,
        repository: Path,
        folder: Path,
        service: ServiceConfig,
        tests: TestsConfig,
        variants: Sequence[Variant],
        *,
        memory_megabytes: int | None = None,
    ) -> None:
        self.repository = repository
        self.folder = folder
        self.service = service
        self.tests = tests
        self.variants = list(variants)
        self.memory_megabytes = memory_megabytes
        self.outcome = Outcome()
        self._stack = ExitStack()
        self._services: dict[str, ServiceProcess] = {}

    def __enter__(self) -> Trial:
        shutil.rmtree(self.folder, ignore_errors=True)
        telemetry = self.folder / "telemetry"
        try:
            self._receiver = self._stack.enter_context(Receiver(telemetry))
            with ThreadPoolExecutor(max_workers=2) as pool:
                list(pool.map(self._start, self.variants))
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, sessions: Sequence[Sequence[RecordedRequest]], rounds: int) -> Outcome:
        """Replay every session `rounds` times, twice in each, on every variant that runs.

        The first call is preceded by one round that warms caches and is not kept.
        """
        names = [variant.name for variant in self.variants if variant.name in self._services]
        if not self.outcome.replies:
            for name in names:
                replay(self._services[name].url, sessions)
            self._settle()
            self._cut()
        begun = time.monotonic()
        for turn in range(rounds):
            # Who stands where in the order changes by the round: neighbours matter to caches.
            shift = turn % len(names) if names else 0
            order = [*names[shift:], *names[:shift]]
            collected: dict[str, list[Reply]] = {name: [] for name in names}
            for number, session in enumerate(sessions):
                for name in (*order, *reversed(order)):
                    replies = replay(self._services[name].url, [session])
                    collected[name] += [replace(reply, session=number) for reply in replies]
            for name in names:
                self.outcome.replies.setdefault(name, []).append(collected[name])
        self.outcome.round_seconds = (time.monotonic() - begun) / rounds
        self._settle()
        self.outcome.dataset = self._ingest()
        return self.outcome

    def _start(self, variant: Variant) -> None:
        worktree = Worktree(self.repository, variant.commit, self.folder / "trees" / variant.name)
        try:
            worktree.create()
            if variant.patch is not None:
                worktree.apply(variant.patch)
            process = ServiceProcess(
                self.service.model_copy(
                    update={"environment": self.service.environment | FAST_EXPORT}
                ),
                folder=worktree.path,
                release=variant.name,
                instance=f"{variant.name}-1",
                commit=variant.commit,
                log=self.folder / "logs" / variant.name / "service.log",
                endpoint=self._receiver.endpoint,
                python=self.tests.python,
                sandboxed=True,
                memory_megabytes=self.memory_megabytes,
                grace_seconds=0.0,
            )
            process.start()
        except (ServiceError, RepositoryError) as error:
            self.outcome.absent[variant.name] = error.message
            return
        self._stack.callback(process.stop)
        self._services[variant.name] = process

    def _sizes(self) -> dict[str, int]:
        return {file.name: file.stat().st_size for file in self._receiver.folder.glob("*.jsonl")}

    def _settle(self) -> None:
        """Wait until nothing has arrived for a while: exporters send in batches."""
        deadline = time.monotonic() + FLUSH_SECONDS
        sizes, since = self._sizes(), time.monotonic()
        while time.monotonic() < min(deadline, since + QUIET_SECONDS):
            time.sleep(0.05)
            if (now := self._sizes()) != sizes:
                sizes, since = now, time.monotonic()

    def _cut(self) -> None:
        """Forget what has arrived so far."""
        self._begin = self._sizes()

    def _ingest(self) -> Dataset:
        kept = self.folder / "judged"
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir()
        for file in sorted(self._receiver.folder.glob("*.jsonl")):
            with file.open("rb") as source, (kept / file.name).open("wb") as target:
                source.seek(self._begin.get(file.name, 0))
                shutil.copyfileobj(source, target)
        files = [file for file in sorted(kept.iterdir()) if file.stat().st_size]
        shutil.rmtree(self.folder / "dataset", ignore_errors=True)
        return ingest(files, self.folder, "dataset").dataset
