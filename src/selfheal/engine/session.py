"""One process working on a run: everything that its phases share."""

from __future__ import annotations

import os
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from selfheal.config import Settings
from selfheal.engine.folder import Manifest, RunFolder, thawed_settings
from selfheal.engine.journal import Journal
from selfheal.engine.keys import ABSENT, SettingsHashes, difference, key_parts
from selfheal.engine.observer import Observer
from selfheal.engine.record import BeatId, RunRecord, apply, fold
from selfheal.engine.results import Output, Results, output_file, stored
from selfheal.engine.task import (
    Collected,
    Given,
    Granted,
    Literally,
    Nothing,
    RunContext,
    Service,
    Stored,
)
from selfheal.errors import WiringError
from selfheal.registry import Registry
from selfheal.sequences import Catalogue, Source, WiredBeat, WiredSequence, wire
from selfheal.sequences.expressions import evaluate, names_in


class InputMissing(Exception):
    """A required input was not produced; the message says which and why."""


def wire_phases(
    catalogue: Catalogue, registry: Registry, first: str, last: str
) -> dict[str, WiredSequence]:
    """The phases from first to last, wired. Raises WiringError.

    Artifacts that earlier phases declare as outputs count as available.
    """
    span = catalogue.span(first, last)
    available: dict[str, str] = {}
    wired: dict[str, WiredSequence] = {}
    for entry in catalogue.entries:
        if entry in span:
            sequence = wire(entry.sequence, registry.get, tuple(available))
            _refuse_second_writer(sequence, available, wired)
            wired[entry.phase] = sequence
            available |= dict.fromkeys(sequence.writers, entry.phase)
        available |= {name: entry.phase for name in entry.sequence.outputs if name not in available}
        if entry.phase == last:
            break
    return wired


def _refuse_second_writer(
    sequence: WiredSequence, available: dict[str, str], wired: dict[str, WiredSequence]
) -> None:
    for artifact, beat in sequence.writers.items():
        if artifact in available:
            phase = available[artifact]
            other = wired[phase].writers.get(artifact, "a beat") if phase in wired else "a beat"
            raise WiringError(
                f"{beat} and {other} of the phase {phase} both write {artifact}.json. "
                f"Declared: {sequence.beat(beat).handler.declaration}.",
                where=f"{sequence.sequence.id} {beat}",
            )


@dataclass
class Session:
    """The shared state; made once the run folder is there and locked."""

    folder: RunFolder
    manifest: Manifest
    wired: dict[str, WiredSequence]
    journal: Journal
    executor: Executor
    observer: Observer

    def __post_init__(self) -> None:
        self.record: RunRecord = fold(self.journal.events)
        self.results = Results(self.folder, self.record)
        self.token = f"{os.getpid()}"
        for name in self.manifest.imports:
            self.results.import_artifact(name)

    @cached_property
    def settings(self) -> Settings:
        return thawed_settings(self.manifest.settings)

    @cached_property
    def hashes(self) -> SettingsHashes:
        return SettingsHashes(self.settings, self.manifest.settings)

    @cached_property
    def context(self) -> RunContext:
        return run_context(self.folder, self.manifest, self.settings)

    def note(self, kind: str, **fields: Any) -> None:
        """Append an event and fold it into the record."""
        apply(self.record, self.journal.append(kind, **fields))

    def approval(self) -> dict[str, str] | None:
        """The last decision, if it is on what stands now."""
        subject = self.results.approval_subject()
        for event in reversed(self.record.approvals):
            if event["subject_sha256"] == subject:
                return {
                    name: event[name] for name in ("decision", "by", "reason", "subject_sha256")
                }
        return None

    def inputs(self, phase: str, wired: WiredBeat) -> tuple[dict[str, Given], dict[str, str]]:
        """What a beat is given, and the hashes of it for its key.

        Raises InputMissing where a required producer was skipped or failed.
        """
        given: dict[str, Given] = {}
        hashes: dict[str, str] = {}
        for source in wired.sources:
            value, sha256 = self._given(phase, wired, source)
            if value is not None:
                given[source.parameter] = value
            if sha256 is not None:
                hashes[source.parameter] = sha256
        for text in filter(None, (wired.beat.when, wired.beat.foreach)):
            for name in names_in(text) - {"config"}:
                output = self._named(phase, name)
                hashes[f"expression {name}"] = output.sha256 if output else ABSENT
        for name in wired.reads - {name for source in wired.sources for name in source.names}:
            if name in wired.beat.needs and (phase, name) not in self.results.outputs:
                raise InputMissing(self._why_absent(phase, name))
        return given, hashes

    def evaluate(self, phase: str, text: str) -> Any:
        """An expression over what is stored. Raises ExpressionError."""
        values: dict[str, Any] = {"config": self.hashes.document}
        for name in names_in(text) - {"config"}:
            output = self._named(phase, name)
            values[name] = self.results.value(output.file) if output else None
        return evaluate(text, values)

    def lineage(self, phase: str, wired: WiredBeat) -> list[dict[str, str]]:
        """The artifacts that went into a beat, directly or through beats of its phase."""
        found: set[str] = set()
        seen: set[str] = set()
        todo = [wired]
        while todo:
            beat = todo.pop()
            if beat.id in seen:
                continue
            seen.add(beat.id)
            found |= beat.artifacts
            if beat is not wired and beat.handler.writes:
                found.add(beat.handler.writes)
            todo += [self.wired[phase].beat(name) for name in beat.reads]
        return [
            {"artifact": name, "sha256": self.results.artifacts[name]}
            for name in sorted(found)
            if name in self.results.artifacts
        ]

    def staleness(self, phase: str, wired: WiredBeat) -> str | None:
        """Why a finished beat's result may not be used again; None if it may."""
        beat = self.record.beat(phase, wired.id)
        if beat.key is None:
            return "it has not finished"
        cache = wired.beat.cache or self.wired[phase].sequence.defaults.cache or "default"
        if cache != "default":
            return f"its cache is set to {cache}"
        try:
            _, hashes = self.inputs(phase, wired)
        except InputMissing as missing:
            return str(missing)
        return difference(beat.parts, key_parts(wired, self.hashes, hashes)) or self.results.damage(
            (phase, wired.id), beat
        )

    def _given(
        self, phase: str, wired: WiredBeat, source: Source
    ) -> tuple[Given | None, str | None]:
        match source.kind:
            case "service":
                return Service(source.names[0]), None
            case "config":
                return Literally(self.hashes.section(source.names[0])), None
            case "value":
                return Literally(wired.beat.with_[source.names[0]]), None
            case "approval":
                decision = self.approval()
                return Granted(decision), str(decision)
            case "contributed":
                return self._collected(phase, source)
            case "artifact":
                return self._artifact(phase, source)
            case "result":
                return self._result(phase, source)
        return None, None

    def _collected(self, phase: str, source: Source) -> tuple[Given, str]:
        beats = self.wired[phase]
        present = [name for name in source.names if (phase, name) in self.results.outputs]
        hashes = [self.fingerprint(phase, name) for name in present]
        parts = tuple(stored(phase, beats.beat(name)) for name in present)
        return Collected(parts), " ".join(hashes)

    def _artifact(self, phase: str, source: Source) -> tuple[Given | None, str]:
        name = source.names[0]
        if name in self.results.artifacts:
            return Stored(f"{name}.json", None, artifact=name), self.results.artifacts[name]
        writer = self.wired[phase].writers.get(name)
        why = self._why_absent(phase, writer) if writer else f"{name}.json was not written"
        return self._absent(source, why)

    def _result(self, phase: str, source: Source) -> tuple[Given | None, str]:
        name = source.names[0]
        if (phase, name) in self.results.outputs:
            return stored(phase, self.wired[phase].beat(name)), self.fingerprint(phase, name)
        return self._absent(source, self._why_absent(phase, name))

    def _absent(self, source: Source, why: str) -> tuple[Given | None, str]:
        if source.defaulted:
            return None, ABSENT
        if source.nullable:
            return Nothing(), ABSENT
        raise InputMissing(why)

    def _why_absent(self, phase: str, name: str) -> str:
        beat = self.record.beat(phase, name)
        return f"{name} was {beat.state.replace('_', ' ')}: {beat.reason}"

    def fingerprint(self, phase: str, name: str) -> str:
        """The hash by which readers of a beat's result are keyed."""
        output = self.results.outputs[(phase, name)]
        if self.wired[phase].beat(name).beat.cache == "disable":
            return f"{output.sha256}@{self.record.beat(phase, name).attempts}"
        return output.sha256

    def _named(self, phase: str, name: str) -> Output | None:
        if name in self.results.artifacts:
            return Output(f"{name}.json", self.results.artifacts[name])
        return self.results.outputs.get((phase, name))


def run_context(folder: RunFolder, manifest: Manifest, settings: Settings) -> RunContext:
    """What every task of a run is told."""
    return RunContext(
        run_id=manifest.run_id,
        started_at=manifest.started_at,
        run_folder=str(folder.path),
        artifacts_folder=str(folder.artifacts),
        repository=manifest.repository,
        beats_folder=str(Path(manifest.project) / settings.beats.folder),
        packages=manifest.packages,
        environment=settings.sandbox.environment(),
    )


def keep_finished(session: Session, phase: str, wired: WiredBeat) -> None:
    """Take a finished beat's stored result into the results that stand."""
    beat = session.record.beat(phase, wired.id)
    identity: BeatId = (phase, wired.id)
    if beat.output is not None:
        output = Output(beat.output["file"], beat.output["sha256"])
        assert output.file == output_file(phase, wired)
        session.results.keep(identity, output, wired.handler.writes)
