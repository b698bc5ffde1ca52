"""Workspace and effects: files of the run, and effects exactly once."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.engine.services import EffectsLedger, RunWorkspace, read_effects
from selfheal.errors import InvalidInput


def workspace(folder: Path) -> RunWorkspace:
    return RunWorkspace(
        run_id="r",
        started_at="2024-01-01T00:00:00+00:00",
        run_folder=folder,
        artifacts_folder=folder.parent,
        repository=None,
        scratch=folder / "work/p/b",
    )


class World:
    """Something outside: counts what is done to it."""

    def __init__(self) -> None:
        self.done = 0

    def perform(self) -> int:
        self.done += 1
        return self.done

    def probe(self) -> int | None:
        return self.done or None


def test_a_done_effect_is_not_repeated(tmp_path: Path) -> None:
    world = World()
    path = tmp_path / "effects.jsonl"
    for _ in range(3):
        assert EffectsLedger(path, "p/b").once("k", world.perform, world.probe) == 1
    assert world.done == 1


def test_a_failed_effect_is_probed_before_it_is_tried_again(tmp_path: Path) -> None:
    world = World()
    ledger = EffectsLedger(tmp_path / "effects.jsonl", "p/b")

    def breaks_after() -> int:
        world.perform()
        raise ConnectionError

    with pytest.raises(ConnectionError):
        ledger.once("k", breaks_after, world.probe)
    assert ledger.once("k", world.perform, world.probe) == 1
    assert world.done == 1


@given(st.integers(0, 400))
def test_a_ledger_cut_at_any_byte_still_gives_the_effect_exactly_once(cut: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "effects.jsonl"
        worlds = {"a": World(), "b": World()}
        for key, world in worlds.items():
            EffectsLedger(path, "p/b").once(key, world.perform, world.probe)
        path.write_bytes(path.read_bytes()[:cut])
        for key, world in worlds.items():
            begun = any(record["key"] == key for record in read_effects(path))
            if not begun:
                continue  # its begun record is on disk before it is performed
            assert EffectsLedger(path, "p/b").once(key, world.perform, world.probe) == 1
            assert world.done == 1


def test_what_was_undone_is_done_again_and_only_that(tmp_path: Path) -> None:
    path = tmp_path / "effects.jsonl"
    mine, other = World(), World()
    EffectsLedger(path, "p/mine").once("mine", mine.perform, mine.probe)
    EffectsLedger(path, "p/other").once("other", other.perform, other.probe)
    EffectsLedger(path, "p/mine").undo()
    EffectsLedger(path, "p/mine").once("mine", mine.perform, mine.probe)
    EffectsLedger(path, "p/other").once("other", other.perform, other.probe)
    assert (mine.done, other.done) == (2, 1)


def test_measurements_read_back_and_are_empty_where_there_are_none(tmp_path: Path) -> None:
    mine = workspace(tmp_path)
    assert mine.measured("speed", {"ms": 1.5}) == "measurements/speed.json"
    assert mine.measurements("speed") == {"ms": 1.5}
    assert mine.measurements("other") == {}
    assert list(mine.written) == ["measurements/speed.json"]


@pytest.mark.parametrize(
    "path", ["/etc/x", "../x", "a/../../x", "", "journal.jsonl", "telemetry.json", "results/x"]
)
def test_a_beat_cannot_write_outside_or_over_the_engines_files(tmp_path: Path, path: str) -> None:
    with pytest.raises(InvalidInput):
        workspace(tmp_path).write(path, "x")


def test_the_scratch_folder_is_empty_before_each_attempt(tmp_path: Path) -> None:
    (workspace(tmp_path).folder / "left").touch()
    assert list(workspace(tmp_path).folder.iterdir()) == []
