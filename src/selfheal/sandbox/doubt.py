"""Where tests and recorded calls leave open which of several passing changes is right.

A suite that several changes satisfy is too weak to tell a right one from one that only
fits it (Smith et al., "Is the cure worse than the disease?", FSE 2015; Qi et al., ISSTA
2015). What tells them apart is how passing tests' calls come out; where that says nothing
either, a person decides.
"""

from __future__ import annotations

from collections.abc import Sequence

from selfheal.artifacts.validation import Check, Result
from selfheal.sandbox.behaviour import order_of

# So few calls may come out alike by chance.
FEW = 10


def weak_suite(chosen: Result, others: Sequence[Result]) -> str | None:
    """Why nothing but rank prefers `chosen` to `others`, which pass as well; None if something does.

    A rival is a change that is as good by its checks (`order_of`). It leaves a doubt where
    few calls of the changed code were compared, or where it alters other calls.
    """
    rivals = [each for each in others if order_of(each.checks) == order_of(chosen.checks)]
    if not rivals:
        return None
    if (compared := _compared(chosen.checks)) < FEW:
        return (
            f"weak suite: {_changes(rivals)} as well, and {compared} calls of the changed code "
            "were compared, too few to tell them apart"
        )
    unlike = [each for each in rivals if _seen(each.checks) != _seen(chosen.checks)]
    if not unlike:
        return None
    return (
        f"weak suite: {_changes(unlike)} as well and alters other calls, and as large a share "
        "of them: only rank tells them apart"
    )


def _changes(rivals: Sequence[Result]) -> str:
    first = rivals[0].candidate_id
    return f"{first} and {len(rivals) - 1} more pass" if len(rivals) > 1 else f"{first} passes"


def _compared(checks: Sequence[Check]) -> int:
    return sum(int(c.counts.get("compared", 0)) for c in checks if c.name == "behaviour")


def _seen(checks: Sequence[Check]) -> list[str]:
    """The differences in words, which are equal where the same calls come out the same way.

    None where no call comes out otherwise, however many were compared.
    """
    own = (check for check in checks if check.name == "behaviour")
    return [check.summary for check in own if check.counts.get("differing")]
