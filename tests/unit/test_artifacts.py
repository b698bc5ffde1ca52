"""Artifacts: canonical bytes, the envelope, and errors that point at the place."""

from __future__ import annotations

import json
import math
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.artifacts import ARTIFACTS, Dataset, artifact_schema
from selfheal.artifacts.canonical import canonical_bytes, sha256_of, sha256_of_file, short_id
from selfheal.artifacts.dataset import write_tables
from selfheal.artifacts.envelope import envelope, read_artifact, read_envelope
from selfheal.artifacts.patterns import Patterns
from selfheal.errors import InvalidInput, JournalError

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(json_values)
def test_canonical_bytes_read_back_as_the_same_value(value: object) -> None:
    assert json.loads(canonical_bytes(value).decode("utf-8", "surrogatepass")) == value


@given(st.dictionaries(st.text(), st.integers()))
def test_the_order_of_keys_does_not_change_the_bytes(value: dict[str, int]) -> None:
    backwards = dict(reversed(list(value.items())))
    assert canonical_bytes(value) == canonical_bytes(backwards)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_does_not_know_are_refused(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_bytes({"number": number})


def test_identifiers_depend_on_nothing_but_their_parts() -> None:
    assert short_id("anomaly", "shop", 1) == short_id("anomaly", "shop", 1)
    assert short_id("anomaly", "shop", 1) != short_id("anomaly", "shop", "1")


def test_an_artifact_file_reads_back_typed(tmp_path: Path) -> None:
    file = tmp_path / "patterns.json"
    written = envelope(
        "patterns", Patterns(patterns=[]), run_id="r", produced_by="store_effectiveness", inputs=[]
    )
    file.write_bytes(written.to_bytes())
    assert read_artifact(file, "patterns") == Patterns(patterns=[])
    assert read_envelope(file).to_bytes() == file.read_bytes()


def test_the_wrong_artifact_is_named(tmp_path: Path) -> None:
    file = tmp_path / "patterns.json"
    written = envelope(
        "patterns", Patterns(patterns=[]), run_id="r", produced_by="store_effectiveness", inputs=[]
    )
    file.write_bytes(written.to_bytes())
    with pytest.raises(InvalidInput, match=r"holds selfheal/patterns/1, and selfheal/patch/1"):
        read_artifact(file, "patch")


def test_a_broken_artifact_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "patch.json"
    file.write_text('{"schema":\n oops}')
    with pytest.raises(InvalidInput, match=r"patch\.json:2: this artifact is not JSON"):
        read_envelope(file)


def test_an_artifact_of_other_bytes_is_no_fault(tmp_path: Path) -> None:
    file = tmp_path / "patch.json"
    file.write_bytes(b'{"schema": "\xff\xfe"}')
    with pytest.raises(InvalidInput, match=r"patch\.json: this artifact is not UTF-8"):
        read_envelope(file)


def test_a_missing_field_is_named_by_json_pointer(tmp_path: Path) -> None:
    file = tmp_path / "patterns.json"
    document = {
        "schema": "selfheal/patterns/1",
        "run_id": "r",
        "produced_by": "x",
        "inputs": [],
        "payload": {},
    }
    file.write_text(json.dumps(document))
    with pytest.raises(InvalidInput, match="/payload/patterns: Field required"):
        read_artifact(file, "patterns")


@pytest.mark.parametrize("name", ARTIFACTS)
def test_every_artifact_has_a_valid_json_schema(name: str) -> None:
    schema = artifact_schema(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"].endswith(f"/{name}/1")


def test_a_written_artifact_fits_its_schema() -> None:
    written = envelope("patterns", Patterns(patterns=[]), run_id="r", produced_by="x", inputs=[])
    jsonschema.validate(json.loads(written.to_bytes()), artifact_schema("patterns"))


def test_tables_are_stored_hashed_and_queried(tmp_path: Path) -> None:
    import pyarrow as pa

    table = pa.table({"operation": ["a", "b", "a"], "duration_ms": [1.0, 5.0, 3.0]})
    dataset = write_tables({"spans": table}, tmp_path, "dataset")
    assert dataset.tables["spans"].rows == 3
    assert dataset.tables["spans"].sha256 == sha256_of_file(tmp_path / "dataset/spans.parquet")
    found = dataset.rows("SELECT avg(duration_ms) AS mean FROM spans WHERE operation = $1", ["a"])
    assert found == [{"mean": 2.0}]


def test_equal_tables_give_equal_files(tmp_path: Path) -> None:
    import pyarrow as pa

    table = pa.table({"x": list(range(1000)), "name": ["n"] * 1000})
    first = write_tables({"t": table}, tmp_path, "one")
    second = write_tables({"t": table}, tmp_path, "two")
    assert first.tables == second.tables


def test_a_handle_outside_its_run_says_so() -> None:
    with pytest.raises(JournalError, match="not bound to a run folder"):
        _ = Dataset(path="dataset", tables={}).folder


def test_hashes_are_of_the_bytes(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"abc")
    assert sha256_of_file(file) == sha256_of(b"abc")
