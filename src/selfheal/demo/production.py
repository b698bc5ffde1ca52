"""The shop in production: a live receiver, a fleet of real processes, and visitors.

with Production(folder / "production", repository) as production:
    production.record_releases(seconds=30)
    with production.traffic(seed=3):
        …
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from selfheal.config import ServiceConfig
from selfheal.delivery.fleet import Fleet
from selfheal.demo.history import ShopRepository, git
from selfheal.errors import Fault, MissingExtra, ServiceError
from selfheal.sandbox.process import Supervised, spawn

# One thread an instance, as with synchronous workers: a request waits before its span
# begins, and no slow request makes those look slow that it shares the interpreter with.
SERVICE = ServiceConfig(
    name="shop",
    start=["{python}", "-m", "shop", "--port", "{port}", "--threads", "1"],
    environment={"SHOP_RECORD_REQUESTS": "1"},
)
INSTANCES = 2
RATE = 120.0
EXPORT_SECONDS = 1.5
PACKAGES = {"flask": "flask", "waitress": "waitress", "opentelemetry.sdk": "opentelemetry-sdk"}


class Production:
    """Production in `folder`, serving releases of `repository`; a context manager.

    `folder/telemetry` holds what the live receiver got. Leaving it ends every process,
    and so does the end of this process in whatever way.
    """

    def __init__(self, folder: Path, repository: ShopRepository) -> None:
        self.folder = folder.absolute()
        self.repository = repository
        self.telemetry = self.folder / "telemetry"
        self.fleet = Fleet(self.folder)
        self._receiver: Supervised | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        require_packages()
        self.telemetry.mkdir(parents=True, exist_ok=True)
        try:
            self._receiver, endpoint = start_receiver(self.telemetry, self.folder / "receiver.log")
            self.fleet = Fleet.create(self.folder, service=SERVICE, endpoint=endpoint)
            self._guard = subprocess.Popen(
                [sys.executable, "-m", "selfheal.demo.guard", "--fleet", str(self.folder)],
                stdin=subprocess.PIPE,
                start_new_session=True,
            )
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the fleet, then the receiver, so that the last telemetry still arrives."""
        if (self.folder / "routing.json").exists():
            self.fleet.stop_all()
        if self._receiver is not None:
            self._receiver.end()
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.stdin.close()
            self._guard.wait()
        self._receiver = self._guard = None

    def start(self, release: str, commit: str) -> None:
        """Start the instances of a release from a checkout of `commit`, without traffic yet."""
        self.fleet.start(self.checkout(release, commit), release, commit, INSTANCES)

    def checkout(self, release: str, commit: str) -> Path:
        """The files of a commit in the fleet's folder for this release."""
        folder = self.fleet.checkout(release)
        if not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            source = str(self.repository.remote.absolute())
            git(folder.parent, "clone", "--quiet", "--no-checkout", source, folder.name)
            git(folder, "checkout", "--quiet", "--detach", commit)
        return folder

    @contextmanager
    def traffic(self, *, seed: int, rate: float = RATE) -> Iterator[Supervised]:
        """Visitors for as long as the context lasts; their answers go to traffic.jsonl."""
        command = [sys.executable, "-m", "selfheal.demo.traffic"]
        command += ["--routing", str(self.folder / "routing.json")]
        command += ["--rate", str(rate), "--seed", str(seed)]
        with (self.folder / "traffic.jsonl").open("ab") as answers:
            crowd = supervised(command, self.folder, stdout=answers)
        try:
            yield crowd
        finally:
            crowd.end()

    def record_releases(self, *, seconds: float, seed: int = 0) -> dict[str, int]:
        """Run 1.0, bring 1.1 up beside it, then leave 1.1 alone; answers counted by status.

        1.0 serves alone for a fifth of `seconds`, then both share the traffic evenly, so
        that what the machine does meanwhile happens to both. Logs and the coverage of
        1.1's suite are kept beside the traces. Release 1.1 stays in production.
        """
        shop = self.repository
        self.start("1.0", shop.good_commit)
        self.fleet.route({"1.0": 100}, label="release 1.0")
        with self.traffic(seed=seed) as crowd:
            self.watch(crowd, seconds / 5)
            self.start("1.1", shop.bad_commit)
            self.fleet.route({"1.0": 50, "1.1": 50}, label="release 1.1 beside 1.0")
            self.watch(crowd, seconds * 4 / 5)
            self.fleet.route({"1.1": 100}, label="release 1.1")
        self.fleet.stop("1.0")
        self.watch(None, EXPORT_SECONDS)
        self.keep_logs()
        self.measure_coverage("1.1")
        lines = (self.folder / "traffic.jsonl").read_text("utf-8").splitlines()
        answers: dict[str, int] = json.loads(lines[-1])
        return answers

    def watch(self, crowd: Supervised | None, seconds: float) -> None:
        """Let production run for `seconds`. Raises Fault where the visitors stay away."""
        if crowd is None:
            time.sleep(seconds)
        elif crowd.ended_within(seconds):
            raise Fault("the traffic ended by itself.", where=str(self.folder / "traffic.jsonl"))

    def keep_logs(self) -> None:
        """Copy what the instances have logged so far to the telemetry, as ``app-<id>.log``."""
        for log in sorted((self.folder / "logs").glob("*.log")):
            shutil.copyfile(log, self.telemetry / f"app-{log.name}")

    def measure_coverage(self, release: str) -> Path:
        """Run the suite of a release under coverage; return ``coverage-<release>.json``."""
        folder = self.fleet.checkout(release)
        report = self.telemetry / f"coverage-{release}.json"
        data = self.folder / f"coverage-{release}"
        coverage = [sys.executable, "-m", "coverage"]
        environment = {**os.environ, "COVERAGE_FILE": str(data)}
        for command in (
            [*coverage, "run", "--source=shop", "-m", "pytest", "-q", "-p", "no:cacheprovider"],
            [*coverage, "json", "--quiet", "-o", str(report)],
        ):
            done = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode != 0:
                raise Fault(
                    f"the suite of {release} failed: {done.stdout[-2000:]}", where=str(folder)
                )
        data.unlink()
        return report


def supervised(command: list[str], folder: Path, *, stdout: Any) -> Supervised:
    """Start a helper process that ends with this one."""
    return spawn(
        command,
        cwd=folder,
        environment=os.environ,
        limits={"CORE": 0},
        grace_seconds=5,
        stdout=stdout,
        stderr=subprocess.STDOUT,
    )


def start_receiver(telemetry: Path, log: Path) -> tuple[Supervised, str]:
    """Start the live receiver; return it and its OTLP/HTTP endpoint.

    Raises ServiceError where it does not listen within 20 seconds.
    """
    command = [sys.executable, "-m", "selfheal.telemetry.receiver", "--folder", str(telemetry)]
    with log.open("wb") as output:
        receiver = supervised(command, telemetry.parent, stdout=output)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        endpoint = log.read_text("utf-8").strip()
        if endpoint:
            return receiver, endpoint
        if receiver.ended_within(0.05):
            break
    receiver.end()
    raise ServiceError("the OTLP receiver did not start.", where=str(telemetry))


def require_packages() -> None:
    """Raise MissingExtra where the packages that the shop needs are not installed."""
    from importlib.util import find_spec

    for module, package in PACKAGES.items():
        try:
            found = find_spec(module)
        except ModuleNotFoundError:
            found = None
        if found is None:
            raise MissingExtra.of(package, "demo")
