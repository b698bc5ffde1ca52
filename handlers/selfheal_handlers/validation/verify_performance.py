"""Run the bad release and the candidates side by side under the recorded requests."""

from __future__ import annotations

from selfheal.artifacts import Anomalies, Patch
from selfheal.config import ServiceConfig, TestsConfig, ValidateConfig
from selfheal.contract import Workspace, handler
from selfheal.sandbox.evidence import Applied, Checked, Subjects, Tested
from selfheal.sandbox.rounds import Live, verify_in_rank_order
from selfheal_handlers.validation._bench import bench_of
from selfheal_handlers.validation._examples import verify_performance as example


@handler("verify_performance", kind="stage-crew", example=example)
def verify_performance(
    load_patch: Subjects,
    apply_patch: Applied,
    run_tests: Tested,
    check_coverage: Checked,
    patch: Patch,
    anomalies: Anomalies,
    service: ServiceConfig,
    tests: TestsConfig,
    config: ValidateConfig,
    workspace: Workspace,
) -> Checked:
    """The checks ``detector`` and ``speed`` of the candidates that passed so far.

    Where all of a diagnosis that were tested fail here, those next in rank are tested
    and tried too: then their earlier checks are among the result.
    """
    if not load_patch.subjects:
        return Checked(checks={})
    live = Live(
        bench=bench_of(workspace, tests, config, run_tests.baselines, load_patch.subjects),
        service=service,
        anomalies={anomaly.id: anomaly for anomaly in anomalies.anomalies},
        folder=workspace.folder / "trials",
        measured=workspace.measured,
    )
    return verify_in_rank_order(
        live, load_patch.subjects, patch.candidates, apply_patch, run_tests, check_coverage
    )
