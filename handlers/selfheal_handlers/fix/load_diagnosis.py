"""Reads the texts around each cause, and finds what shows the trouble and edits that end it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from selfheal.artifacts import Anomalies, Diagnoses, Diagnosis, Telemetry
from selfheal.artifacts.patch import Dropped, RecordedRequest
from selfheal.artifacts.patterns import Patterns
from selfheal.codebase.history import History
from selfheal.config import FixConfig, TestsConfig
from selfheal.contract import Workspace, handler
from selfheal.delivery.library import read_patterns
from selfheal.errors import RepositoryError
from selfheal.repair import Problem
from selfheal.repair.gather import gather, sessions, siblings
from selfheal.repair.language_model import NAME as LANGUAGE_MODEL
from selfheal.repair.language_model import advised
from selfheal.repair.problem import OF_FILES
from selfheal.repair.ranking import applicable
from selfheal.sandbox.calls import Calls, with_behaviour
from selfheal.sandbox.dependencies import equipped
from selfheal_handlers.fix._examples import cycle
from selfheal_handlers.fix._reproduce import Bench, reproduce_all
from selfheal_handlers.fix._results import FixMaterial, FixRequest
from selfheal_handlers.fix._search import searches


def example(folder: Path) -> Mapping[str, Any]:
    return cycle(folder).loading


@handler("load_diagnosis", kind="stage-crew", version="6", example=example)
def load_diagnosis(
    generate_fix_requested: FixRequest,
    diagnosis: Diagnoses,
    anomalies: Anomalies,
    telemetry: Telemetry,
    config: TestsConfig,
    fix: FixConfig,
    workspace: Workspace,
) -> FixMaterial:
    if workspace.repository is None:
        raise RepositoryError("no repository is given.", hint="Name one with --repo.")
    history = History(workspace.repository)
    wanted = set(generate_fix_requested.diagnosis_ids)
    found: list[tuple[Problem, list[list[RecordedRequest]]]] = []
    declined = list(generate_fix_requested.declined)
    for each in diagnosis.diagnoses:
        if each.id not in wanted:
            continue
        try:
            problem = _gathered(each, history, config, generate_fix_requested.changelog)
        except RepositoryError as error:
            declined.append(_declined(each, str(error)))
            continue
        own = [anomaly for anomaly in anomalies.anomalies if anomaly.id in each.anomaly_ids]
        recorded = [] if each.kind in OF_FILES else sessions(each, own, telemetry.dataset)
        if each.kind == "dependency":
            problem = equipped(problem, workspace.folder, config, ask_index=fix.index)
            declined += [_declined(each, note) for note in problem.environment_notes]
        found.append((problem, recorded))
    place = workspace.repository, workspace.folder
    behaving = with_behaviour(
        [problem for problem, _ in found],
        Calls(anomalies.anomalies, telemetry.dataset, *place, config),
        requested=[bool(asked) for _, asked in found],
    )
    library = read_patterns(workspace.artifacts_folder)
    behaving = [_with_learned(problem, library) for problem in behaving]
    if not fix.strategies or LANGUAGE_MODEL in fix.strategies:
        behaving, notes = advised(behaving, fix.llm, workspace.run_folder / "replies")
        declined += [
            Dropped(diagnosis_id=name, strategy=LANGUAGE_MODEL, reason=note) for name, note in notes
        ]
    known = [(problem, asked) for problem, (_, asked) in zip(behaving, found, strict=True)]
    with ExitStack() as stack:
        bench = Bench(workspace.repository, workspace.folder, config, stack)
        problems = reproduce_all(known, bench, lambda judged: siblings(judged, telemetry.dataset))
    reports = searches(problems, workspace.repository, workspace.folder, config, fix)
    left = {report.told.diagnosis_id: report.told.left for report in reports}
    return FixMaterial(
        problems=[
            problem.without_tests(left.get(problem.diagnosis.id, ())) for problem in problems
        ],
        declined=declined,
        changelog=generate_fix_requested.changelog,
        library=library,
        searches=reports,
    )


def _gathered(
    diagnosis: Diagnosis, history: History, config: TestsConfig, changelog: str
) -> Problem:
    return gather(
        diagnosis,
        history,
        tests_folder=config.folder,
        fixture=config.client_fixture,
        changelog=changelog,
    )


def _with_learned(problem: Problem, library: Patterns | None) -> Problem:
    """Patterns as they are for the trouble, without the runs that they come from."""
    found = applicable(library, problem.diagnosis.kind, problem.context)
    learned = [pattern.model_copy(update={"provenance": []}) for pattern in found]
    return problem.model_copy(update={"learned": learned})


def _declined(diagnosis: Diagnosis, reason: str) -> Dropped:
    return Dropped(diagnosis_id=diagnosis.id, strategy="none", reason=reason)
