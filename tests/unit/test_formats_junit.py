"""Reports of failing tests by many producers: each failure is an error, with a time or without."""

from __future__ import annotations

from pathlib import Path

import pytest
from samples import read, written

from selfheal.analysis.errors import detect_errors
from selfheal.analysis.model import DetectionData
from selfheal.analysis.releases import compare
from selfheal.config import DetectConfig

FAILED = '<failure type="AssertionError" message="1 != 2">Traceback</failure>'
CASE = f'<testcase classname="tests.test_a.Sums" name="test_one">{FAILED}</testcase>'


def operations(tmp_path: Path, report: str) -> list[str]:
    dataset = read(tmp_path, written(tmp_path, "report.xml", report)).dataset
    return [row["operation"] for row in dataset.rows("SELECT operation FROM errors ORDER BY line")]


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (f"<testsuite>{CASE}</testsuite>", ["tests.test_a.Sums::test_one"]),
        (
            f"<testsuites><testsuite>{CASE}</testsuite></testsuites>",
            ["tests.test_a.Sums::test_one"],
        ),
        (
            f"<testsuites><testsuite><testsuite>{CASE}</testsuite>{CASE}</testsuite></testsuites>",
            ["tests.test_a.Sums::test_one"] * 2,
        ),
        (f"<testsuites>{CASE}</testsuites>", ["tests.test_a.Sums::test_one"]),
        (f'<testsuites xmlns="urn:x">{CASE}</testsuites>', ["tests.test_a.Sums::test_one"]),
        (
            f'<testsuite><testcase file="tests/test_a.py" line="3" name="test_one">{FAILED}'
            "</testcase></testsuite>",
            ["tests/test_a.py::test_one"],
        ),
        (
            f'<testsuite file="./tests/test_a.py"><testcase name="test_one">{FAILED}</testcase>'
            "</testsuite>",
            ["tests/test_a.py::test_one"],
        ),
        (
            '<testsuite><testcase classname="" name="tests.test_a"><error message="collection '
            'failure">ModuleNotFoundError: x</error></testcase></testsuite>',
            ["tests.test_a"],
        ),
        (
            '<testsuite><testcase file="tests/test_a.py" name="tests.test_a"><error>E</error>'
            "</testcase></testsuite>",
            ["tests.test_a"],
        ),
        (
            f'<testsuite><testcase name="tests/test_a.py::test_one">{FAILED}</testcase></testsuite>',
            ["tests/test_a.py::test_one"],
        ),
    ],
)
def test_a_failing_test_is_found_wherever_its_producer_puts_it(
    tmp_path: Path, report: str, expected: list[str]
) -> None:
    assert operations(tmp_path, report) == expected


@pytest.mark.parametrize(
    ("outcomes", "failures"),
    [
        ("<flakyFailure>E</flakyFailure>", 0),
        ("<skipped/>", 0),
        ("<system-out>failure</system-out>", 0),
        (f"{FAILED}<rerunFailure>E</rerunFailure><rerunFailure>E</rerunFailure>", 1),
        ("<rerunFailure><stackTrace>E</stackTrace></rerunFailure><rerunError/>", 1),
        ("<error/>", 1),
    ],
)
def test_what_passed_in_a_rerun_is_no_failure_and_what_never_did_is_one(
    tmp_path: Path, outcomes: str, failures: int
) -> None:
    case = f'<testcase classname="t" name="a">{outcomes}</testcase>'

    assert len(operations(tmp_path, f"<testsuite>{case}</testsuite>")) == failures


@pytest.mark.parametrize(
    ("suite", "case", "seen"),
    [
        ("", "", None),
        ("", "2026-01-02T03:04:05", "2026-01-02T03:04:05.000000Z"),
        ("2026-01-02T03:04:05Z", "", "2026-01-02T03:04:05.000000Z"),
    ],
)
def test_a_failing_test_is_an_anomaly_and_a_time_that_is_missing_stays_missing(
    tmp_path: Path, suite: str, case: str, seen: str | None
) -> None:
    def at(moment: str) -> str:
        return f' timestamp="{moment}"' if moment else ""

    report = (
        f"<testsuites><testsuite{at(suite)}><testsuite>"
        f'<testcase classname="t" name="a"{at(case)}>{FAILED}</testcase>'
        "</testsuite></testsuite></testsuites>"
    )
    dataset = read(tmp_path, written(tmp_path, "report.xml", report)).dataset
    data = DetectionData(dataset=dataset, comparisons=compare(dataset), test_reports=[0])
    (anomaly,) = detect_errors(data, DetectConfig()).anomalies

    assert (anomaly.first_seen, anomaly.last_seen) == (seen, seen)
    assert (anomaly.detector.window.start, anomaly.detector.window.end) == (seen, seen)
    assert anomaly.evidence["test"] == "t::a"
