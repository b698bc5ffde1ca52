"""Run folders for tests of reports: a dataset and the artifacts around it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recording import Recording

from selfheal.artifacts import Anomalies, Anomaly, Telemetry
from selfheal.artifacts.anomalies import DataWindow, Detector, Health
from selfheal.artifacts.envelope import envelope
from selfheal.artifacts.model import AnomalyKind
from selfheal.artifacts.telemetry import Window
from selfheal.telemetry import ingest


def run_folder(folder: Path, *sources: Path, anomalies: Sequence[Anomaly] | None = None) -> Path:
    """A run that parsed `sources`, and found `anomalies` where some are given."""
    run = folder / "runs" / "r1"
    run.mkdir(parents=True)
    found = ingest(list(sources), run, "dataset")
    payload = Telemetry(
        sources=found.sources,
        refused=found.refused,
        events=found.events,
        window=Window(),
        releases=[],
        operations=[],
        dataset=found.dataset,
    )
    store(run, "telemetry", payload)
    if anomalies is not None:
        health = Health(state="no_data", score=None, components=[])
        store(run, "anomalies", Anomalies(anomalies=list(anomalies), health=health))
    return run


def store(run: Path, name: str, payload: Any) -> None:
    """Write an artifact of a run."""
    wrapped = envelope(name, payload, run_id=run.name, produced_by="test", inputs=[])
    (run / f"{name}.json").write_bytes(wrapped.to_bytes())


def recorded(folder: Path, recording: Recording) -> Path:
    """A run over a recording alone."""
    return run_folder(folder, recording.save(folder / "traces.jsonl"))


def empty_run(folder: Path) -> Path:
    """A run over a log of one harmless line: no spans, no errors, no coverage."""
    log = folder / "quiet.log"
    log.write_text('{"timestamp": "2026-01-01T00:00:00Z", "level": "info", "message": "up"}\n')
    return run_folder(folder, log)


def anomaly(kind: AnomalyKind, operation: str, **evidence: Any) -> Anomaly:
    """A grave anomaly of the service shop between the releases 1.0 and 1.1."""
    return Anomaly(
        id=f"anomaly-{kind}",
        kind=kind,
        service="shop",
        operation=operation,
        severity="high",
        score=0.9,
        title=f"{operation} has trouble",
        first_seen="2024-05-01T12:00:00Z",
        last_seen="2024-05-01T12:05:00Z",
        count=3,
        detector=Detector(
            name="test",
            parameters={},
            window=DataWindow(baseline_release="1.0", candidate_release="1.1"),
        ),
        evidence=evidence,
    )
