"""How a change stands to the pull requests that are there: whether one more may be opened."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from selfheal.artifacts.model import Model
from selfheal.config import DeployConfig
from selfheal.delivery.fingerprint import Fingerprint
from selfheal.delivery.forge import Forge, Pull
from selfheal.delivery.plan import Plan
from selfheal.delivery.workshop import Workshop

DAY = timedelta(hours=24)


class Standing(Model):
    """`branch` is where the change goes; `updates` the open pull request that it brings up to date.

    `refusal` says why it goes nowhere, `note` what a reviewer should know of earlier ones.
    """

    branch: str
    updates: Pull | None = None
    refusal: str | None = None
    note: str | None = None


def standing_of(
    forge: Forge, workshop: Workshop, plan: Plan, config: DeployConfig, run_id: str
) -> Standing:
    """Where the plan's change goes, judged by the fingerprints of earlier pull requests.

    An open one about the same cause or anomaly is brought up to date. One that people
    closed stays closed. A merged one is enough until a release with the merge shows the
    trouble again; and a change that was taken back is not proposed a second time.
    """
    branch = f"{config.branch_prefix}{run_id}"
    others = [pull for pull in forge.list_pulls(config.branch_prefix) if pull.branch != branch]
    related = [pull for pull in others if pull.fingerprint.meets(plan.fingerprint)]
    opened = next((pull for pull in related if pull.state == "open"), None)
    if opened is not None:
        return _update(forge, opened, branch)
    for pull in related:
        refusal = _settled(pull, plan, workshop, config.base)
        if refusal is not None:
            return Standing(branch=branch, refusal=refusal)
    refusal = _too_many(others, config)
    note = f"#{related[0].number} ({related[0].state}) was about the same." if related else None
    return Standing(branch=branch, refusal=refusal, note=note)


def _update(forge: Forge, opened: Pull, branch: str) -> Standing:
    if forge.head(opened.branch) != opened.head:
        said = (
            f"#{opened.number} is about the same and open, and somebody changed its branch "
            f"{opened.branch}; it is left to them"
        )
        return Standing(branch=branch, refusal=said)
    note = f"This brings #{opened.number} up to date, which is about the same."
    return Standing(branch=opened.branch, updates=opened, note=note)


def _settled(pull: Pull, plan: Plan, workshop: Workshop, base: str) -> str | None:
    """Why an earlier pull request that is not open any more forbids a new one."""
    if pull.state == "closed":
        return f"#{pull.number} was about the same, and people closed it without a merge"
    if _same_change(pull.fingerprint, plan.fingerprint) and pull.state == "reverted":
        return f"#{pull.number} made the very same change, and it was taken back: {pull.note}"
    merged = pull.merge_commit
    if pull.state == "merged" and merged and not workshop.is_ancestor(merged, plan.base_commit):
        return (
            f"#{pull.number} heals it and was merged into {base} as {merged[:12]}, which the "
            f"release observed here, {plan.base_commit[:12]}, does not have yet"
        )
    return None


def _same_change(one: Fingerprint, other: Fingerprint) -> bool:
    return bool(one.change) and one.change == other.change


def _too_many(pulls: list[Pull], config: DeployConfig) -> str | None:
    limits = config.limits
    since = datetime.now(UTC) - DAY
    fresh = [pull for pull in pulls if pull.opened_at and _time(pull.opened_at) > since]
    if len(fresh) >= limits.per_day:
        return (
            f"{len(fresh)} pull requests were opened within a day, and "
            f"deploy.limits.per_day is {limits.per_day}"
        )
    waiting = [pull for pull in pulls if pull.state == "open"]
    if len(waiting) >= limits.open:
        numbers = ", ".join(f"#{pull.number}" for pull in waiting[:5])
        return (
            f"{len(waiting)} pull requests are open ({numbers}), and "
            f"deploy.limits.open is {limits.open}"
        )
    return None


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
