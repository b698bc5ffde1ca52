"""The table of a campaign: by kind and class, against the goals."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from benchmarks.detection.report import Goal, percent, table
from benchmarks.healing.loop import Outcome

HEAD = (
    "",
    "n",
    "line 1",
    "line 5",
    "fn 1",
    "fn 5",
    "healed",
    "wrong",
    "abstained",
    "error",
    "s",
    "tried",
)


def line(name: str, found: Sequence[Outcome]) -> list[str]:
    count = len(found)

    def within(what: str, rank: int) -> str:
        return percent(sum(each.ranks.get(what, 999) <= rank for each in found) / count)

    def share(result: str) -> str:
        return percent(sum(each.result == result for each in found) / count)

    return [
        name, str(count), within("line", 1), within("line", 5), within("function", 1),
        within("function", 5), share("healed"), share("wrong"), share("abstained"), share("error"),
        f"{median(each.seconds for each in found):.0f}", f"{median(each.tried for each in found):.0f}",
    ]  # fmt: skip


def print_report(outcomes: Sequence[Outcome]) -> None:
    groups: dict[str, list[Outcome]] = {}
    for each in outcomes:
        groups.setdefault(each.fault, []).append(each)
    rows = [line(name, found) for name, found in sorted(groups.items())]
    for telling, name in ((False, "all, one commit"), (True, "all, with a history")):
        found = [each for each in outcomes if each.telling == telling]
        if found:
            rows.append(line(name, found))
    rows.append(line("all", outcomes))
    table(HEAD, rows)
    baselines = sorted({name for each in outcomes for name in each.baselines})
    for name in baselines:
        told = [each.baselines[name] for each in outcomes if name in each.baselines]
        print(
            f"\nbaseline {name}: healed {told.count('healed')} of {len(told)}, wrong {told.count('wrong')}"
        )
    count = len(outcomes)
    healed = sum(each.result == "healed" for each in outcomes) / count
    wrong = sum(each.result == "wrong" for each in outcomes) / count
    print()
    print(Goal("healed", healed, "≥", 0.8))
    print(Goal("plausible but wrong", wrong, "≤", 0.05))
    print(Goal("median seconds of a run", median(each.seconds for each in outcomes), "≤", 60.0))
    for each in outcomes:
        if each.result != "healed":
            print(
                f"{each.result}: {each.library} {each.file}:{each.line} {each.fault}: {each.reason}"
            )
