"""Commits by plumbing, the forge over a bare repository, and the shipping steps."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from selfheal.codebase.git import git
from selfheal.config import DeployConfig
from selfheal.delivery.forge import forge_for, local_path
from selfheal.delivery.local_forge import LocalForge
from selfheal.delivery.plan import Plan, PlannedCommit, build_commits
from selfheal.delivery.shipping import (
    create_branch,
    find_merge,
    merge_pull,
    obstacle,
    open_pull,
    push_commits,
    revert_merge,
)
from selfheal.delivery.workshop import Conflict, Identity, PushRefused, Workshop
from selfheal.errors import RepositoryError
from selfheal.sandbox.worktree import Worktree
from selfheal.standalone import FolderEffects

WHO = Identity("selfheal", "selfheal@localhost", "@1704164645 +0000")
FILES = {"a.py": "one = 1\ntwo = 2\nthree = 3\n", "b.py": "b = 1\n", "LOG.md": "# Log\n"}


class Place:
    """A repository of one commit with a bare remote."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repository = folder / "repository"
        self.repository.mkdir()
        git(folder, "init", "--quiet", "--bare", "--template=", "forge.git")
        git(self.repository, "init", "--quiet", "--template=")
        self.base = self.commit(FILES, "First")
        git(self.repository, "remote", "add", "origin", "../forge.git")
        self.push()
        self.forge = LocalForge(folder / "forge.git")

    def commit(self, files: dict[str, str], message: str) -> str:
        for name, text in files.items():
            (self.repository / name).write_text(text)
        git(self.repository, "add", "--all")
        who = ("-c", "user.name=dev", "-c", "user.email=dev@localhost")
        git(self.repository, *who, "commit", "--quiet", "-m", message)
        return git(self.repository, "rev-parse", "HEAD").stdout.strip()

    def push(self) -> None:
        git(self.repository, "push", "--quiet", "origin", "main")

    def workshop(self, name: str = "scratch") -> Workshop:
        return Workshop(self.folder / name, self.repository, WHO)

    def patch(self, files: dict[str, str]) -> str:
        with Worktree(self.repository, self.base, self.folder / "edit") as worktree:
            for name, text in files.items():
                (worktree.path / name).write_text(text)
            return worktree.diff()

    def plan(self, *changes: dict[str, str], whole: dict[str, str] | None = None) -> Plan:
        commits = [
            PlannedCommit(
                candidate_id=f"c{number}",
                diagnosis_id=f"d{number}",
                message=f"Fix {number}\n",
                patch=self.patch(files),
            )
            for number, files in enumerate(changes, start=1)
        ]
        patch = self.patch(whole) if whole else commits[0].patch
        return Plan(
            candidate_id="c",
            base_commit=self.base,
            patch=patch,
            commits=commits,
            title="T",
            body="B",
        )

    def state(self) -> str:
        """Everything of the user's own that must not change."""
        show = git(self.repository, "for-each-ref").stdout
        index = (self.repository / ".git" / "index").read_bytes().hex()
        return show + git(self.repository, "status", "--porcelain").stdout + index


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


FIX_A = {"a.py": "one = 10\ntwo = 2\nthree = 3\n"}
FIX_B = {"b.py": "b = 20\n"}


def test_commit_ids_repeat_and_nothing_of_the_user_changes(place: Place) -> None:
    before = place.state()
    plan = place.plan(FIX_A, FIX_B, whole=FIX_A | FIX_B)
    first = build_commits(place.workshop("one"), plan)
    second = build_commits(place.workshop("two"), plan)
    assert first == second
    assert isinstance(first, list)
    assert len(first) == 2
    assert place.state() == before


def test_the_last_commit_has_the_proven_tree_although_changes_meet_in_one_file(
    place: Place,
) -> None:
    logs = [{**FIX_A, "LOG.md": "# Log\n- a\n"}, {**FIX_B, "LOG.md": "# Log\n- b\n"}]
    third = {"c.py": "c = 1\n", "LOG.md": "# Log\n- c\n"}
    whole = {**FIX_A, **FIX_B, "c.py": "c = 1\n", "LOG.md": "# Log\n- a\n- b\n- c\n"}
    plan = place.plan(*logs, third, whole=whole)
    workshop = place.workshop()
    commits = build_commits(workshop, plan)
    assert isinstance(commits, list)
    assert len(commits) == 2, "the second cannot stand alone and is told with the third"
    told = workshop.git("log", "-1", "--format=%B", commits[-1])
    assert "Fix 2" in told
    assert "Fix 3" in told
    assert workshop.git("show", f"{commits[-1]}:LOG.md") == whole["LOG.md"]
    assert workshop.git("show", f"{commits[0]}:a.py") == FIX_A["a.py"]


def test_a_patch_that_does_not_apply_names_its_files(place: Place) -> None:
    plan = place.plan({"a.py": "one = 10\ntwo = 2\nthree = 3\n"})
    other = place.commit({"a.py": "entirely\nother\n"}, "Other")
    made = build_commits(place.workshop(), plan.model_copy(update={"base_commit": other}))
    assert made == Conflict(("a.py",))


def test_a_delivery_done_twice_over_a_lost_ledger_happens_once(place: Place) -> None:
    plan = place.plan(FIX_A)
    done = []
    for attempt in range(2):
        # Begun and never finished: the second attempt must find everything by its probes.
        ledger = place.folder / f"ledger-{attempt}.jsonl"
        if attempt:
            lines = (place.folder / "ledger-0.jsonl").read_text().splitlines(keepends=True)
            ledger.write_text("".join(line for line in lines if '"result"' not in line))
        effects, workshop = FolderEffects(ledger), place.workshop(f"w{attempt}")
        create_branch(effects, place.forge, workshop, plan, "selfheal/run")
        branch = push_commits(effects, place.forge, workshop, plan, "selfheal/run")
        assert not isinstance(branch, Conflict)
        pull = open_pull(effects, place.forge, plan, branch, "main")
        merge = merge_pull(effects, place.forge, workshop, pull, lambda _: "not tested")
        assert merge.merged
        assert merge.commit is not None
        reverted = revert_merge(
            effects, place.forge, workshop, pull, merge=merge.commit, reason="bad"
        )
        done.append((branch, pull.number, merge, reverted))
    assert done[0] == done[1]
    log = git(place.forge.folder, "log", "--topo-order", "--format=%s", "main").stdout.splitlines()
    assert log == ['Revert "Merge selfheal/run"', "Merge selfheal/run: T", "Fix 1", "First"]
    found = place.forge.find_pull("selfheal/run")
    assert found is not None
    assert found.state == "reverted"
    assert len(list(place.forge.pulls.glob("*.json"))) == 1
    assert (place.forge.folder / found.url).read_text() == "B"


def _proposed(place: Place, plan: Plan):  # type: ignore[no-untyped-def]
    effects, workshop = FolderEffects(place.folder / "ledger.jsonl"), place.workshop()
    create_branch(effects, place.forge, workshop, plan, "selfheal/run")
    branch = push_commits(effects, place.forge, workshop, plan, "selfheal/run")
    assert not isinstance(branch, Conflict)
    return effects, workshop, open_pull(effects, place.forge, plan, branch, "main")


def test_a_base_that_moved_without_conflict_is_merged_after_a_test_of_the_merged_tree(
    place: Place,
) -> None:
    effects, workshop, pull = _proposed(place, place.plan(FIX_A))
    place.commit({"b.py": "b = 5\n"}, "Meanwhile")
    place.push()
    checked: list[str] = []
    merge = merge_pull(effects, place.forge, workshop, pull, checked.append)
    assert merge.merged
    assert checked == [merge.commit]
    assert merge.commit is not None
    assert workshop.git("show", f"{merge.commit}:b.py") == "b = 5\n"
    assert find_merge(workshop, merge.commit, pull.head) == merge.commit
    unknown = "1" * 40
    assert find_merge(workshop, merge.commit, unknown) is None


def test_a_merged_tree_that_fails_its_tests_is_not_merged(place: Place) -> None:
    effects, workshop, pull = _proposed(place, place.plan(FIX_A))
    tip = place.commit({"b.py": "b = 5\n"}, "Meanwhile")
    place.push()
    merge = merge_pull(effects, place.forge, workshop, pull, lambda _: "CI failed")
    assert not merge.merged
    assert "CI failed" in merge.reason
    assert place.forge.head("main") == tip


def test_a_base_that_moved_into_a_conflict_is_refused_with_the_file(place: Place) -> None:
    effects, workshop, pull = _proposed(place, place.plan(FIX_A))
    tip = place.commit({"a.py": "one = 99\ntwo = 2\nthree = 3\n"}, "Meanwhile")
    place.push()
    merge = merge_pull(effects, place.forge, workshop, pull, lambda _: None)
    assert not merge.merged
    assert "a.py" in merge.reason
    assert place.forge.head("main") == tip


def test_a_revert_keeps_what_came_after_the_merge(place: Place) -> None:
    effects, workshop, pull = _proposed(place, place.plan(FIX_A))
    merge = merge_pull(effects, place.forge, workshop, pull, lambda _: None)
    assert merge.commit is not None
    git(place.repository, "pull", "--quiet", "--ff-only", "origin", "main")
    place.commit({"b.py": "b = 5\n"}, "Later")
    place.push()
    reverted = revert_merge(effects, place.forge, workshop, pull, merge=merge.commit, reason="bad")
    commit = reverted.commit
    assert commit is not None
    assert workshop.git("show", f"{commit}:a.py") == FILES["a.py"]
    assert workshop.git("show", f"{commit}:b.py") == "b = 5\n"


@pytest.mark.parametrize("obstacle", ["conflict in a.py", "main refused the push"])
def test_a_merge_that_could_not_be_reverted_stays_merged_and_says_why(
    place: Place, obstacle: str
) -> None:
    effects, workshop, pull = _proposed(place, place.plan(FIX_A))
    merge = merge_pull(effects, place.forge, workshop, pull, lambda _: None)
    assert merge.commit is not None
    if obstacle.startswith("conflict"):
        git(place.repository, "pull", "--quiet", "--ff-only", "origin", "main")
        place.commit({"a.py": "one = 99\ntwo = 98\nthree = 97\n"}, "Later")
        place.push()
    else:
        hook = place.forge.folder / "hooks" / "pre-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text("#!/bin/sh\nexit 1\n")
        hook.chmod(0o755)
    reverted = revert_merge(effects, place.forge, workshop, pull, merge=merge.commit, reason="bad")
    assert reverted.commit is None
    assert obstacle in reverted.reason
    found = place.forge.find_pull(pull.branch)
    assert found is not None
    assert (found.state, found.merge_commit, found.revert_commit) == ("merged", merge.commit, None)
    assert found.note == f"bad; not reverted: {reverted.reason}"


def test_a_branch_that_someone_changed_is_not_merged(place: Place) -> None:
    effects, workshop, pull = _proposed(place, place.plan(FIX_A))
    other = workshop.commit(
        workshop.git("rev-parse", f"{pull.head}^{{tree}}").strip(), [pull.head], "x"
    )
    workshop.push(place.forge.remote, other, pull.branch)
    merge = merge_pull(effects, place.forge, workshop, pull, lambda _: None)
    assert not merge.merged
    assert "changed on the remote" in merge.reason


def test_obstacles_are_seen_before_anybody_is_asked(place: Place) -> None:
    plan = place.plan(FIX_A)
    assert obstacle(place.forge, place.workshop(), plan, "main") is None
    assert "no branch trunk" in (obstacle(place.forge, place.workshop(), plan, "trunk") or "")
    git(place.repository, "checkout", "--quiet", "--orphan", "else")
    stray = place.commit({"z.py": "z\n"}, "Stray")
    astray = plan.model_copy(update={"base_commit": stray})
    assert "not part of main" in (obstacle(place.forge, place.workshop(), astray, "main") or "")


def test_pull_requests_opened_at_once_get_numbers_of_their_own(place: Place) -> None:
    def open_one(number: int) -> None:
        place.forge.open_pull(title="t", body="b", branch=f"b{number}", base="main", head="h")

    threads = [threading.Thread(target=open_one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(path.stem) for path in place.forge.pulls.glob("*.json")) == list(range(1, 9))


def test_a_push_over_other_work_is_refused(place: Place) -> None:
    workshop = place.workshop()
    tree = workshop.git("rev-parse", f"{place.base}^{{tree}}").strip()
    with pytest.raises(PushRefused):
        workshop.push(place.forge.remote, workshop.commit(tree, [], "unrelated"), "main")


def test_files_of_a_commit_appear_whole(place: Place) -> None:
    folder = place.folder / "release"
    place.workshop().extract(place.base, folder)
    assert {path.name: path.read_text() for path in folder.iterdir()} == FILES


@pytest.mark.parametrize(
    ("remote", "said"),
    [("nowhere", "no remote named"), ("https://forge.example/x.git", "not a bare repository")],
)
def test_a_remote_that_is_no_forge_is_refused_in_words(
    place: Place, remote: str, said: str
) -> None:
    with pytest.raises(RepositoryError, match=said):
        forge_for(place.repository, DeployConfig(remote=remote))


def test_a_remote_with_a_work_tree_is_refused(place: Place) -> None:
    with pytest.raises(RepositoryError, match="work tree"):
        forge_for(place.repository, DeployConfig(remote=str(place.repository)))


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("/srv/x.git", "/srv/x.git"),
        ("../x.git", "../x.git"),
        ("file:///srv/a%20b.git", "/srv/a b.git"),
        ("git@host:x.git", None),
        ("ssh://host/x.git", None),
    ],
)
def test_addresses_on_this_machine_are_told_from_others(address: str, path: str | None) -> None:
    found = local_path(address)
    assert (str(found) if found else None) == path
