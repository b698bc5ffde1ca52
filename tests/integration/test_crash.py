"""An error that only a log shows is raised again by an input near those of the tests."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from selfheal.config import TestsConfig
from selfheal.repair.recorded import RecordedBehaviour, RecordedCall
from selfheal.repair.recorded_test import crash_test_name, crash_tests
from selfheal.sandbox.crash import Called, Crash, Target, called_by_tests, crashing_calls

TESTS = TestsConfig(command=[sys.executable, "-m", "pytest"])
CODE = """\
RATES = {"de": 19}


class Till:
    def __init__(self, currency):
        self.currency = currency

    def tax(self, order):
        return RATES.get(order["country"].lower(), 0) * order["amount"] // 100


def invoice(order, currency="EUR"):
    return Till(currency).tax(order), currency


def share(order, people):
    return order["amount"] // people
"""
SUITE = """\
from till import invoice, share

def test_invoice():
    assert invoice({"country": "DE", "amount": 100}) == (19, "EUR")

def test_share():
    assert share({"amount": 10}, people=2) == 5
"""
INVOICE, TAX, SHARE = (Target("till.py", name) for name in ("invoice", "Till.tax", "share"))
NONE = Crash("AttributeError", "'NoneType' object has no attribute 'lower'", "till.py", 9)


@pytest.fixture
def till(tmp_path: Path) -> Path:
    folder = tmp_path / "till"
    folder.mkdir()
    (folder / "till.py").write_text(CODE)
    (folder / "test_till.py").write_text(SUITE)
    return folder


def crashing(
    till: Path, crash: Crash, targets: list[Target], recorded: list[RecordedCall] | None = None
) -> RecordedBehaviour:
    by_tests = called_by_tests(till, TESTS, targets)
    return crashing_calls(till, TESTS, crash, targets, by_tests, {targets[0]: recorded or []})


def test_the_smallest_change_that_raises_the_same_at_the_same_line(till: Path) -> None:
    found = crashing(till, NONE, [TAX, INVOICE])
    assert (found.module, found.function) == ("till", "Till.tax")
    assert found.calls[0].exception == "builtins:AttributeError"
    assert '"country": null' in found.calls[0].args
    assert found.recorded == 0


def test_the_test_made_of_it_fails_and_passes_with_a_guard(till: Path) -> None:
    found = crashing(till, NONE, [INVOICE])
    (till / "test_crash.py").write_text(crash_tests(found, "A crash."))
    command = [
        sys.executable,
        "-B",
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "test_crash.py",
    ]
    failed = subprocess.run(command, cwd=till, capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert crash_test_name(found) in failed.stdout
    (till / "till.py").write_text(
        CODE.replace('order["country"].lower()', 'str(order["country"]).lower()')
    )
    assert subprocess.run(command, cwd=till, capture_output=True, check=False).returncode == 0


def test_a_keyword_can_be_the_one(till: Path) -> None:
    crash = Crash("ZeroDivisionError", "integer division or modulo by zero", "till.py", 17)
    found = crashing(till, crash, [SHARE])
    assert '"people": 0' in found.calls[0].kwargs


def test_a_call_that_production_recorded_comes_first(till: Path) -> None:
    recorded = RecordedCall(
        module="till",
        function="invoice",
        args='[{"country":null,"amount":7}]',
        kwargs="{}",
        exception="builtins:AttributeError",
    )
    found = crashing(till, NONE, [INVOICE], [recorded])
    assert found.recorded == 1
    assert '"amount": 7' in found.calls[0].args


def test_what_is_not_found_is_unavailable_with_the_number_tried(till: Path) -> None:
    elsewhere = NONE._replace(line=17)
    found = crashing(till, elsewhere, [TAX])
    assert found.calls == []
    assert found.unavailable is not None
    assert "raises AttributeError at till.py:17" in found.unavailable
    shutil.rmtree(till / "__pycache__", ignore_errors=True)
    (till / "test_till.py").write_text("def test_nothing():\n    pass\n")
    found = crashing(till, NONE, [TAX])
    assert "no call of a function" in (found.unavailable or "")


def test_forged_records_of_calls_are_passed_over(till: Path) -> None:
    forged = ["[" * 200_000, '[{"$":"tuple"}]', '[{"$":"object","fields":7}]', "no JSON"]
    calls = [RecordedCall(module="till", function="Till.tax", args=f, kwargs="{}") for f in forged]
    found = crashing_calls(till, TESTS, NONE, [TAX], Called({TAX: calls}), {})
    assert found.calls == []
    assert found.unavailable


def test_an_input_that_ends_its_process_or_never_ends_takes_no_other_with_it(till: Path) -> None:
    (till / "till.py").write_text(
        "import os, sys\n"
        "def share(amount, people):\n"
        "    if people == -1:\n"
        "        sys.exit(3)\n"
        "    while people > 9:\n"
        "        pass\n"
        "    return amount // people\n"
    )
    (till / "test_till.py").write_text(
        "from till import share\ndef test_share():\n    assert share(10, people=2) == 5\n"
    )
    crash = Crash("ZeroDivisionError", "integer division or modulo by zero", "till.py", 7)
    found = crashing(till, crash, [SHARE])
    assert '"people": 0' in found.calls[0].kwargs


def test_a_suite_that_does_not_start_is_told(till: Path) -> None:
    (till / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    by_tests = called_by_tests(till, TESTS, [TAX])
    assert not by_tests.calls
    assert "could not be recorded" in by_tests.unknown
    found = crashing_calls(till, TESTS, NONE, [TAX], by_tests, {})
    assert by_tests.unknown in (found.unavailable or "")


def test_what_a_failing_suite_calls_is_known_all_the_same(till: Path) -> None:
    (till / "test_other.py").write_text("def test_wrong():\n    assert 1 == 2\n")
    assert called_by_tests(till, TESTS, [TAX]).calls
