"""Run each candidate's regression test without and with it, then the whole suite."""

from __future__ import annotations

from selfheal.artifacts import Patch
from selfheal.config import TestsConfig, ValidateConfig
from selfheal.contract import Workspace, handler
from selfheal.sandbox.evidence import Applied, Subjects, Tested
from selfheal.sandbox.observation import with_behaviour
from selfheal.sandbox.rounds import run_in_rank_order
from selfheal_handlers.validation._bench import bench_of
from selfheal_handlers.validation._examples import run_tests as example


@handler("run_tests", kind="stage-crew", version="6", example=example)
def run_tests(
    load_patch: Subjects,
    apply_patch: Applied,
    patch: Patch,
    tests: TestsConfig,
    config: ValidateConfig,
    workspace: Workspace,
) -> Tested:
    """The checks ``regression_test`` and ``suite``, best ranks first until enough pass; then
    ``behaviour`` of those that do."""
    if not load_patch.subjects:
        return Tested(candidates={})
    bench = bench_of(workspace, tests, config, subjects=load_patch.subjects)
    subjects = load_patch.subjects
    tested = run_in_rank_order(bench, subjects, patch.candidates, apply_patch)
    tested = with_behaviour(bench, subjects, patch.candidates, apply_patch, tested)
    workspace.measured("validation-tests", {"seconds": bench.seconds})
    return tested
