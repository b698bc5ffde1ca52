"""What a command works on: the project's folder and settings, the repository, the artifacts."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfheal.errors import ConfigurationError

if TYPE_CHECKING:
    from selfheal.config import Settings
    from selfheal.configuration import Layer

PHASES = ("parse", "detect", "diagnose", "fix", "validate", "deploy", "learn")


@dataclass(frozen=True)
class Project:
    """`folder` holds the configuration and the project's own beats, `artifacts` the runs."""

    folder: Path
    settings: Settings
    layers: list[Layer]
    artifacts: Path

    @property
    def beats(self) -> Path:
        return self.folder / self.settings.beats.folder


def project_options(parser: ArgumentParser) -> None:
    """The options that say where the project is and override its settings."""
    group = parser.add_argument_group("project")
    group.add_argument(
        "--repo",
        type=Path,
        metavar="FOLDER",
        help="the git repository under repair (default: the one around the current folder)",
    )
    group.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="the configuration (default: selfheal.yaml or pyproject.toml of the repository, "
        "else of the current folder)",
    )
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="override one setting, such as detect.minimum_ratio=1.5",
    )
    artifacts_option(group)


def artifacts_option(parser: Any) -> None:
    """Where runs are kept."""
    parser.add_argument(
        "--artifacts", type=Path, metavar="FOLDER", help="where runs are kept (default: artifacts)"
    )


def run_argument(parser: ArgumentParser) -> None:
    """The run that a verb works on, and where it is kept."""
    parser.add_argument(
        "run", nargs="?", type=run_name, metavar="RUN", help="a run's id (default: latest)"
    )
    artifacts_option(parser)


def run_name(text: str) -> str | None:
    """A run's id as the options take it: ``latest`` is None, the newest run."""
    return None if text == "latest" else text


def open_project(arguments: Namespace, flags: Mapping[str, Any] | None = None) -> Project:
    """The project that the options name. Raises ConfigurationError.

    `flags` are dotted keys set by the verb's own options; keys whose value is None were
    not given.
    """
    from selfheal.configuration import find_configuration, layers, resolve

    repository: Path | None = getattr(arguments, "repo", None) or git_top(Path.cwd())
    explicit: Path | None = getattr(arguments, "config", None)
    folders = [repository] if repository else []
    if explicit is not None and not explicit.is_file():
        raise ConfigurationError("there is no such file.", where=str(explicit))
    file = explicit or find_configuration(*folders, Path.cwd())
    folder = file.parent.absolute() if file else Path.cwd()
    given = {key: value for key, value in (flags or {}).items() if value is not None}
    given |= _overrides(getattr(arguments, "overrides", []))
    if getattr(arguments, "artifacts", None):
        given["run.artifacts"] = str(arguments.artifacts)
    found = layers(folder, given, os.environ, file=file)
    settings = resolve(found)
    named = Path(settings.run.artifacts)
    kept = named.absolute() if "run.artifacts" in given else _kept(named)
    return Project(folder, settings, found, kept)


def _kept(named: Path) -> Path:
    """Where runs are kept: here, or at the top of the repository where they are there already."""
    top = git_top(Path.cwd())
    if top is not None and not named.exists() and (top / named).is_dir():
        return top / named
    return named.absolute()


def artifacts_folder(arguments: Namespace) -> Path:
    """Where runs are kept; the configuration is read only where the flag does not say."""
    if arguments.artifacts:
        return Path(arguments.artifacts).absolute()
    return open_project(arguments).artifacts


def git_top(folder: Path) -> Path | None:
    """The nearest folder at or above `folder` that holds a git repository."""
    folder = folder.absolute()
    return next((f for f in (folder, *folder.parents) if (f / ".git").exists()), None)


def _overrides(texts: list[str]) -> dict[str, Any]:
    import yaml

    from selfheal.configuration import takes_text

    result: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or "." not in key:
            raise ConfigurationError(
                f"--set takes SECTION.KEY=VALUE, not {text!r}.",
                hint="For example: --set detect.minimum_ratio=1.5",
            )
        try:
            read = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigurationError(
                f"the value {value!r} is not YAML.", where=f"--set {key}"
            ) from error
        # A release 1.10 is a number to YAML; as it was written, not as 1.1, it is a name.
        number = isinstance(read, (int, float))
        result[key] = value.strip() if number and takes_text(key) else read
    return result
