"""A rollout over the instances of a fleet."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from selfheal.artifacts import Dataset
from selfheal.delivery.fleet import Fleet, Instance
from selfheal.delivery.saturation import Sample, keep, kept, take
from selfheal.delivery.target import Begin, release_name
from selfheal.errors import InvalidInput


class ProcessesTarget:
    """A fleet of local processes. `checkout` gives the folder of the new release's files.

    With `fresh_baseline`, as many instances of the old release are started with the new
    ones as there are of these, where its checkout is still there: the two are compared.
    """

    def __init__(
        self,
        fleet: Fleet,
        begin: Begin,
        commit: str,
        checkout: Callable[[], Path],
        *,
        fresh_baseline: bool = True,
    ) -> None:
        self.fleet = fleet
        self.begin = begin
        self.commit = commit
        self.checkout = checkout
        self.fresh_baseline = fresh_baseline

    @property
    def old(self) -> str:
        return self.begin.old

    @property
    def new(self) -> str:
        return self.begin.new

    def step_began_ns(self) -> int:
        return self.fleet.routing().routed_at_ns

    def observe(self, scratch: Path) -> Dataset | None:
        return _ingested(self.fleet.telemetry_since(self.begin.offsets, scratch / "raw"), scratch)

    def earlier(self, scratch: Path) -> Dataset | None:
        return _ingested(self.fleet.telemetry_before(self.begin.offsets, scratch / "raw"), scratch)

    def peers(self) -> list[str]:
        return sorted(i.id for i in self._of(self.old) if i.number > self.begin.count and i.alive)

    def dead(self) -> list[str]:
        return sorted(i.id for i in self._of(self.new) if not i.alive)

    def usage(self) -> list[Sample] | None:
        if not Path("/proc/self/stat").exists():
            return None
        file = self.fleet.folder / "usage.jsonl"
        keep(file, take([*self._of(self.old), *self._of(self.new)]))
        return kept(file, self.step_began_ns())

    def tend(self) -> None:
        lost = [i for i in self._of(self.old) if i.weight > 0 and not i.alive]
        if lost and not self.dead():
            self._start_old(max(i.number for i in self._of(self.old)))
            present = self.fleet.routing()
            self.fleet.route(present.percents, label=present.label)
        self.fleet.tend()

    def prepare(self, percent: int) -> None:
        wanted = math.ceil(self.begin.count * percent / 100)
        self.fleet.start(self.checkout(), self.new, self.commit, wanted)
        if self.fresh_baseline and percent < 100:
            self._start_old(self.begin.count + wanted)

    def share(self) -> float:
        return self.fleet.routing().percents.get(self.new, 0.0)

    def stands_at(self, percent: int) -> bool:
        return self.share() == percent and self.fleet.carried()

    def shift(self, percent: int) -> None:
        self.fleet.route({self.old: 100 - percent, self.new: percent}, label=f"{percent} %")

    def retire(self, release: str) -> None:
        self.fleet.stop(release)
        if release == self.new:
            self.fleet.reduce(self.old, self.begin.count)

    def _of(self, release: str) -> list[Instance]:
        routing = self.fleet.routing()
        return [i for i in routing.instances if i.release == release and not i.leaving]

    def _start_old(self, count: int) -> None:
        source = self.fleet.checkout(self.old)
        if source.is_dir():
            commit = next((i.commit for i in self._of(self.old)), "")
            self.fleet.start(source, self.old, commit, count)


def begin_rollout(fleet: Fleet, commit: str) -> Begin:
    """Note the release that carries the traffic now. Raises InvalidInput where none does."""
    serving = [instance for instance in fleet.instances() if instance.weight > 0]
    if not serving:
        raise InvalidInput("the fleet has no live instance with traffic.", where=str(fleet.folder))
    percents: dict[str, float] = {}
    for instance in serving:
        percents[instance.release] = percents.get(instance.release, 0.0) + instance.weight
    old = max(sorted(percents), key=percents.__getitem__)
    return Begin(
        old=old,
        new=release_name(old, commit),
        count=sum(instance.release == old for instance in serving),
        offsets=fleet.offsets(),
    )


def _ingested(files: list[Path], scratch: Path) -> Dataset | None:
    from selfheal.telemetry import ingest

    return ingest(files, scratch, "dataset").dataset if files else None
