"""The saturation guard: processor time per request and memory, new release against old."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from selfheal.artifacts import Dataset
from selfheal.artifacts.dataset import write_tables
from selfheal.config import GateConfig
from selfheal.delivery.fleet import Instance
from selfheal.delivery.gate import levels_of
from selfheal.delivery.guards import Scope
from selfheal.delivery.processes import birth_of
from selfheal.delivery.saturation import Sample, judge_saturation, keep, kept, take

GATE = GateConfig()
LEVELS = levels_of(GATE, 3, 10)
SCOPE = Scope(old="1.0", new="1.1", began_ns=0, block_ns=1, peers=("1.0-2",))
SECOND = 1_000_000_000
LOOKS = 8
AGED, PEER, NEW = ("1.0", "1.0-1"), ("1.0", "1.0-2"), ("1.1", "1.1-1")


def served(folder: Path, peer: int = 40, new: int = 40) -> Dataset:
    """So many requests to each of the two in each of the intervals between the samples.

    An older instance of the old release serves nine times as many as its peer.
    """
    import pyarrow as pa

    rows = [
        {
            "release": release,
            "instance": instance,
            "kind": "server",
            "parent_span_id": None,
            "start_ns": look * SECOND + number,
        }
        for look in range(LOOKS)
        for (release, instance), count in ((AGED, 9 * peer), (PEER, peer), (NEW, new))
        for number in range(count)
    ]
    return write_tables({"spans": pa.Table.from_pylist(rows)}, folder, "dataset")


def used(
    load: float,
    *,
    seed: int = 0,
    memory: int = 100_000_000,
    peer: int = 40,
    new: int = 40,
    idle: float = 0.0,
) -> list[Sample]:
    """5 ms of processor time a request in 1.0 and `load` times that in 1.1, in whole ticks.

    Each process needs `idle` seconds of it in each second, whatever it serves.
    """
    random = np.random.default_rng(seed)
    spent = {PEER: 0.0, NEW: 0.0}
    found = []
    for look in range(LOOKS + 1):
        for who, factor, count in ((PEER, 1.0, peer), (NEW, load, new)):
            found.append(
                Sample(
                    at_ns=look * SECOND,
                    instance=who[1],
                    release=who[0],
                    cpu_seconds=spent[who],
                    memory_bytes=memory if who == NEW else 100_000_000,
                )
            )
            spent[who] += random.poisson(0.5 * factor * count + 100 * idle) / 100
    return found


def test_a_release_that_needs_thrice_the_processor_time_fails(tmp_path: Path) -> None:
    answer = judge_saturation(used(3.0), served(tmp_path), SCOPE, GATE, LEVELS)
    assert answer.state == "fail"
    old, new = answer.evidence["cpu_seconds_per_request"]
    assert old == pytest.approx(0.005, rel=0.3), "the requests of the older instance do not count"
    assert new == pytest.approx(3 * old, rel=0.3)


@pytest.mark.parametrize("shares", [(40, 40), (90, 10), (10, 90)])
@pytest.mark.parametrize("idle", [0.0, 0.1])
def test_equal_releases_are_convicted_as_seldom_as_configured(
    shares: tuple[int, int], idle: float, tmp_path: Path
) -> None:
    """Whatever their shares of the traffic, and whatever they do without any."""
    peer, new = shares
    dataset = served(tmp_path, peer, new)
    failed = sum(
        judge_saturation(
            used(1.0, seed=seed, peer=peer, new=new, idle=idle), dataset, SCOPE, GATE, LEVELS
        ).state
        == "fail"
        for seed in range(20)
    )
    assert failed == 0


def test_a_release_that_swells_fails(tmp_path: Path) -> None:
    dataset = served(tmp_path)
    swollen = judge_saturation(used(1.0, memory=400_000_000), dataset, SCOPE, GATE, LEVELS)
    assert swollen.state == "fail"
    assert swollen.evidence["memory_megabytes"] == [100.0, 400.0]
    little = judge_saturation(used(1.0, memory=145_000_000), dataset, SCOPE, GATE, LEVELS)
    assert little.state == "pass"


def test_one_sample_decides_nothing(tmp_path: Path) -> None:
    first = [sample for sample in used(9.0) if sample.at_ns == 0]
    assert judge_saturation(first, served(tmp_path), SCOPE, GATE, LEVELS).state == "undecided"


def test_a_peer_that_began_anew_says_nothing_about_the_work(tmp_path: Path) -> None:
    """What it spent since is not known, and none of it is not what its requests needed."""

    samples = [
        each.model_copy(update={"cpu_seconds": 1.0 - each.at_ns / SECOND / 10})
        if each.instance == PEER[1]
        else each
        for each in used(1.0)
    ]
    answer = judge_saturation(samples, served(tmp_path), SCOPE, GATE, LEVELS)
    assert answer.state == "undecided"


def test_instances_of_equal_age_are_compared(tmp_path: Path) -> None:
    """A process that has run for long holds more memory than a young one."""
    aged = [
        Sample(at_ns=0, instance=AGED[1], release="1.0", cpu_seconds=0, memory_bytes=900_000_000)
    ]
    answer = judge_saturation(
        [*used(1.0, memory=400_000_000), *aged], served(tmp_path), SCOPE, GATE, LEVELS
    )
    assert answer.state == "fail"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc here")
def test_a_sample_counts_what_a_process_and_its_children_used(tmp_path: Path) -> None:
    burn = "sum(range(30_000_000))"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{burn}'])"
    program = f"{child}\nprint(flush=True)\ninput()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        birth = birth_of(process.pid) or 0
        instance = Instance(
            id="1.0-1", url="", release="1.0", commit="", pid=process.pid, birth=birth
        )
        (sample,) = take([instance])
        process.kill()
    assert sample.cpu_seconds > 0.1
    assert sample.memory_bytes > 1_000_000
    assert take([instance]) == [], "a process that ended uses nothing"
    keep(tmp_path / "usage.jsonl", [sample])
    with (tmp_path / "usage.jsonl").open("a") as file:
        file.write('{"at_ns": 12')
    assert kept(tmp_path / "usage.jsonl", 0) == [sample]
    assert kept(tmp_path / "usage.jsonl", sample.at_ns + 1) == []
