"""Reads from git the code and the changes that the anomalies touch, and runs tests that fail."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfheal.artifacts import Telemetry
from selfheal.codebase.history import History
from selfheal.codebase.index_cache import StoredFacts
from selfheal.config import DiagnoseConfig, TestsConfig
from selfheal.contract import Workspace, handler
from selfheal.diagnosis.failing_tests import is_failing_test, reported_nodes
from selfheal.diagnosis.loading import load_codebase, with_spectra
from selfheal.diagnosis.model import AnomalySet, Codebase
from selfheal.diagnosis.spectrum import Spectrum
from selfheal.sandbox.spectrum import measure_spectrum
from selfheal.sandbox.worktree import Worktree
from selfheal.standalone import FolderWorkspace
from selfheal_handlers.diagnosis._examples import build


def example(base: Path) -> Mapping[str, Any]:
    made = build(base)
    return {
        "load_anomalies": made.set,
        "telemetry": made.telemetry,
        "config": DiagnoseConfig(),
        "tests": TestsConfig(),
        "workspace": FolderWorkspace(base, repository=made.repository),
    }


@handler("load_codebase_info", kind="stage-crew", version="2", example=example)
def load_codebase_info(
    load_anomalies: AnomalySet,
    telemetry: Telemetry,
    config: DiagnoseConfig,
    tests: TestsConfig,
    workspace: Workspace,
) -> Codebase:
    """The function index, relevant sources, changes and blame between the compared releases.

    Where failing tests are reported, they and the others are run in the sandbox with the
    lines that each executes.
    """
    history = History(workspace.repository) if workspace.repository else None
    cache = StoredFacts(workspace.artifacts_folder / "cache" / "code-index.sqlite")
    codebase = load_codebase(history, load_anomalies, telemetry, config, cache)
    if history is None or not any(map(is_failing_test, load_anomalies.anomalies)):
        return codebase
    return with_spectra(history, codebase, _spectra(load_anomalies, codebase, tests, workspace))


def _spectra(
    anomalies: AnomalySet, codebase: Codebase, tests: TestsConfig, workspace: Workspace
) -> list[Spectrum]:
    """What the failing tests of each code range and the passing ones ran, by commit."""
    nodes: dict[str, set[str]] = {}
    for anomaly in filter(is_failing_test, anomalies.anomalies):
        span = codebase.range_of(anomaly)
        if span.bad is not None:
            nodes.setdefault(span.bad, set()).update(reported_nodes([anomaly], span.index))
    found = []
    for commit, names in sorted(nodes.items()):
        if names and workspace.repository is not None:
            with Worktree(workspace.repository, commit, workspace.folder / commit[:12]) as tree:
                found.append(measure_spectrum(tree.path, commit, tests, sorted(names)))
    return found
