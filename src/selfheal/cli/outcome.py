"""How a run ended, for people and as an outcome."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from selfheal.cli.console import Console, Outcome
from selfheal.cli.project import PHASES
from selfheal.contract import ARTIFACT_NAMES
from selfheal.errors import InvalidInput

if TYPE_CHECKING:
    from selfheal.engine.observer import RunResult


def report(result: RunResult, console: Console) -> Outcome:
    """Print how a run ended and what to do next; give its outcome."""
    console.data(result, lambda: conclusion(result))
    if console.as_json and result.state != "succeeded":
        console.note(conclusion(result))
    return outcome_of(result)


def outcome_of(result: RunResult) -> Outcome:
    """The outcome of a session; one that wrong input ended is unusable, not failed."""
    if result.state in ("succeeded", "waiting", "cancelled"):
        return result.state
    return "unusable" if result.slug in _input_slugs() else "failed"


def conclusion(result: RunResult) -> str:
    """What happened, and what to type next."""
    lines = [
        f"{result.state}: run {result.run_id}" + (f" — {result.reason}" if result.reason else "")
    ]
    for beat in result.beats:
        told = beat.reason and beat.reason in result.reason
        if beat.state in ("failed", "timed_out") and not told:
            lines.append(f"  {beat.phase} {beat.beat}: {beat.reason} {beat.hint}".rstrip())
    if result.hint:
        lines.append(result.hint)
    if result.state == "succeeded" and result.beats:
        last = result.beats[-1].phase
        artifact = ARTIFACT_NAMES[PHASES.index(last)] if last in PHASES else result.run_id
        lines.append(f"look at it with: selfheal show {artifact}")
    lines.append(f"everything is in {result.folder}")
    artifacts = result.folder.parents[1]
    if artifacts.resolve() != Path("artifacts").resolve():
        lines.append(f"commands on this run need: --artifacts {artifacts}")
    return "\n".join(lines)


def _input_slugs() -> set[str]:
    kinds, found = [InvalidInput], set()
    while kinds:
        kind = kinds.pop()
        found.add(kind.slug)
        kinds += kind.__subclasses__()
    return found
