"""Reading the configuration: flags > ``SELFHEAL_*`` > selfheal.yaml > defaults.

The file is ``selfheal.yaml`` or the ``[tool.selfheal]`` table of ``pyproject.toml``. An
environment variable is ``SELFHEAL_SECTION__KEY`` (deeper keys by more ``__``); lists and
tables in it are JSON. Every value keeps where it came from, so that a mistake is
reported at its own line, variable or flag.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from selfheal.config import Settings
from selfheal.errors import ConfigurationError

FILE_NAME = "selfheal.yaml"
PREFIX = "SELFHEAL_"
SCHEMA_ID = "https://selfheal.invalid/schemas/configuration/1"

Location = tuple[str | int, ...]


@dataclass(frozen=True)
class Layer:
    """Values from one place. `lines` maps a key's path to its line where the place is a file."""

    name: str
    values: dict[str, Any]
    lines: dict[Location, int] = field(default_factory=dict)

    def holds(self, location: Location) -> bool:
        """Whether this layer says anything at `location`."""
        value: Any = self.values
        for part in location:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return False
        return True

    def place(self, location: Location) -> str:
        """``file:line`` of the nearest enclosing key, or the name of the variable or flag."""
        for length in range(len(location), 0, -1):
            if location[:length] in self.lines:
                return f"{self.name}:{self.lines[location[:length]]}"
        return self.name


def find_configuration(*folders: Path) -> Path | None:
    """The first selfheal.yaml, or pyproject.toml with a ``[tool.selfheal]`` table, in `folders`."""
    for folder in folders:
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
        pyproject = folder / "pyproject.toml"
        if pyproject.is_file() and re.search(
            r"^\[tool\.selfheal[.\]]", pyproject.read_text(encoding="utf-8"), re.MULTILINE
        ):
            return pyproject
    return None


def load_settings(
    project: Path,
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    file: Path | None = None,
) -> Settings:
    """The settings that hold for the folder `project`.

    `flags` maps dotted keys (``deploy.approval``) to values, `environ` is the process
    environment, `file` is read instead of what lies in `project`. Raises
    ConfigurationError at the first mistake, with its place and the nearest known key.
    """
    return resolve(layers(project, flags or {}, environ or {}, file=file))


def layers(
    project: Path,
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    *,
    file: Path | None = None,
) -> list[Layer]:
    """Everything that was said, the strongest first."""
    found = [
        Layer(f"flag for {key}", _nested(key.split("."), value)) for key, value in flags.items()
    ]
    found.extend(_environment_layers(environ))
    path = file or find_configuration(project)
    if path is not None:
        found.append(read_file(path))
    return found


def resolve(found: Sequence[Layer]) -> Settings:
    """Merge layers, the strongest first, over the defaults. Raises ConfigurationError."""
    values: dict[str, Any] = {}
    for layer in reversed(found):
        values = _merged(values, layer.values)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise _explained(error, found) from error


@dataclass(frozen=True)
class Origin:
    """One setting: its dotted key, its value, and the place that set it or ``default``."""

    key: str
    value: Any
    place: str


def origins(settings: Settings, found: Sequence[Layer]) -> list[Origin]:
    """Every setting with the place of the strongest layer that holds it."""
    result = []
    for location, value in _leaves(settings.model_dump(mode="json", by_alias=True)):
        layer = next((layer for layer in found if layer.holds(location)), None)
        place = layer.place(location) if layer else "default"
        result.append(Origin(".".join(map(str, location)), value, place))
    return result


def takes_text(key: str) -> bool:
    """Whether the setting at a dotted key is a string (or a string or nothing)."""
    *sections, name = key.split(".")
    fields = _model_at(tuple(sections)).model_fields
    annotation = fields[name].annotation if name in fields else None
    return annotation in (str, str | None)


def configuration_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of selfheal.yaml, for editors."""
    schema = Settings.model_json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        **schema,
        "title": FILE_NAME,
    }


def read_file(path: Path) -> Layer:
    """The layer of a configuration file. Raises ConfigurationError with its line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"the configuration cannot be read ({error}).", where=str(path)
        ) from error
    read = _read_toml if path.suffix == ".toml" else _read_yaml
    values, lines = read(text, path)
    # A section whose lines are all commented out reads as null and says nothing.
    return Layer(str(path), {key: v for key, v in values.items() if v is not None}, lines)


def _read_yaml(text: str, path: Path) -> tuple[dict[str, Any], dict[Location, int]]:
    import yaml

    try:
        node = yaml.compose(text, yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigurationError(
            f"this is not YAML: {error.problem or error}.", where=f"{path}:{line}"
        ) from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"this is not YAML: {error}.", where=str(path)) from error
    if values is None:
        return {}, {}
    if not isinstance(values, dict):
        raise ConfigurationError(
            "the file must hold sections (service, tests, deploy, …) with keys below them.",
            where=f"{path}:1",
            hint="selfheal init writes one to start from.",
        )
    lines: dict[Location, int] = {}
    for location, line in _yaml_lines(node, ()):
        if location in lines:
            raise ConfigurationError(
                f"the key {location[-1]} stands here again; it is first at line {lines[location]}.",
                where=f"{path}:{line}",
                hint="Keep one of them.",
            )
        lines[location] = line
    return values, lines


def _yaml_lines(node: Any, prefix: Location) -> Iterator[tuple[Location, int]]:
    import yaml

    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            location = (*prefix, key.value)
            yield location, key.start_mark.line + 1
            yield from _yaml_lines(value, location)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield (*prefix, index), value.start_mark.line + 1
            yield from _yaml_lines(value, (*prefix, index))


def _read_toml(text: str, path: Path) -> tuple[dict[str, Any], dict[Location, int]]:
    import tomllib

    try:
        values = tomllib.loads(text).get("tool", {}).get("selfheal", {})
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        raise ConfigurationError(
            f"this is not TOML: {error}.", where=f"{path}:{line.group(1) if line else 1}"
        ) from error
    return values, dict(_toml_lines(text))


def _toml_lines(text: str) -> Iterator[tuple[Location, int]]:
    """tomllib keeps no lines; headers and ``key =`` lines are enough to point at one."""
    table: Location | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[([^\]]+)\]", line):
            parts = tuple(part.strip(" \"'") for part in header.group(1).split("."))
            table = parts[2:] if parts[:2] == ("tool", "selfheal") else None
            if table:
                yield table, number
        elif table is not None and (key := re.match(r"\s*([\w.\"'-]+)\s*=", line)):
            yield (*table, *(part.strip("\"'") for part in key.group(1).split("."))), number


def _environment_layers(environ: Mapping[str, str]) -> Iterator[Layer]:
    from pydantic_settings import (
        BaseSettings,
        EnvSettingsSource,
        SettingsConfigDict,
        SettingsError,
    )

    class Source(Settings, BaseSettings):
        """The same shapes, as pydantic-settings wants them for parsing variables."""

        model_config = SettingsConfigDict(extra="forbid", frozen=True)

    source = EnvSettingsSource(Source, env_nested_delimiter="__", case_sensitive=False)
    sections = {info.alias or name for name, info in Settings.model_fields.items()}
    for name in sorted(environ):
        if not name.startswith(PREFIX):
            continue
        key = name.removeprefix(PREFIX).lower()
        section = key.split("__")[0]
        if section not in sections:
            if "__" in key:
                raise _unknown_key(section, Settings, (section,), name)
            if near := difflib.get_close_matches(key, [*_variables()], n=1, cutoff=0.8):
                raise ConfigurationError(
                    "this is no setting, though it is named like one.",
                    where=f"environment variable {name}",
                    hint=f"Did you mean {_variables()[near[0]]}?",
                )
            continue
        # One variable at a time, so that what is wrong with it can be told by its name.
        source.env_vars = {key: environ[name]}
        try:
            yield Layer(f"environment variable {name}", source())
        except SettingsError as error:
            raise ConfigurationError(
                f"the value {environ[name]!r} is not JSON, and this key holds a list or a table.",
                where=f"environment variable {name}",
                hint=f"""For example: {name}='["a", "b"]'""",
            ) from error


def _variables() -> dict[str, str]:
    """What a variable's name may be close to, without the prefix: sections, and their keys."""
    known = {}
    for name, info in Settings.model_fields.items():
        section = info.alias or name
        known[section] = f"{PREFIX}{section.upper()}__KEY"
        for key in _model_at((section,)).model_fields:
            known[f"{section}__{key}"] = f"{PREFIX}{section.upper()}__{key.upper()}"
    return known


def _explained(error: ValidationError, found: Sequence[Layer]) -> ConfigurationError:
    first = error.errors()[0]
    location: Location = first["loc"]
    layer = next((layer for layer in found if layer.holds(location)), None)
    if layer is None:  # a model-wide check: name the layer that holds the enclosing section
        layer = next((layer for layer in found if layer.holds(location[:1])), None)
    where = layer.place(location) if layer else None
    if first["type"] == "extra_forbidden":
        return _unknown_key(str(location[-1]), _model_at(location[:-1]), location, where)
    pointer = "".join(f"/{part}" for part in location)
    more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return ConfigurationError(
        f"{pointer}: {first['msg'].rstrip('.')}, not {first['input']!r}{more}.",
        where=where,
        hint="All keys and their types: selfheal config schema",
    )


def _unknown_key(
    key: str, model: type[BaseModel], location: Location, where: str | None
) -> ConfigurationError:
    known = [info.alias or name for name, info in model.model_fields.items()]
    nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    parent = ".".join(str(part) for part in location[:-1])
    return ConfigurationError(
        f"{key} is no key of {parent}." if parent else f"{key} is no section.",
        where=where,
        hint=f"Did you mean {nearest[0]}?" if nearest else f"It knows {', '.join(known)}.",
    )


def _model_at(location: Location) -> type[BaseModel]:
    model: type[BaseModel] = Settings
    for part in location:
        for name, info in model.model_fields.items():
            if part == (info.alias or name):
                candidates = [info.annotation, *get_args(info.annotation)]
                model = next(
                    (c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)),
                    model,
                )
    return model


def _merged(weak: Mapping[str, Any], strong: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(weak)
    for key, value in strong.items():
        below = result.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        result[key] = _merged(below, value) if both else value  # type: ignore[arg-type]
    return result


def _nested(keys: Sequence[str], value: Any) -> dict[str, Any]:
    for key in reversed(keys):
        value = {key: value}
    return dict(value)


def _leaves(values: Mapping[str, Any], prefix: Location = ()) -> Iterator[tuple[Location, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*prefix, key))
        else:
            yield (*prefix, key), value
