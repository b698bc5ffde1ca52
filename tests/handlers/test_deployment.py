"""The deploy phase on the engine: real repositories, a real CI command, nothing half done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from delivery_world import delivery

from selfheal.codebase.git import git

MERGED = ["Merge selfheal/r1: Fix: KeyError in total (pricing.py:5)"]
FIXED = ["Fix: KeyError in total (pricing.py:5)"]


def test_an_automatic_delivery_is_merged_and_says_that_nothing_was_rolled_out(
    tmp_path: Path,
) -> None:
    made = delivery(tmp_path)
    assert made.run().state == "succeeded"
    found = made.deployment()
    assert made.log() == [*MERGED, *FIXED, "Prices"]
    assert found.outcome == "not_deployed"
    assert "deploy.target is none" in found.reason
    assert found.merge is not None
    assert found.merge.commit == made.forge.head("main")
    assert found.commit == made.forge.head("selfheal/r1")
    assert found.ci is not None
    assert found.ci.verdict == "passed"
    pull = made.forge.find_pull("selfheal/r1")
    assert pull is not None
    assert (pull.state, pull.checks) == ("merged", {"ci": "passed"})
    assert "how to roll back" in (made.forge.folder / pull.url).read_text().lower()


def test_nothing_leaves_the_machine_before_a_human_agrees(tmp_path: Path) -> None:
    made = delivery(tmp_path, approval="review")
    before = git(made.forge.folder, "for-each-ref").stdout
    result = made.run()
    assert result.state == "waiting"
    assert "selfheal approve r1 --by NAME" in result.hint
    assert "selfheal resume r1" in result.hint
    assert (result.folder / "reports" / "pull_request.md").read_text().startswith("# Fix: KeyError")
    assert git(made.forge.folder, "for-each-ref").stdout == before
    assert made.forge.find_pull("selfheal/r1") is None
    made.decide("approved")
    assert made.resume().state == "succeeded"
    found = made.deployment()
    assert made.log() == [*MERGED, *FIXED, "Prices"]
    assert found.approval is not None
    assert (found.approval.state, found.approval.by) == ("approved", "ada")


def test_a_rejected_change_ships_nothing_and_is_on_record(tmp_path: Path) -> None:
    made = delivery(tmp_path, approval="review")
    made.run()
    made.decide("rejected")
    assert made.resume().state == "succeeded"
    found = made.deployment()
    assert (found.outcome, found.reason) == ("rejected", "rejected by ada: because")
    assert made.forge.head("selfheal/r1") is None
    assert made.log() == ["Prices"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"approval": "never"}, "deploy.approval is never"),
        ({"remote": "upstream"}, "no remote named 'upstream'"),
        ({"base": "trunk"}, "no branch trunk"),
        ({"target": "processes"}, "deploy.fleet is not set"),
        ({"target": "processes", "fleet": "/nonexistent"}, "holds no fleet"),
    ],
)
def test_what_cannot_be_shipped_is_not_deployed_for_a_reason_and_asks_nobody(
    tmp_path: Path, settings: dict[str, Any], said: str
) -> None:
    made = delivery(tmp_path, **({"approval": "review"} | settings))
    assert made.run().state == "succeeded"
    found = made.deployment()
    assert found.outcome == "not_deployed"
    assert said in found.reason
    assert made.log() == ["Prices"]
    assert made.forge.head("selfheal/r1") is None


def test_without_a_selected_change_there_is_a_deployment_that_says_so(tmp_path: Path) -> None:
    made = delivery(tmp_path)
    none = made.world.validation.model_copy(
        update={"selected": None, "reason": "No candidate passed."}
    )
    made.store(validation=none)
    assert made.run().state == "succeeded"
    found = made.deployment()
    assert found.candidate_id is None
    assert found.reason == "no change was selected: No candidate passed."


@pytest.mark.parametrize(
    ("command", "seconds", "verdict"),
    [
        (["{python}", "-c", "raise SystemExit(3)"], 60, "failed"),
        (["{python}", "-c", "import time; time.sleep(60)"], 0.5, "timed_out"),
        (["no-such-command"], 60, "not_run"),
    ],
)
def test_what_has_not_passed_ci_is_not_merged(
    tmp_path: Path, command: list[str], seconds: float, verdict: str
) -> None:
    made = delivery(tmp_path, ci_command=command, ci_timeout_seconds=seconds)
    made.run()
    found = made.deployment()
    assert found.outcome == "not_deployed"
    assert found.ci is not None
    assert found.ci.verdict == verdict
    assert made.log() == ["Prices"]
    pull = made.forge.find_pull("selfheal/r1")
    assert pull is not None
    assert (pull.state, pull.checks) == ("open", {"ci": verdict})


def test_a_base_that_moved_into_a_conflict_during_the_wait_is_refused(tmp_path: Path) -> None:
    made = delivery(tmp_path, approval="review")
    made.run()
    repository = made.world.repository
    (repository / "pricing.py").write_text("def total(prices, code):\n    return 0\n")
    who = ("-c", "user.name=dev", "-c", "user.email=dev@localhost")
    git(repository, *who, "commit", "--quiet", "-am", "Meanwhile")
    git(repository, "push", "--quiet", "origin", "main")
    made.decide("approved")
    assert made.resume().state == "succeeded"
    found = made.deployment()
    assert found.outcome == "not_deployed"
    assert "pricing.py" in found.reason
    assert made.log() == ["Meanwhile", "Prices"]


def test_a_left_over_branch_of_the_same_name_is_never_overwritten(tmp_path: Path) -> None:
    made = delivery(tmp_path)
    repository = made.world.repository
    who = ("-c", "user.name=dev", "-c", "user.email=dev@localhost")
    git(repository, "checkout", "--quiet", "-b", "selfheal/r1")
    git(repository, *who, "commit", "--quiet", "--allow-empty", "-m", "Somebody's")
    git(repository, "push", "--quiet", "origin", "selfheal/r1")
    theirs = made.forge.head("selfheal/r1")
    result = made.run()
    assert result.state == "failed"
    assert made.forge.head("selfheal/r1") == theirs


def test_equal_runs_on_equal_worlds_write_equal_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1704164645")
    written = []
    for name in ("one", "two"):
        made = delivery(tmp_path / name)
        made.run()
        written.append((made.artifacts / "runs" / "r1" / "deployment.json").read_bytes())
    assert written[0] == written[1]
