"""The beats of the diagnose phase: wired as declared, repeatable, and free of the work tree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from selfheal_handlers.diagnosis import HANDLERS
from selfheal_handlers.diagnosis._examples import build
from selfheal_handlers.diagnosis.store_diagnosis import example, store_diagnosis

from selfheal.artifacts.canonical import canonical_bytes
from selfheal.contract import Handler

BEATS = Path(__file__).parents[1] / "resources" / "beats.tsv"


def result_bytes(handler: Handler[..., Any], result: Any) -> bytes:
    return canonical_bytes(TypeAdapter(handler.returns).dump_python(result, mode="json"))


def test_the_table_is_that_of_the_phase() -> None:
    rows = [line.split("\t") for line in BEATS.read_text().splitlines()[1:]]
    expected = [(row[3], row[6]) for row in rows if row[0] == "diagnose"]
    assert [(handler.name, handler.kind) for handler in HANDLERS] == expected


@pytest.mark.parametrize("handler", HANDLERS, ids=lambda handler: handler.name)
def test_every_example_runs_and_gives_the_same_bytes_in_another_folder(
    tmp_path: Path, handler: Handler[..., Any]
) -> None:
    stored = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        result = handler(**handler.example(tmp_path / name))
        stored.append(result_bytes(handler, result))
        again = TypeAdapter(handler.returns).validate_json(stored[-1])
        assert result_bytes(handler, again) == stored[-1]
    assert stored[0] == stored[1]


def test_the_example_service_is_diagnosed_as_it_is(tmp_path: Path) -> None:
    made = build(tmp_path / "again")
    diagnoses = store_diagnosis(**example(tmp_path)).diagnoses
    slow, error, gap = diagnoses
    assert (slow.kind, error.kind, gap.kind) == ("performance", "error", "coverage")
    assert {anomaly for item in diagnoses for anomaly in item.anomaly_ids} == {
        anomaly.id for anomaly in made.anomalies.anomalies
    }
    assert slow.suspect_commits[0].sha == made.commits[3]
    assert (slow.locations[0].function, slow.evidence["slow_pattern"]) == (
        "names",
        "queries_in_loop",
    )
    assert error.suspect_commits[0].sha == made.commits[2]
    assert error.evidence["expression"] == "row['price']"
    assert [item.strategy for item in gap.recommendations] == ["add_test"]
    assert slow.recommendations[0].strategy == "batch_queries"
