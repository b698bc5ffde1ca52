"""The search for edits by failing tests: how edits are tried, judged and counted."""

from __future__ import annotations

import pytest

from selfheal.repair import Edit, Splice
from selfheal.sandbox.forkserver import Failure, Ran, Reply
from selfheal.sandbox.search_lanes import guards_of, limit_of, matching, verdict_of, watched
from selfheal.sandbox.search_ledger import ledger, why
from selfheal.sandbox.search_model import Attempt, Region, Survey, Verdict
from selfheal.sandbox.search_plan import Planner

SOURCE = """\
LIMIT = 3


def first(values, default=None):
    return values[0]


class Box:
    size = 1

    @property
    def twice(self):
        def inner(x):
            return x + 1

        return inner(self.size)

    def one(self): return 1
"""


def edit(old: str, new: str, path: str = "box.py") -> Edit:
    start = SOURCE.index(old)
    splice = Splice(path=path, start=start, stop=start + len(old), text=new)
    return Edit(strategy="s", template="t", explanation="e", fit=0.5, splices=[splice])


def test_a_change_of_a_body_is_tried_by_exchanging_its_outermost_function() -> None:
    plan = Planner({"box.py": SOURCE}).plan(edit("x + 1", "x * 2"))

    assert plan.functions is not None
    (change,) = plan.functions
    assert (change.name, change.classes, change.lines) == ("twice", ("Box",), (11, 12))
    assert change.source.startswith("    @property\n    def twice(self):\n")
    assert "return x * 2\n" in change.source
    assert plan.regions == (Region("box.py", 11, 16),)


def test_a_body_on_the_line_of_its_def_is_a_body() -> None:
    plan = Planner({"box.py": SOURCE}).plan(edit("return 1", "return 2"))

    assert plan.functions is not None
    assert plan.functions[0].source == "    def one(self): return 2\n"


def test_another_literal_for_a_default_is_tried_by_exchanging_its_function() -> None:
    planner = Planner({"box.py": SOURCE})
    plan = planner.plan(edit("None", "0"))

    assert plan.functions is not None
    (change,) = plan.functions
    assert change.defaults
    assert change.source.startswith("def first(values, default=0):\n")
    assert planner.plan(edit("None", "LIMIT")).functions is None
    assert planner.plan(edit("None", "None, more=1")).functions is None


@pytest.mark.parametrize("old", ["LIMIT = 3", "size = 1", "default=None", "@property", "def first"])
def test_what_stands_outside_of_bodies_needs_an_import(old: str) -> None:
    plan = Planner({"box.py": SOURCE}).plan(edit(old, f"{old}  "))

    assert plan.functions is None


def test_a_file_that_does_not_parse_needs_an_import() -> None:
    broken = SOURCE + "def :\n"
    plan = Planner({"box.py": broken}).plan(edit("x + 1", "x * 2"))

    assert plan.functions is None


def ran(
    test: str,
    outcome: str = "passed",
    seconds: float = 0.1,
    failure: Failure | None = None,
    lines: tuple[int, ...] = (),
) -> Ran:
    return Ran(test, outcome, seconds, failure, frozenset(("box.py", line) for line in lines))  # type: ignore[arg-type]


FAILED = Failure("AssertionError", 7, "test_box.py:7", "2 != 3")
SURVEY = Survey(
    failing=("t::a", "t::b"),
    uncollected=(),
    results={
        each.test: each
        for each in (
            ran("t::a", "failed", 0.1, FAILED, (4,)),
            ran("t::b", "failed", 0.1, FAILED, (4, 12)),
            ran("t::c", "passed", 0.2, None, (4,)),
            ran("t::d", "passed", 0.1, None, (4, 12)),
            ran("t::e", "passed", 0.1, None, (40,)),
        )
    },
    imported=frozenset(),
)
TESTS = ["t::a", "t::b", "t::d", "t::c"]


@pytest.mark.parametrize(
    ("results", "ended", "fate"),
    [
        ([ran(test) for test in TESTS], "done", "plausible"),
        ([ran(test) for test in TESTS], "killed", "fails_otherwise"),
        ([ran(test) for test in TESTS[:3]], "done", "fails_otherwise"),
        ([], "timed_out", "fails_otherwise"),
        ([ran("t::a", "failed", failure=FAILED)], "done", "still_fails"),
        (
            [ran("t::a", "failed", failure=FAILED._replace(type="TypeError"))],
            "done",
            "fails_otherwise",
        ),
        ([ran("t::a", "failed", failure=FAILED._replace(line=9))], "done", "fails_later"),
        ([ran("t::a"), ran("t::b", "failed", failure=FAILED)], "done", "fails_later"),
        ([ran("t::a", "timed_out")], "timed_out", "timed_out"),
        ([ran("t::a", "skipped")], "done", "fails_otherwise"),
        ([ran("t::a"), ran("t::b"), ran("t::d", "failed")], "done", "breaks_tests"),
        ([ran("t::a"), ran("t::b"), ran("t::d", "timed_out")], "timed_out", "timed_out"),
    ],
)
def test_only_a_whole_pass_is_plausible(results: list[Ran], ended: str, fate: str) -> None:
    assert verdict_of(Reply(tuple(results), ended), SURVEY, TESTS).fate == fate


def test_guards_are_the_passing_tests_that_run_the_change_quickest_first() -> None:
    assert guards_of(SURVEY, [Region("box.py", 3, 5)]) == ["t::d", "t::c"]
    assert guards_of(SURVEY, [Region("other.py", 3, 5)]) == []


def test_limits_follow_the_slowest_test_that_passes_in_the_file() -> None:
    hanging = ran("t::a", "timed_out", 3.0, None, (4,))
    survey = Survey(("t::a",), (), {**SURVEY.results, "t::a": hanging}, frozenset())

    assert limit_of(survey, "t::a") == pytest.approx(0.2 + 10 * 0.2)
    assert limit_of(survey, "elsewhere::x") == pytest.approx(0.2 + 10 * 0.1)


def test_a_part_of_the_survey_takes_no_other_failing_test_for_a_guard() -> None:
    own = SURVEY.of(["t::b"])

    assert own.failing == ("t::b",)
    assert "t::a" not in own.passing


def test_node_ids_stand_for_their_parametrisations_and_files_for_their_tests() -> None:
    collected = ["t.py::a[1]", "t.py::a[2]", "t.py::ab", "u.py::a"]

    assert matching("t.py::a", collected) == ["t.py::a[1]", "t.py::a[2]"]
    assert matching("t.py", collected) == ["t.py::a[1]", "t.py::a[2]", "t.py::ab"]
    assert matching("t.py::b", collected) == []


def test_known_guards_are_watched_first_then_neighbours() -> None:
    collected = [f"t::{letter}" for letter in "abcdef"]

    assert watched(collected, ["t::c"], ["t::f"]) == ["t::f", "t::b", "t::d", "t::a", "t::e"]


def test_the_ledger_counts_every_attempt_with_its_reason() -> None:
    plain = edit("x + 1", "x - 1")
    other = plain.model_copy(update={"strategy": "other"})
    judged = [
        (Attempt(plain), Verdict("still_fails")),
        (Attempt(plain), Verdict("plausible")),
        (Attempt(plain), Verdict("not_run")),
        (Attempt(other), Verdict("breaks_tests", 2, "t::d")),
    ]
    of_other, of_s = ledger(judged)

    assert (of_other.strategy, of_other.tried, of_other.plausible) == ("other", 1, 0)
    assert (of_s.tried, of_s.plausible, sum(of_s.fell.values())) == (2, 1, 2)
    assert why(judged[-1][1]).endswith("t::d")
