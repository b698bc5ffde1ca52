"""What a run folder tells without running anything."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from selfheal.artifacts.canonical import sha256_of_file
from selfheal.engine.folder import Manifest, RunFolder, find_run, run_ids, thawed_settings
from selfheal.engine.journal import Journal, read_journal
from selfheal.engine.lock import holder_of
from selfheal.engine.observer import BeatStatus, Observer, PhaseStatus, RunStatus, RunSummary
from selfheal.engine.record import RunRecord, RunState, fold
from selfheal.engine.session import Session, keep_finished, wire_phases
from selfheal.errors import HandlerError, SelfhealError, SequenceError
from selfheal.registry import Registry
from selfheal.sequences import WiredSequence, load_catalogue


def beat_statuses(
    phase: str,
    wired: WiredSequence,
    record: RunRecord,
    stale: dict[str, str | None] | None = None,
) -> list[BeatStatus]:
    """Every beat of a phase in its order, with what the journal says of it."""
    found = []
    for beat in wired.beats:
        status = _recorded(phase, beat.id, record).model_copy(
            update={
                "title": beat.beat.title,
                "kind": beat.handler.kind,
                "stale": (stale or {}).get(beat.id),
            }
        )
        if status.state == "pending" and not status.reason:
            blocked = [
                name
                for name in sorted(beat.reads | beat.follows)
                if record.beat(phase, name).state in ("failed", "timed_out", "waiting")
            ]
            reason = f"not reached: {', '.join(blocked)}" if blocked else ""
            status = status.model_copy(update={"reason": reason})
        found.append(status)
    return found


def _recorded(phase: str, beat: str, record: RunRecord) -> BeatStatus:
    """What the journal alone says of a beat."""
    known = record.beat(phase, beat)
    return BeatStatus(
        phase=phase,
        beat=beat,
        state=known.state,
        reason=known.reason,
        hint=known.hint,
        slug=known.slug,
        summary=known.summary,
        attempts=known.attempts,
        elapsed_seconds=known.elapsed,
        output=known.output["file"] if known.output else None,
    )


def run_state(record: RunRecord, pid: int | None) -> RunState:
    """The state of a run: a journal that ends in the middle is running or interrupted."""
    if record.state in ("running", "interrupted"):
        return "running" if pid is not None else "interrupted"
    return "running" if pid is not None else record.state


def status(artifacts: Path, run_id: str | None = None) -> RunStatus:
    """One run, beat by beat, with why results would not be used again. Raises NotFound.

    Where its beats no longer fit together with the handlers of this installation, the
    beats are those of its frozen sequences, and `staleness_unknown` says why.
    """
    folder = find_run(artifacts, run_id)
    manifest = folder.manifest()
    record = fold(read_journal(folder.journal))
    pid = holder_of(folder.lock)
    if pid is None:
        for beat in record.beats.values():
            if beat.state == "running":
                beat.state, beat.reason = "pending", "interrupted"
    staleness_unknown = ""
    try:
        wired, stale = _wired_and_stale(folder, manifest)
        beats = {
            phase: beat_statuses(phase, sequence, record, stale.get(phase))
            for phase, sequence in wired.items()
        }
    except (HandlerError, SequenceError) as error:
        staleness_unknown = str(error)
        beats = _unwired(folder, manifest, record)
    phases = [
        PhaseStatus(
            phase=phase,
            state=_phase_state(record, phase, pid),
            elapsed_seconds=_elapsed(record, phase),
            beats=found,
        )
        for phase, found in beats.items()
    ]
    approval = record.approvals[-1] if record.approvals else None
    return RunStatus(
        run_id=folder.run_id,
        folder=folder.path,
        state=run_state(record, pid),
        reason=record.reason,
        hint=record.hint,
        started_at=manifest.started_at,
        selfheal_version=manifest.selfheal_version,
        pid=pid,
        artifacts={
            name: sha256_of_file(folder.artifact(name)) for name in folder.stored_artifacts()
        },
        imports={name: found.run_id for name, found in manifest.imports.items()},
        approval={name: approval[name] for name in ("decision", "by", "reason", "subject_sha256")}
        if approval
        else None,
        staleness_unknown=staleness_unknown,
        phases=phases,
    )


def list_runs(artifacts: Path) -> list[RunSummary]:
    """Every run, newest first; a folder that cannot be read is left out."""
    found = []
    for run_id in reversed(run_ids(artifacts)):
        folder = RunFolder(artifacts / "runs" / run_id)
        try:
            manifest = folder.manifest()
            record = fold(read_journal(folder.journal))
        except SelfhealError:
            continue
        found.append(
            RunSummary(
                run_id=run_id,
                folder=folder.path,
                state=run_state(record, holder_of(folder.lock)),
                reason=record.reason,
                started_at=manifest.started_at,
                phases=manifest.phases,
                repository=manifest.repository,
                artifacts=folder.stored_artifacts(),
            )
        )
    return found


def frozen_wiring(folder: RunFolder, manifest: Manifest) -> dict[str, WiredSequence]:
    """The run's own sequences, wired to the handlers of this installation."""
    settings = thawed_settings(manifest.settings)
    registry = Registry(Path(manifest.project) / settings.beats.folder, packages=manifest.packages)
    catalogue = load_catalogue(folder.definition, packages=False)
    return wire_phases(catalogue, registry, manifest.phases[0], manifest.phases[-1])


def reading_session(
    folder: RunFolder, manifest: Manifest, wired: dict[str, WiredSequence]
) -> Session:
    """A session that only reads: its journal is a copy in memory, its executor is idle."""
    journal = Journal.__new__(Journal)
    journal.path, journal.durable, journal.events = (
        folder.journal,
        False,
        read_journal(folder.journal),
    )
    return Session(folder, manifest, wired, journal, ThreadPoolExecutor(1), Observer())


def _unwired(
    folder: RunFolder, manifest: Manifest, record: RunRecord
) -> dict[str, list[BeatStatus]]:
    """The beats of the frozen sequences, or the journal's where those cannot be read."""
    try:
        catalogue = load_catalogue(folder.definition, packages=False)
    except SequenceError:
        return {
            phase: [
                _recorded(phase, name, record)
                for place, name in list(record.beats)
                if place == phase
            ]
            for phase in manifest.phases
        }
    return {
        phase: [
            _recorded(phase, beat.id, record).model_copy(update={"title": beat.title})
            for beat in catalogue[phase].sequence.all_beats
        ]
        for phase in manifest.phases
    }


def _wired_and_stale(
    folder: RunFolder, manifest: Manifest
) -> tuple[dict[str, WiredSequence], dict[str, dict[str, str | None]]]:
    wired = frozen_wiring(folder, manifest)
    session = reading_session(folder, manifest, wired)
    stale: dict[str, dict[str, str | None]] = {}
    for phase, sequence in wired.items():
        stale[phase] = {}
        for beat in sequence.beats:
            if session.record.beat(phase, beat.id).state != "succeeded":
                continue
            stale[phase][beat.id] = session.staleness(phase, beat)
            keep_finished(session, phase, beat)
    return wired, stale


def _phase_state(record: RunRecord, phase: str, pid: int | None) -> str:
    state: str = record.phases.get(phase, {}).get("state", "pending")
    return "interrupted" if state == "running" and pid is None else state


def _elapsed(record: RunRecord, phase: str) -> float | None:
    known = record.phases.get(phase)
    return round(known["elapsed"], 6) if known else None
