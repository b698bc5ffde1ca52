"""What the repository under care promises, read from git at the commit that ran."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from selfheal.analysis.model import Comparison
from selfheal.analysis.objectives import read_objectives
from selfheal.analysis.promises import Promises, read_promises, wanted
from selfheal.artifacts import Telemetry
from selfheal.codebase.history import History

OBJECTIVES = ("slo.yaml", "slo.yml")
_VERSIONS = (
    "import importlib.metadata as m, json;"
    "print(json.dumps({d.name: d.version for d in m.distributions() if d.name}))"
)


def promises_of(
    repository: Path | None,
    telemetry: Telemetry,
    comparisons: list[Comparison],
    python: str | None,
) -> dict[str, Promises]:
    """Per service whose judged commit is in the repository.

    `python` is the interpreter of the service; pins are compared with what is installed
    there, and not at all where none is named.
    """
    if repository is None:
        return {}
    history = History(repository)
    versions = installed_versions(python)
    found = {}
    for comparison in comparisons:
        version = comparison.candidate.version
        hints = [
            release.commit
            for release in telemetry.releases
            if (release.service, release.version) == (comparison.service, version)
        ]
        commit = history.release_commit(version, hints[0] if hints else None)
        if commit is None:
            continue
        files = list(wanted(history.files(commit)))
        texts = history.texts([f"{commit}:{file}" for file in files])
        read = {file: text for file, text in zip(files, texts, strict=True) if text is not None}
        promises = read_promises(commit, read, versions)
        objectives = [
            objective
            for file in OBJECTIVES
            if (text := history.text(commit, file)) is not None
            for objective in read_objectives(text, file)
        ]
        found[comparison.service] = promises.model_copy(update={"objectives": objectives})
    return found


def installed_versions(python: str | None) -> dict[str, str] | None:
    """The distributions that an interpreter finds; None if there is none or it does not answer."""
    if python is None:
        return None
    try:
        done = subprocess.run(
            [python, "-I", "-c", _VERSIONS], capture_output=True, text=True, timeout=60, check=True
        )
        versions: dict[str, str] = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return versions
