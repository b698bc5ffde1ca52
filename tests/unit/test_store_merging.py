"""Many small parts become one; what the store says stays the same, whatever happens on the way."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_store_growing import RESOURCES, asked, content_of, record, span

from selfheal.artifacts.dataset import write_tables
from selfheal.store import growing, merging
from selfheal.store.growing import add
from selfheal.store.local import LocalStore
from selfheal.store.manifest import read_manifest
from selfheal.store.places import locate, take
from selfheal.telemetry import ingest
from selfheal.telemetry.normalize import connect, normalize


def in_pieces(folder: Path, store: Path, pieces: int) -> None:
    """Two files that grow, one of them rotated in the middle, added piece by piece."""
    for piece in range(pieces):
        with (folder / "traces.jsonl").open("a") as file:
            file.writelines(map(span, range(piece * 3, piece * 3 + 3)))
        with (folder / "app.log").open("a") as file:
            file.writelines(map(record, range(piece * 2, piece * 2 + 2)))
        if piece == pieces // 2:
            (folder / "app.log").rename(folder / "app.log.1")
        add([folder], store)


def test_merged_parts_say_what_all_files_at_once_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "MOST_PARTS", 1)
    logs, store = tmp_path / "logs", tmp_path / "store"
    logs.mkdir()
    in_pieces(logs, store, 4)
    assert len(read_manifest(store).parts) <= 3  # all that is settled, and two rests
    once = ingest([logs], tmp_path / "run", "dataset").dataset
    assert content_of(store) == content_of(LocalStore(once))
    assert asked(store, "SELECT count(*), count(DISTINCT id) FROM spans") == [[12, 12]]


def test_nothing_new_merges_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logs, store = tmp_path / "logs", tmp_path / "store"
    logs.mkdir()
    in_pieces(logs, store, 3)
    before = read_manifest(store)
    monkeypatch.setattr(merging, "MOST_PARTS", 1)
    add([logs], store)
    assert read_manifest(store) == before


@pytest.mark.parametrize("step", ["merge", "normalize", "commit"])
def test_a_failure_while_merging_changes_nothing(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "MOST_PARTS", 1)
    logs, store = tmp_path / "logs", tmp_path / "store"
    logs.mkdir()
    in_pieces(logs, store, 1)
    before = content_of(store)
    with (logs / "traces.jsonl").open("a") as file:
        file.write(span(90))

    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(growing, step, fail)
        with pytest.raises(OSError, match="full"):
            add([logs], store)
    assert content_of(store) == before
    assert add([logs], store).rows["spans"] == 4
    add([logs], store)  # what was replaced is kept for its readers until now
    named = {part.id for part in read_manifest(store).parts}
    assert {path.name for path in (store / "parts").iterdir()} == named


def test_a_run_reads_a_folder_that_grows_as_it_would_read_the_files(tmp_path: Path) -> None:
    store = tmp_path / "store"
    add([RESOURCES / "telemetry"], store)
    files, growing_, database = locate([str(store)])
    assert (files, growing_, database) == (None, str(store), None)
    extracted = take(None, growing_, None, base=tmp_path, path="extracted", refused_listed=10)
    assert sum(source.events_kept for source in extracted.sources) > 0
    normalized = write_tables(normalize(extracted.dataset), tmp_path, "normalized")
    once = ingest([RESOURCES / "telemetry"], tmp_path / "run", "dataset").dataset
    with connect(extracted.dataset, normalized) as connection, once.connect() as expected:
        for table in ("spans", "logs", "errors", "metrics", "coverage"):
            question = f"SELECT count(*) FROM {table}"
            assert connection.execute(question).fetchall() == expected.execute(question).fetchall()
