"""What the command line asks of the engine: start, resume, look, replay, approve."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

from selfheal.config import Settings
from selfheal.engine.executors import check_executor
from selfheal.engine.folder import (
    Manifest,
    RunFolder,
    check_run_id,
    create_run,
    find_run,
    new_run_id,
    staging,
    start_timestamp,
)
from selfheal.engine.imports import bring, choose_imports
from selfheal.engine.journal import Journal
from selfheal.engine.lock import RunLock
from selfheal.engine.observer import (
    BeatStatus,
    Observer,
    PhaseStatus,
    ReplayedBeat,
    ReplayReport,
    RunResult,
    RunStatus,
    RunSummary,
)
from selfheal.engine.replay import replay_run
from selfheal.engine.run import work_on
from selfheal.engine.session import wire_phases
from selfheal.engine.status import frozen_wiring, list_runs, reading_session, status
from selfheal.errors import InvalidInput, MissingArtifact, NotFound
from selfheal.registry import Registry
from selfheal.sequences import load_catalogue

__all__ = [
    "BeatStatus",
    "Observer",
    "PhaseStatus",
    "ReplayReport",
    "ReplayedBeat",
    "RunFolder",
    "RunResult",
    "RunStatus",
    "RunSummary",
    "find_run",
    "list_runs",
    "record_approval",
    "replay_run",
    "resume_run",
    "start_run",
    "status",
]


def start_run(
    settings: Settings,
    *,
    repository: Path | None,
    artifacts: Path,
    phases: tuple[str, str] = ("parse", "learn"),
    run_id: str | None = None,
    source_run: str | None = None,
    project: Path,
    observer: Observer | None = None,
    sequences: Path | None = None,
    packages: bool = True,
) -> RunResult:
    """Make a run of the phases from ``phases[0]`` to ``phases[1]`` and work on it.

    `project` is where ``settings.beats.folder`` lies. A run that does not begin with the
    first phase takes its inputs from `source_run` (default: the latest). `sequences`
    is a folder with an index.json that replaces the built-in sequences; `packages`
    false leaves handlers and overlays of installed packages out.

    Everything is checked before anything is written: SequenceError, WiringError,
    HandlerError, MissingArtifact, NotFound, ConfigurationError, MissingExtra (the executor
    or the place of the artifacts), InvalidInput (the run id is taken).
    """
    check_executor(settings.run)
    project, artifacts = project.resolve(), artifacts.resolve()
    beats = project / settings.beats.folder
    catalogue = load_catalogue(sequences, beats / "sequences", packages=packages)
    wired = wire_phases(catalogue, Registry(beats, packages=packages), *phases)
    run_id = run_id or new_run_id()
    check_run_id(artifacts, run_id)
    source, imports = choose_imports(artifacts, source_run, catalogue, wired)
    manifest = _manifest(settings, run_id, list(wired), project, repository, packages)
    manifest = manifest.model_copy(update={"imports": imports})
    prepared = staging(artifacts, run_id)
    try:
        if source is not None:
            bring(source, imports, prepared)
        folder = create_run(artifacts, manifest, catalogue.files(), prepared)
    except BaseException:
        shutil.rmtree(prepared, ignore_errors=True)
        raise
    return work_on(folder, manifest, wired, observer or Observer())


def resume_run(
    artifacts: Path, run_id: str | None = None, *, observer: Observer | None = None
) -> RunResult:
    """Go on with a run (default: the latest) from what its journal says is done.

    The run's frozen sequences and settings count, with the handlers of this
    installation. Raises NotFound, LockedError, WiringError, JournalError.
    """
    folder = find_run(artifacts.resolve(), run_id)
    manifest = folder.manifest()
    wired = frozen_wiring(folder, manifest)
    return work_on(folder, manifest, wired, observer or Observer())


def record_approval(
    artifacts: Path,
    run_id: str | None,
    decision: Literal["approved", "rejected"],
    by: str,
    reason: str = "",
) -> RunFolder:
    """Write a human decision into the run's journal; `resume_run` acts on it.

    It is bound to the bytes of validation.json and void if they change. Raises NotFound
    where there is no such run or it waits for nothing, MissingArtifact where nothing is
    there to decide on, LockedError, InvalidInput.
    """
    if not by.strip():
        raise InvalidInput("a decision needs the name of who made it.", hint="Add: --by NAME")
    folder = find_run(artifacts.resolve(), run_id)
    manifest = folder.manifest()
    lock = RunLock(folder.lock)
    try:
        session = reading_session(folder, manifest, {})
        if not any(beat.state == "waiting" for beat in session.record.beats.values()):
            raise NotFound(
                f"the run {folder.run_id} is {session.record.state}, it waits for nothing.",
                hint="See: selfheal runs",
            )
        for name in folder.stored_artifacts():
            session.results.import_artifact(name)
        if not session.results.artifacts:
            raise MissingArtifact(
                f"the run {folder.run_id} has no artifact to decide on.",
                hint=f"Go on with it first: selfheal resume {folder.run_id}",
            )
        journal = Journal(folder.journal)
        journal.append(
            "approval",
            decision=decision,
            by=by,
            reason=reason,
            subject_sha256=session.results.approval_subject(),
        )
        journal.close()
    finally:
        lock.release()
    return folder


def _manifest(
    settings: Settings,
    run_id: str,
    phases: list[str],
    project: Path,
    repository: Path | None,
    packages: bool,
) -> Manifest:
    from selfheal import __version__

    return Manifest(
        run_id=run_id,
        started_at=start_timestamp(),
        selfheal_version=__version__,
        phases=phases,
        project=str(project),
        repository=str(repository.resolve()) if repository else None,
        packages=packages,
        settings=settings.model_dump(mode="json", by_alias=True),
    )
