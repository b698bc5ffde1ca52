"""A session from its first phase to its end."""

from __future__ import annotations

import time

from selfheal.engine.executors import make_executor
from selfheal.engine.folder import Manifest, RunFolder, thawed_settings
from selfheal.engine.journal import Journal
from selfheal.engine.lock import RunLock
from selfheal.engine.observer import Observer, RunResult
from selfheal.engine.phase import PhaseRunner
from selfheal.engine.pool import WorkerPool
from selfheal.engine.record import BeatState, RunState
from selfheal.engine.session import Session
from selfheal.engine.status import beat_statuses
from selfheal.sequences import WiredSequence


def work_on(
    folder: RunFolder, manifest: Manifest, wired: dict[str, WiredSequence], observer: Observer
) -> RunResult:
    """Run what is left of a run, under its lock. Raises LockedError, JournalError.

    KeyboardInterrupt ends the workers and gives the state cancelled; any other
    exception is written down as a failure of the session and goes on.
    """
    lock = RunLock(folder.lock)
    try:
        settings = thawed_settings(manifest.settings)
        journal = Journal(folder.journal, durable=settings.run.durability == "power")
        executor = make_executor(settings.run, lock.note_workers)
        session = Session(folder, manifest, wired, journal, executor, observer)
        try:
            return _session(session)
        finally:
            _end_workers(session, kill=True)
            journal.close()
    finally:
        lock.release()


def _session(session: Session) -> RunResult:
    from selfheal import __version__

    session.folder.clean()
    session.note("session_started", selfheal_version=__version__)
    phases = list(session.wired)
    session.observer.run_started(session.folder.run_id, session.folder.path, phases)
    try:
        state, reason, hint, slug = _phases(session)
    except KeyboardInterrupt:
        return _cancelled(session)
    except Exception as error:
        _ended(session, "failed", f"{type(error).__name__}: {error}", "")
        raise
    _end_workers(session, kill=False)
    _ended(session, state, reason, hint)
    return _result(session, state, reason, hint, slug)


def _phases(session: Session) -> tuple[RunState, str, str, str]:
    for phase, wired in session.wired.items():
        begun = time.monotonic()
        session.note("phase_started", phase=phase)
        session.observer.phase_started(phase, len(wired.beats))
        state = PhaseRunner(session, phase).run()
        elapsed = round(time.monotonic() - begun, 6)
        session.note("phase_finished", phase=phase, state=state, elapsed=elapsed)
        session.observer.phase_finished(phase, state, elapsed)
        if state == "failed":
            return _cause(session, phase, wired, "failed", ("failed", "timed_out"))
        if state == "waiting":
            return _cause(session, phase, wired, "waiting", ("waiting",))
    return "succeeded", "", "", ""


def _cause(
    session: Session,
    phase: str,
    wired: WiredSequence,
    state: RunState,
    kinds: tuple[BeatState, ...],
) -> tuple[RunState, str, str, str]:
    """The first beat that ended the phase, and how many did."""
    causes = [
        beat
        for beat in wired.beats
        if session.record.beat(phase, beat.id).state in kinds
        and not (beat.beat.continue_on_error and state == "failed")
    ]
    first = session.record.beat(phase, causes[0].id)
    more = f" ({len(causes) - 1} more beats {state})" if len(causes) > 1 else ""
    word = "took too long" if first.state == "timed_out" else state
    reason = f"{phase}/{causes[0].id} {word}: {first.reason}{more}"
    return state, reason, first.hint, first.slug


def _cancelled(session: Session) -> RunResult:
    _end_workers(session, kill=True)
    for (phase, name), beat in list(session.record.beats.items()):
        if beat.state == "running":
            session.note(
                "beat_finished",
                phase=phase,
                beat=name,
                state="cancelled",
                reason="interrupted",
            )
            session.observer.beat_finished(phase, name, "cancelled", 0.0, "", "interrupted")
    session.folder.clean()
    hint = f"Go on with: selfheal resume {session.folder.run_id}"
    _ended(session, "cancelled", "interrupted", hint)
    return _result(session, "cancelled", "interrupted", hint, "")


def _ended(session: Session, state: RunState, reason: str, hint: str) -> None:
    session.note("session_finished", state=state, reason=reason, hint=hint)
    session.observer.run_finished(state, reason)


def _result(session: Session, state: RunState, reason: str, hint: str, slug: str) -> RunResult:
    return RunResult(
        run_id=session.folder.run_id,
        folder=session.folder.path,
        state=state,
        reason=reason,
        hint=hint,
        slug=slug,
        beats=[
            status
            for phase, wired in session.wired.items()
            for status in beat_statuses(phase, wired, session.record)
        ],
    )


def _end_workers(session: Session, *, kill: bool) -> None:
    if isinstance(session.executor, WorkerPool):
        session.executor.shutdown(cancel_futures=kill, kill=kill)
    else:
        session.executor.shutdown(wait=not kill, cancel_futures=kill)
