"""Prove a composition as a whole, keep its patch, and write validation.json.

The choice is pure and comes first, so the composition is proven here, by all the same
checks; where it fails one, the gravest diagnosis's own fix is selected.
"""

from __future__ import annotations

from selfheal.artifacts import Anomalies, Diagnoses, Patch, Validation
from selfheal.config import ServiceConfig, TestsConfig, ValidateConfig
from selfheal.contract import Workspace, handler
from selfheal.sandbox.causes import with_causes
from selfheal.sandbox.evidence import Subjects, Tested
from selfheal.sandbox.rounds import Live, prove_composition
from selfheal.sandbox.verdict import Choice, concluded
from selfheal_handlers.validation._bench import bench_of
from selfheal_handlers.validation._examples import store_validation_results as example


@handler(
    "store_validation_results",
    kind="stage-crew",
    version="2",
    writes="validation",
    example=example,
)
def store_validation_results(
    aggregate_validation_results: Choice,
    load_patch: Subjects,
    run_tests: Tested,
    patch: Patch,
    diagnosis: Diagnoses,
    anomalies: Anomalies,
    service: ServiceConfig,
    tests: TestsConfig,
    config: ValidateConfig,
    workspace: Workspace,
) -> Validation:
    """The payload of validation.json; a proven composition's patch lies in ``patches/``."""
    choice = aggregate_validation_results
    if choice.composition is None:
        validation = concluded(choice, load_patch.isolation, searches=patch.searches)
        return with_causes(validation, diagnosis)
    live = Live(
        bench=bench_of(workspace, tests, config, run_tests.baselines, load_patch.subjects),
        service=service,
        anomalies={anomaly.id: anomaly for anomaly in anomalies.anomalies},
        folder=workspace.folder / "trials",
        measured=workspace.measured,
    )
    checks = prove_composition(
        live, choice, load_patch.subjects, documented=patch.documentation == "included"
    )
    validation = concluded(choice, load_patch.isolation, checks, searches=patch.searches)
    if validation.composition is not None:
        kept = validation.composition
        workspace.write(f"patches/{kept.id}.patch", kept.patch)
    return with_causes(validation, diagnosis)
