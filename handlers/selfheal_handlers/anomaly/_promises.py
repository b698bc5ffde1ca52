"""What the repository under care promises, read from git at the commit that ran."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from selfheal.analysis.documented_code import Claim
from selfheal.analysis.model import Comparison
from selfheal.analysis.objectives import read_objectives
from selfheal.analysis.promises import Promises, read_promises, wanted
from selfheal.artifacts import Telemetry
from selfheal.codebase.history import History
from selfheal.config import TestsConfig
from selfheal.sandbox.examples import stale_examples, with_examples

OBJECTIVES = ("slo.yaml", "slo.yml")
_VERSIONS = (
    "import importlib.metadata as m, json;"
    "print(json.dumps({d.name: d.version for d in m.distributions() if d.name}))"
)


def promises_of(
    repository: Path | None,
    telemetry: Telemetry,
    comparisons: list[Comparison],
    tests: TestsConfig,
    scratch: Path,
) -> dict[str, Promises]:
    """Per service whose judged commit is in the repository.

    `tests.python` is the interpreter of the service; pins are compared with what is
    installed there, and not at all where none is named. Examples in documents are run in
    checkouts below `scratch`, confined.
    """
    if repository is None:
        return {}
    history = History(repository)
    versions = installed_versions(tests.python)
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
        before = _baseline_commit(history, telemetry, comparison)
        promises = _promises(history, before, commit, read, versions)
        if before is not None and before != commit:
            stale = stale_examples(repository, before, commit, scratch, tests, with_examples(read))
            promises = promises.model_copy(update={"claims": [*promises.claims, *stale]})
        objectives = [
            objective
            for file in OBJECTIVES
            if (text := history.text(commit, file)) is not None
            for objective in read_objectives(text, file)
        ]
        found[comparison.service] = promises.model_copy(update={"objectives": objectives})
    return found


def _baseline_commit(history: History, telemetry: Telemetry, comparison: Comparison) -> str | None:
    baseline = comparison.baseline
    if baseline is None:
        return None
    key = (comparison.service, baseline.version)
    hints = [each.commit for each in telemetry.releases if (each.service, each.version) == key]
    return history.release_commit(baseline.version, hints[0] if hints else None)


def _promises(
    history: History,
    before: str | None,
    commit: str,
    texts: dict[str, str],
    versions: dict[str, str] | None,
) -> Promises:
    """Of what is said wrongly of the code, that which the baseline did not say wrongly yet.

    Without a baseline all of it counts, but for parameters that a docstring passes over:
    those may never have been meant to be told of.
    """
    if before is None:
        promises = read_promises(commit, texts, versions)
        kept = [each for each in promises.claims if each.drift != "parameter not in docstring"]
        return promises.model_copy(update={"claims": kept})
    changed = {diff.path for diff in history.diff(before, commit)}
    promises = read_promises(commit, texts, versions, docstrings=changed)
    if not promises.claims:
        return promises
    files = list(wanted(history.files(before)))
    old = history.texts([f"{before}:{file}" for file in files])
    read = {file: text for file, text in zip(files, old, strict=True) if text is not None}
    known = {_key(each) for each in read_promises(before, read, None, docstrings=changed).claims}
    fresh = [each for each in promises.claims if _key(each) not in known]
    return promises.model_copy(update={"claims": fresh})


def _key(claim: Claim) -> tuple[str, ...]:
    return claim.drift, claim.file, claim.subject, claim.name


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
