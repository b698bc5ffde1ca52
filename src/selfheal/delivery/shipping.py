"""The steps that leave the machine: branch, commits, pull request, merge, revert.

Each is done once by `Effects.once`, and each has a probe that looks at the remote:
begun and not finished, a step is looked for before it is done again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import Field

from selfheal.artifacts.deployment import Merge
from selfheal.artifacts.model import Model
from selfheal.contract import Effects
from selfheal.delivery.forge import Forge, Pull
from selfheal.delivery.plan import Plan, build_commits
from selfheal.delivery.workshop import Conflict, Workshop
from selfheal.errors import PushRefused, RepositoryError, ServiceError

MERGE_ATTEMPTS = 3
CHECK_INTERVAL_SECONDS = 10.0
REVERTS = "Selfheal-Reverts"


class Branch(Model):
    """A branch on the remote. `commits` are what was put on it, oldest first; `head` its tip."""

    name: str
    head: str
    commits: list[str] = Field(default_factory=list)

    @property
    def summary(self) -> str:
        return f"{self.name} at {self.head[:12]}"


class Reverted(Model):
    """The commit that took a merge back; None where none did, and `reason` says why.

    `pull_request` is one that would take it back, where the base takes no push of ours.
    """

    commit: str | None = None
    reason: str = ""
    pull_request: int | None = None


def obstacle(forge: Forge, workshop: Workshop, plan: Plan, base: str) -> str | None:
    """Why the plan could not be merged into the base as it is now, None if it could."""
    tip = workshop.fetch(forge.remote, base)
    if tip is None:
        return f"the remote has no branch {base} (deploy.base)"
    if not workshop.is_ancestor(plan.base_commit, tip):
        return (
            f"the released commit {plan.base_commit[:12]} is not part of {base}; "
            "a merge would carry other commits along"
        )
    commits = build_commits(workshop, plan)
    if isinstance(commits, Conflict):
        return f"the patch does not apply to {plan.base_commit[:12]}: {commits.reason}"
    merged = workshop.merge(tip, commits[-1], "trial")
    if isinstance(merged, Conflict):
        return f"{base} has moved on and the change does not apply to it: {merged.reason}"
    return None


def create_branch(
    effects: Effects, forge: Forge, workshop: Workshop, plan: Plan, name: str
) -> Branch:
    """A branch at the plan's base. Raises PushRefused where the name is taken otherwise."""

    def perform() -> str:
        workshop.push(forge.remote, plan.base_commit, name)
        return plan.base_commit

    effects.once(f"branch:{name}", perform, lambda: forge.head(name))
    return Branch(name=name, head=plan.base_commit)


def push_commits(
    effects: Effects,
    forge: Forge,
    workshop: Workshop,
    plan: Plan,
    name: str,
    *,
    replaces: str | None = None,
) -> Branch | Conflict:
    """Make the plan's commits and push them to the branch.

    `replaces` is the head of an earlier attempt, in whose place they are put.
    """
    commits = build_commits(workshop, plan)
    if isinstance(commits, Conflict):
        return commits
    head = commits[-1]

    def perform() -> str:
        workshop.push(forge.remote, head, name, replaces=replaces)
        return head

    def probe() -> str | None:
        return head if forge.head(name) == head else None

    effects.once(f"commits:{name}:{head}", perform, probe)
    return Branch(name=name, head=head, commits=commits)


def open_pull(effects: Effects, forge: Forge, plan: Plan, branch: Branch, base: str) -> Pull:
    """Open the pull request of the branch."""

    def perform() -> dict[str, Any]:
        pull = forge.open_pull(
            title=plan.title, body=plan.body, branch=branch.name, base=base, head=branch.head
        )
        return pull.model_dump(mode="json")

    def probe() -> dict[str, Any] | None:
        pull = forge.find_pull(branch.name)
        return pull.model_dump(mode="json") if pull else None

    return Pull.model_validate(effects.once(f"pull:{branch.name}", perform, probe))


def update_pull(effects: Effects, forge: Forge, plan: Plan, branch: Branch, number: int) -> Pull:
    """Give the open pull request `number` the plan's text, for the branch as it is now."""

    def perform() -> dict[str, Any]:
        pull = forge.update_pull(number, title=plan.title, body=plan.body, head=branch.head)
        return pull.model_dump(mode="json")

    # Giving the same text again changes nothing, so there is nothing to look for.
    done = effects.once(f"pull:{branch.name}:{branch.head}", perform, lambda: None)
    return Pull.model_validate(done)


def unmet_checks(forge: Forge, pull: Pull, required: Iterable[str]) -> dict[str, str]:
    """The required checks that have not reported success, each with what it says instead.

    Required are those named and those that the forge itself asks for on the base.
    """
    reported = forge.checks(pull)
    names = sorted({*required, *forge.required_checks(pull.base)})
    return {name: reported.get(name, "pending") for name in names if reported.get(name) != "passed"}


def await_checks(
    forge: Forge, pull: Pull, required: Iterable[str], seconds: float
) -> dict[str, str]:
    """`unmet_checks` once none is pending any more, at the latest after `seconds`.

    One that failed ends the wait.
    """
    names, deadline = list(required), time.monotonic() + seconds
    while True:
        unmet = unmet_checks(forge, pull, names)
        waiting = set(unmet.values()) == {"pending"}
        left = deadline - time.monotonic()
        if not waiting or left <= 0:
            return unmet
        time.sleep(min(CHECK_INTERVAL_SECONDS, left))


def merge_pull(
    effects: Effects,
    forge: Forge,
    workshop: Workshop,
    pull: Pull,
    recheck: Callable[[str], str | None],
) -> Merge:
    """Bring the pull request into its base by a merge commit.

    Where the base moved on since the branch was made, the merged tree is one that
    nobody tested: `recheck` is given the merge commit and says why not, or None.
    """

    def perform() -> dict[str, Any]:
        return _merge(forge, workshop, pull, recheck).model_dump(mode="json")

    def probe() -> dict[str, Any] | None:
        tip = workshop.fetch(forge.remote, pull.base)
        commit = find_merge(workshop, tip, pull.head) if tip else None
        if commit is None:
            return None
        forge.mark_merged(pull.number, commit)
        return Merge(merged=True, commit=commit, base=pull.base).model_dump(mode="json")

    return Merge.model_validate(effects.once(f"merge:{pull.branch}", perform, probe))


def _merge(
    forge: Forge, workshop: Workshop, pull: Pull, recheck: Callable[[str], str | None]
) -> Merge:
    message = f"Merge {pull.branch}: {pull.title}\n\nPull-Request: {pull.number}\n"
    refused = ""
    for _ in range(MERGE_ATTEMPTS):
        tip = workshop.fetch(forge.remote, pull.base)
        if tip is None or workshop.fetch(forge.remote, pull.branch) != pull.head:
            return _unmerged(pull, f"{pull.branch} or {pull.base} was changed on the remote")
        commit = workshop.merge(tip, pull.head, message)
        if isinstance(commit, Conflict):
            return _unmerged(pull, f"{pull.base} has moved on: {commit.reason}")
        if not workshop.is_ancestor(tip, pull.head):
            objection = recheck(commit)
            if objection is not None:
                return _unmerged(pull, f"{pull.base} has moved on; merged with it: {objection}")
        try:
            merged = forge.merge(pull.number, workshop, commit).merge_commit or commit
        except PushRefused as error:
            refused = error.message.rstrip(".")
            continue
        return _as_tested(forge, workshop, pull, commit, merged, recheck)
    return _unmerged(pull, f"{pull.base} refused the merge {MERGE_ATTEMPTS} times: {refused}")


def _as_tested(
    forge: Forge,
    workshop: Workshop,
    pull: Pull,
    tested: str,
    merged: str,
    recheck: Callable[[str], str | None],
) -> Merge:
    """The merge, if its tree is one that was tested; a forge that merges by itself may differ.

    Where the base moved on just before, the tree is tested now, and taken back if it fails.
    """
    done = Merge(merged=True, commit=merged, base=pull.base)
    if not workshop.diff(tested, merged):
        return done
    objection = recheck(merged)
    if objection is None:
        return done
    reason = f"{pull.base} moved on while it was merged; with it: {objection}"
    message = f'Revert "Merge {pull.branch}"\n\n{reason}\n\n{REVERTS}: {merged}\n'
    back = _revert(forge, workshop, pull.base, merged, message)
    forge.mark_reverted(pull.number, back.commit, reason)
    if back.commit is None:
        return done.model_copy(update={"reason": f"{reason}; not reverted: {back.reason}"})
    return _unmerged(pull, f"{reason}; taken back by {back.commit[:12]}")


def _unmerged(pull: Pull, reason: str) -> Merge:
    return Merge(merged=False, base=pull.base, reason=reason)


def find_merge(workshop: Workshop, tip: str, head: str) -> str | None:
    """The merge commit on the base's own line that brought `head` in."""
    # What the base has not taken in need not even be known to the workshop.
    if not workshop.is_ancestor(head, tip):
        return None
    listed = workshop.git("log", "--first-parent", "--merges", "--format=%H %P", f"{head}..{tip}")
    for line in listed.splitlines():
        commit, _, *brought = line.split()
        if head in brought:
            return commit
    return None


def revert_merge(
    effects: Effects, forge: Forge, workshop: Workshop, pull: Pull, *, merge: str, reason: str
) -> Reverted:
    """Take a merge back on its base by a new commit, where that does not conflict.

    Where the base refuses the push, as protected branches do, a pull request with that
    commit is opened for people to merge.
    """
    message = (
        f'Revert "Merge {pull.branch}"\n\n{reason}\n\n'
        f"This takes back commit {merge}.\n\n{REVERTS}: {merge}\n"
    )

    def perform() -> dict[str, Any]:
        reverted = _revert(forge, workshop, pull.base, merge, message, branch=pull.branch)
        note = reason if reverted.commit else f"{reason}; not reverted: {reverted.reason}"
        forge.mark_reverted(pull.number, reverted.commit, note)
        return reverted.model_dump(mode="json")

    def probe() -> dict[str, Any] | None:
        tip = workshop.fetch(forge.remote, pull.base)
        commit = find_revert(workshop, tip, merge) if tip else None
        if commit is None:
            return None
        forge.mark_reverted(pull.number, commit, reason)
        return Reverted(commit=commit).model_dump(mode="json")

    return Reverted.model_validate(effects.once(f"revert:{merge}", perform, probe))


def _revert(
    forge: Forge, workshop: Workshop, base: str, merge: str, message: str, branch: str = ""
) -> Reverted:
    """The revert on the base; where it is refused, one proposed beside `branch` if that is given."""
    refused = ""
    for _ in range(MERGE_ATTEMPTS):
        try:
            tip = workshop.fetch(forge.remote, base)
            commit = workshop.revert(merge, tip or merge, message)
            if isinstance(commit, Conflict):
                return Reverted(reason=f"the revert meets later commits: {commit.reason}")
            refused = commit
            workshop.push(forge.remote, commit, base)
        except PushRefused:
            continue
        except RepositoryError as error:
            return Reverted(reason=error.message.rstrip("."))
        return Reverted(commit=commit)
    reason = f"{base} refused the push {MERGE_ATTEMPTS} times"
    number = _propose_revert(forge, workshop, base, refused, message, branch) if branch else None
    if number is None:
        return Reverted(reason=reason)
    return Reverted(reason=f"{reason}; pull request {number} takes it back", pull_request=number)


def _propose_revert(
    forge: Forge, workshop: Workshop, base: str, commit: str, message: str, branch: str
) -> int | None:
    """The number of a pull request with the revert, None where the remote takes no branch either."""
    beside = f"{branch}-revert"
    title, _, body = message.partition("\n")
    try:
        workshop.push(forge.remote, commit, beside, replaces=workshop.fetch(forge.remote, beside))
        known = forge.find_pull(beside)
        if known is not None and known.state == "open":
            return known.number
        opened = forge.open_pull(
            title=title, body=body.strip(), branch=beside, base=base, head=commit
        )
    except (RepositoryError, ServiceError):
        return None
    return opened.number


def find_revert(workshop: Workshop, tip: str, merge: str) -> str | None:
    """The commit on the base that says it takes `merge` back."""
    listed = workshop.git(
        "log",
        "--first-parent",
        f"--format=%H %(trailers:key={REVERTS},valueonly,separator=%x2C)",
        f"{merge}..{tip}",
    )
    for line in listed.splitlines():
        commit, _, reverted = line.partition(" ")
        if reverted.strip() == merge:
            return commit
    return None
