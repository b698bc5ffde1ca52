"""The projects: a small one written here, and a middling one from the package index."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

LEDGER = '''\
"""Accounts and their movements."""

from collections import defaultdict


class Ledger:
    def __init__(self):
        self.movements = defaultdict(list)

    def book(self, account, amount, day):
        self.movements[account].append((day, amount))

    def balance(self, account, until=None):
        total = 0
        for day, amount in self.movements[account]:
            if until is None or day < until:
                total += amount
        return total

    def running(self, account):
        total, found = 0, []
        for _, amount in sorted(self.movements[account]):
            total += amount
            found.append(total)
        return found

    def lowest(self, account):
        return min(self.running(account), default=0)


def transfer(ledger, source, target, amount, day):
    if amount <= 0:
        raise ValueError("an amount is positive")
    ledger.book(source, -amount, day)
    ledger.book(target, amount, day)
'''
LEDGER_TESTS = """\
import pytest
from ledger import Ledger, transfer


@pytest.fixture
def ledger():
    made = Ledger()
    for day, amount in enumerate([10, -4, 7, -20], 1):
        made.book("a", amount, day)
    return made


def test_balance_of_all(ledger):
    assert ledger.balance("a") == -7


def test_balance_until_a_day_counts_the_day(ledger):
    assert ledger.balance("a", until=2) == 6


def test_running(ledger):
    assert ledger.running("a") == [10, 6, 13, -7]


def test_lowest(ledger):
    assert ledger.lowest("a") == -7


def test_lowest_of_nothing():
    assert Ledger().lowest("b") == 0


def test_transfer(ledger):
    transfer(ledger, "a", "b", 5, 9)
    assert (ledger.balance("a"), ledger.balance("b")) == (-12, 5)


@pytest.mark.parametrize("amount", [0, -1])
def test_amounts_are_positive(ledger, amount):
    with pytest.raises(ValueError):
        transfer(ledger, "a", "b", amount, 1)
"""


@dataclass(frozen=True)
class Project:
    """A project with a planted fault; `lines` of `file` are suspicious, `test` fails."""

    name: str
    folder: Path
    file: str
    lines: range
    test: str


def small(folder: Path) -> Project:
    """A module of 35 lines and 8 tests; ``<`` stands where ``<=`` was meant."""
    (folder / "tests").mkdir(parents=True)
    (folder / "ledger.py").write_text(LEDGER)
    (folder / "tests" / "test_ledger.py").write_text(LEDGER_TESTS)
    test = "tests/test_ledger.py::test_balance_until_a_day_counts_the_day"
    return Project("small: 35 lines", folder, "ledger.py", range(13, 19), test)


def middling(folder: Path) -> Project:
    """more-itertools as its source distribution has it, with one planted fault.

    Raises SystemExit where the index does not give it.
    """
    version = "more-itertools==11.2.1"
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--no-binary",
        ":all:",
    ]
    done = subprocess.run([*command, "--dest", str(folder), version], check=False)
    archives = sorted(folder.glob("*.tar.gz"))
    if done.returncode or not archives:
        raise SystemExit(f"pip could not download the source distribution of {version}.")
    with tarfile.open(archives[0]) as archive:
        archive.extractall(folder, filter="data")
    root = next(path for path in folder.iterdir() if path.is_dir())
    file = "more_itertools/more.py"
    text = (root / file).read_text()
    start = text.index("def split_at(")
    place = text.index("if maxsplit == 1:", start)
    (root / file).write_text(text[:place] + "if maxsplit == 0:" + text[place + 17 :])
    first = text.count("\n", 0, text.index("    if maxsplit == 0:", start)) + 1
    return Project(
        "middling: 7,300 lines",
        root,
        file,
        range(first, first + 20),
        "tests/test_more.py::SplitAtTests::test_combination",
    )
