"""The sample artifacts are what this release writes and reads."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from selfheal.artifacts.canonical import canonical_bytes
from selfheal.artifacts.envelope import artifact_schema, read_artifact
from selfheal.cli.render import render
from selfheal.contract import ARTIFACT_NAMES

SAMPLE = Path(__file__).parents[2] / "artifacts" / "sample"


@pytest.mark.parametrize("name", ARTIFACT_NAMES)
def test_a_sample_reads_renders_and_fits_its_schema(name: str) -> None:
    path = SAMPLE / f"{name}.json"
    content = path.read_bytes()
    assert canonical_bytes(json.loads(content)) == content
    jsonschema.Draft202012Validator(artifact_schema(name)).validate(json.loads(content))
    assert render(name, read_artifact(path, name))


def test_the_samples_are_of_one_run() -> None:
    documents = [json.loads((SAMPLE / f"{name}.json").read_bytes()) for name in ARTIFACT_NAMES]
    assert len({document["run_id"] for document in documents}) == 1
