"""Patterns travel signed: what was changed, or signed by a stranger, is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_learning_retirement import TEMPLATE, after

from selfheal.artifacts import Patterns
from selfheal.cli.main import main
from selfheal.errors import InvalidInput
from selfheal.learning.sharing import exported, imported, public_text, read_export, signing_key
from selfheal.repair.ranking import applicable, matching_pattern

pytest.importorskip("cryptography")
LIBRARY = Patterns(patterns=[after(["merged"] * 4, templates=[TEMPLATE])])


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """An export, and the public key that it is signed with."""
    folder = tmp_path_factory.mktemp("export")
    key = signing_key(folder / "keys" / "key.pem", make=True)
    assert (folder / "keys" / "key.pem").stat().st_mode & 0o077 == 0, "the key is its owner's"
    file = folder / "patterns.json"
    file.write_bytes(exported(LIBRARY, "shop", key).to_bytes())
    return file, public_text(key)


def test_what_is_imported_counts_less_and_says_where_it_is_from(written: tuple[Path, str]) -> None:
    export = read_export(written[0], [written[1]])
    library = imported(Patterns(patterns=[]), export)
    (found,) = library.patterns
    (own,) = LIBRARY.patterns
    assert found.origin == "shop"
    assert found.templates == own.templates
    assert 0.5 < found.confidence < own.confidence
    assert found.confidence_interval[0] < own.confidence_interval[0]
    assert applicable(library, "error", {}) == [found]
    assert imported(library, export) == library, "importing again changes nothing"


def test_ones_own_experience_comes_before_what_others_tell(written: tuple[Path, str]) -> None:
    own = after(["failed"] * 4).model_copy(update={"edit": {"strategy": "p", "template": "t"}})
    export = read_export(written[0], [written[1]])
    both = imported(Patterns(patterns=[own]), export)
    foreign = [
        each.model_copy(update={"edit": own.edit}) if each.origin else each
        for each in both.patterns
    ]
    matched = matching_pattern(Patterns(patterns=foreign), "error", "p", "t", {})
    assert matched is not None
    assert matched[0] == own
    key = signing_key(written[0].parent / "keys" / "key.pem")
    assert exported(both, "here", key).patterns == [own], "what is foreign is not passed on"


def test_a_stranger_is_not_trusted(written: tuple[Path, str]) -> None:
    with pytest.raises(InvalidInput, match="is not trusted") as refused:
        read_export(written[0], ["A" * 43 + "="])
    assert "learn.trusted_keys" in (refused.value.hint or "")


@settings(
    deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(0, 10**6), st.integers(0, 255))
def test_a_changed_file_is_refused(
    tmp_path: Path, written: tuple[Path, str], place: int, byte: int
) -> None:
    content = bytearray(written[0].read_bytes())
    place %= len(content)
    if content[place] == byte:
        return
    content[place] = byte
    changed = tmp_path / "changed.json"
    changed.write_bytes(content)
    try:
        found = read_export(changed, [written[1]])
    except InvalidInput:
        return
    # White space between tokens carries nothing.
    assert found == read_export(written[0], [written[1]])


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"patterns": [{"id": 3}]}, "#/patterns/0"),
        ({"schema": "selfheal/pattern-export/9"}, "#/schema"),
        ({"more": 1}, "#/"),
    ],
)
def test_what_is_not_of_the_schema_is_refused_with_its_place(
    tmp_path: Path, written: tuple[Path, str], change: dict[str, object], where: str
) -> None:
    file = tmp_path / "odd.json"
    file.write_text(json.dumps(json.loads(written[0].read_bytes()) | change))
    with pytest.raises(InvalidInput) as refused:
        read_export(file, [written[1]])
    assert where in str(refused.value.where)


def test_by_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    assert main(["patterns", "export", "out.json"]) == 2
    assert "selfheal patterns key" in capsys.readouterr().err
    assert main(["patterns", "key", "-q"]) == 0
    key = capsys.readouterr().out.strip()
    assert main(["patterns", "export", "out.json", "--name", "shop"]) == 0
    assert main(["patterns", "import", "out.json"]) == 2
    assert "is not trusted" in capsys.readouterr().err
    trusted = f"learn.trusted_keys=[{key}]"
    assert main(["patterns", "import", "out.json", "--set", trusted]) == 0
    assert "0 patterns from shop" in capsys.readouterr().out
