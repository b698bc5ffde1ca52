"""A rollout that the user's own scripts carry out, step by step.

Scripts run with the rights of whoever runs selfheal; they are configuration, as a CI
command is, and no code of the repository under repair.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from selfheal.artifacts import Dataset
from selfheal.config import RolloutCommandConfig
from selfheal.delivery.growing import end_of_whole_lines
from selfheal.delivery.saturation import Sample
from selfheal.delivery.target import Begin, release_name
from selfheal.errors import ConfigurationError, ServiceError


class CommandTarget:
    """`folder` keeps when traffic was last shifted, and the share."""

    def __init__(
        self, config: RolloutCommandConfig, begin: Begin, commit: str, folder: Path
    ) -> None:
        self.config = config
        self.begin = begin
        self.commit = commit
        self.folder = folder

    @property
    def old(self) -> str:
        return self.begin.old

    @property
    def new(self) -> str:
        return self.begin.new

    def share(self) -> float:
        return float(self._shifted().get("percent", 0))

    def step_began_ns(self) -> int:
        return int(self._shifted().get("at_ns", 0))

    def stands_at(self, percent: int) -> bool:
        """As `current` says; where it does not tell a percent, as the last shift that ended."""
        try:
            told = current(self.config, self._values(percent)).get("percent")
        except ServiceError:
            return False
        return (self.share() if told is None else float(told)) == percent

    def observe(self, scratch: Path) -> Dataset | None:
        return self._ingest(self.begin.offsets, scratch)

    def earlier(self, scratch: Path) -> Dataset | None:
        return self._ingest({}, scratch)

    def peers(self) -> list[str]:
        return []

    def dead(self) -> list[str]:
        if not self.config.health:
            return []
        try:
            self._run("health", round(self.share()))
        except ServiceError:
            return [f"{self.new} (by the health command)"]
        return []

    def usage(self) -> list[Sample] | None:
        """The processes are in the user's hands: the `health` script can watch them."""
        return None

    def tend(self) -> None:
        """What carries the traffic is in the user's hands."""

    def prepare(self, percent: int) -> None:
        self._run("prepare", percent)

    def shift(self, percent: int) -> None:
        self._run("shift", percent)
        self.folder.mkdir(parents=True, exist_ok=True)
        noted = self.folder / "shifted.json"
        temporary = noted.with_suffix(".new")
        temporary.write_text(json.dumps({"percent": percent, "at_ns": time.time_ns()}))
        temporary.replace(noted)

    def retire(self, release: str) -> None:
        self._run("retire", 100 if release == self.old else 0)

    def _shifted(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.folder / "shifted.json").read_text())
        except FileNotFoundError:
            return {}
        return found

    def _values(self, percent: int) -> dict[str, str]:
        return {
            "percent": str(percent),
            "commit": self.commit,
            "old": self.old,
            "new": self.new,
        }

    def _run(self, name: str, percent: int) -> None:
        command: list[str] = getattr(self.config, name)
        if command:
            run(command, self._values(percent), self.config.timeout_seconds, name)

    def _ingest(self, offsets: dict[str, int], scratch: Path) -> Dataset | None:
        from selfheal.telemetry import ingest

        raw = scratch / "raw"
        raw.mkdir(parents=True, exist_ok=True)
        copies = []
        for number, name in enumerate(self.config.telemetry):
            path = Path(name)
            if not path.is_file():
                continue
            with path.open("rb") as file:
                file.seek(offsets.get(name, 0))
                content = file.read()
            whole = content[: content.rfind(b"\n") + 1]
            if whole:
                copy = raw / f"{number}-{path.name}"
                copy.write_bytes(whole)
                copies.append(copy)
        return ingest(copies, scratch, "dataset").dataset if copies else None


def begin_command(config: RolloutCommandConfig, commit: str) -> Begin:
    """Ask which release has the traffic. Raises ConfigurationError where nobody can say."""
    for name in ("current", "shift"):
        if not getattr(config, name):
            raise ConfigurationError(
                f"deploy.target command needs the script {name}.",
                where=f"deploy.command.{name}",
                hint='Write ["./rollout.sh", "' + name + '", "{percent}", "{commit}"].',
            )
    told = current(config, {"percent": "0", "commit": commit, "old": "", "new": ""})
    release = told.get("release")
    if not isinstance(release, str) or not release:
        raise ConfigurationError(
            f"the script prints {json.dumps(told)}, which names no release.",
            where="deploy.command.current",
            hint='It prints a JSON object: {"release": "1.4.2"}.',
        )
    files = [name for name in config.telemetry if Path(name).is_file()]
    offsets = {name: end_of_whole_lines(Path(name)) for name in files}
    return Begin(old=release, new=release_name(release, commit), count=1, offsets=offsets)


def current(config: RolloutCommandConfig, values: dict[str, str]) -> dict[str, Any]:
    """What the script `current` prints."""
    text = run(config.current, values, config.timeout_seconds, "current")
    try:
        told = json.loads(text)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise ServiceError(
            "the script current prints no JSON object.", where="deploy.command.current"
        )
    return told


def run(command: list[str], values: dict[str, str], timeout_seconds: float, name: str) -> str:
    """Run a script to its end and return what it printed.

    Raises ServiceError where it fails or takes too long; then it is ended with its children.
    """
    from selfheal.sandbox.service import fill

    filled = [fill(part, dict(values)) for part in command]
    where = f"deploy.command.{name}"
    try:
        process = subprocess.Popen(
            filled,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
    except OSError as error:
        raise ServiceError(
            f"the script {name} cannot be run: {error.strerror}.", where=where
        ) from error
    try:
        printed, _ = process.communicate(timeout=timeout_seconds)
    except subprocess.TimeoutExpired as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise ServiceError(
            f"the script {name} did not end within {timeout_seconds:g} s.", where=where
        ) from error
    if process.returncode:
        raise ServiceError(f"the script {name} ended with {process.returncode}.", where=where)
    return printed
