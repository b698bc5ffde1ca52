"""One guilty commit among innocent ones in the same file: is it the one that is convicted?"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.detection.report import Goal, percent, table
from benchmarks.diagnosis.no_culprit import COUNT, LIGHT
from benchmarks.diagnosis.pipeline import diagnoses
from benchmarks.diagnosis.worlds import (
    CODE,
    INNOCENT,
    Request,
    Traffic,
    error,
    innocent_history,
    line_of,
    repository,
    send,
    write,
)
from selfheal.artifacts import Diagnosis
from selfheal.codebase.history import History
from selfheal.config import TestsConfig
from selfheal.sandbox.conviction import Court, FailingTests

SEEDS = 5


@dataclass(frozen=True)
class Fault:
    """A guilty change, and what it makes of requests; how many `queries` and `remotes` a slow one has.

    `frames` are the functions of the traceback, outermost first; `at` is the failing text.
    """

    name: str
    changes: tuple[tuple[str, str], ...]
    exception: tuple[str, str] | None = None
    at: str = ""
    frames: tuple[str, ...] = ("handle",)
    queries: int = 1
    remotes: int = 1


FAULTS = (
    Fault(
        "count without default",
        (('row.get("count", 1)', 'row["count"]'),),
        ("KeyError", "'count'"),
        'row["count"]',
        ("handle", "price"),
    ),
    Fault(
        "rate without default",
        (("RATES.get(currency, 1.0)", "RATES[currency]"),),
        ("KeyError", "'GBP'"),
        "RATES[currency]",
        ("handle", "price"),
    ),
    Fault(
        "misspelt key",
        (('answer["days"]', 'answer["day"]'),),
        ("KeyError", "'day'"),
        'answer["day"]',
        ("handle", "delivery"),
    ),
    Fault(
        "attribute of a mapping",
        (("{row['key']}", "{row.key}"),),
        ("AttributeError", "'dict' object has no attribute 'key'"),
        "{row.key}",
        ("handle", "label"),
    ),
    Fault(
        "a query for each row",
        (
            (
                "(key,)).fetchall()\n",
                '(key,)).fetchall()\n    rows = [db.execute("SELECT * FROM items WHERE id = ?", (row["id"],)).fetchone() for row in rows]\n',
            ),
        ),
        queries=12,
    ),
    Fault(
        "a call for each row",
        (
            (
                'days = delivery(client, request["key"])',
                'days = max(delivery(client, row["key"]) for row in rows)',
            ),
        ),
        remotes=9,
    ),
)


def history(fault: Fault, generator: random.Random) -> tuple[list[tuple[str, dict[str, str]]], int]:
    """Innocent commits with the guilty one among them, and its number; the release 1.0 is the first."""
    stages = innocent_history(generator, 6)
    place = generator.randrange(1, len(stages) + 1)
    text = [files["orders.py"] for _, files in stages[:place] if "orders.py" in files][-1]
    guilty = planted(fault, text)
    head = [*stages[:place], ("Simplify", {"orders.py": guilty})]
    for message, _ in stages[place:]:
        old, new = INNOCENT.get(message, ("", ""))
        changed = guilty.replace(old, new) if old else guilty
        if changed == guilty:
            head.append((message, {"README.md": f"# Orders: {message}\n"}))
        else:
            guilty = changed
            head.append((message, {"orders.py": guilty}))
    return head, place


def planted(fault: Fault, text: str) -> str:
    for old, new in fault.changes:
        if old not in text:
            raise ValueError(f"{fault.name}: the text has no {old!r}")
        text = text.replace(old, new)
    return text


def run(scale: float = 1.0) -> list[Goal]:
    """Print how often the guilty commit is first, and who else is convicted."""
    rows = []
    first = wrong = total = 0
    for fault in FAULTS:
        right = false = 0
        seeds = max(1, round(SEEDS * scale))
        for seed in range(seeds):
            found, commits, guilty = by_traces(fault, seed)
            convicted = [
                each.suspect_commits[0].sha
                for each in found
                if each.verdict == "code_cause" and each.suspect_commits
            ]
            right += commits[guilty] in convicted
            false += any(sha != commits[guilty] for sha in convicted)
        rows.append([fault.name, str(seeds), percent(right / seeds), percent(false / seeds)])
        first, wrong, total = first + right, wrong + false, total + seeds
    table(["Guilty commit, by traces", "cases", "first", "another convicted"], rows)
    return [
        Goal("guilty commit first, by traces", first / total, "≥", 0.9),
        Goal("another commit convicted, by traces", wrong / total, "≤", 0.02),
    ]


def by_traces(fault: Fault, seed: int) -> tuple[list[Diagnosis], list[str], int]:
    """The diagnoses of one planted history, its commits, and the number of the guilty one."""
    generator = random.Random(f"{fault.name}-{seed}")
    stages, guilty = history(fault, generator)
    text = [files["orders.py"] for _, files in stages if "orders.py" in files][-1]
    with tempfile.TemporaryDirectory(prefix="selfheal-benchmark-") as name:
        folder = Path(name)
        commits = repository(folder / "repository", stages)
        sides = (Traffic("1.0", commits[0]), Traffic("1.1", commits[-1]))
        for late, side in enumerate(sides):
            send(side, _requests(fault, generator, bool(late), text), generator)
        return diagnoses(folder, folder / "repository", write(folder, sides)), commits, guilty


def _requests(fault: Fault, generator: random.Random, late: bool, text: str) -> list[Request]:
    if not late:
        return [Request(generator.choice(LIGHT)) for _ in range(COUNT)]
    if fault.exception is None:
        return [
            Request(generator.choice(LIGHT), queries=fault.queries, remotes=fault.remotes)
            for _ in range(COUNT)
        ]
    calls = {"price": "amount = price(", "delivery": "days = delivery(", "label": "[label(row)"}
    lines = [
        (line_of(text, calls[inner]), outer)
        for outer, inner in zip(fault.frames, fault.frames[1:], strict=False)
    ]
    frames = [("/srv/orders.py", line, name) for line, name in lines]
    frames.append(("/srv/orders.py", line_of(text, fault.at), fault.frames[-1]))
    failing = error(*fault.exception, frames)
    found = [Request(generator.choice(LIGHT)) for _ in range(COUNT)]
    for number in generator.sample(range(COUNT), 60):
        found[number] = Request(found[number].key, error=failing)
    return found


TEST = """import sys

sys.path.insert(0, ".")
from orders import delivery, handle, label, price


class Client:
    def get(self, path):
        return {"days": 2}


class Database:
    asked = 0

    def execute(self, statement, values):
        self.asked += 1
        self.rows = [{"key": "a", "price": 2, "id": 1}, {"key": "a", "price": 3, "id": 2}]
        return self

    def fetchall(self):
        return self.rows

    def fetchone(self):
        return self.rows[0]


class Counting(Client):
    calls = 0

    def get(self, path):
        self.calls += 1
        return {"days": 2}


def check():
    database, client = Database(), Counting()
    answer = handle(database, client, {"key": "a", "currency": "GBP"})
    assert answer["amount"] == 5 and answer["days"] == 2
    assert database.asked == 1 and client.calls == 1


try:
    check()
except Exception:
    sys.exit(1)
"""


def by_tests(scale: float = 1.0) -> list[Goal]:
    """The same histories with a failing test and no release: bisected and proven by running it."""
    rows = []
    right = false = total = 0
    for fault in FAULTS:
        hits = misses = 0
        seeds = max(1, round(2 * scale))
        for seed in range(seeds):
            generator = random.Random(f"{fault.name}-tests-{seed}")
            stages, guilty = history(fault, generator)
            stages.append(("A check", {"tests/check.py": TEST}))
            proven = _tried(stages)
            hits += proven == guilty
            misses += proven is not None and proven != guilty
        rows.append([fault.name, str(seeds), percent(hits / seeds), percent(misses / seeds)])
        right, false, total = right + hits, false + misses, total + seeds
    table(["Guilty commit, by a failing test", "cases", "proven", "another proven"], rows)
    return [
        Goal("guilty commit proven, by a failing test", right / total, "≥", 0.9),
        Goal("another commit proven, by a failing test", false / total, "≤", 0.02),
    ]


def _tried(stages: Sequence[tuple[str, dict[str, str]]]) -> int | None:
    """The number of the commit that three points prove, None where none is."""
    tests = TestsConfig(command=["{python}", "tests/check.py"])
    with tempfile.TemporaryDirectory(prefix="selfheal-benchmark-") as name:
        folder = Path(name) / "repository"
        commits = repository(folder, stages)
        court = Court(
            History(folder), folder, Path(name) / "work", tests,
            FailingTests(["tests/check.py"]), commits[-1],
        )  # fmt: skip
        found = court.settle(None, [])
        return commits.index(found.commit) if found.proven and found.commit else None


assert all(old in CODE for fault in FAULTS for old, _ in fault.changes)
