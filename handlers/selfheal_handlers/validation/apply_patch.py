"""Apply every candidate to a work tree of its own and see what it changes."""

from __future__ import annotations

from selfheal.artifacts import Patch
from selfheal.config import TestsConfig, ValidateConfig
from selfheal.contract import Workspace, handler
from selfheal.sandbox.evidence import Applied, Subjects
from selfheal_handlers.validation._bench import bench_of
from selfheal_handlers.validation._examples import apply_patch as example


@handler("apply_patch", kind="stage-crew", example=example)
def apply_patch(
    load_patch: Subjects,
    patch: Patch,
    tests: TestsConfig,
    config: ValidateConfig,
    workspace: Workspace,
) -> Applied:
    """The checks ``applies`` and ``tests_not_weakened``, and the changed files."""
    wanted = {name for subject in load_patch.subjects for name in subject.candidate_ids}
    chosen = [candidate for candidate in patch.candidates if candidate.id in wanted]
    if not chosen:
        return Applied(candidates={})
    bench = bench_of(workspace, tests, config)
    return Applied(candidates={candidate.id: bench.apply(candidate) for candidate in chosen})
