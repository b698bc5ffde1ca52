"""Troubles that no commit brought: the diagnosis has to abstain, and no patch may be opened."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from benchmarks.detection.report import Goal, percent, table
from benchmarks.diagnosis.pipeline import diagnoses, opens_a_patch
from benchmarks.diagnosis.worlds import (
    MINUTES,
    PER_MINUTE,
    Request,
    Traffic,
    error,
    innocent_history,
    line_of,
    repository,
    send,
    write,
)

COUNT = MINUTES * PER_MINUTE
LIGHT = [f"k{number}" for number in range(6)]
HEAVY = [f"h{number}" for number in range(4)]
Requests = Callable[[random.Random, bool, str], list[Request]]


def other_inputs(generator: random.Random, late: bool, _: str) -> list[Request]:
    """Slower keys are asked for more often; each key costs what it did."""
    share = 0.7 if late else 0.15
    keys = [generator.choice(HEAVY if generator.random() < share else LIGHT) for _ in range(COUNT)]
    return [Request(key, own=40 if key in HEAVY else 4) for key in keys]


def slower_delivery(generator: random.Random, late: bool, _: str) -> list[Request]:
    return [Request(generator.choice(LIGHT), remote=30 if late else 8) for _ in range(COUNT)]


def slower_database(generator: random.Random, late: bool, _: str) -> list[Request]:
    return [Request(generator.choice(LIGHT), query=28 if late else 7) for _ in range(COUNT)]


def slower_machine(generator: random.Random, late: bool, _: str) -> list[Request]:
    factor = 2.2 if late else 1.0
    return [
        Request(generator.choice(LIGHT), query=4 * factor, remote=6 * factor, own=5 * factor)
        for _ in range(COUNT)
    ]


def same_commit(generator: random.Random, late: bool, _: str) -> list[Request]:
    return [Request(generator.choice(LIGHT), own=25 if late else 5) for _ in range(COUNT)]


def old_fault(generator: random.Random, late: bool, text: str) -> list[Request]:
    """Rows without a price were never asked for before."""
    line = (
        line_of(text, '* row.get("count", 1)')
        if '* row.get("count", 1)' in text
        else line_of(text, "* count")
    )
    frames = [
        ("/srv/orders.py", line_of(text, "amount = price("), "handle"),
        ("/srv/orders.py", line, "price"),
    ]
    failing = error("KeyError", "'price'", frames)
    found = [Request(generator.choice(LIGHT)) for _ in range(COUNT)]
    if late:
        for number in generator.sample(range(COUNT), 30):
            found[number] = Request(f"new{number % 5}", error=failing)
    return found


def unreachable(generator: random.Random, late: bool, text: str) -> list[Request]:
    """The delivery service refuses connections; the client library raises."""
    part = "client.get("
    frames = [
        ("/srv/orders.py", line_of(text, "days = delivery("), "handle"),
        ("/srv/orders.py", line_of(text, part), "delivery"),
        ("/usr/lib/python3/site-packages/requests/adapters.py", 519, "send"),
    ]
    kind = generator.choice(
        ["requests.exceptions.ConnectionError", "ConnectTimeout", "ReadTimeout"]
    )
    failing = error(kind, "HTTPConnectionPool(host='delivery'): refused", frames)
    found = [Request(generator.choice(LIGHT)) for _ in range(COUNT)]
    if late:
        for number in generator.sample(range(COUNT), 40):
            found[number] = Request(found[number].key, error=failing)
    return found


CASES: dict[str, tuple[Requests, int]] = {
    "other inputs": (other_inputs, 5),
    "slower delivery": (slower_delivery, 5),
    "slower database": (slower_database, 4),
    "slower machine": (slower_machine, 4),
    "same commit": (same_commit, 4),
    "old fault, new inputs": (old_fault, 4),
    "delivery unreachable": (unreachable, 4),
}


def run(scale: float = 1.0) -> list[Goal]:
    """Print the verdicts by case, and give the goals."""
    rows, wrong, patches, seen, total = [], 0, 0, 0, 0
    for name, (requests, count) in CASES.items():
        verdicts: Counter[str] = Counter()
        for seed in range(max(1, round(count * scale))):
            found, patched = one(requests, seed)
            total += 1
            seen += bool(found)
            patches += patched
            wrong += "code_cause" in found
            verdicts.update(found or ["nothing detected"])
        told = ", ".join(f"{n} {verdict}" for verdict, n in sorted(verdicts.items()))
        rows.append([name, str(sum(verdicts.values())), told])
    table(["No culprit", "diagnoses", "verdicts"], rows)
    print(f"\n{percent(seen / total)} of {total} cases were detected at all")
    return [
        Goal("abstention where nobody is guilty", 1 - wrong / total, "≥", 0.95),
        Goal("patches opened where nobody is guilty", patches, "≤", 0),
        Goal("no-culprit cases that detection saw", seen / total, "≥", 0.9),
    ]


def one(requests: Requests, seed: int) -> tuple[list[str], bool]:
    """The verdicts of one case, and whether a patch would be made."""
    generator = random.Random(f"{requests.__name__}-{seed}")
    stages = innocent_history(generator, 0 if requests is same_commit else 3 + seed % 4)
    text = [files["orders.py"] for _, files in stages if "orders.py" in files][-1]
    with tempfile.TemporaryDirectory(prefix="selfheal-benchmark-") as name:
        folder = Path(name)
        commits = repository(folder / "repository", stages)
        sides = (Traffic("1.0", commits[0]), Traffic("1.1", commits[-1]))
        for late, side in enumerate(sides):
            send(side, requests(generator, bool(late), text), generator)
        found = diagnoses(folder, folder / "repository", write(folder, sides))
        return [each.verdict for each in found], opens_a_patch(found)
