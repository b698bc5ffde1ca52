"""What one cycle taught helps the next: a like fault elsewhere is healed with less searching."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from shop_world import World, world

from selfheal.artifacts import Candidate, Diagnosis, Patch, Patterns, Validation
from selfheal.artifacts.diagnosis import Diagnoses
from selfheal.artifacts.envelope import read_artifact
from selfheal.demo import record

pytestmark = pytest.mark.slow


def test_a_like_fault_is_healed_by_the_learned_pattern_with_fewer_candidates(
    tmp_path: Path,
) -> None:
    """Both shops query in a loop, each in another operation; the second knows the first's cure."""
    first, tried_first = one_cycle(tmp_path / "first", "history", library=None)
    library = tmp_path / "first" / "world" / "artifacts" / "patterns.json"
    second, tried_second = one_cycle(tmp_path / "second", "category_page", library=library)
    assert first.edit["strategy"] == second.edit["strategy"]
    assert second.rank == 1
    assert second.is_known_cure
    assert not first.is_known_cure
    assert tried_second < tried_first


def one_cycle(folder: Path, fault: str, library: Path | None) -> tuple[Candidate, int]:
    """Heal a shop with one slow fault, to the end of learning without a rollout.

    Returns the chosen candidate of that fault and how many were tried; checks that the
    insights tell the same number.
    """
    recording = record(folder / "shop", 0, seconds=12, faults=[fault])
    sections = {"deploy": {"target": "none"}, "learn": {"observe_seconds": 0}}
    with world(folder / "world", recording, **sections) as found:
        shop = replace(found, run_id=f"cycle-{fault}")
        if library is not None:
            (shop.folder / "artifacts").mkdir()
            shutil.copyfile(library, shop.folder / "artifacts" / "patterns.json")
        assert shop.cycle().wait(300) == 3, shop.log()[-4000:]
        shop.approve()
        assert shop.cycle().wait(300) == 0, shop.log()[-4000:]
        return told(shop, fault, seen_before=library is not None)


def told(shop: World, fault: str, *, seen_before: bool) -> tuple[Candidate, int]:
    def read(name: str) -> object:
        return read_artifact(shop.run / f"{name}.json", name)

    diagnoses, patch, validation, patterns = map(
        read, ("diagnosis", "patch", "validation", "patterns")
    )
    assert isinstance(diagnoses, Diagnoses)
    assert isinstance(patch, Patch)
    assert isinstance(validation, Validation)
    assert isinstance(patterns, Patterns)
    (cause,) = (each for each in diagnoses.diagnoses if accuses(each, fault))
    (selection,) = (each for each in validation.selections if each.diagnosis_id == cause.id)
    (chosen,) = (each for each in patch.candidates if each.id == selection.candidate_id)
    texts = [each.text for each in patterns.insights if each.title == cause.title]
    assert any(f"candidates tried: {selection.tried}" in text for text in texts)
    assert any(re.search(r"first cycle: \d+", text) for text in texts) == seen_before
    return chosen, selection.tried


def accuses(diagnosis: Diagnosis, fault: str) -> bool:
    return diagnosis.kind == "performance" and diagnosis.locations[0].function.endswith(fault)
