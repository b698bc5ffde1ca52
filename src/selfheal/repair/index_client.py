"""The index client that the user has, pip or uv, with its own configuration.

Only wheels are looked at and installed, so that no code of a package runs. What is asked
for are names and versions; addresses in a repository's files are never passed on.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from selfheal.repair.manifest import normal

SECONDS = 120.0
# Name, extras, versions and marker: neither options nor addresses.
_PLAIN = re.compile(
    r"[A-Za-z0-9][\w.-]*\s*(\[[\w, .-]*\])?\s*[\w.,<>=!~* ()]*(;[\w\s.'\"<>=!()-]*)?$"
)
_PINNED = re.compile(r"^([A-Za-z0-9][\w.-]*)==(\S+)", re.MULTILINE)


def resolve(requirements: Sequence[str], python: str) -> dict[str, str] | str:
    """The versions, by normalised name, that go together for a version of Python (``3.11``).

    A text says why there are none: no client, no index within reach, or a contradiction.
    """
    refused = [each for each in requirements if not _PLAIN.match(each)]
    if refused:
        return f"{refused[0]!r} is no plain requirement"
    if _has_pip():
        with tempfile.TemporaryDirectory(prefix="selfheal-index-") as folder:
            report = Path(folder) / "report.json"
            options = ["--dry-run", "--ignore-installed", "--report", str(report)]
            failed = _run(_pip(python, Path(folder) / "target", options, requirements))
            if failed is not None:
                return failed
            found = json.loads(report.read_text())["install"]
        return {normal(each["metadata"]["name"]): each["metadata"]["version"] for each in found}
    uv = shutil.which("uv")
    if uv is None:
        return "neither pip nor uv is there to ask an index"
    command = [uv, "pip", "compile", "--quiet", "--no-header", "--no-annotate", *_UV, "-"]
    told: list[str] = []
    failed = _run([*command, "--python-version", python], "\n".join(requirements), told)
    return failed or {normal(name): version for name, version in _PINNED.findall(told[0])}


def install(requirements: Sequence[str], target: Path, python: str) -> str | None:
    """Put distributions and what they need into a folder of their own; why not, if it fails."""
    refused = [each for each in requirements if not _PLAIN.match(each)]
    if refused:
        return f"{refused[0]!r} is no plain requirement"
    if _has_pip():
        return _run(_pip(python, target, ["--no-compile"], requirements))
    uv = shutil.which("uv")
    if uv is None:
        return "neither pip nor uv is there to install"
    command = [uv, "pip", "install", "--quiet", *_UV, "--python-version", python]
    return _run([*command, "--target", str(target), *requirements])


_UV = ("--only-binary", ":all:")


def _has_pip() -> bool:
    return importlib.util.find_spec("pip") is not None


def _pip(
    python: str, target: Path, options: Sequence[str], requirements: Sequence[str]
) -> list[str]:
    """Installing for another version of Python asks for wheels and a folder of their own."""
    own = ["--quiet", "--disable-pip-version-check", "--no-input", "--retries", "1"]
    own += ["--timeout", "10", "--only-binary", ":all:", "--python-version", python]
    command = [sys.executable, "-m", "pip", "install", *own, "--target", str(target)]
    return [*command, *options, "--", *requirements]


def _run(command: Sequence[str], given: str = "", told: list[str] | None = None) -> str | None:
    """The client's last line of complaint; None where it succeeded, its output in `told`."""
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{Path(command[0]).name} did not answer: {type(error).__name__}"
    if told is not None:
        told.append(done.stdout)
    if done.returncode == 0:
        return None
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    return (errors or lines or ["it failed without a word"])[-1][:300]
