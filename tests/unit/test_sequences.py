"""Sequence files: what loads, what is said of what does not, overlays, expressions, pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.contract import Handler, handler
from selfheal.errors import InvalidInput, SequenceError
from selfheal.sequences import (
    builtin_folder,
    graph,
    load_catalogue,
    load_sequence,
    sequence_files,
    snake_case,
    validate_file,
)
from selfheal.sequences.expressions import ExpressionError, evaluate, names_in

FOREIGN = Path(__file__).parents[1] / "resources" / "sequence_telemetry.parse.json"


def write(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document))
    return path


def sequence(*beats: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "id": "s",
        "name": "S",
        "movements": [{"id": "m", "name": "M", "beats": list(beats)}],
        **more,
    }


def test_a_file_of_the_seeds_ecosystem_loads_unchanged() -> None:
    assert validate_file(FOREIGN) == []
    loaded = load_sequence(FOREIGN)
    assert [beat.id for beat in loaded.all_beats][:3] == [
        "parse_telemetry_requested",
        "load_log_files",
        "extract_telemetry_events",
    ]
    kept = loaded.to_json()
    original = json.loads(FOREIGN.read_text())
    assert kept["userStory"] == original["userStory"]
    for mine, theirs in zip(
        kept["movements"][0]["beats"], original["movements"][0]["beats"], strict=True
    ):
        assert mine == {**theirs, "handler": snake_case(theirs["handler"])}


@pytest.mark.parametrize(
    ("camel", "snake"),
    [
        ("runCIChecks", "run_ci_checks"),
        ("autoMergePR", "auto_merge_pr"),
        ("loadLogFiles", "load_log_files"),
        ("already_snake_2", "already_snake_2"),
    ],
)
def test_camel_case_handler_names_become_ours(camel: str, snake: str) -> None:
    assert snake_case(camel) == snake


@given(st.from_regex(r"[a-z][a-z0-9]*(_[a-z][a-z0-9]*)*", fullmatch=True))
def test_a_snake_case_name_stays(name: str) -> None:
    assert snake_case(name) == name


@pytest.mark.parametrize(
    ("document", "pointer", "words"),
    [
        ({"name": "x", "movements": []}, "", "'id' is a required property"),
        (sequence({"handler": "a", "kind": "purr"}), "/movements/0/beats/0/kind", "purr"),
        (sequence({"handler": "a", "timeout": 0}), "/movements/0/beats/0/timeout", "0 is less"),
        (sequence({"handler": "a", "time_out": 3}), "/movements/0/beats/0/time_out", "'timeout'"),
        (sequence({"handler": "a"}, {"handler": "a"}), "/movements/0/beats/0", "2 times"),
        (sequence({"handler": "a", "when": "f()"}), "/movements/0/beats/0/when", "not allowed"),
        (sequence({"handler": "a"}, beats=3), "/beats", "says 3 beats"),
        (sequence({"handler": "a", "max_items": 2}), "/movements/0/beats/0", "foreach"),
        (
            sequence({"handler": "a", "retry": {"attempts": 2}}),
            "/movements/0/beats/0/retry",
            "attempts",
        ),
        ({"extends": "s", "beats": []}, "/beats", "non-empty"),
        (
            {"extends": "s", "beats": [{"handler": "a", "after": "b", "before": "c"}]},
            "/beats/0",
            "should not be valid",
        ),
        ({"phases": [{"phase": "p"}], "schema": "selfheal/sequence-index/1"}, "/phases/0", "file"),
    ],
)
def test_what_is_wrong_is_said_with_a_json_pointer(
    tmp_path: Path, document: Any, pointer: str, words: str
) -> None:
    problems = validate_file(write(tmp_path / "s.json", document))
    assert any(problem.pointer == pointer and words in problem.message for problem in problems), (
        problems
    )


def test_broken_json_names_line_and_column(tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    file.write_text('{\n "id": }')
    assert "line 2" in validate_file(file)[0].message
    with pytest.raises(SequenceError, match=r"s\.json"):
        load_sequence(file)


def test_unknown_handlers_are_found_when_asked(tmp_path: Path) -> None:
    file = write(tmp_path / "s.json", sequence({"handler": "loadIt"}))
    assert validate_file(file) == []
    assert validate_file(file, lambda name: name != "load_it")[0].pointer.endswith("/handler")


def test_every_built_in_file_is_valid_and_the_schema_is_no_sequence() -> None:
    files = sequence_files(builtin_folder())
    assert len(files) == 8
    assert [problem for file in files for problem in validate_file(file)] == []


def catalogue_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "sequences"
    folder.mkdir()
    beats = [{"handler": "first", "beat": 1}, {"handler": "s_completed", "beat": 2}]
    write(folder / "s.json", sequence(*beats, phase="one"))
    index = {"phase": "one", "sequence": "s", "file": "s.json"}
    write(folder / "index.json", {"schema": "selfheal/sequence-index/1", "phases": [index]})
    return folder


@pytest.mark.parametrize(
    ("place", "order"),
    [
        ({}, ["first", "mine", "s_completed"]),
        ({"after": "first"}, ["first", "mine", "s_completed"]),
        ({"before": "first"}, ["mine", "first", "s_completed"]),
        ({"after": "s_completed"}, ["first", "s_completed", "mine"]),
    ],
)
def test_overlays_put_beats_in_their_place(
    tmp_path: Path, place: dict[str, str], order: list[str]
) -> None:
    folder = catalogue_folder(tmp_path)
    overlays = tmp_path / "mine"
    overlays.mkdir()
    write(overlays / "o.json", {"extends": "s", "beats": [{"handler": "mine", **place}]})
    merged = load_catalogue(folder, overlays, packages=False)["one"].sequence
    assert [beat.id for beat in merged.all_beats] == order
    assert [beat.beat for beat in merged.all_beats] == [1, 2, 3]


@pytest.mark.parametrize(
    ("overlay", "words"),
    [
        ({"extends": "sss", "beats": [{"handler": "x"}]}, "There are s."),
        ({"extends": "s", "beats": [{"handler": "x", "after": "frist"}]}, "did you mean first"),
        ({"extends": "s", "beats": [{"handler": "first"}]}, "has a beat first already"),
    ],
)
def test_overlays_that_do_not_fit_are_refused(
    tmp_path: Path, overlay: dict[str, Any], words: str
) -> None:
    folder = catalogue_folder(tmp_path)
    overlays = tmp_path / "mine"
    overlays.mkdir()
    write(overlays / "o.json", overlay)
    with pytest.raises(SequenceError) as caught:
        load_catalogue(folder, overlays, packages=False)
    assert words in str(caught.value)
    assert "o.json" in str(caught.value)


def test_a_frozen_catalogue_reads_back_the_same(tmp_path: Path) -> None:
    catalogue = load_catalogue(packages=False)
    for name, content in catalogue.files().items():
        (tmp_path / name).write_bytes(content)
    assert load_catalogue(tmp_path, packages=False) == catalogue


def test_phases_are_found_by_name_or_by_the_nearest() -> None:
    catalogue = load_catalogue(packages=False)
    assert [entry.phase for entry in catalogue.span("fix", "deploy")] == [
        "fix",
        "validate",
        "deploy",
    ]
    with pytest.raises(InvalidInput, match="Did you mean detect"):
        catalogue.position("detct")
    with pytest.raises(InvalidInput, match="comes before"):
        catalogue.span("fix", "parse")


VALUES = {
    "a": {"n": 3, "items": [1, 2], "none": None},
    "config": {"deploy": {"target": "processes"}},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a.n", 3),
        ("a.items[1]", 2),
        ("a['n'] >= 3 and not a.none", True),
        ("a.missing.deeper == null", True),
        ("len(a.items) == 2 or false", True),
        ("config.deploy.target in ['none', 'processes']", True),
        ("1 < a.n < 3", False),
        ("absent", None),
    ],
)
def test_expressions_ask_questions_to_json_values(text: str, value: Any) -> None:
    assert evaluate(text, VALUES) == value


@pytest.mark.parametrize(
    "text",
    ["__import__('os')", "a.n + 1", "(lambda: 1)()", "[x for x in a]", "a[b]", "1 +", "x := 1"],
)
def test_expressions_can_do_nothing_else(text: str) -> None:
    with pytest.raises(ExpressionError):
        names_in(text)


def test_an_expression_that_does_not_fit_the_values_says_so() -> None:
    with pytest.raises(ExpressionError, match="cannot be decided"):
        evaluate("a.n < 'x'", VALUES)


@handler("first", kind="stage-crew", example=lambda _: {})
def _first() -> int:
    return 1


@handler("s_completed", kind="pure", example=lambda _: {})
def _completed(first: int) -> int:
    return first


@pytest.mark.parametrize(
    ("style", "line"),
    [("mermaid", "    first --> s_completed"), ("dot", '    "first" -> "s_completed";')],
)
def test_a_sequence_is_drawn(tmp_path: Path, style: Any, line: str) -> None:
    table: dict[str, Handler[..., Any]] = {"first": _first, "s_completed": _completed}
    loaded = load_sequence(catalogue_folder(tmp_path) / "s.json")
    assert line in graph(loaded, table.__getitem__, style).splitlines()
