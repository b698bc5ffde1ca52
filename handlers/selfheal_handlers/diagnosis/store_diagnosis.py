"""Tries the suspect commits in the sandbox, and writes diagnosis.json."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from selfheal.artifacts import Anomaly, Diagnoses, Diagnosis, Telemetry
from selfheal.artifacts.diagnosis import SuspectCommit
from selfheal.codebase.history import History
from selfheal.config import DiagnoseConfig, TestsConfig
from selfheal.contract import Workspace, handler
from selfheal.diagnosis.conviction import Conviction, revised
from selfheal.diagnosis.model import AnomalySet
from selfheal.repair.gather import sessions
from selfheal.sandbox.conviction import Court, FailingTests, Reproducer, Requests, settle_all
from selfheal.standalone import FolderWorkspace
from selfheal_handlers.diagnosis._examples import analysis_arguments
from selfheal_handlers.diagnosis.assess_impact import arguments_after, assess_impact
from selfheal_handlers.diagnosis.recommend_fixes import recommend_fixes as recommend

MOST_SESSIONS = 3


def example(base: Path) -> Mapping[str, Any]:
    given = analysis_arguments(base)
    return {
        "recommend_fixes": recommend(assess_impact(**arguments_after(given))),
        "load_anomalies": given["load_anomalies"],
        "telemetry": given["telemetry"],
        "config": DiagnoseConfig(),
        "tests": TestsConfig(),
        "workspace": FolderWorkspace(base, repository=base / "repository"),
    }


@handler("store_diagnosis", kind="stage-crew", version="2", writes="diagnosis", example=example)
def store_diagnosis(
    recommend_fixes: list[Diagnosis],
    load_anomalies: AnomalySet,
    telemetry: Telemetry,
    config: DiagnoseConfig,
    tests: TestsConfig,
    workspace: Workspace,
) -> Diagnoses:
    """The payload of diagnosis.json, gravest first.

    Where the trouble can be reproduced, the reproducer is run at the good commit, at the bad
    one and at the bad one without each suspect: only what that proves is convicted.
    """
    if workspace.repository is None:
        return Diagnoses(diagnoses=recommend_fixes)
    history = History(workspace.repository)
    courts: dict[str, Court] = {}
    for number, diagnosis in enumerate(recommend_fixes):
        own = [item for item in load_anomalies.anomalies if item.id in diagnosis.anomaly_ids]
        reproducer = _reproducer(diagnosis, own, telemetry)
        if diagnosis.bad_commit is not None and reproducer is not None:
            courts[diagnosis.id] = Court(
                history,
                workspace.repository,
                workspace.folder / str(number),
                tests,
                reproducer,
                diagnosis.bad_commit,
                vendored=config.vendored,
            )
    tried = [each for each in recommend_fixes if each.id in courts]
    questions = [
        (each.good_commit, [suspect.sha for suspect in each.suspect_commits[: config.max_suspects]])
        for each in tried
    ]
    found = settle_all(list(courts.values()), questions)
    settled = {each.id: _after(each, one, history) for each, one in zip(tried, found, strict=True)}
    return Diagnoses(diagnoses=[settled.get(each.id, each) for each in recommend_fixes])


def _after(diagnosis: Diagnosis, found: Conviction, history: History) -> Diagnosis:
    culprit = _described(found, diagnosis, history)
    wrote = _writer(history, str(diagnosis.bad_commit), culprit)
    return revised(diagnosis, found, culprit, wrote)


def _reproducer(
    diagnosis: Diagnosis, anomalies: Sequence[Anomaly], telemetry: Telemetry
) -> Reproducer | None:
    """What shows the trouble and can be run at any commit, None where nothing can."""
    if diagnosis.good_commit == diagnosis.bad_commit:
        return None
    failing = diagnosis.evidence.get("failing_tests")
    if failing:
        return FailingTests(failing) if diagnosis.verdict == "code_cause" else None
    if diagnosis.good_commit is None or diagnosis.kind not in ("error", "performance"):
        return None
    if diagnosis.verdict == "insufficient_data" or "spans" not in telemetry.dataset.tables:
        return None
    recorded = sessions(diagnosis, anomalies, telemetry.dataset)[:MOST_SESSIONS]
    return Requests(recorded, slow=diagnosis.kind == "performance") if recorded else None


def _described(found: Conviction, diagnosis: Diagnosis, history: History) -> SuspectCommit | None:
    """The commit that is proven, or with which the trouble begins, as a suspect: the known one, else from the history."""
    if found.commit is None or not (found.proven or found.begins):
        return None
    for suspect in diagnosis.suspect_commits:
        if suspect.sha == found.commit:
            return suspect
    commit = history.commit(found.commit)
    return SuspectCommit(
        sha=commit.sha,
        score=0.0,
        reason="is the first commit with the trouble",
        summary=commit.summary,
        author=commit.author,
        files=commit.files,
    )


def _writer(
    history: History, bad: str, culprit: SuspectCommit | None
) -> Callable[[str, int], bool]:
    """Whether the culprit wrote a line of the bad commit."""
    lines: dict[str, set[int]] = {}

    def wrote(file: str, line: int) -> bool:
        if culprit is None or file not in culprit.files:
            return False
        if file not in lines:
            blamed = history.blame(bad, file)
            lines[file] = {found.line for found in blamed if found.sha == culprit.sha}
        return line in lines[file]

    return wrote
