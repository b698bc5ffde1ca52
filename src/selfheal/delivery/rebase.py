"""A change whose release is not part of the base: carried over to it, and proven there anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from selfheal.artifacts.deployment import CiRun
from selfheal.artifacts.model import Model
from selfheal.codebase.git import git
from selfheal.delivery.plan import Plan, PlannedCommit, build_commits
from selfheal.delivery.policy import fits
from selfheal.delivery.workshop import Conflict, Workshop
from selfheal.errors import RepositoryError

# Runs some tests (all where none are named) on a commit.
Suite = Callable[[str, Sequence[str]], CiRun]


class Revalidation(Model):
    """Whether the change holds on the base: the reason either way."""

    holds: bool
    reason: str


def rebased(workshop: Workshop, plan: Plan, tip: str) -> Plan | Conflict:
    """The plan with the same changes made to the commit `tip`.

    Each is carried over by a three-way merge, as git rebase does it.
    """
    commits = build_commits(workshop, plan)
    if isinstance(commits, Conflict):
        return commits
    planned: list[PlannedCommit] = []
    for each in plan.commits:
        tree = workshop.tree_with(each.patch, plan.base_commit)
        moved = (
            tree if isinstance(tree, Conflict) else workshop.transplant(tree, plan.base_commit, tip)
        )
        if isinstance(moved, Conflict):
            return moved
        planned.append(each.model_copy(update={"patch": workshop.diff(tip, moved)}))
    whole = workshop.transplant(f"{commits[-1]}^{{tree}}", plan.base_commit, tip)
    if isinstance(whole, Conflict):
        return whole
    changes = {"base_commit": tip, "patch": workshop.diff(tip, whole), "commits": planned}
    return plan.model_copy(update=changes)


def revalidate(
    workshop: Workshop, plan: Plan, suite: Suite, test_patterns: Sequence[str]
) -> Revalidation:
    """Run the suite on the rebased change, and its own tests on the base without it.

    The tests that come with the change must fail there: where they pass, the base does
    not have the trouble.
    """
    tree = workshop.tree_with(plan.patch, plan.base_commit)
    if isinstance(tree, Conflict):
        return Revalidation(holds=False, reason=f"it does not apply: {tree.reason}")
    after = suite(workshop.commit(tree, [plan.base_commit], "rebased"), [])
    if after.verdict != "passed":
        return Revalidation(holds=False, reason=f"the suite {after.verdict}: {after.summary}")
    names = workshop.git("diff-tree", "-r", "--name-only", plan.base_commit, tree).splitlines()
    tests = [
        name
        for name in names
        if name.endswith(".py") and any(fits(pattern, name) for pattern in test_patterns)
    ]
    if not tests:
        return Revalidation(holds=True, reason="the suite passes; no test of its own came with it")
    before = suite(_with_tests_alone(workshop, plan.base_commit, tree, tests), tests)
    if before.verdict == "passed":
        told = f"{', '.join(tests)} pass there without the change: the trouble is not in the base"
        return Revalidation(holds=False, reason=told)
    return Revalidation(
        holds=True,
        reason=f"the suite passes, and {', '.join(tests)} ({before.verdict} without the change)",
    )


def _with_tests_alone(workshop: Workshop, base: str, tree: str, tests: Sequence[str]) -> str:
    """A commit of the base with only these files as they are in `tree`."""
    index = workshop.folder / "selfheal-index"
    index.unlink(missing_ok=True)
    workshop.git("read-tree", base, index=index)
    for name in tests:
        listed = workshop.git("ls-tree", tree, "--", name).split()
        if listed:
            mode, _, blob = listed[:3]
            workshop.git(
                "update-index", "--add", "--cacheinfo", f"{mode},{blob},{name}", index=index
            )
    return workshop.commit(workshop.git("write-tree", index=index).strip(), [base], "tests alone")


def uncommitted(repository: Path, plan: Plan) -> list[str]:
    """Files of the change that have uncommitted work in the user's own work tree, sorted.

    That work is in no release, so it is no part of the change, and meets it later.
    """
    touched = {name for name in _names(repository, plan.patch) if name}
    try:
        listed = git(repository, "status", "--porcelain", "-z", "--untracked-files=all").stdout
    except RepositoryError:
        return []
    dirty = {line[3:] for line in listed.split("\0") if len(line) > 3}
    return sorted(touched & dirty)


def _names(repository: Path, patch: str) -> list[str]:
    try:
        listed = git(repository, "apply", "--numstat", "-z", "-", input=patch).stdout
    except RepositoryError:
        return []
    return [line.split("\t")[-1] for line in listed.split("\0")]
