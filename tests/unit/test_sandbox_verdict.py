"""From checks to a choice: no verdict without its checks, no loser without a reason."""

from __future__ import annotations

from typing import Any

import pytest

from selfheal.analysis import Judgement
from selfheal.analysis.healing import allowed_ratio, weighed
from selfheal.artifacts import Anomaly, Candidate, Patch
from selfheal.artifacts.anomalies import DataWindow, Detector
from selfheal.artifacts.validation import Check
from selfheal.repair.diff import patch_of
from selfheal.sandbox.changes import ChangedFile, role_of
from selfheal.sandbox.evidence import ANSWER, CHECKS, Applied, AppliedCandidate, Subject
from selfheal.sandbox.oracle import detector_check
from selfheal.sandbox.verdict import choose, concluded

BEFORE = {"a.py": "a = 1\n\n\n\n\nb = 1\n", "CHANGELOG.md": "# Changes\n\n## 1.0\n"}
ENTRY = "# Changes\n\n## Unreleased\n\n- {}\n\n## 1.0\n"


def candidate(name: str, diagnosis: str, rank: int, text: str, base: str = "base") -> Candidate:
    after = {"a.py": text, "CHANGELOG.md": ENTRY.format(name)}
    return Candidate(
        id=name,
        diagnosis_id=diagnosis,
        strategy="guard",
        rank=rank,
        score=1.0,
        files=sorted(after),
        patch=patch_of(BEFORE, after),
        explanation="",
        base_commit=base,
    )


def subject(diagnosis: str, *names: str) -> Subject:
    return Subject(
        diagnosis_id=diagnosis,
        kind="error",
        operation="get",
        anomaly_ids=[],
        candidate_ids=list(names),
        bad_commit="base",
    )


def all_passed(**other: str) -> list[Check]:
    return [
        Check(name=name, verdict=other.get(name, "passed"), summary=name)  # type: ignore[arg-type]
        for name in CHECKS
        if name != ANSWER
    ]


def applied(*candidates: Candidate) -> Applied:
    found = {}
    for each in candidates:
        texts = {"a.py": text_of(each), "CHANGELOG.md": ENTRY.format(each.id)}
        files = [
            ChangedFile(path=path, role=role_of(path), before=BEFORE[path], after=texts[path])
            for path in sorted(texts)
        ]
        found[each.id] = AppliedCandidate(candidate_id=each.id, checks=[], files=files)
    return Applied(candidates=found)


TEXTS = {
    "one": "a = 2\n\n\n\n\nb = 1\n",
    "one-b": "a = 1\n\n\n\n\nb = 3\n",
    "two": "a = 1\n\n\n\n\nb = 2\n",
    "rival": "a = 9\n\n\n\n\nb = 1\n",
}


def text_of(each: Candidate) -> str:
    return TEXTS[each.id]


def test_the_best_ranked_passing_candidate_is_selected_and_losers_have_reasons() -> None:
    one, rival = (
        candidate("one", "d1", 1, TEXTS["one"]),
        candidate("rival", "d1", 2, TEXTS["rival"]),
    )
    choice = choose(
        Patch(candidates=[one, rival]),
        [subject("d1", "one", "rival")],
        applied(one, rival),
        {"one": all_passed(suite="failed"), "rival": all_passed()},
    )
    assert choice.selected == "rival"
    assert [(result.verdict, result.reason) for result in choice.results] == [
        ("failed", "suite: suite"),
        ("passed", "selected: passed every required check"),
    ]
    assert choice.selections[0].tried == 2


@pytest.mark.parametrize("verdict", ["timed_out", "error", "not_run"])
def test_what_did_not_finish_is_never_passed(verdict: str) -> None:
    one = candidate("one", "d1", 1, TEXTS["one"])
    choice = choose(
        Patch(candidates=[one]),
        [subject("d1", "one")],
        applied(one),
        {"one": all_passed(suite=verdict)},
    )
    assert choice.selected is None
    assert choice.results[0].verdict == verdict


def test_nothing_passes_where_neither_a_test_nor_a_detector_showed_it() -> None:
    one = candidate("one", "d1", 1, TEXTS["one"])
    checks = [
        check.model_copy(update={"verdict": "unavailable", "required": False})
        if check.name in ("regression_test", "detector")
        else check
        for check in all_passed()
    ]
    choice = choose(Patch(candidates=[one]), [subject("d1", "one")], applied(one), {"one": checks})
    assert choice.selected is None
    assert "nothing could show" in choice.results[0].reason


def test_missing_checks_are_not_run_with_the_reason() -> None:
    one = candidate("one", "d1", 1, TEXTS["one"])
    first = [Check(name="applies", verdict="failed", summary="context differs")]
    choice = choose(Patch(candidates=[one]), [subject("d1", "one")], applied(one), {"one": first})
    assert [check.name for check in choice.results[0].checks] == [
        name for name in CHECKS if name != ANSWER
    ]
    assert choice.results[0].checks[-1].summary == "not run after applies did not pass"


def test_no_candidates_are_an_answer() -> None:
    choice = choose(Patch(candidates=[]), [], Applied(candidates={}), {})
    assert (choice.selected, choice.reason) == (None, "there is no candidate to prove")


def both(*names: str) -> Any:
    made = [candidate(name, "d2" if name == "two" else "d1", 1, TEXTS[name]) for name in names]
    first = [name for name in names if name != "two"]
    return choose(
        Patch(candidates=made),
        [subject("d1", *first), subject("d2", "two")],
        applied(*made),
        {name: all_passed() for name in names},
    )


def test_fixes_of_two_diagnoses_become_one_change() -> None:
    choice = both("one", "two")
    assert choice.composition is not None
    assert choice.composition.candidate_ids == ["one", "two"]
    texts = {file.path: file.after for file in choice.files}
    assert texts["a.py"] == "a = 2\n\n\n\n\nb = 2\n"
    assert "- one\n" in texts["CHANGELOG.md"]
    assert "- two\n" in texts["CHANGELOG.md"]


def test_where_the_best_contradict_each_other_the_next_combination_is_taken() -> None:
    choice = both("one-b", "one", "two")
    assert choice.composition is not None
    assert choice.composition.candidate_ids == ["one", "two"]
    assert choice.selections[0].tried == 2


def test_where_none_go_together_the_gravest_is_healed() -> None:
    choice = both("one-b", "two")
    assert (choice.composition, choice.selected) == (None, "one-b")
    assert "contradict" in choice.reason
    assert choice.selections[1].candidate_id is None


def test_a_composition_counts_only_when_it_is_proven_as_a_whole() -> None:
    choice = both("one", "two")
    proven = concluded(choice, "limits", all_passed())
    assert proven.selected == choice.composition.id
    assert proven.results[-1].diagnosis_id == "d1,d2"
    failed = concluded(choice, "limits", all_passed(suite="failed"))
    assert (failed.selected, failed.composition) == ("one", None)
    assert [selection.candidate_id for selection in failed.selections] == ["one", None]


def anomaly(name: str = "slow", **evidence: Any) -> Anomaly:
    parameters = {"minimum_ratio": 1.1, "bucket_seconds": None}
    return Anomaly(
        id=name,
        kind="performance",
        service="s",
        operation=name,
        severity="high",
        score=1.0,
        title=name,
        count=1,
        detector=Detector(name="latency", parameters=parameters, window=DataWindow()),
        evidence={"ratio": 16.0, "measure": "p50", **evidence},
    )


def asked(states: dict[tuple[str, str], str], *anomalies: Anomaly, **other: Any) -> Check:
    judged = {key: Judgement(state, state, {}) for key, state in states.items()}  # type: ignore[arg-type]
    given: dict[str, Any] = {"absent": {}, "broken": 0, **other}
    return detector_check(
        anomalies, judged, bad="bad", candidate="c", measurements="measurements/x.json", **given
    )


@pytest.mark.parametrize(
    ("bad", "after", "verdict"),
    [
        ("anomalous", "quiet", "passed"),
        ("anomalous", "anomalous", "failed"),
        ("anomalous", "inconclusive", "unavailable"),
        ("anomalous", "no_data", "unavailable"),
        ("quiet", "quiet", "unavailable"),
        ("inconclusive", "quiet", "unavailable"),
        ("no_data", "quiet", "unavailable"),
    ],
)
def test_only_fired_before_and_quiet_after_is_passed(bad: str, after: str, verdict: str) -> None:
    check = asked({("slow", "bad"): bad, ("slow", "c"): after}, anomaly())
    assert (check.verdict, check.required) == (verdict, True)


def test_an_inner_operation_that_no_longer_runs_is_no_obstacle_beside_a_quiet_one() -> None:
    states = {("entry", "bad"): "anomalous", ("inner", "bad"): "anomalous"}
    states |= {("entry", "c"): "quiet", ("inner", "c"): "no_data"}
    entry, inner = anomaly("entry", entry=True), anomaly("inner", entry=False)
    assert asked(states, entry, inner).verdict == "passed"
    assert asked(states, inner).verdict == "unavailable"


def test_a_candidate_that_breaks_what_worked_or_does_not_start_fails() -> None:
    quiet = {("slow", "bad"): "anomalous", ("slow", "c"): "quiet"}
    assert asked(quiet, anomaly(), broken=1).verdict == "failed"
    assert asked(quiet, anomaly(), absent={"c": "no"}).verdict == "failed"
    assert asked(quiet, anomaly(), absent={"bad": "no"}).verdict == "unavailable"


@pytest.mark.parametrize(("ratio", "allowed"), [(16.0, 1.5), (3.0, 1.2), (1.3, 1.1), (6.0, 1.5)])
def test_a_tenth_of_the_excess_may_stay(ratio: float, allowed: float) -> None:
    assert allowed_ratio(anomaly(ratio=ratio)) == pytest.approx(allowed)


def test_a_verdict_near_the_floor_asks_for_more_data() -> None:
    def seen(state: str, measure: str, low: float, high: float) -> str:
        evidence = {"interval": [low, high], "measure": measure}
        answer = Judgement(state, "", evidence)  # type: ignore[arg-type]
        return weighed(answer, anomaly(), 1.5).state

    assert seen("anomalous", "p50", 1.6, 2.0) == "anomalous"
    assert seen("anomalous", "p50", 1.4, 2.0) == "inconclusive"
    assert seen("anomalous", "p95", 1.1, 1.3) == "quiet"
    assert seen("inconclusive", "p95", 1.1, 1.3) == "quiet"
    assert seen("no_data", "p95", 1.1, 1.3) == "no_data"


@pytest.mark.parametrize(("altered", "selected"), [(2, "rival"), (9, "one")])
def test_the_revert_of_a_hunk_is_preferred_where_it_alters_no_more_calls(
    altered: int, selected: str
) -> None:
    one = candidate("one", "d1", 1, TEXTS["one"])
    rival = candidate("rival", "d1", 2, TEXTS["rival"]).model_copy(
        update={"strategy": "revert_hunk"}
    )

    def checks(differing: int) -> list[Check]:
        counts = {"compared": 50, "differing": differing}
        return [
            each.model_copy(update={"counts": counts}) if each.name == "behaviour" else each
            for each in all_passed()
        ]

    choice = choose(
        Patch(candidates=[one, rival]),
        [subject("d1", "one", "rival")],
        applied(one, rival),
        {"one": checks(2), "rival": checks(altered)},
    )
    assert choice.selected == selected


def test_what_a_search_found_beside_a_rival_on_few_calls_is_told_as_a_weak_suite() -> None:
    one, rival = (
        candidate(name, "d1", rank, TEXTS[name]).model_copy(update={"strategy": "search"})
        for rank, name in enumerate(("one", "rival"), start=1)
    )
    choice = choose(
        Patch(candidates=[one, rival]),
        [subject("d1", "one", "rival")],
        applied(one, rival),
        {"one": all_passed(), "rival": all_passed()},
    )
    assert choice.selected == "one"
    assert "rival passes as well" in (choice.selections[0].weak_suite or "")
