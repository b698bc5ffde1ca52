"""Deliveries that reviewers can live with: no floods, policies kept, stale bases noticed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from delivery_world import QuickDelivery, quick_delivery
from selfheal_handlers.deployment import _examples

from selfheal.artifacts import Deployment, Pattern, Patterns
from selfheal.artifacts.envelope import envelope
from selfheal.artifacts.patterns import Applicability, Outcomes, Provenance
from selfheal.artifacts.validation import Composition
from selfheal.codebase.git import git
from selfheal.config import LimitsConfig, PolicyConfig
from selfheal.contract import Approval, Waiting
from selfheal.delivery.audit import read, verify
from selfheal.delivery.forge import Pull
from selfheal.sandbox.worktree import Worktree

RED = ["{python}", "-c", "raise SystemExit(3)"]
APPROVED = Approval("approved", by="ada", reason="fine", subject_sha256="0" * 64)
WHO = ("-c", "user.name=dev", "-c", "user.email=dev@localhost")


def pulls(made: QuickDelivery) -> list[Pull]:
    return made.forge.list_pulls("")


def commit(made: QuickDelivery, files: dict[str, str], message: str, *, push: bool = True) -> str:
    repository = made.world.repository
    for name, text in files.items():
        (repository / name).write_text(text)
    git(repository, "add", "--all")
    git(repository, *WHO, "commit", "--quiet", "-m", message)
    if push:
        git(repository, "push", "--quiet", "origin", "HEAD:main")
    return git(repository, "rev-parse", "HEAD").stdout.strip()


def test_a_second_run_about_the_same_anomaly_brings_the_open_request_up_to_date(
    tmp_path: Path,
) -> None:
    made = quick_delivery(tmp_path, ci_command=RED)
    made.deploy()
    first = pulls(made)[0]
    healthy = made.settings.deploy.model_copy(update={"ci_command": []})
    made.settings = made.settings.model_copy(update={"deploy": healthy})
    deployed = made.deploy("r2")
    (only,) = pulls(made)
    assert (only.number, only.branch, only.state) == (first.number, "selfheal/r1", "merged")
    assert only.head != first.head
    assert "selfheal patch --run r2" in (made.forge.folder / only.url).read_text()
    assert deployed.branch == "selfheal/r1"
    assert made.forge.head("selfheal/r2") is None
    events = [entry.event for entry in read(made.artifacts)]
    assert events == [
        *("automatic", "pushed", "opened", "not merged"),
        *("automatic", "pushed", "updated", "merged"),
    ]
    assert verify(made.artifacts).broken is None


def test_a_branch_that_people_work_on_is_left_to_them(tmp_path: Path) -> None:
    made = quick_delivery(tmp_path, ci_command=RED)
    made.deploy()
    repository = made.world.repository
    git(repository, "fetch", "--quiet", "origin", "selfheal/r1")
    git(repository, "checkout", "--quiet", "FETCH_HEAD")
    (repository / "pricing.py").write_text("# mine\n")
    git(repository, *WHO, "commit", "--quiet", "-am", "Mine")
    git(repository, "push", "--quiet", "origin", "HEAD:selfheal/r1")
    theirs = made.forge.head("selfheal/r1")
    made.deploy("r2")
    assert "somebody changed its branch" in made.deploy("r2").reason
    assert made.forge.head("selfheal/r1") == theirs
    assert len(pulls(made)) == 1


def test_what_was_closed_by_people_or_merged_and_not_released_is_not_opened_again(
    tmp_path: Path,
) -> None:
    made = quick_delivery(tmp_path)
    made.deploy()
    made.deploy("r2")
    said = made.deploy("r2").reason
    assert "#1 heals it and was merged into main" in said
    assert "does not have yet" in said
    record = made.forge.pulls / "1.json"
    record.write_text(record.read_text().replace('"merged"', '"closed"'))
    made.deploy("r3")
    assert "people closed it without a merge" in made.deploy("r3").reason
    assert len(pulls(made)) == 1


def test_a_change_that_was_taken_back_is_not_proposed_a_second_time(tmp_path: Path) -> None:
    made = quick_delivery(tmp_path)
    made.deploy()
    made.forge.mark_reverted(1, made.world.base_commit, "errors doubled")
    made.deploy("r2")
    assert "it was taken back: errors doubled" in made.deploy("r2").reason


def test_no_more_requests_are_opened_than_the_limits_allow(tmp_path: Path) -> None:
    made = quick_delivery(tmp_path, limits=LimitsConfig(per_day=2, open=1))
    opened = {"title": "t", "body": "b", "base": "main", "head": made.world.base_commit}
    made.forge.open_pull(branch="selfheal/x", **opened)
    made.deploy()
    assert "deploy.limits.open is 1" in made.deploy().reason
    made.forge.open_pull(branch="selfheal/y", **opened)
    made.deploy("r2")
    assert "deploy.limits.per_day is 2" in made.deploy("r2").reason
    assert "not_deployed" in made.deploy("r2").outcome
    assert made.forge.head("selfheal/r2") is None


def test_a_policy_of_never_ships_nothing_of_its_kind_and_asks_nobody(tmp_path: Path) -> None:
    made = quick_delivery(tmp_path, policies=[PolicyConfig(kind="error", approval="never")])
    assert made.deploy().reason.startswith("deploy.policies/0 (kind error) says never")
    assert pulls(made) == []


def test_what_a_policy_forbids_is_left_out_and_the_rest_ships_as_it_was_proven(
    tmp_path: Path,
) -> None:
    made = quick_delivery(tmp_path, policies=[PolicyConfig(path="legal/*", approval="never")])
    made.store(**_together(made.world))
    made.deploy()
    (pull,) = pulls(made)
    text = (made.forge.folder / pull.url).read_text()
    assert "## Not part of this" in text
    assert "says never of legal/terms.py" in text
    assert made.deploy().candidate_id == "candidate-1"
    assert git(made.forge.folder, "ls-tree", "-r", "--name-only", "main").stdout.split() == [
        "pricing.py",
        "test_pricing.py",
    ]


def _together(world: _examples.World) -> dict[str, Any]:
    """The world's artifacts with a second cause, healed by a new file, and both composed."""
    with Worktree(world.repository, world.base_commit, world.folder / "second") as worktree:
        (worktree.path / "legal").mkdir()
        (worktree.path / "legal" / "terms.py").write_text("TERMS = 1\n")
        other = worktree.diff()
        (worktree.path / "pricing.py").write_text(_examples.HEALED)
        both = worktree.diff()
    (first,) = world.patch.candidates
    second = first.model_copy(
        update={"id": "c2", "diagnosis_id": "d2", "files": ["legal/terms.py"], "patch": other}
    )
    (cause,) = world.diagnosis.diagnoses
    causes = [cause, cause.model_copy(update={"id": "d2", "title": "Terms", "anomaly_ids": []})]
    (result,) = world.validation.results
    results = [result, result.model_copy(update={"candidate_id": "c2", "diagnosis_id": "d2"})]
    composed = Composition(id="all", candidate_ids=[first.id, "c2"], patch=both)
    validation = world.validation.model_copy(
        update={"results": results, "selected": "all", "composition": composed}
    )
    return {
        **world.artifacts,
        "patch": world.patch.model_copy(update={"candidates": [first, second]}),
        "diagnosis": world.diagnosis.model_copy(update={"diagnoses": causes}),
        "validation": validation,
    }


def _ledger(made: QuickDelivery, *outcomes: str) -> None:
    strategy = made.world.patch.candidates[0].strategy
    pattern = Pattern(
        id="pattern-1",
        name="p",
        applicability=Applicability(kind="error"),
        edit={"strategy": strategy},
        outcomes=Outcomes(),
        confidence=0.5,
        confidence_interval=(0.0, 1.0),
        provenance=[
            Provenance(run_id=f"drill-{n}", candidate_id="c", operation="o", outcome=outcome)
            for n, outcome in enumerate(outcomes)
        ],
    )
    stored = envelope(
        "patterns", Patterns(patterns=[pattern]), run_id="x", produced_by="test", inputs=[]
    )
    (made.artifacts / "patterns.json").write_bytes(stored.to_bytes())


def test_auto_takes_effect_only_where_it_is_earned(tmp_path: Path) -> None:
    made = quick_delivery(tmp_path, level=0.8)
    asked = made.deploy()
    assert isinstance(asked, Waiting)
    assert "auto is not earned yet: default_for_missing_key against error: 0 of 0" in asked.reason
    assert pulls(made) == []
    _ledger(made, *["validated"] * 20)
    approval = made.deploy("r2").approval
    assert approval is not None
    assert approval.state == "automatic"
    assert "20 of 20 succeeded" in approval.reason


def test_a_required_check_that_has_not_reported_is_waited_for_and_then_merged(
    tmp_path: Path,
) -> None:
    made = quick_delivery(tmp_path, required_checks=["lint"], checks_seconds=0)
    git(made.forge.folder, "config", "--add", "branch.main.requiredCheck", "licences")
    asked = made.deploy()
    assert isinstance(asked, Waiting)
    assert "licences, lint" in asked.reason
    assert made.log() == ["Prices"]
    made.forge.set_check(1, "lint", "passed")
    assert isinstance(made.deploy(), Waiting)
    made.forge.set_check(1, "licences", "passed")
    assert isinstance(made.deploy(), Deployment)
    assert pulls(made)[0].state == "merged"
    assert "merged into `main`" in (made.forge.pulls / "1.comment.md").read_text()


def test_a_required_check_that_failed_stops_the_merge_at_once(tmp_path: Path) -> None:
    made = quick_delivery(tmp_path, required_checks=["ci", "lint"], checks_seconds=0)
    made.deploy()
    made.forge.set_check(1, "lint", "failed")
    assert made.deploy().reason == "required checks did not pass: lint failed"
    assert made.log() == ["Prices"]


def test_a_protected_base_is_left_to_people(tmp_path: Path) -> None:
    made = quick_delivery(tmp_path, protected=["main", "release-*"])
    made.deploy()
    assert "main is protected (deploy.protected): a person merges" in made.deploy().reason
    assert (pulls(made)[0].state, made.log()) == ("open", ["Prices"])


def test_a_base_that_the_remote_protects_says_so_in_its_words(tmp_path: Path) -> None:
    made = quick_delivery(tmp_path)
    hook = made.forge.folder / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\n[ "$1" != refs/heads/main ] || { echo no robots >&2; exit 1; }\n')
    hook.chmod(0o755)
    made.deploy()
    assert "no robots" in made.deploy().reason
    assert (pulls(made)[0].state, made.log()) == ("open", ["Prices"])


def test_commits_and_merges_are_signed_off_where_that_is_asked_for(tmp_path: Path) -> None:
    made = quick_delivery(
        tmp_path, sign_off=True, author_name="Healer", author_email="healer@shop.example"
    )
    made.deploy()
    line = "Signed-off-by: Healer <healer@shop.example>"
    for name in ("main", "main^2"):
        shown = git(made.forge.folder, "log", "-1", "--format=%an <%ae>%n%(trailers)", name).stdout
        assert shown.splitlines()[0] == "Healer <healer@shop.example>"
        assert shown.splitlines().count(line) == 1


def _diverged(made: QuickDelivery, files: dict[str, str]) -> None:
    """The released commit is on a branch of its own; main came another way."""
    repository = made.world.repository
    git(repository, "checkout", "--quiet", "--orphan", "other")
    for name, text in files.items():
        (repository / name).write_text(text)
    git(repository, "add", "--all")
    git(repository, *WHO, "commit", "--quiet", "-m", "Main")
    git(repository, "push", "--quiet", "--force", "origin", "other:main")


def test_on_a_diverged_base_the_patch_is_carried_over_and_proven_anew(tmp_path: Path) -> None:
    made = quick_delivery(tmp_path, approval="review")
    _diverged(made, {"pricing.py": "VAT = 0.2\n" + _examples.BROKEN})
    asked = made.deploy()
    assert isinstance(asked, Waiting)
    assert "Carried over to main" in asked.reason
    assert "the suite passes" in asked.reason
    made.approval = APPROVED
    assert made.deploy().outcome == "not_deployed"
    merged = git(made.forge.folder, "show", "main:pricing.py").stdout
    assert merged == "VAT = 0.2\n" + _examples.HEALED
    assert "## Carried over to main" in (made.forge.folder / pulls(made)[0].url).read_text()


def test_on_a_diverged_base_whose_suite_fails_with_the_patch_nothing_is_proposed(
    tmp_path: Path,
) -> None:
    made = quick_delivery(tmp_path)
    suite = _examples.SUITE + "\n    def test_more(self):\n        self.fail()\n"
    _diverged(made, {"test_pricing.py": suite})
    made.deploy()
    assert "carried over to it the change fails: the suite failed" in made.deploy().reason
    assert pulls(made) == []


def test_uncommitted_work_in_the_same_file_is_told_to_who_decides(tmp_path: Path) -> None:
    made = quick_delivery(tmp_path, approval="review")
    (made.world.repository / "pricing.py").write_text("# half done\n")
    (made.world.repository / "else.py").write_text("# unrelated\n")
    asked = made.deploy()
    assert "uncommitted changes in pricing.py, which this change touches" in asked.reason
    assert (made.world.repository / "pricing.py").read_text() == "# half done\n"
