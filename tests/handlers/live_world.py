"""A living service to roll out to: real processes, real traffic, real telemetry."""

from __future__ import annotations

import http.client
import json
import random
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from delivery_world import Delivery
from selfheal_handlers.deployment import _examples

from selfheal.analysis.errors import detect_errors
from selfheal.analysis.model import DetectionData
from selfheal.analysis.releases import compare
from selfheal.artifacts import Anomalies, Dataset, Telemetry
from selfheal.artifacts.anomalies import Health
from selfheal.artifacts.telemetry import EventCounts, Refused, Window
from selfheal.codebase.git import git
from selfheal.config import DetectConfig, ServiceConfig
from selfheal.delivery.fleet import Fleet
from selfheal.telemetry import ingest
from selfheal.telemetry.receiver import Receiver

TILL = Path(__file__).parents[1] / "resources" / "till" / "till.py"
GOOD = _examples.HEALED
SICK = _examples.BROKEN


@dataclass
class Traffic:
    """Sessions of one request from several threads, through the fleet's proxy if it has one.

    Without one, each goes to an instance chosen by weight.
    """

    routing: Path
    threads: int = 3
    pause: float = 0.02
    statuses: list[int] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _running: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        for seed in range(self.threads):
            thread = threading.Thread(target=self._go, args=(random.Random(seed),), daemon=True)
            thread.start()
            self._running.append(thread)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._running:
            thread.join()

    def _go(self, chance: random.Random) -> None:
        proxy = Fleet(self.routing.parent).url
        while not self._stop.is_set():
            instances = json.loads(self.routing.read_text())["instances"]
            weights = [instance["weight"] for instance in instances]
            if sum(weights) > 0:
                (chosen,) = chance.choices(instances, weights)
                code = "ten" if chance.random() < 0.7 else "ninety"
                self.statuses.append(_get(proxy or chosen["url"], f"/total?code={code}"))
            time.sleep(self.pause)


def _get(url: str, path: str) -> int:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def fleet_of(folder: Path, endpoint: str, release: str, text: str) -> Fleet:
    """Two instances of a release, with all traffic. `text` is its pricing.py."""
    service = ServiceConfig(name="till", start=["{python}", "till.py", "{port}"])
    fleet = Fleet.create(folder, service=service, endpoint=endpoint)
    checkout = fleet.checkout(release)
    checkout.mkdir(parents=True)
    shutil.copy(TILL, checkout)
    (checkout / "pricing.py").write_text(text)
    fleet.start(checkout, release, release, 2)
    fleet.route({release: 100})
    return fleet


@contextmanager
def sick_fleet(folder: Path) -> Iterator[Fleet]:
    """A fleet of release 1.1, which is sick, and what receives its telemetry, for a while."""
    with Receiver(folder / "telemetry") as receiver:
        made = fleet_of(folder, receiver.endpoint, "1.1", SICK)
        try:
            yield made
        finally:
            made.stop_all()


def recording(folder: Path, seconds: float) -> Path:
    """The telemetry of release 1.0 and then of 1.1, which is sick, under traffic."""
    with Receiver(folder / "telemetry") as receiver:
        for release, text in (("1.0", GOOD), ("1.1", SICK)):
            fleet = fleet_of(folder, receiver.endpoint, release, text)
            with Traffic(fleet.folder / "routing.json"):
                time.sleep(seconds)
            fleet.stop_all()
    return folder / "telemetry"


def living(folder: Path, fix: str, fleet: Fleet, recorded: Path, **deploy: Any) -> Delivery:
    """A delivery of `fix` (the new text of pricing.py) to the fleet, from real anomalies."""
    world = _examples.world(folder)
    (world.repository / "till.py").write_text(TILL.read_text())
    git(world.repository, "add", "--all")
    who = ("-c", "user.name=dev", "-c", "user.email=dev@localhost")
    git(world.repository, *who, "commit", "--quiet", "-m", "Till")
    git(world.repository, "push", "--quiet", "origin", "main")
    base = git(world.repository, "rev-parse", "HEAD").stdout.strip()
    patch = world.patch_text.replace("DISCOUNTS.get(code, 1.0)", fix)
    world = _examples.World(folder, base, patch)
    source = folder / "artifacts" / "runs" / "source"
    dataset = ingest([recorded], source, "dataset").dataset
    anomalies = _anomalies(dataset)
    settings = world.config.model_copy(
        update={
            "deploy": world.config.deploy.model_copy(
                update={"target": "processes", "fleet": str(fleet.folder), **deploy}
            ),
            "learn": world.config.learn.model_copy(update={"observe_seconds": 2.0}),
            "run": world.config.run.model_copy(update={"workers": 1}),
        }
    )
    made = Delivery(world, settings)
    diagnosis = world.diagnosis.diagnoses[0].model_copy(
        update={"anomaly_ids": [anomaly.id for anomaly in anomalies.anomalies]}
    )
    made.store(
        **world.artifacts
        | {
            "anomalies": anomalies,
            "diagnosis": world.diagnosis.model_copy(update={"diagnoses": [diagnosis]}),
            "telemetry": _telemetry(dataset),
        }
    )
    return made


def _anomalies(dataset: Dataset) -> Anomalies:
    data = DetectionData(dataset=dataset, comparisons=compare(dataset))
    found = detect_errors(data, DetectConfig()).anomalies
    assert [anomaly.evidence["exception_type"] for anomaly in found] == ["KeyError"]
    health = Health(state="no_data", score=None, components=[])
    return Anomalies(anomalies=found, health=health)


def _telemetry(dataset: Dataset) -> Telemetry:
    return Telemetry(
        sources=[],
        refused=Refused(),
        events=EventCounts(),
        window=Window(),
        releases=[],
        operations=[],
        dataset=dataset,
    )
