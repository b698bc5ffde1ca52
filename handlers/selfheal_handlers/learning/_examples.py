"""A small delivered change and the telemetry around it, as OTLP JSON really looks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfheal.artifacts import Anomalies, Deployment, Patch, Patterns, Telemetry
from selfheal.artifacts.deployment import Gate, Merge, RolloutStep
from selfheal.config import LearnConfig, Settings
from selfheal.standalone import FolderEffects, FolderWorkspace
from selfheal_handlers import examples

MERGE = "c" * 40
RELEASES = ("1.0", "1.1", "1.1-selfheal.ccccccc")
SECOND = 1_000_000_000
START = 1_704_164_645 * SECOND
REQUESTS = 120


def track_requested(_folder: Path) -> Mapping[str, Any]:
    return {"deployment": deployment()}


def load_deployment_info(folder: Path) -> Mapping[str, Any]:
    return {**_decided(), "deployment": deployment(), "workspace": FolderWorkspace(folder)}


def collect_post_deployment_metrics(folder: Path) -> Mapping[str, Any]:
    """A fleet whose routing and telemetry are as a rollout leaves them."""
    from selfheal_handlers.learning.track_requested import track_requested as beat

    settings = Settings.model_validate(
        {
            "deploy": {"target": "processes", "fleet": str(_fleet(folder / "fleet"))},
            "learn": {"observe_seconds": 0},
        }
    )
    return {
        "track_requested": beat(deployment=deployment()),
        "telemetry": telemetry(folder),
        "config": settings,
        "workspace": FolderWorkspace(folder, beat="learn/collect"),
    }


def compare_metrics(folder: Path) -> Mapping[str, Any]:
    from selfheal.learning.observation import Observation
    from selfheal_handlers.learning.collect_post_deployment_metrics import (
        collect_post_deployment_metrics as beat,
    )

    observation = beat(**collect_post_deployment_metrics(folder))
    assert isinstance(observation, Observation)
    assert observation.dataset is not None
    dataset = observation.dataset.located(FolderWorkspace(folder).run_folder)
    return {
        "load_deployment_info": _info(),
        "collect_post_deployment_metrics": observation.model_copy(update={"dataset": dataset}),
        "anomalies": anomalies(),
    }


def calculate_improvement(_folder: Path) -> Mapping[str, Any]:
    from selfheal.learning.observation import Comparison

    comparison = Comparison(
        anomaly_id="anomaly-1",
        service="pricing",
        operation="POST /total",
        measure="error_rate",
        good=0.0,
        before=0.1,
        after=0.0,
        counts={"good": 120, "before": 120, "after": 120},
        improvement=1.0,
        interval=(0.7, 1.0),
        judgement="quiet",
    )
    return {"compare_metrics": [comparison]}


def assess_success(folder: Path) -> Mapping[str, Any]:
    from selfheal_handlers.learning.calculate_improvement import calculate_improvement as beat

    improvements = beat(**calculate_improvement(folder))
    return {"config": LearnConfig(), "calculate_improvement": improvements}


def update_learning_models(folder: Path) -> Mapping[str, Any]:
    from selfheal_handlers.learning.assess_success import assess_success as beat

    return {
        "load_deployment_info": _info(),
        **_decided(),
        "deployment": deployment(),
        "assess_success": beat(**assess_success(folder)),
    }


def generate_insights(folder: Path) -> Mapping[str, Any]:
    from selfheal_handlers.learning.update_learning_models import update_learning_models as beat

    given = update_learning_models(folder)
    return {
        "load_deployment_info": given["load_deployment_info"],
        "update_learning_models": beat(**given),
        "diagnosis": given["diagnosis"],
        "validation": given["validation"],
        "deployment": given["deployment"],
    }


def store_effectiveness(folder: Path) -> Mapping[str, Any]:
    from selfheal_handlers.learning.generate_insights import generate_insights as beat

    given = generate_insights(folder)
    return {
        "update_learning_models": given["update_learning_models"],
        "generate_insights": beat(**given),
        "workspace": FolderWorkspace(folder),
        "effects": FolderEffects(folder / "effects.jsonl"),
    }


def track_completed(_folder: Path) -> Mapping[str, Any]:
    return {"patterns": Patterns(patterns=[])}


def deployment() -> Deployment:
    gate = Gate(state="pass", judgements={"error_rate": "pass"}, reason="all well")
    return Deployment(
        candidate_id="candidate-2",
        merge=Merge(merged=True, commit=MERGE, base="main"),
        rollout=[RolloutStep(percent=100, gate=gate)],
        outcome="deployed",
        reason=f"release {RELEASES[2]} carries all traffic",
    )


def anomalies() -> Anomalies:
    from selfheal.analysis.errors import DETECTOR

    anomaly = examples.anomaly(
        service="pricing",
        operation="POST /total",
        title="KeyError in POST /total",
        count=12,
        detector=examples.detector(DETECTOR, significance=0.05, expected_rate=0.1),
        evidence={"exception_type": "KeyError", "fingerprint": "none"},
    )
    return examples.anomalies(anomaly)


def telemetry(folder: Path) -> Telemetry:
    """What the run was started with: both releases before the rollout."""
    from selfheal.telemetry import ingest

    recording = folder / "recording" / "traces.jsonl"
    recording.parent.mkdir(parents=True)
    recording.write_text(_exported(0) + _exported(1))
    run_folder = FolderWorkspace(folder).run_folder
    read = ingest([recording], run_folder, "dataset")
    return examples.telemetry(
        read.dataset, sources=read.sources, refused=read.refused, events=read.events
    )


def _decided() -> dict[str, Any]:
    diagnosis = examples.diagnosis(
        service="pricing",
        operation="POST /total",
        title="KeyError in total (pricing.py:5)",
        impact=examples.impact(12, 120, ""),
        evidence={"exception_type": "KeyError"},
    )
    candidates = [
        examples.candidate(
            id=f"candidate-{rank}",
            strategy=strategy,
            rank=rank,
            score=1 / rank,
            files=["pricing.py"],
            base_commit="b" * 40,
            edit={"template": strategy},
        )
        for rank, strategy in enumerate(("handle_exception", "default_value"), start=1)
    ]
    results = [
        examples.result(candidate_id=candidate.id, verdict=verdict)
        for candidate, verdict in zip(candidates, ("failed", "passed"), strict=True)
    ]
    return {
        "patch": Patch(candidates=candidates),
        "diagnosis": examples.diagnoses(diagnosis),
        "validation": examples.validation(results, reason="The first that passed."),
    }


def _info() -> Any:
    from selfheal_handlers.learning._results import DeploymentInfo

    return DeploymentInfo(run_id="example", watched=["anomaly-1"], library=Patterns(patterns=[]))


def _fleet(folder: Path) -> Path:
    from selfheal.delivery.fleet import Fleet, Instance, Routing

    (folder / "telemetry").mkdir(parents=True)
    (folder / "telemetry" / "traces.jsonl").write_text(_exported(2))
    serving = Instance(
        id="new-1", url="http://127.0.0.1:9", release=RELEASES[2], commit=MERGE, pid=0, weight=100
    )
    routing = Routing(instances=[serving], percents={RELEASES[2]: 100}, routed_at_ns=START)
    (folder / "routing.json").write_text(routing.model_dump_json())
    return Fleet(folder).folder


def _exported(index: int) -> str:
    """One export request of a release; in release 1.1 every tenth request fails."""
    release = RELEASES[index]
    resource = {"service.name": "pricing", "service.version": release}
    spans = [_span(index, number, failing=index == 1) for number in range(REQUESTS)]
    request = {
        "resourceSpans": [
            {
                "resource": {"attributes": _attributes(resource)},
                "scopeSpans": [{"scope": {"name": "pricing"}, "spans": spans}],
            }
        ]
    }
    return json.dumps(request) + "\n"


def _span(index: int, number: int, *, failing: bool) -> dict[str, Any]:
    start = START + (index * REQUESTS + number) * SECOND
    fails = failing and number % 10 == 0
    error = {
        "exception.type": "KeyError",
        "exception.message": "'ninety'",
        "exception.stacktrace": (
            "Traceback (most recent call last):\n"
            '  File "/srv/pricing.py", line 5, in total\n'
            "    return sum(prices) * DISCOUNTS[code]\n"
            "KeyError: 'ninety'"
        ),
    }
    event = {"timeUnixNano": str(start), "name": "exception", "attributes": _attributes(error)}
    return {
        "traceId": f"{index * REQUESTS + number + 1:032x}",
        "spanId": f"{index * REQUESTS + number + 1:016x}",
        "name": "POST /total",
        "kind": 2,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + (5 + number % 7) * 1_000_000),
        "attributes": _attributes({"http.request.method": "POST", "url.path": "/total"}),
        "status": {"code": 2} if fails else {},
        "events": [event] if fails else [],
    }


def _attributes(values: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"key": key, "value": {"stringValue": value}} for key, value in values.items()]
