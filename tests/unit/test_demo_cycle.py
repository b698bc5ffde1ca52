"""The demo refuses what it cannot use before it writes or deletes anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from selfheal.demo import production, run_demo
from selfheal.demo.cycle import MARK, fresh_folder
from selfheal.errors import InvalidInput, MissingExtra


def test_without_the_extra_an_earlier_demo_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(production, "PACKAGES", {"no_such_module": "no-such-package"})
    folder = fresh_folder(tmp_path / "demo", 0)
    (folder / "kept").write_text("a run")
    with pytest.raises(MissingExtra, match="no-such-package"):
        run_demo(folder)
    with pytest.raises(MissingExtra):
        run_demo(tmp_path / "other")
    assert sorted(path.name for path in folder.iterdir()) == sorted(["kept", MARK])
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_file_is_refused_as_the_folder(tmp_path: Path, below: str) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(InvalidInput, match="no folder can be made here") as caught:
        fresh_folder(file / below, 0)
    assert "--folder" in (caught.value.hint or "")
    assert file.read_text() == "mine"


def test_a_folder_of_others_is_refused_and_an_earlier_demo_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    with pytest.raises(InvalidInput, match="empty folder"):
        fresh_folder(tmp_path, 0)
    demo = fresh_folder(tmp_path / "demo", 0)
    (demo / "old").write_text("x")
    assert [path.name for path in fresh_folder(demo, 1).iterdir()] == [MARK]
