"""The checks that a suite's result makes, in words and counts that repeat exactly."""

from __future__ import annotations

from collections.abc import Sequence

from selfheal.artifacts import Candidate
from selfheal.artifacts.validation import Check, CheckVerdict
from selfheal.repair.edits.model import SEARCH
from selfheal.sandbox.changes import ChangedFile
from selfheal.sandbox.evidence import Subject, TestedCandidate
from selfheal.sandbox.mutants import Mutants
from selfheal.sandbox.suite import SuiteResult
from selfheal.sandbox.switched_off import switched_off
from selfheal.sandbox.weakening import weakenings


def exit_code_check(suite: SuiteResult) -> Check:
    """The regression check where another command than pytest runs the tests.

    What failed before for other reasons cannot be told apart: it keeps the fix from passing.
    """
    name, command = "regression_test", listed([*suite.passed, *suite.broken])
    if suite.state == "passed":
        why = f"by its exit code `{command}` fails without the fix and succeeds with it"
        return Check(name=name, verdict="passed", summary=why)
    still = f"by its exit code `{command}` still fails with the fix, of whatever in it"
    why = suite.note if suite.state in ("timed_out", "error") else still
    return Check(name=name, verdict=state_verdict(suite), summary=why)


def passes_check(suite: SuiteResult, subject: Subject) -> Check:
    name, tests = "regression_test", subject.shown_by
    if not tests:
        why = subject.test_unavailable or "there is no regression test"
        return Check(name=name, verdict="unavailable", summary=why, required=False)
    outcomes = {suite.outcome(test) for test in tests}
    verdict: CheckVerdict = "passed" if outcomes == {"passed"} else "failed"
    if suite.state in ("timed_out", "error"):
        verdict = state_verdict(suite)
    why = f"{listed(tests)} {', '.join(sorted(outcomes))} with all fixes"
    return Check(name=name, verdict=verdict, summary=why, counts={"tests": len(tests)})


def tested_candidate(
    candidate: Candidate, checks: list[Check], suite: SuiteResult, files: Sequence[ChangedFile]
) -> TestedCandidate:
    coverage = None if suite.coverage is None else _of_changed_lines(suite.coverage, files)
    searched = candidate.strategy == SEARCH
    return TestedCandidate(
        candidate_id=candidate.id,
        checks=checks,
        coverage=coverage,
        coverage_note=suite.note,
        switched_off=switched_off(files, suite.coverage or {}) if searched else [],
    )


def coverage_check(tested: TestedCandidate, minimum: float) -> Check:
    """How many of the changed executable lines the suite runs; required where a minimum is set."""
    name, required = "changed_coverage", minimum > 0
    if tested.switched_off:
        why = f"no test goes past {listed(tested.switched_off)}: it may only switch code off"
        return Check(name=name, verdict="failed", summary=why)
    if tested.coverage is None:
        why = tested.coverage_note or "coverage was not measured"
        return Check(name=name, verdict="unavailable", summary=why, required=required)
    lines = [ran for file in tested.coverage.values() for ran in file.values()]
    counts = {"executable": len(lines), "covered": sum(lines)}
    if not lines:
        why = "the patch adds no executable line"
        return Check(name=name, verdict="passed", summary=why, required=required, counts=counts)
    enough = sum(lines) >= minimum * len(lines)
    why = f"{sum(lines)} of {len(lines)} changed executable lines are run by the tests"
    verdict: CheckVerdict = "passed" if enough else "failed"
    return Check(name=name, verdict=verdict, summary=why, required=required, counts=counts)


def suite_check(
    suite: SuiteResult, known: SuiteResult, fresh: Sequence[str], broken: Sequence[str]
) -> Check:
    """Whether the suite lost nothing beside what it lacks without the patch.

    `known` is the suite without the patch, `fresh` are the tests that failed only with it;
    `broken` of them are held against it, the others do not fail every time. Tests in files
    that could not be collected before did not pass then: those that fail are told, and held
    against the patch where more of them fail than pass.
    """
    name = "suite"
    ran = {*suite.passed, *suite.failed, *suite.errors, *suite.skipped}
    lost = sorted(set(known.passed) - ran)
    unsteady = sorted(set(fresh) - set(broken))
    collected_now = [test for test in broken if _file(test) in known.broken]
    well = sum(_file(test) in known.broken for test in suite.passed)
    broken = [test for test in broken if test not in collected_now]
    counts = {
        "passed": len(suite.passed) + len(unsteady),
        "skipped": len(suite.skipped),
        "new_failures": len(broken),
        "known_failures": len(suite.broken & known.broken),
    }
    if broken:
        why = f"{len(broken)} tests fail that passed before: {listed(broken)}"
    elif len(collected_now) > well:
        why = (
            f"{len(collected_now)} of {len(collected_now) + well} tests of files that could not "
            f"be collected before fail: {listed(collected_now)}"
        )
    elif lost:
        why = f"{len(lost)} tests are no longer run: {listed(lost)}"
    elif not suite.passed:
        why = "no test passes"
    else:
        why = f"{counts['passed']} tests pass, no new failure"
        if counts["known_failures"]:
            why += f", {counts['known_failures']} failed before and still do"
        if collected_now:
            why += f", fail in files that could not be collected before: {listed(collected_now)}"
        if unsteady:
            why += f", flaky: {listed(unsteady)}"
        return Check(name=name, verdict="passed", summary=why, counts=counts)
    return Check(name=name, verdict="failed", summary=why, counts=counts)


def _file(test: str) -> str | None:
    """The file of a test of it; None for a file."""
    file, separator, _ = test.partition("::")
    return file if separator else None


def shuffled_check(suite: SuiteResult, wanted: int) -> Check:
    """Whether the new tests pass again and again, in fresh processes and any order."""
    name, found = "shuffled_runs", suite.repeated
    if found is None or not wanted:
        why = "no test of the patch could be run again and again"
        return Check(name=name, verdict="unavailable", summary=why, required=False)
    if found.passed == found.runs and found.runs < wanted:
        why = f"the tests take too long to be run {wanted} times"
        return Check(name=name, verdict="unavailable", summary=why, required=False)
    counts = {"tests": found.tests, "runs": found.runs, "passed": found.passed}
    verdict: CheckVerdict = "passed" if found.passed == wanted else "failed"
    why = f"{found.passed} of {found.runs} shuffled runs of the new tests pass"
    return Check(name=name, verdict=verdict, summary=why, counts=counts)


def mutants_check(found: Mutants, what: str = "the fix", *, required: bool = False) -> Check:
    """How many small faults in `what` the new tests notice; condemns nobody unless `required`."""
    name = "mutants"
    if found.unavailable or not found.total:
        why = found.unavailable or "no mutant could be tried"
        return Check(name=name, verdict="unavailable", summary=why, required=False)
    counts = {"killed": found.killed, "total": found.total, "survivors": found.survivors}
    why = f"{found.killed} of {found.total} mutants of {what} are noticed by the new tests"
    if found.survivors:
        why += f"; not {listed(found.survivors)}"
    verdict: CheckVerdict = "passed" if found.killed else "failed"
    return Check(name=name, verdict=verdict, summary=why, required=required, counts=counts)


def _of_changed_lines(
    coverage: dict[str, dict[int, bool]], files: Sequence[ChangedFile]
) -> dict[str, dict[int, bool]]:
    found = {}
    for file in files:
        measured = coverage.get(file.path, {}) if file.role == "code" else {}
        changed = {line: measured[line] for line in file.added_lines if line in measured}
        if changed:
            found[file.path] = changed
    return found


def applies_check(candidate: Candidate) -> Check:
    why = f"git apply takes it on {candidate.base_commit[:12]}"
    return Check(
        name="applies", verdict="passed", summary=why, counts={"files": len(candidate.files)}
    )


def weakening_check(files: Sequence[ChangedFile]) -> Check:
    found = weakenings(files)
    if found:
        return Check(name="tests_not_weakened", verdict="failed", summary=listed(found))
    return Check(
        name="tests_not_weakened", verdict="passed", summary="no test asks less than before"
    )


def state_verdict(result: SuiteResult) -> CheckVerdict:
    if result.state in ("passed", "timed_out", "error"):
        return result.state
    return "failed"


def listed(names: Sequence[str], shown: int = 3) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return "; ".join(names[:shown]) + more
