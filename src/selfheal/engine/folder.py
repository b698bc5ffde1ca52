"""Run folders: ``<artifacts>/runs/<run_id>/`` and what lies in them."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, ValidationError

from selfheal.artifacts import Model
from selfheal.artifacts.canonical import canonical_bytes
from selfheal.config import Settings
from selfheal.contract import ARTIFACT_NAMES
from selfheal.engine.services import write_atomically
from selfheal.errors import ConfigurationError, InvalidInput, JournalError, NotFound

SCHEMA = "selfheal/run/1"


class Import(Model):
    """Where an artifact was taken from."""

    run_id: str
    sha256: str


class Manifest(Model):
    """run.json: what is frozen when a run is made."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    schema_: str = SCHEMA
    run_id: str
    started_at: str
    selfheal_version: str
    phases: list[str]
    project: str
    repository: str | None
    packages: bool = True
    settings: dict[str, Any]
    imports: dict[str, Import] = Field(default_factory=dict)

    def to_bytes(self) -> bytes:
        document = self.model_dump(mode="json")
        document["schema"] = document.pop("schema_")
        return canonical_bytes(document)


class RunFolder:
    """The paths of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run_id = path.name
        self.journal = path / "journal.jsonl"
        self.lock = path / "lock"
        self.definition = path / "definition"
        self.effects = path / "effects.jsonl"

    @property
    def artifacts(self) -> Path:
        """The folder of all runs' artifacts that this run belongs to."""
        return self.path.parents[1]

    def artifact(self, name: str) -> Path:
        return self.path / f"{name}.json"

    def stored_artifacts(self) -> list[str]:
        return [name for name in ARTIFACT_NAMES if self.artifact(name).exists()]

    def manifest(self) -> Manifest:
        """run.json. Raises JournalError where it is broken."""
        try:
            return Manifest.model_validate_json((self.path / "run.json").read_bytes())
        except (OSError, ValidationError) as error:
            raise JournalError(f"run.json cannot be read: {error}", where=str(self.path)) from error

    def clean(self) -> None:
        """Remove what attempts of a dead session left half-written."""
        for left in (*self.path.glob(".*.tmp*"), *self.path.glob("results/*/.*.tmp*")):
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink()


def new_run_id() -> str:
    """Sorts by time; the random end keeps two runs of one second apart."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def start_timestamp() -> str:
    """Now, or SOURCE_DATE_EPOCH, as ISO 8601 in UTC to the second.

    See https://reproducible-builds.org/specs/source-date-epoch/. Raises
    ConfigurationError where it is no such number.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        moment = datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise ConfigurationError(
            f"{epoch!r} is no count of seconds since 1970.",
            where="SOURCE_DATE_EPOCH",
            hint="Set it to a whole number, or unset it.",
        ) from error
    return moment.isoformat(timespec="seconds")


def check_run_id(artifacts: Path, run_id: str) -> None:
    """Raises InvalidInput where the id cannot be a folder's name or is taken."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", run_id):
        raise InvalidInput(
            f"{run_id!r} cannot name a run.", hint="Use letters, digits, dots, dashes, underscores."
        )
    if (artifacts / "runs" / run_id).exists():
        raise InvalidInput(
            f"the run {run_id} exists already.", hint=f"Go on with it: selfheal resume {run_id}"
        )


def find_run(artifacts: Path, run_id: str | None = None) -> RunFolder:
    """The run of this id or unique prefix, or the latest. Raises NotFound."""
    runs = artifacts / "runs"
    if run_id is None:
        latest = artifacts / "latest"
        if not latest.is_dir():
            raise NotFound(f"there is no run in {artifacts}.", hint="Make one with: selfheal run")
        return RunFolder(runs / latest.resolve().name)
    matching = [name for name in run_ids(artifacts) if name.startswith(run_id)]
    if run_id in matching:
        matching = [run_id]
    if len(matching) != 1:
        what = "no run" if not matching else f"{len(matching)} runs"
        raise NotFound(f"{what} in {artifacts} are named {run_id}.", hint="See: selfheal runs")
    return RunFolder(runs / matching[0])


def run_ids(artifacts: Path) -> list[str]:
    """Every run, oldest first (by the time of its run.json, then by name).

    A folder without run.json is no run: somebody else put it there.
    """
    runs = artifacts / "runs"
    if not runs.is_dir():
        return []
    found = [
        path
        for path in runs.iterdir()
        if not path.name.startswith(".") and (path / "run.json").is_file()
    ]
    return [
        path.name
        for path in sorted(found, key=lambda p: ((p / "run.json").stat().st_mtime_ns, p.name))
    ]


def create_run(
    artifacts: Path, manifest: Manifest, definition: dict[str, bytes], prepared: Path | None = None
) -> RunFolder:
    """Make a run folder: it is there as a whole or not at all.

    `prepared` is a folder in ``<artifacts>/runs`` that holds imported files already.
    """
    runs = artifacts / "runs"
    building = prepared or staging(artifacts, manifest.run_id)
    write_atomically(building / "run.json", manifest.to_bytes())
    for name, content in definition.items():
        write_atomically(building / "definition" / name, content)
    final = runs / manifest.run_id
    try:
        building.rename(final)
    except OSError as error:
        shutil.rmtree(building, ignore_errors=True)
        raise InvalidInput(f"the run {manifest.run_id} cannot be made: {error}.") from error
    _point_latest(artifacts, manifest.run_id)
    return RunFolder(final)


def staging(artifacts: Path, run_id: str) -> Path:
    """A fresh folder in which a run is put together.

    A folder of artifacts that is made here is kept out of git: it holds telemetry. Raises
    ConfigurationError where the folder of the artifacts cannot be written to.
    """
    folder = artifacts / "runs" / f".{run_id}.{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    is_new = not artifacts.exists()
    try:
        folder.mkdir(parents=True)
        if is_new:
            (artifacts / ".gitignore").write_text("# Made by selfheal.\n*\n")
    except OSError as error:
        raise ConfigurationError(
            f"no run can be written to {artifacts} ({error.strerror}).",
            where="run.artifacts",
            hint="Name a folder that you may write to: --artifacts FOLDER",
        ) from error
    return folder


def _point_latest(artifacts: Path, run_id: str) -> None:
    fresh = artifacts / f".latest.{os.getpid()}"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(Path("runs") / run_id)
    fresh.replace(artifacts / "latest")


def thawed_settings(document: dict[str, Any]) -> Settings:
    """Frozen settings, read by this release: what it no longer knows is left out."""
    document = _deep_copy(document)
    for _ in range(100):
        try:
            return Settings.model_validate(document)
        except ValidationError as error:
            for problem in error.errors():
                _remove(document, problem["loc"])
    raise JournalError("the frozen settings cannot be read.")


def _deep_copy(value: Any) -> Any:
    return (
        {key: _deep_copy(inner) for key, inner in value.items()}
        if isinstance(value, dict)
        else value
    )


def _remove(document: dict[str, Any], place: tuple[int | str, ...]) -> None:
    for part in place[:-1]:
        inner = document.get(str(part))
        if not isinstance(inner, dict):
            document.pop(str(part), None)
            return
        document = inner
    document.pop(str(place[-1]), None)
