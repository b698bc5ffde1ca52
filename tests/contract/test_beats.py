"""beats.tsv ↔ sequences ↔ registry: the same beats, names, order, events and kinds."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from selfheal.engine.session import wire_phases
from selfheal.registry import Registry
from selfheal.sequences import Catalogue, load_catalogue, snake_case

TABLE = Path(__file__).parents[1] / "resources" / "beats.tsv"
ROWS = list(csv.DictReader(TABLE.open(), delimiter="\t"))


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue(packages=False)


def test_the_sequences_hold_exactly_the_beats_of_the_table(catalogue: Catalogue) -> None:
    found = [
        (entry.phase, entry.sequence.id, str(beat.beat), beat.id, beat.event, beat.kind)
        for entry in catalogue.entries
        for beat in entry.sequence.all_beats
    ]
    assert found == [
        (row["phase"], row["sequence"], row["beat"], row["name"], row["event"], row["kind"])
        for row in ROWS
    ]
    assert len(found) == 67


def test_every_beat_is_described(catalogue: Catalogue) -> None:
    for entry in catalogue.entries:
        for beat in entry.sequence.all_beats:
            assert beat.title
            assert beat.description.endswith(".")
        assert all(movement.description for movement in entry.sequence.movements)


def test_the_seeds_handler_names_resolve_to_ours() -> None:
    assert [snake_case(row["seed_handler"]) for row in ROWS] == [row["name"] for row in ROWS]


def test_the_built_in_table_registers_every_beat_in_order_with_its_kind() -> None:
    from selfheal_handlers import HANDLERS

    assert [(handler.name, handler.kind) for handler in HANDLERS] == [
        (row["name"], row["kind"]) for row in ROWS
    ]


def test_one_beat_is_one_file_of_its_name_in_its_phase() -> None:
    from selfheal_handlers import HANDLERS

    for handler in HANDLERS:
        assert handler.function.__module__.rpartition(".")[2] == handler.name


def test_all_phases_wire_and_say_truly_what_they_read_and_write(catalogue: Catalogue) -> None:
    wired = wire_phases(catalogue, Registry(), "parse", "learn")
    for entry in catalogue.entries:
        sequence = wired[entry.phase]
        assert sorted(sequence.artifacts) == entry.sequence.inputs
        assert sorted(sequence.writers) == entry.sequence.outputs


@pytest.mark.parametrize("phase", ["detect", "diagnose"])
def test_the_four_of_a_kind_run_side_by_side(catalogue: Catalogue, phase: str) -> None:
    wired = wire_phases(catalogue, Registry(), "parse", "learn")[phase]
    four = [
        beat
        for beat in wired.beats
        if beat.id.split("_")[-1] in ("anomalies", "gaps", "patterns", "issues")
        and beat.id != "load_anomalies"
    ]
    assert len(four) == 4
    names = {beat.id for beat in four}
    assert all(not (beat.reads | beat.follows) & names for beat in four)
