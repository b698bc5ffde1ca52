"""Planted faults in small repositories are found by running their failing tests."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from selfheal import config
from selfheal.artifacts.diagnosis import Diagnosis, Impact, Location
from selfheal.repair import Problem, edited
from selfheal.repair.strategies import instance_attribute
from selfheal.repair.strategies.base import Strategy
from selfheal.sandbox.search import search_all
from selfheal.sandbox.search_lanes import Lanes
from selfheal.sandbox.search_model import SearchReport

NO_IMPACT = Impact(severity="low", affected_requests=0, all_requests=0, share=0, explanation="")


def searched(
    folder: Path,
    files: Mapping[str, str],
    *failing: str,
    strategy: Strategy | None = None,
    accused: Mapping[str, int] | None = None,
    **limits: int,
) -> tuple[SearchReport, list[str]]:
    """The report, and the plausible edits as the texts of the files that they change.

    The edits of a `strategy` are tried beside the search space; `accused` are lines.
    """
    repository = folder / "repository"
    for name, text in files.items():
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text(text)
    script = "git init -q . && git add . && git -c user.name=a -c user.email=a@b commit -qm one"
    subprocess.run(["sh", "-c", script], cwd=repository, check=True)
    accused = accused or {}
    diagnosis = Diagnosis(
        id="diagnosis",
        anomaly_ids=[],
        kind="error",
        service="s",
        operation="o",
        title="t",
        verdict="code_cause",
        reason="",
        locations=[Location(file=f, line=n, function="", score=1) for f, n in accused.items()],
        suspect_commits=[],
        root_service="s",
        impact=NO_IMPACT,
        complexity="low",
        recommendations=[],
        evidence={"failing_tests": list(failing)},
    )
    problem = Problem(diagnosis=diagnosis, base_commit="HEAD", sources=dict(files))
    tests = config.TestsConfig()
    with Lanes(repository, "HEAD", folder / "lanes", tests, failing, count=2, seconds=120) as lanes:
        given = {"diagnosis": list(strategy.propose(problem))} if strategy else {}
        (report,) = search_all([problem], given, lanes, config.SearchConfig(**limits))
    texts = [
        text
        for edit in report.plausible
        for text in edited(edit, problem.sources).values()
        if text is not None
    ]
    return report, texts


def test_a_wrong_operator_in_a_src_layout_with_unittest_and_a_suite_that_was_red(
    tmp_path: Path,
) -> None:
    code = "def total(prices, limit):\n    return sum(p for p in prices if p < limit)\n"
    suite = """\
import unittest
from prices.sums import total

class Sums(unittest.TestCase):
    def test_limit_counts(self):
        self.assertEqual(total([1, 2, 3], 2), 3)

    def test_small(self):
        self.assertEqual(total([1, 2], 9), 3)

    def test_red_for_long(self):
        self.assertEqual(total([1], 9), 2)
"""
    files = {"src/prices/__init__.py": "", "src/prices/sums.py": code, "tests/test_sums.py": suite}
    report, texts = searched(tmp_path, files, "tests/test_sums.py::Sums::test_limit_counts")

    assert code.replace("<", "<=") in texts
    assert report.told.guards == 1
    assert not report.told.cut


def test_a_loop_without_end_in_a_method(tmp_path: Path) -> None:
    code = """\
class Queue:
    def __init__(self, items):
        self.items = list(items)

    def drain(self, stop):
        taken = []
        while len(self.items) >= stop:
            taken.append(self.items.pop(0)) if self.items else None
        return taken

    def size(self):
        return len(self.items)
"""
    suite = """\
from tasks import Queue

def test_drains_all():
    assert Queue([1, 2]).drain(0) == [1, 2]

def test_size():
    assert Queue([1]).size() == 1
"""
    files = {"tasks.py": code, "test_tasks.py": suite}
    report, texts = searched(tmp_path, files, "test_tasks.py::test_drains_all", enough=1)

    assert code.replace(">= stop", "> stop") in texts
    told = {reason for each in report.told.ledger for reason in each.fell}
    assert told


def test_a_constant_of_a_module_is_changed_where_the_tests_import_it_anew(tmp_path: Path) -> None:
    code = "LIMIT = 3\n\n\ndef allowed(n):\n    return n < LIMIT\n\n\nALLOWED = [allowed(n) for n in range(5)]\n"
    suite = "from limits import ALLOWED\n\ndef test_allowed():\n    assert ALLOWED == [True] * 4 + [False]\n"
    files = {"limits.py": code, "tests/test_limits.py": suite, "conftest.py": ""}
    report, texts = searched(tmp_path, files, "tests/test_limits.py::test_allowed", imports=60)

    assert report.told.unavailable is None
    assert not any("test_" in path for edit in report.plausible for path in edit.files)
    assert code.replace("LIMIT = 3", "LIMIT = 4") in texts
    assert code.replace("n < LIMIT", "n <= LIMIT") in texts
    assert all(text.startswith("LIMIT") for text in texts)


def test_tests_that_pass_here_are_no_reproducer(tmp_path: Path) -> None:
    files = {"app.py": "def one():\n    return 1\n", "test_app.py": "def test_one():\n    pass\n"}
    report, _ = searched(tmp_path, files, "test_app.py::test_one")

    assert report.told.unavailable == "the failing tests do not fail here, or not each time"


def test_a_suite_that_does_not_collect_is_told(tmp_path: Path) -> None:
    files = {
        "conftest.py": "raise RuntimeError\n",
        "test_app.py": "def test_one():\n    assert 0\n",
    }
    report, _ = searched(tmp_path, files, "test_app.py::test_one")

    assert report.told.unavailable is not None
    assert report.told.unavailable.startswith("the tests could not be run in forks")


@pytest.mark.parametrize("candidates", [30])
def test_a_search_that_is_repeated_finds_the_same(tmp_path: Path, candidates: int) -> None:
    code = "def last(values):\n    return values[len(values)]\n"
    suite = "from ends import last\n\ndef test_last():\n    assert last([1, 2]) == 2\n"
    files = {"ends.py": code, "test_ends.py": suite}
    one = searched(tmp_path / "one", files, "test_ends.py::test_last", candidates=candidates)
    two = searched(tmp_path / "two", files, "test_ends.py::test_last", candidates=candidates)

    assert one == two
    assert one[1]


def test_three_faults_in_one_path_are_mended_one_after_the_other(tmp_path: Path) -> None:
    """Each failing test needs an edit of its own, so that no pair of edits mends them all."""
    code = """
def parse(line):
    key, _, value = line.partition("=")
    return key.strip(), value


def load(text):
    pairs = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        key, value = parse(line)
        pairs[key] = value
    return pairs


def count(text):
    return len(load(text)) - 1
"""
    suite = """
from settings import count, load, parse

def test_space():
    assert parse("a = b") == ("a", "b")

def test_blank():
    assert load("a=1\\n\\nb=2") == {"a": "1", "b": "2"}

def test_comment():
    assert load("# x\\na=1") == {"a": "1"}

def test_count():
    assert [count("a=1\\nb=2"), count("")] == [2, 0]
"""
    files = {"settings.py": code, "test_settings.py": suite}
    failing = [f"test_settings.py::test_{name}" for name in ("blank", "count", "space")]
    report, texts = searched(tmp_path, files, *failing, candidates=600)

    assert sorted(report.told.tests) == failing
    assert any("value.strip()" in text and "- 1" not in text for text in texts)


def test_a_wrong_default_is_found_among_edits_that_only_fit_the_tests(tmp_path: Path) -> None:
    code = """
def camel(text, upper=False, *, gap="-"):
    if upper:
        return gap.join(part.title() for part in text.split("_"))
    return text[0].lower() + camel(text)[1:]


def narrow(text, gap=" "):
    return camel(text, True, gap=gap)
"""
    suite = """
from names import camel

def test_upper():
    assert camel("a_b") == "A-B"

def test_more():
    assert camel("one_two") == "One-Two"

def test_given():
    assert camel("a_b", True, gap="") == "AB"
"""
    files = {"names.py": code, "test_names.py": suite}
    report, texts = searched(
        tmp_path, files, "test_names.py::test_upper", "test_names.py::test_more", candidates=600
    )
    assert any("upper=True" in text for text in texts), report.told


def test_a_fault_that_a_strategy_knows_stands_before_edits_that_hide_it(tmp_path: Path) -> None:
    code = "class Basket:\n    items = []\n    def put(self, item):\n        self.items.append(item)\n        return len(self.items)\n"
    suite = "from shop import Basket\n\ndef test_put():\n    assert Basket().put(1) == 1\n    assert Basket().put(2) == 1\n"
    files = {"shop.py": code, "test_shop.py": suite}
    _, texts = searched(
        tmp_path,
        files,
        "test_shop.py::test_put",
        strategy=instance_attribute.STRATEGY,
        accused={"shop.py": 4},
    )

    assert "self.items = []" in texts[0]
    assert len(texts) > 1


def test_a_module_that_fails_at_import_is_searched_by_importing_it_anew(tmp_path: Path) -> None:
    code = "def factor(name):\n    return {'m': 1, 'km': 1000}[name.lower]\n\n\nFACTORS = {name: factor(name) for name in ('M', 'KM')}\n"
    suite = "from units import FACTORS\n\ndef test_km():\n    assert FACTORS['KM'] == 1000\n"
    files = {"units.py": code, "test_units.py": suite}
    report, texts = searched(tmp_path, files, "test_units.py", accused={"units.py": 2})

    assert report.told.unavailable is None
    assert code.replace("name.lower", "name.lower()") in texts


def test_a_failing_test_that_no_edit_touches_does_not_keep_the_others_from_being_mended(
    tmp_path: Path,
) -> None:
    code = "def full(n, room):\n    return n >= room\n\n\ndef empty(n):\n    return not n\n"
    suite = "from room import empty, full\n\ndef test_elsewhere():\n    assert empty(0) and 'broken elsewhere' == ''\n\ndef test_full():\n    assert not full(2, 2)\n"
    files = {"room.py": code, "test_room.py": suite}
    failing = ["test_room.py::test_elsewhere", "test_room.py::test_full"]
    report, texts = searched(tmp_path, files, *failing, candidates=80, pairs=20)

    assert report.told.tests == ["test_room.py::test_full"]
    assert report.told.left == ["test_room.py::test_elsewhere"]
    assert report.told.tried > 80, "what was tried before a test was left out counts"
    assert report.told.proposed >= report.told.tried
    assert code.replace(">=", ">") in texts


def test_a_source_that_the_tests_make_a_folder_costs_attempts_and_not_the_search(
    tmp_path: Path,
) -> None:
    suite = """
import os
import limits

def test_limit():
    if os.path.isfile("limits.py"):
        os.remove("limits.py")
        os.mkdir("limits.py")
    assert limits.LIMIT == 4
"""
    files = {"limits.py": "LIMIT = 3\n", "test_limits.py": suite}
    report, _ = searched(tmp_path, files, "test_limits.py::test_limit", candidates=50)
    assert report.told.unavailable is None
    assert report.told.proposed > 0


def test_where_nothing_tells_unlike_edits_apart_none_is_proposed(tmp_path: Path) -> None:
    code = "def scaled(n, by):\n    return n * by\n"
    suite = "from scale import scaled\n\ndef test_other():\n    assert scaled(3, 2) != 6\n"
    files = {"scale.py": code, "test_scale.py": suite}
    report, texts = searched(tmp_path, files, "test_scale.py::test_other")

    assert report.told.plausible > 3
    assert texts == []
    assert "which of them is right cannot be told" in (report.told.note or "")


@pytest.mark.parametrize("called", [False, True])
def test_a_guessed_pair_alters_no_call_that_passing_tests_make(
    tmp_path: Path, called: bool
) -> None:
    code = "def both(a, b):\n    x = a - b\n    y = a * b\n    return x, y\n"
    suite = "from both import both\n\ndef test_both():\n    assert both(4, 3)[0] == 7\n    assert both(4, 3)[1] == 1\n"
    suite += "\ndef test_call():\n    both(9, 5)\n" if called else ""
    files = {"both.py": code, "test_both.py": suite}
    report, texts = searched(tmp_path, files, "test_both.py::test_both")

    assert report.told.plausible
    assert texts == [] if called else "x = a + b\n    y = a - b" in "".join(texts)
