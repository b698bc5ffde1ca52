"""Steps stand again in the order that holds, in code and in sequence files, and the rest stays."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from repair_problems import PATH, problem_of

from selfheal.artifacts.patch import RecordedRequest
from selfheal.repair import STRATEGIES, Client, Problem, edited, regression_test
from selfheal.repair.beats import sequence_text
from selfheal.repair.flow_docs import DEFAULT_PATH, with_flow

BY_NAME = {strategy.name: strategy for strategy in STRATEGIES}
FILE = "flows/sequence.json"


def code_problem(text: str, good: str | None = None, **facts: str) -> Problem:
    return problem_of(text, 2, dict(facts), kind="behavioral", good=good)


def texts(problem: Problem, strategy: str = "order_steps") -> list[str]:
    edits = sorted(BY_NAME[strategy].propose(problem), key=lambda each: -each.fit)
    path = FILE if strategy == "order_beats" else PATH
    return [edited(edit, problem.sources)[path] or "" for edit in edits]


def test_a_step_is_not_moved_over_what_it_depends_on() -> None:
    text = "def f(cart):\n    total = charge(cart)\n    reserve(cart, total)\n    return total\n"
    problem = code_problem(text, violation="swapped", step="reserve", other="charge")
    assert texts(problem) == []


def test_the_other_step_goes_down_where_the_first_cannot_go_up() -> None:
    text = (
        "def f(cart):\n    charge(cart)\n    held = hold(cart)\n    reserve(cart, held)\n"
        "    return held\n"
    )
    problem = code_problem(text, violation="swapped", step="reserve", other="charge")
    wanted = (
        "def f(cart):\n    held = hold(cart)\n    reserve(cart, held)\n    charge(cart)\n"
        "    return held\n"
    )
    assert texts(problem) == [wanted]


def test_a_step_inside_of_a_branch_moves_with_its_branch() -> None:
    text = "def f(cart):\n    charge(cart)\n    if cart:\n        reserve(cart)\n    return cart\n"
    problem = code_problem(text, violation="swapped", step="reserve", other="charge")
    assert texts(problem)[0] == (
        "def f(cart):\n    if cart:\n        reserve(cart)\n    charge(cart)\n    return cart\n"
    )


def test_what_stands_in_place_of_the_lost_step_is_replaced() -> None:
    text = "def f(cart):\n    rows = list(cart)\n    total = sum(rows)\n    pay(total)\n"
    good = text.replace("sum(rows)", "discount(sum(rows))")
    text = text.replace("def f", "from till import discount\n\n\ndef f")
    good = good.replace("def f", "from till import discount\n\n\ndef f")
    problem = problem_of(
        text, 5, {"violation": "missing", "step": "discount"}, kind="behavioral", good=good
    )
    assert texts(problem)[0] == good


def test_a_step_that_the_good_release_took_once_is_taken_where_it_took_it() -> None:
    text = "def f(cart):\n    for line in cart:\n        book(line)\n        mail(cart)\n    return 1\n"
    good = "def f(cart):\n    for line in cart:\n        book(line)\n    mail(cart)\n    return 1\n"
    problem = code_problem(text, good, violation="duplicated", step="mail")
    assert texts(problem)[0] == good


def test_a_step_whose_value_is_read_is_not_dropped() -> None:
    text = "def f(cart):\n    total = charge(cart)\n    return total\n"
    assert texts(code_problem(text, violation="extra", step="charge")) == []


def sequence(names: list[str], *, numbered: bool = True, cut: int | None = None) -> str:
    beats = [
        {**({"beat": n} if numbered else {}), "handler": name, "with": {"a": [n, "é"]}}
        for n, name in enumerate(names, start=1)
    ]
    cut = len(beats) if cut is None else cut
    movements = [{"id": "a", "beats": beats[:cut]}, {"id": "b", "beats": beats[cut:]}]
    return json.dumps({"id": "flow", "movements": movements}, indent=2, ensure_ascii=False) + "\n"


def file_problem(text: str, good: str | None = None, **facts: str) -> Problem:
    problem = problem_of("def f():\n    pass\n", 1, dict(facts), kind="behavioral")
    return problem.model_copy(
        update={
            "sources": {**problem.sources, FILE: text},
            "good_sources": {FILE: good} if good else {},
        }
    )


def handlers(text: str) -> list[str]:
    found = sequence_text(FILE, text)
    assert found is not None
    return [beat.name for beat in found.beats]


NAMES = ["open", "charge", "pack", "reserve", "close"]


@pytest.mark.parametrize("cut", [5, 3, 1])
def test_a_beat_moves_before_the_one_that_it_must_precede(cut: int) -> None:
    text = sequence(NAMES, cut=cut)
    problem = file_problem(text, violation="swapped", step="reserve", other="charge")
    (made,) = texts(problem, "order_beats")
    assert handlers(made) == ["open", "reserve", "charge", "pack", "close"]
    beats = [beat.value["beat"] for beat in sequence_text(FILE, made).beats]  # type: ignore[union-attr]
    assert beats == [1, 2, 3, 4, 5]


def test_a_second_beat_is_dropped_and_an_extra_one_too() -> None:
    text = sequence([*NAMES, "charge"])
    (twice, *_) = texts(file_problem(text, violation="duplicated", step="charge"), "order_beats")
    assert twice == sequence(NAMES)
    (less,) = texts(file_problem(sequence(NAMES), violation="extra", step="pack"), "order_beats")
    assert handlers(less) == ["open", "charge", "reserve", "close"]


@pytest.mark.parametrize("lost", NAMES)
def test_a_lost_beat_is_back_where_it_was(lost: str) -> None:
    good = sequence(NAMES)
    text = sequence([name for name in NAMES if name != lost])
    problem = file_problem(text, good, violation="missing", step=lost)
    (made,) = texts(problem, "order_beats")
    assert handlers(made) == NAMES
    assert [each.value["beat"] for each in sequence_text(FILE, made).beats] == [1, 2, 3, 4, 5]  # type: ignore[union-attr]


@settings(max_examples=40)
@given(
    order=st.permutations(range(5)),
    indent=st.sampled_from([None, 1, 2, 4, "\t"]),
    newline=st.sampled_from(["\n", "\r\n"]),
    end=st.sampled_from(["", "\n"]),
)
def test_only_the_places_of_beats_change(
    order: list[int], indent: int | str | None, newline: str, end: str
) -> None:
    """The texts of the beats, and what stands between them, are the same before and after."""
    beats = [{"name": f"step{n}", "note": f"ü {n}", "with": {"z": 1, "a": n}} for n in order]
    text = json.dumps({"movements": [{"beats": beats}], "b": 1, "a": 2}, indent=indent) + end
    text = text.replace("\n", newline)
    late, early = f"step{order[4]}", f"step{order[1]}"
    problem = file_problem(text, violation="swapped", step=late, other=early)
    (made,) = texts(problem, "order_beats")
    before, after = sequence_text(FILE, text), sequence_text(FILE, made)
    assert before is not None
    assert after is not None

    def parts(found: Any, whole: str) -> tuple[list[str], list[str]]:
        spans = [beat.span for beat in found.beats]
        edges = [0, *(edge for span in spans for edge in span), len(whole)]
        gaps = [whole[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True)]
        return gaps, sorted(whole[a:b] for a, b in spans)

    assert parts(before, text) == parts(after, made)
    names = [beat.name for beat in after.beats]
    assert names.index(late) + 1 == names.index(early)


def test_the_flow_is_drawn_within_its_markers() -> None:
    text = "# Shop\n\nText.\n"
    once = with_flow(text, "GET /a", ["open", 'say "hi"'])
    assert once.startswith(text)
    assert 's1["open"]' in once
    assert "s1 --> s2" in once
    assert with_flow(once, "GET /a", ["open", 'say "hi"']) == once
    assert with_flow(once, "GET /a", ["close"]).replace("close", "x").count("s1[") == 1
    problem = file_problem(sequence(NAMES), violation="swapped", step="reserve", other="charge")
    (edit,) = BY_NAME["order_beats"].propose(problem)
    assert "selfheal:flow flow" in (edited(edit, problem.sources)[DEFAULT_PATH] or "")


SHOP = """\
def reserve(cart):
    cart.append("reserved")


def charge(cart):
    cart.append("charged")


class Reply:
    status_code = 200


def order():
    cart = []
    charge(cart)
    reserve(cart)
    return Reply()
"""
CONFTEST = """\
import app
import pytest


class Client:
    def open(self, path, method="GET", data=None, content_type=None):
        return app.order()


@pytest.fixture
def client():
    return Client()
"""


def outcome(folder: Path, test: str, name: str) -> int:
    path = folder / "tests" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(test)
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", str(path)]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode


def test_the_order_test_fails_before_and_passes_after(tmp_path: Path) -> None:
    facts: dict[str, object] = {"violation": "swapped", "step": "shop.reserve", "other": "charge"}
    problem = problem_of(SHOP, 15, facts, kind="behavioral").model_copy(
        update={
            "requests": [RecordedRequest(method="POST", path="/orders", status=200)],
            "client": Client(fixture="client", style="werkzeug", folder="tests"),
        }
    )
    made = regression_test(problem)
    assert made.reproducer.test_name == "test_post_orders_keeps_its_order"
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / PATH).write_text(SHOP)
    assert outcome(tmp_path, made.text or "", "test_made.py") == 1
    (tmp_path / PATH).write_text(texts(problem)[0])
    assert outcome(tmp_path, made.text or "", "test_made.py") == 0


def test_the_test_of_a_sequence_file_needs_no_request(tmp_path: Path) -> None:
    text = sequence(NAMES)
    problem = file_problem(text, violation="swapped", step="reserve", other="charge")
    made = regression_test(problem)
    assert made.reproducer.unavailable is None
    (tmp_path / FILE).parent.mkdir()
    (tmp_path / FILE).write_text(text)
    assert outcome(tmp_path, made.text or "", "test_made.py") == 1
    (tmp_path / FILE).write_text(texts(problem, "order_beats")[0])
    assert outcome(tmp_path, made.text or "", "test_made.py") == 0


@pytest.mark.parametrize("number", range(len(BY_NAME["order_steps"].examples)))
def test_what_is_not_edited_stays_to_the_byte(number: int) -> None:
    example = BY_NAME["order_steps"].examples[number]
    above = "# größer ✓\r\n"
    text = above + example.before.replace("\n", "\r\n")
    good = above + example.good.replace("\n", "\r\n") if example.good else None
    problem = problem_of(text, example.line + 1, example.evidence, kind="behavioral", good=good)
    assert above + example.after.replace("\n", "\r\n") in texts(problem)
