"""Undoing a beat after its phase failed."""

from __future__ import annotations

from selfheal.engine.attempt import Attempt, make_task
from selfheal.engine.perform import run_task
from selfheal.engine.services import EffectsLedger
from selfheal.engine.session import Session
from selfheal.sequences import WiredBeat


def compensate(session: Session, phase: str, wired: WiredBeat) -> None:
    """Run the beat's compensation, if it declares one, and void its result and effects.

    A compensation that fails is written down and does not keep others from running.
    """
    undo = wired.compensation
    if undo is None:
        return
    attempt = Attempt(
        undo,
        1,
        "",
        {},
        session.inputs(phase, undo)[0],
        session.settings.run.beat_timeout_seconds,
    )
    try:
        reply = session.executor.submit(run_task, make_task(session, phase, attempt, 0)).result()
        problem = reply.reason if reply.outcome in ("fault", "failed", "waiting") else ""
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
    session.folder.clean()
    if problem:
        session.note(
            "compensation_failed",
            phase=phase,
            beat=wired.id,
            by=undo.beat.handler,
            reason=problem,
        )
        session.observer.beat_finished(phase, undo.id, "failed", 0.0, "", problem)
        return
    EffectsLedger(session.folder.effects, f"{phase}/{wired.id}").undo()
    session.results.drop((phase, wired.id), wired.handler.writes)
    session.note("beat_compensated", phase=phase, beat=wired.id, by=undo.beat.handler)
    session.observer.beat_finished(phase, undo.id, "succeeded", 0.0, f"undid {wired.id}", "")
