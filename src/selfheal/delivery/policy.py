"""Who decides on a change: never, a person, or the policy itself, by kind and path."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Literal

from selfheal.artifacts import Candidate
from selfheal.artifacts.model import AnomalyKind, Model
from selfheal.config import DeployConfig, PolicyConfig

_STRICTEST = ("never", "review", "auto")


class Ruling(Model):
    """What the policies say of a change, and which of them; `level` matters to auto alone."""

    approval: Literal["never", "review", "auto"]
    reason: str
    level: float = 0.0

    @property
    def summary(self) -> str:
        return f"{self.approval}: {self.reason}"


def ruling_of(
    candidate: Candidate,
    kind: AnomalyKind | None,
    config: DeployConfig,
    companions: Sequence[str] = (),
) -> Ruling:
    """The strictest of what the policies say of each file that a candidate touches.

    A file has the first policy that fits its path and the anomaly's kind, or
    ``deploy.approval``. Files like `companions` (tests, the changelog) come with every
    change and so count only where a policy's path names them.
    """
    rulings = []
    for file in candidate.files:
        number, policy = _policy_for(file, kind, config)
        named = policy is not None and policy.path is not None
        if not named and any(fits(pattern, file) for pattern in companions):
            continue
        rulings.append(_ruling(file, number, policy, config))
    if not rulings:
        number, policy = _policy_for("", kind, config)
        rulings = [_ruling("all of it", number, policy, config)]
    return strictest(rulings)


def strictest(rulings: Iterable[Ruling]) -> Ruling:
    """The ruling that allows least; among several auto ones, that of the highest level."""
    return min(rulings, key=lambda each: (_STRICTEST.index(each.approval), -each.level))


def doubted(ruling: Ruling, doubt: str | None) -> Ruling:
    """The ruling on a change of which a doubt is left: no policy decides on it by itself."""
    if doubt is None or ruling.approval != "auto":
        return ruling
    return ruling.model_copy(
        update={"approval": "review", "reason": f"{ruling.reason}, but a person decides: {doubt}"}
    )


def fits(pattern: str, path: str) -> bool:
    """Whether a path is like a shell pattern whose ``*`` crosses folders; ``docs/`` is all below."""
    return fnmatchcase(path, f"{pattern}*" if pattern.endswith("/") else pattern)


def _policy_for(
    file: str, kind: AnomalyKind | None, config: DeployConfig
) -> tuple[int, PolicyConfig | None]:
    for number, policy in enumerate(config.policies):
        if policy.kind not in (None, kind):
            continue
        if policy.path is None or fits(policy.path, file):
            return number, policy
    return -1, None


def _ruling(file: str, number: int, policy: PolicyConfig | None, config: DeployConfig) -> Ruling:
    if policy is None:
        said = f"the policy deploy.approval is {config.approval}"
        return Ruling(approval=config.approval, reason=said, level=config.level)
    about = ", ".join(filter(None, (policy.kind and f"kind {policy.kind}", policy.path)))
    return Ruling(
        approval=policy.approval,
        reason=f"deploy.policies/{number} ({about or 'everything'}) says {policy.approval} of {file}",
        level=config.level if policy.level is None else policy.level,
    )
