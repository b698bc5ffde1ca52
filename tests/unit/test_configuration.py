"""The configuration: precedence, and mistakes reported where they stand."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from selfheal.config import Settings
from selfheal.configuration import (
    configuration_schema,
    find_configuration,
    layers,
    load_settings,
    origins,
    resolve,
    takes_text,
)
from selfheal.errors import ConfigurationError


def write(folder: Path, text: str, name: str = "selfheal.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_without_anything_the_defaults_hold(tmp_path: Path) -> None:
    assert load_settings(tmp_path) == Settings()


def test_flags_beat_the_environment_which_beats_the_file(tmp_path: Path) -> None:
    write(tmp_path, "detect: {minimum_ratio: 2, significance: 0.01, minimum_traces: 5}\n")
    environ = {"SELFHEAL_DETECT__MINIMUM_RATIO": "3", "SELFHEAL_DETECT__MINIMUM_TRACES": "6"}
    settings = load_settings(tmp_path, {"detect.minimum_ratio": 4}, environ)
    assert (settings.detect.minimum_ratio, settings.detect.minimum_traces) == (4, 6)
    assert settings.detect.significance == 0.01


def test_deeper_keys_and_lists_from_the_environment(tmp_path: Path) -> None:
    settings = load_settings(
        tmp_path,
        {},
        {"SELFHEAL_DEPLOY__GATE__STEP_SECONDS": "7.5", "SELFHEAL_DEPLOY__STEPS": "[5, 100]"},
    )
    assert settings.deploy.gate.step_seconds == 7.5
    assert settings.deploy.steps == [5, 100]


def test_the_validate_section_is_reached_by_its_public_name(tmp_path: Path) -> None:
    write(tmp_path, "validate:\n  repetitions: 5\n")
    assert load_settings(tmp_path).validation.repetitions == 5
    environ = {"SELFHEAL_VALIDATE__REPETITIONS": "7"}
    assert load_settings(tmp_path, {}, environ).validation.repetitions == 7


def test_variables_of_other_programs_are_left_alone(tmp_path: Path) -> None:
    assert load_settings(tmp_path, {}, {"SELFHEAL_HOME": "/x", "PATH": "/bin"}) == Settings()


def test_an_unknown_key_names_its_line_and_the_nearest_key(tmp_path: Path) -> None:
    path = write(tmp_path, "tests: {}\ndetect:\n  minimum_rato: 2\n")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(tmp_path)
    assert caught.value.where == f"{path}:3"
    assert "minimum_rato is no key of detect" in caught.value.message
    assert caught.value.hint == "Did you mean minimum_ratio?"


def test_an_unknown_section_names_the_nearest_section(tmp_path: Path) -> None:
    path = write(tmp_path, "\ndetekt:\n  minimum_ratio: 2\n")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(tmp_path)
    assert (caught.value.where, caught.value.hint) == (f"{path}:2", "Did you mean detect?")


def test_an_unknown_key_deep_down_is_compared_with_its_siblings(tmp_path: Path) -> None:
    write(tmp_path, "deploy:\n  gate:\n    step_second: 2\n")
    with pytest.raises(ConfigurationError, match=r"Did you mean step_seconds\?"):
        load_settings(tmp_path)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("SELFHEAL_DETECT__MINIMUM_RATO", "Did you mean minimum_ratio?"),
        ("SELFHEAL_DETEKT__MINIMUM_RATIO", "Did you mean detect?"),
    ],
)
def test_an_unknown_variable_names_itself(tmp_path: Path, name: str, hint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(tmp_path, {}, {name: "2"})
    assert name in (caught.value.where or "")
    assert caught.value.hint == hint


def test_a_wrong_type_names_line_and_pointer(tmp_path: Path) -> None:
    path = write(tmp_path, "deploy:\n  steps:\n    - 10\n    - many\n")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(tmp_path)
    assert caught.value.where == f"{path}:4"
    assert "/deploy/steps/1" in caught.value.message
    assert "'many'" in caught.value.message


def test_a_wrong_flag_is_blamed_rather_than_the_file(tmp_path: Path) -> None:
    write(tmp_path, "deploy: {approval: auto}\n")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(tmp_path, {"deploy.approval": "perhaps"})
    assert caught.value.where == "flag for deploy.approval"


def test_a_list_variable_that_is_no_json_says_how(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not JSON"):
        load_settings(tmp_path, {}, {"SELFHEAL_DEPLOY__STEPS": "10,20"})


def test_broken_yaml_names_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, "a: 1\nb: [1,\n")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(tmp_path)
    assert (caught.value.where or "").startswith(f"{path}:")


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "run:\n  workers: 1\n  workers: 2\n")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(tmp_path)
    assert caught.value.where == f"{path}:3"


def test_an_empty_section_says_nothing(tmp_path: Path) -> None:
    write(tmp_path, "detect:\n  # minimum_ratio: 2\nrun:\n  workers: 1\n")
    assert load_settings(tmp_path).run.workers == 1


def test_pyproject_serves_as_well_with_lines(tmp_path: Path) -> None:
    path = write(tmp_path, "[tool.selfheal.run]\nworkers = 3\n", "pyproject.toml")
    assert load_settings(tmp_path).run.workers == 3
    path.write_text("[project]\nname = 'x'\n\n[tool.selfheal.run]\nworker = 3\n")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(tmp_path)
    assert caught.value.where == f"{path}:5"


def test_the_file_is_looked_for_in_the_given_order(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    write(first, "[project]\nname = 'x'\n", "pyproject.toml")
    assert find_configuration(first, second) is None
    found = write(second, "run: {workers: 1}\n")
    assert find_configuration(first, second) == found


def test_origins_tell_for_every_key_where_it_was_set(tmp_path: Path) -> None:
    path = write(tmp_path, "run:\n  workers: 2\n")
    found = layers(tmp_path, {"run.executor": "processes"}, {"SELFHEAL_RUN__DURABILITY": "power"})
    places = {origin.key: origin.place for origin in origins(resolve(found), found)}
    assert places["run.workers"] == f"{path}:2"
    assert places["run.executor"] == "flag for run.executor"
    assert places["run.durability"] == "environment variable SELFHEAL_RUN__DURABILITY"
    assert places["run.artifacts"] == "default"


def test_the_schema_accepts_the_defaults_and_refuses_an_unknown_key() -> None:
    validator = jsonschema.Draft202012Validator(configuration_schema())
    defaults = json.loads(Settings().model_dump_json(by_alias=True))
    validator.validate(defaults)
    assert list(validator.iter_errors({"detect": {"minimum_rato": 1}}))


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_with_its_place(text: str) -> None:
    """No text of a configuration file ends in anything but settings or a ConfigurationError."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "selfheal.yaml").write_text(text, encoding="utf-8", newline="")
        place = "somewhere"
        try:
            load_settings(Path(folder))
        except ConfigurationError as error:
            place = error.where or ""
        assert place


def test_settings_written_as_yaml_read_back_equal(tmp_path: Path) -> None:
    settings = Settings.model_validate({"run": {"workers": 3}, "validate": {"enough": 1}})
    write(tmp_path, yaml.safe_dump(json.loads(settings.model_dump_json(by_alias=True))))
    assert load_settings(tmp_path) == settings


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("SELFHEAL_DETECTT", "Did you mean SELFHEAL_DETECT__KEY?"),
        ("SELFHEAL_DETECT_SIGNIFICANCE", "Did you mean SELFHEAL_DETECT__SIGNIFICANCE?"),
        ("SELFHEAL_DETECT__SIGNIFICANSE", "Did you mean significance?"),
    ],
)
def test_a_variable_that_is_close_to_a_setting_is_a_mistake(
    tmp_path: Path, name: str, hint: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(tmp_path, {}, {name: "1"})
    assert caught.value.where == f"environment variable {name}"
    assert caught.value.hint == hint


@pytest.mark.parametrize("name", ["SELFHEAL_CHROMIUM", "SELFHEAL_HOME", "SELFHEAL_TOKEN"])
def test_a_variable_that_is_close_to_nothing_is_left_alone(tmp_path: Path, name: str) -> None:
    assert load_settings(tmp_path, {}, {name: "1"}) == Settings()


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("detect.candidate_release", True),
        ("run.artifacts", True),
        ("detect.minimum_ratio", False),
        ("deploy.gate.step_seconds", False),
        ("service.start", False),
        ("no.such", False),
    ],
)
def test_settings_that_are_strings_are_known(key: str, text: bool) -> None:
    assert takes_text(key) is text
