"""Who may decide on a change, what autonomy has earned, and the log of it all."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfheal.artifacts import Candidate, Pattern, Patterns
from selfheal.artifacts.model import AnomalyKind
from selfheal.artifacts.patterns import Applicability, Outcomes, Provenance
from selfheal.cli.main import main
from selfheal.config import DeployConfig, PolicyConfig
from selfheal.delivery.audit import BEGINNING, FILE, read, record, record_once, verify
from selfheal.delivery.autonomy import earned
from selfheal.delivery.fingerprint import Fingerprint
from selfheal.delivery.policy import fits, ruling_of
from selfheal.errors import InvalidInput
from selfheal.standalone import FolderEffects


def candidate(*files: str) -> Candidate:
    return Candidate(
        id="c",
        diagnosis_id="d",
        strategy="s",
        rank=1,
        score=1.0,
        files=list(files),
        patch="",
        explanation="",
        base_commit="0" * 40,
    )


def config(*policies: PolicyConfig, approval: str = "review") -> DeployConfig:
    return DeployConfig.model_validate({"approval": approval, "policies": policies})


NEVER_BILLING = PolicyConfig(path="src/billing/*", approval="never")
AUTO_PERFORMANCE = PolicyConfig(kind="performance", approval="auto", level=0.9)


def test_the_first_policy_that_fits_decides_and_else_the_default() -> None:
    both = config(NEVER_BILLING, AUTO_PERFORMANCE)
    assert ruling_of(candidate("src/billing/a/b.py"), "performance", both).approval == "never"
    fast = ruling_of(candidate("src/shop.py"), "performance", both)
    assert (fast.approval, fast.level) == ("auto", 0.9)
    other = ruling_of(candidate("src/shop.py"), "error", both)
    assert other.approval == "review"
    assert other.reason == "the policy deploy.approval is review"


def test_of_several_files_the_strictest_ruling_counts_and_names_the_policy_and_the_file() -> None:
    found = ruling_of(
        candidate("src/shop.py", "src/billing/x.py"),
        "performance",
        config(NEVER_BILLING, AUTO_PERFORMANCE),
    )
    assert found.approval == "never"
    assert "deploy.policies/0" in found.reason
    assert "src/billing/x.py" in found.reason


def test_tests_and_changelog_that_come_with_a_change_count_only_where_they_are_named() -> None:
    auto = PolicyConfig(path="src/*", approval="auto")
    change = candidate("src/shop.py", "tests/test_shop.py", "CHANGELOG.md")
    companions = ["tests/", "CHANGELOG.md"]
    assert ruling_of(change, "error", config(auto), companions).approval == "auto"
    frozen = PolicyConfig(path="CHANGELOG.md", approval="never")
    assert ruling_of(change, "error", config(auto, frozen), companions).approval == "never"
    only_tests = candidate("tests/test_shop.py")
    assert ruling_of(only_tests, "coverage", config(auto), companions).approval == "review"


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("docs/", "docs/a/b.md", True),
        ("docs/", "docs.py", False),
        ("*.sql", "db/schema.sql", True),
        ("src/*", "lib/src/a.py", False),
    ],
)
def test_a_pattern_crosses_folders_and_a_folder_is_all_below(
    pattern: str, path: str, expected: bool
) -> None:
    assert fits(pattern, path) is expected


def library(**outcomes: list[str]) -> Patterns:
    """A library with one pattern of the kind error for each strategy."""
    return Patterns(
        patterns=[
            Pattern(
                id=strategy,
                name=strategy,
                applicability=Applicability(kind="error"),
                edit={"strategy": strategy},
                outcomes=Outcomes(),
                confidence=0.5,
                confidence_interval=(0.0, 1.0),
                provenance=[
                    Provenance(run_id=str(n), candidate_id="c", operation="o", outcome=outcome)
                    for n, outcome in enumerate(found)
                ],
            )
            for strategy, found in outcomes.items()
        ]
    )


def test_autonomy_is_earned_by_many_successes_and_lost_by_few_failures() -> None:
    asked: list[tuple[AnomalyKind, str]] = [("error", "guard")]
    assert not earned(None, asked, 0.8)[0].holds, "nothing measured is nothing earned"
    assert not earned(library(guard=["validated"] * 15), asked, 0.8)[0].holds
    assert earned(library(guard=["merged"] * 16), asked, 0.8)[0].holds
    spoiled = ["merged"] * 16 + ["rolled_back"]
    lost = earned(library(guard=spoiled), asked, 0.8)[0]
    assert not lost.holds
    assert (lost.successes, lost.tried) == (16, 17)


def test_what_one_strategy_earned_is_no_credit_of_another_or_of_another_kind() -> None:
    known = library(guard=["merged"] * 40)
    assert [each.tried for each in earned(known, [("error", "other")], 0.5)] == [0]
    assert [each.tried for each in earned(known, [("performance", "guard")], 0.5)] == [0]


@given(successes=st.integers(0, 60), failures=st.integers(0, 60))
@settings(max_examples=30, deadline=None)
def test_the_bound_lies_below_the_share_of_successes_and_a_failure_lowers_it(
    successes: int, failures: int
) -> None:
    def bound(good: int, bad: int) -> float:
        found = library(guard=["merged"] * good + ["failed"] * bad)
        return earned(found, [("error", "guard")], 0.5)[0].lower_bound

    assert bound(successes, failures) < (successes + 1) / (successes + failures + 1)
    assert bound(successes, failures + 1) < bound(successes, failures)


NAMES = st.lists(st.from_regex(r"[a-z]+-[0-9a-f]{12}", fullmatch=True), max_size=4)


@given(causes=NAMES, anomalies=NAMES, around=st.text(alphabet="ab\n<!-", max_size=20))
def test_a_fingerprint_survives_the_text_around_it(
    causes: list[str], anomalies: list[str], around: str
) -> None:
    made = Fingerprint(causes=causes, anomalies=anomalies, change="ab" * 32)
    assert Fingerprint.read(f"x{around}\n\n{made.comment()}\n{around}") == made
    windows = made.comment().replace("\n", "\r\n")
    assert Fingerprint.read(windows) == made


def test_a_text_without_a_fingerprint_meets_nothing() -> None:
    assert not Fingerprint.read("Fix it").meets(Fingerprint.read("Fix it"))


def test_the_audit_log_holds_what_was_recorded_in_a_chain(tmp_path: Path) -> None:
    first = record(tmp_path, "approved", by="ada", subject="s", run_id="r1", details={"a": 1})
    second = record(tmp_path, "merged", by="policy", subject="#1")
    assert first.previous == BEGINNING
    assert second.previous == first.sha256
    assert [entry.event for entry in read(tmp_path)] == ["approved", "merged"]
    verified = verify(tmp_path, known=first.sha256)
    assert (verified.entries, verified.head, verified.broken) == (2, second.sha256, None)


def _lines(folder: Path) -> list[str]:
    return (folder / FILE).read_text().splitlines(keepends=True)


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (lambda lines: [lines[0], lines[1].replace("ada", "eve"), lines[2]], "line 2"),
        (lambda lines: [lines[0], lines[2]], "line 2"),
        (lambda lines: [lines[1], lines[0], lines[2]], "line 1"),
        (lambda lines: [lines[0], "{}\n", lines[2]], "line 2"),
        (lambda lines: lines[:2], "cut or replaced"),
    ],
)
def test_tampering_with_the_log_is_found_and_placed(tmp_path: Path, tamper, said: str) -> None:  # type: ignore[no-untyped-def]
    for number in range(3):
        last = record(tmp_path, "approved", by="ada", subject=str(number))
    (tmp_path / FILE).write_text("".join(tamper(_lines(tmp_path))))
    assert said in (verify(tmp_path, known=last.sha256).broken or "")


def test_an_entry_rewritten_with_a_fitting_hash_breaks_the_next_one(tmp_path: Path) -> None:
    for number in range(2):
        record(tmp_path, "approved", by="ada", subject=str(number))
    forged = read(tmp_path)[0].model_copy(update={"by": "eve"})
    forged = forged.model_copy(update={"sha256": forged.expected})
    lines = [json.dumps(forged.model_dump()) + "\n", _lines(tmp_path)[1]]
    (tmp_path / FILE).write_text("".join(lines))
    assert "line 2" in (verify(tmp_path).broken or "")


def test_what_a_killed_writer_left_is_cut_and_the_log_goes_on(tmp_path: Path) -> None:
    record(tmp_path, "approved", by="ada", subject="1")
    with (tmp_path / FILE).open("a") as file:
        file.write('{"number":2,"at":"20')
    assert verify(tmp_path).broken is None
    record(tmp_path, "merged", by="ada", subject="1")
    assert [entry.event for entry in read(tmp_path)] == ["approved", "merged"]
    assert verify(tmp_path).broken is None


def test_nothing_is_added_to_a_log_whose_end_is_not_readable(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("rubbish\n")
    with pytest.raises(InvalidInput, match="no entry of an audit log"):
        record(tmp_path, "approved", by="ada", subject="1")
    assert (tmp_path / FILE).read_text() == "rubbish\n"


def test_a_run_records_an_event_once_although_it_was_killed_in_between(tmp_path: Path) -> None:
    ledger = tmp_path / "effects.jsonl"
    for _ in range(2):
        record_once(
            FolderEffects(ledger), tmp_path, "merged", by="policy", subject="#1", run_id="r1"
        )
        # Begun and not known to be finished: the log itself is looked at.
        ledger.write_text('{"key": "audit:merged:#1"}\n')
    assert len(read(tmp_path)) == 1


def _many(folder: str) -> None:
    for number in range(20):
        record(Path(folder), "approved", by=str(os.getpid()), subject=str(number))


def test_writers_at_the_same_time_make_one_chain(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_many, args=(str(tmp_path),)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    verified = verify(tmp_path)
    assert (verified.entries, verified.broken) == (60, None)


def test_the_command_prints_the_log_and_fails_where_it_was_tampered_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = record(tmp_path, "approved", by="ada", subject="1", run_id="r1")
    record(tmp_path, "merged", by="policy", subject="#1", run_id="r2")
    told = ["--artifacts", str(tmp_path)]
    assert main(["audit", *told, "--head", first.sha256]) == 0
    shown = capsys.readouterr()
    assert "ada" in shown.out
    assert "2 entries, the chain holds" in shown.err
    assert main(["audit", *told, "--run", "r2", "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)["entries"]
    assert [entry["event"] for entry in entries] == ["merged"]
    (tmp_path / FILE).write_text((tmp_path / FILE).read_text().replace("ada", "eve"))
    assert main(["audit", *told]) == 1
    assert "line 1: the entry was changed" in capsys.readouterr().err
