"""A drill on a real repository: a strategy that cheats loses the autonomy of its kind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from delivery_world import quick_delivery

from selfheal.artifacts import Deployment, Pattern, Patterns
from selfheal.artifacts.envelope import envelope
from selfheal.artifacts.patterns import Applicability, Outcomes, Provenance
from selfheal.codebase.git import git
from selfheal.config import (
    DeployConfig,
    FixConfig,
    RunConfig,
    SearchConfig,
    Settings,
    TestsConfig,
    ValidateConfig,
)
from selfheal.contract import Waiting
from selfheal.drill.campaign import drill
from selfheal.drill.exercise import Exercise, Ground, exercise
from selfheal.drill.faults import Fault
from selfheal.drill.hold_out import held_out
from selfheal.errors import InvalidInput
from selfheal.learning.library import update_library
from selfheal.sandbox.worktree import resolve

STRATEGY = "default_value"
CODE = """def pages(count, size):
    full = count // size
    return full + 1 if count % size else full
"""
FAULTY = CODE.replace("return full + 1 if count % size else full", "raise KeyError(count)")
SUITE = """from shop import pages


def test_even():
    assert pages(10, 5) == 2


def test_begun():
    assert pages(11, 5) == 3
"""


# What a strategy would propose that looks at the test and not at the code. The workers of the
# loop find it as their sitecustomize; the code under repair runs without it.
CHEAT = """import sys

if "selfheal.engine.worker" in sys.orig_argv:
    from selfheal.repair import Edit, Splice
    from selfheal.repair.strategies.base import error_strategy

    def cheat(problem):
        source = next(iter(problem.places())).source
        start, stop = source.text.index("raise"), source.text.index("(count)\\n") + 7
        splice = Splice(path=source.path, start=start, stop=stop, text="return ANSWER")
        yield Edit(strategy="default_value", template="get", explanation="", fit=1.0, splices=[splice])

    table = (error_strategy("default_value", cheat),)
    sys.modules["selfheal.repair.candidates"].STRATEGIES = table
"""


def settings() -> Settings:
    quick = ValidateConfig(shuffled_runs=0, mutants=False, repetitions=3, enough=1)
    return Settings(
        fix=FixConfig(strategies=[STRATEGY], search=SearchConfig(candidates=0, pairs=0, imports=0)),
        validate=quick,
        deploy=DeployConfig(),
        run=RunConfig(workers=1),
    )


def ground(folder: Path, artifacts: Path, suite: str = SUITE) -> Ground:
    repository = folder / "shop"
    (repository / "tests").mkdir(parents=True)
    (repository / "shop.py").write_text(CODE)
    (repository / "tests" / "test_shop.py").write_text(suite)
    (repository / "pyproject.toml").write_text("[tool.pytest.ini_options]\npythonpath = ['.']\n")
    git(repository, "init", "--quiet", "--template=")
    git(repository, "add", "--all")
    who = ("-c", "user.name=dev", "-c", "user.email=dev@localhost")
    git(repository, *who, "commit", "--quiet", "-m", "One")
    commit = resolve(repository, "HEAD")
    library = artifacts / "patterns.json"
    return Ground(repository, commit, folder / "drill", settings(), folder, library)


def ledger(artifacts: Path, successes: int) -> None:
    """A library in which the strategy has healed so many errors."""
    pattern = Pattern(
        id="pattern-1",
        name="p",
        applicability=Applicability(kind="error"),
        edit={"strategy": STRATEGY},
        outcomes=Outcomes(),
        confidence=0.5,
        confidence_interval=(0.0, 1.0),
        provenance=[
            Provenance(run_id=f"drill-{n}", candidate_id="c", operation="o", outcome="merged")
            for n in range(successes)
        ],
    )
    library = Patterns(patterns=[pattern])
    stored = envelope("patterns", library, run_id="x", produced_by="test", inputs=[])
    artifacts.mkdir(exist_ok=True)
    (artifacts / "patterns.json").write_bytes(stored.to_bytes())


def sabotaged(folder: Path, made: Ground, monkeypatch: pytest.MonkeyPatch) -> Exercise:
    """One exercise in which the strategy answers the shown test and looks at nothing else."""
    failing = [f"tests/test_shop.py::test_{name}" for name in ("begun", "even")]
    answer = "2" if held_out(failing, 0) == failing[:1] else "3"
    (folder / "sabotage").mkdir()
    (folder / "sabotage" / "sitecustomize.py").write_text(CHEAT.replace("ANSWER", answer))
    paths = [str(folder / "sabotage"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    fault = Fault(
        id="fault-1", file="shop.py", line=3, function="pages", what="raises", text=FAULTY
    )
    texts = {"shop.py": CODE, "tests/test_shop.py": SUITE}
    return exercise(made, fault, failing, texts, seed=0, run_id="drill-x-1", history=False)


def test_a_sabotaged_strategy_is_found_out_by_a_drill_and_its_kind_falls_back_to_review(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = quick_delivery(tmp_path, level=0.8)
    (candidate,) = delivery.world.patch.candidates
    ours = [candidate.model_copy(update={"strategy": STRATEGY})]
    patch = delivery.world.patch.model_copy(update={"candidates": ours})
    delivery.store(**delivery.world.artifacts | {"patch": patch})
    artifacts = tmp_path / "artifacts"
    ledger(artifacts, successes=20)
    trusted = delivery.deploy("r1")
    assert isinstance(trusted, Deployment)
    assert trusted.approval is not None
    assert trusted.approval.state == "automatic"

    done = sabotaged(tmp_path, ground(tmp_path, artifacts), monkeypatch)
    assert (done.grade, done.shown, done.hidden) == ("overfitted", 1, 1)
    assert done.strategies == [STRATEGY]
    assert [use.outcome for use in done.uses] == ["ineffective"]
    update_library(artifacts, done.uses, run_id="drill-x", produced_by="test")

    delivery.forge.pulls.joinpath("1.json").unlink()
    asked = delivery.deploy("r2")
    assert isinstance(asked, Waiting)
    assert "auto is not earned yet: default_value against error: 20 of 21" in asked.reason


@pytest.mark.parametrize(
    ("tests", "said"),
    [
        (TestsConfig(command=["make", "check"]), "reads pytest's report"),
        (TestsConfig(), "does not pass"),
    ],
)
def test_a_drill_says_what_it_needs_where_the_suite_cannot_serve_it(
    tmp_path: Path, tests: TestsConfig, said: str
) -> None:
    made = ground(tmp_path, tmp_path / "artifacts", suite=SUITE.replace("== 3", "== 4"))
    with pytest.raises(InvalidInput, match=said):
        drill(
            made.repository,
            settings().model_copy(update={"tests": tests}),
            project=tmp_path,
            artifacts=tmp_path / "artifacts",
            faults=1,
            seed=0,
        )
    assert not list((tmp_path / "artifacts").glob("drills/*"))
