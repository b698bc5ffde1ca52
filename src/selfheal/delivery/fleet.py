"""The live fleet: service processes of one or two releases and the weights between them.

A fleet is a folder::

    fleet.json         how to start an instance (FleetSettings)
    routing.json       {"instances": [{id, url, release, commit, pid, weight, …}], …}
    proxy/             what HAProxy runs from, where the fleet is served through it
    telemetry/         where the live receiver writes OTLP JSON lines
    releases/<release> the checkouts that instances run from
    logs/              what the instances print

routing.json is the one truth about traffic. It is replaced atomically, so that a crash at
any instant leaves the routing before or after a change. With HAProxy installed, clients
ask its one address (`Fleet.url`) and it carries the weights out; without it they choose an
instance per session by weight and read the file again when it changes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic import Field, ValidationError

from selfheal.artifacts.locking import exclusive
from selfheal.artifacts.model import Model
from selfheal.artifacts.replacing import replace_text
from selfheal.config import ServiceConfig
from selfheal.delivery.growing import end_of_whole_lines
from selfheal.delivery.processes import birth_of, end, is_alive
from selfheal.delivery.proxy import Proxy, find_haproxy
from selfheal.errors import InvalidInput, ServiceError

RECENT_BYTES = 8_000_000


class FleetSettings(Model):
    """How to start an instance. `endpoint` is the OTLP/HTTP endpoint, `python` fills {python}.

    `port` is where HAProxy serves the fleet, None where clients balance by themselves.
    """

    service: ServiceConfig
    endpoint: str | None = None
    python: str | None = None
    port: int | None = None


class Instance(Model):
    """One running process of the service. `birth` tells it from a later process of the same pid.

    One that is `leaving` gets no traffic any more and will be ended.
    """

    id: str
    url: str
    release: str
    commit: str
    pid: int
    weight: float = 0.0
    birth: int = 0
    leaving: bool = False

    @property
    def number(self) -> int:
        """Which instance of its release it is, from 1."""
        return int(self.id.rpartition("-")[2])

    @property
    def alive(self) -> bool:
        return is_alive(self.pid, self.birth)


class Routing(Model):
    """The content of routing.json.

    `percents` is the share of each release in percent, `label` names the change that
    set them, `routed_at_ns` is when (Unix time) and `offsets` how much telemetry had
    been received then (see `Fleet.offsets`).
    """

    instances: list[Instance] = Field(default_factory=list)
    percents: dict[str, float] = Field(default_factory=dict)
    label: str = ""
    routed_at_ns: int = 0
    offsets: dict[str, int] = Field(default_factory=dict)


class Fleet:
    """The fleet in `folder`. Every method may be called again after a crash."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.telemetry = self.folder / "telemetry"

    @classmethod
    def create(
        cls,
        folder: Path,
        *,
        service: ServiceConfig,
        endpoint: str | None = None,
        python: str | None = None,
        proxy: bool | None = None,
    ) -> Fleet:
        """Make the folder of a fleet that has no instances yet, or change its settings.

        `proxy` says whether HAProxy serves it; None: where it is installed.
        """
        from selfheal.sandbox.service import free_port

        fleet = cls(folder)
        fleet.telemetry.mkdir(parents=True, exist_ok=True)
        served = find_haproxy() is not None if proxy is None else proxy
        settings = FleetSettings(
            service=service,
            endpoint=endpoint,
            python=python,
            port=(fleet.port() or free_port()) if served else None,
        )
        replace_text(fleet.folder / "fleet.json", settings.model_dump_json(indent=2) + "\n")
        if not (fleet.folder / "routing.json").exists():
            fleet._write(Routing())
        return fleet

    @property
    def settings(self) -> FleetSettings:
        """fleet.json. Raises InvalidInput where the folder holds no fleet."""
        path = self.folder / "fleet.json"
        try:
            return FleetSettings.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise InvalidInput(
                "the folder holds no fleet.",
                where=str(path),
                hint="Set deploy.fleet to a fleet's folder, or deploy.target to none.",
            ) from error
        except ValidationError as error:
            raise InvalidInput(
                f"this fleet.json does not fit: {error.errors()[0]['msg']}.", where=str(path)
            ) from error

    def port(self) -> int | None:
        """Where HAProxy serves the fleet, None where it does not."""
        return self.settings.port if (self.folder / "fleet.json").exists() else None

    @property
    def url(self) -> str | None:
        """The one address of the service, None where clients balance by themselves."""
        proxy = self._proxy()
        return proxy.url if proxy else None

    def routing(self) -> Routing:
        """routing.json as it is now."""
        try:
            return Routing.model_validate_json((self.folder / "routing.json").read_bytes())
        except FileNotFoundError:
            return Routing()

    def instances(self, release: str | None = None) -> list[Instance]:
        """The registered instances that are alive, of one release if named."""
        return [
            instance
            for instance in self.routing().instances
            if instance.alive and not instance.leaving and release in (None, instance.release)
        ]

    def healthy(self, instance: Instance) -> bool:
        """Whether the instance answers its health address with 200 now."""
        from selfheal.sandbox.service import healthy

        return instance.alive and healthy(instance.url, self.settings.service.health)

    def start(self, source: Path, release: str, commit: str, count: int) -> list[Instance]:
        """Bring the release to `count` live, healthy instances, of weight 0 until `route`.

        `source` is the checkout to run from; it must outlive them. Instances that are
        alive are kept, so that a repeated call starts nothing twice. Raises
        ServiceError where an instance does not get healthy in service.startup_seconds.
        """
        present = {instance.id for instance in self.instances(release)}
        for number in range(1, count + 1):
            identity = f"{release}-{number}"
            if identity not in present:
                self._launch(source, release, commit, identity)
        return self.instances(release)

    def route(self, percents: Mapping[str, float], *, label: str = "") -> Routing:
        """Give each release its share of new sessions, in percent, evenly over its instances.

        Releases that are not named get 0. Raises InvalidInput where the shares do not
        sum to 100 or a release with a share has no live instance.
        """
        if abs(sum(percents.values()) - 100) > 1e-6:
            raise InvalidInput(f"the shares of traffic sum to {sum(percents.values()):g}, not 100.")
        with self._locked():
            present = self.routing()
            shares = {release: float(share) for release, share in percents.items()}
            routing = Routing(
                instances=_weighted(present.instances, shares),
                percents=shares,
                label=label,
                routed_at_ns=time.time_ns(),
                offsets=self.offsets(),
            )
            self._write(routing)
            try:
                self._carry_out(routing)
            except ServiceError:
                self._write(present)
                raise
            return routing

    def carried(self) -> bool:
        """Whether traffic is as routing.json says, which a crash or a dead proxy may prevent."""
        proxy = self._proxy()
        return proxy is None or proxy.carries(self.routing().instances)

    def tend(self) -> None:
        """Bring back a proxy that ended or was not told, and leave traffic as it should be."""
        with self._locked():
            if not self.carried():
                self._carry_out(self.routing())

    def reduce(self, release: str, count: int) -> None:
        """Bring a release down to its first `count` instances; the others lose traffic first."""
        with self._locked():
            present = self.routing()
            marked = [
                i.model_copy(update={"leaving": i.leaving or i.number > count})
                if i.release == release
                else i
                for i in present.instances
            ]
            leaving = [i for i in marked if i.leaving]
            if not leaving:
                return
            routing = present.model_copy(update={"instances": _weighted(marked, present.percents)})
            self._write(routing)
            self._carry_out(routing)
        self._drain()
        self._end(leaving)

    def stop(self, release: str) -> None:
        """End the instances of a release that gets no traffic any more, and forget them.

        Raises InvalidInput where it still has a share of the traffic.
        """
        leaving = [i for i in self.routing().instances if i.release == release]
        if any(instance.weight > 0 and instance.alive for instance in leaving):
            raise InvalidInput(
                f"release {release} still gets traffic.", hint="Route its share elsewhere first."
            )
        self._drain()
        self._end(leaving)

    def stop_all(self) -> None:
        """End every instance, whatever traffic it gets. The fleet is down afterwards."""
        Proxy(self.folder, self.port() or 0).stop()
        if self.folder.is_dir():
            self._end(self.routing().instances)

    def offsets(self) -> dict[str, int]:
        """How many bytes of whole lines each telemetry file has now: a mark for `telemetry_since`."""
        return {
            path.name: end_of_whole_lines(path)
            for path in sorted(self.telemetry.glob("*.jsonl"))
            if path.is_file()
        }

    def telemetry_since(self, offsets: Mapping[str, int], into: Path) -> list[Path]:
        """Copy the whole lines that were received after `offsets` to files in `into`."""
        into.mkdir(parents=True, exist_ok=True)
        copies = []
        for path in sorted(self.telemetry.glob("*.jsonl")):
            with path.open("rb") as file:
                file.seek(offsets.get(path.name, 0))
                content = file.read()
            whole = content[: content.rfind(b"\n") + 1]
            if whole:
                copy = into / path.name
                copy.write_bytes(whole)
                copies.append(copy)
        return copies

    def telemetry_before(self, offsets: Mapping[str, int], into: Path) -> list[Path]:
        """Copy the last `RECENT_BYTES` of whole lines before `offsets`, and all after them."""
        earlier = {
            path.name: max(0, offsets.get(path.name, 0) - RECENT_BYTES)
            for path in sorted(self.telemetry.glob("*.jsonl"))
        }
        for name, offset in earlier.items():
            if offset:
                with (self.telemetry / name).open("rb") as file:
                    file.seek(offset)
                    earlier[name] += len(file.readline())
        return self.telemetry_since(earlier, into)

    def checkout(self, release: str) -> Path:
        """Where the checkout of a release lies, whether or not it is there yet."""
        return self.folder / "releases" / release

    def _launch(self, source: Path, release: str, commit: str, identity: str) -> None:
        from selfheal.sandbox.service import ServiceProcess

        settings = self.settings
        process = ServiceProcess(
            settings.service,
            folder=source,
            release=release,
            instance=identity,
            commit=commit,
            endpoint=settings.endpoint,
            python=settings.python,
            log=self.folder / "logs" / f"{identity}.log",
        )
        process.start()
        instance = Instance(
            id=identity,
            url=process.url,
            release=release,
            commit=commit,
            pid=process.pid,
            birth=birth_of(process.pid) or 0,
        )
        # Registered before it may outlive us: killed in between, it ends with us, and
        # no process is ever left that the routing does not know.
        self._register(instance)
        process.detach()

    def _register(self, instance: Instance) -> None:
        with self._locked():
            present = self.routing()
            others = [i for i in present.instances if i.id != instance.id]
            self._write(present.model_copy(update={"instances": [*others, instance]}))

    def _proxy(self) -> Proxy | None:
        port = self.port()
        return None if port is None else Proxy(self.folder, port)

    def _carry_out(self, routing: Routing) -> None:
        proxy = self._proxy()
        if proxy is not None:
            proxy.apply(routing.instances)

    def _drain(self) -> None:
        proxy = self._proxy()
        if proxy is not None:
            proxy.drain()

    def _end(self, leaving: list[Instance]) -> None:
        for instance in leaving:
            end(instance.pid, instance.birth)
        gone = {instance.id for instance in leaving}
        with self._locked():
            present = self.routing()
            kept = [i for i in present.instances if i.id not in gone]
            self._write(present.model_copy(update={"instances": kept}))

    def _write(self, routing: Routing) -> None:
        replace_text(
            self.folder / "routing.json", json.dumps(routing.model_dump(), indent=2) + "\n"
        )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with exclusive(self.folder / ".lock"):
            yield


def _weighted(instances: list[Instance], percents: Mapping[str, float]) -> list[Instance]:
    """The live instances with their weights. Raises InvalidInput where a share has no taker."""
    alive = [instance for instance in instances if instance.alive]
    sizes = {
        release: sum(i.release == release and not i.leaving for i in alive) for release in percents
    }
    for release, size in sizes.items():
        if percents[release] > 0 and size == 0:
            raise InvalidInput(f"release {release} has no live instance to route to.")
    return [
        instance.model_copy(
            update={
                "weight": 0.0
                if instance.leaving
                else percents.get(instance.release, 0.0) / max(1, sizes.get(instance.release, 1))
            }
        )
        for instance in alive
    ]
