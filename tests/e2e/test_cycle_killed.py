"""A full cycle, killed at every beat and at random instants: the same bytes, every effect once."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from shop_world import World, kill_at_next_beat, world

from selfheal.demo import Recording, record

pytestmark = pytest.mark.slow

FAULTS = ["price_list", "quote"]
SMALL: dict[str, dict[str, Any]] = {
    "fix": {"search": {"recorded": 20}},
    "validate": {"enough": 1, "max_candidates": 3, "shuffled_runs": 3},
    "deploy": {"steps": [50, 100]},
    "learn": {"observe_seconds": 3},
}
BEATS = 67
DONE, WAITING = 0, 3


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return record(tmp_path_factory.mktemp("shop"), 0, seconds=15, faults=FAULTS)


@pytest.fixture(scope="module")
def undisturbed(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("world") / "undisturbed", recording, **SMALL) as found:
        run_through(found, lambda process: process.wait(300))
        yield found


def run_through(world: World, session: Callable[[subprocess.Popen[bytes]], int]) -> int:
    """One cycle with its approval; each session may be killed. Returns how many were."""
    kills = 0
    for visited, end in ((nullcontext(), WAITING), (None, DONE)):
        with visited or world.visitors():
            while (code := session(world.cycle())) == -signal.SIGKILL:
                kills += 1
                assert kills <= 2 * BEATS
        assert code == end, world.log()[-4000:]
        if code == WAITING:
            world.approve()
    return kills


def test_killed_after_every_beat_and_at_random_instants(
    recording: Recording, undisturbed: World, tmp_path: Path
) -> None:
    """Long beats are also cut in the middle, at instants drawn by a seed."""
    draw = random.Random(7)
    instants = [draw.uniform(0.5, 4.0) for _ in range(8)]
    cut = 0

    def session(process: subprocess.Popen[bytes]) -> int:
        nonlocal cut
        journal = disturbed.run / "journal.jsonl"
        before = journal.stat().st_size if journal.exists() else 0
        patience = instants.pop() if instants and before else 300.0
        begun = time.monotonic()
        code = kill_at_next_beat(process, journal, patience)
        cut += time.monotonic() - begun >= patience
        return code

    with world(tmp_path / "killed", recording, **SMALL) as disturbed:
        kills = run_through(disturbed, session)
        # Beats that run side by side may end within one look at the journal.
        assert kills >= 0.8 * BEATS
        assert cut > 0
        assert_same(disturbed, undisturbed)


def assert_same(disturbed: World, undisturbed: World) -> None:
    for name, content in undisturbed.artifacts().items():
        assert disturbed.artifacts()[name] == content, f"{name}.json differs"
    assert disturbed.effects() == undisturbed.effects()
    assert undisturbed.effects()["traffic"].keys() != {"1.1"}
    assert undisturbed.effects()["pull requests"] == ["1.json"]
