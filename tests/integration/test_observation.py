"""The calls of passing tests before and after a patch, recorded in forks of a real suite."""

from __future__ import annotations

import subprocess

import pytest

from selfheal import config
from selfheal.artifacts import Candidate
from selfheal.artifacts.validation import Check
from selfheal.repair.diff import patch_of
from selfheal.sandbox.changes import ChangedFile
from selfheal.sandbox.observation import behaviour_checks

CODE = """\
LIMIT = 10


class Cart:
    def __init__(self, prices):
        self.prices = prices

    def total(self, most=LIMIT):
        return sum(p for p in self.prices if p < most)


def shown(cart):
    return f"{cart.total():.1f}"
"""
SUITE = """\
from cart import Cart, shown


def test_limit():
    assert Cart([4, 10]).total() == 14


def test_small():
    assert Cart([1, 2]).total() == 3


def test_dear():
    assert Cart([1, 99]).total(50) > 0


def test_shown():
    assert shown(Cart([1])) == "1.0"
"""
MEANT = CODE.replace("p < most", "p <= most")
CHANGES_MORE = CODE.replace("if p < most", "if p <= most or most == 50")
OVERFIT = CODE.replace(
    "return sum", "return 14 if len(self.prices) == 2 and self.prices[1] == 10 else sum"
)
CONSTANT = CODE.replace("LIMIT = 10", "LIMIT = 11")


@pytest.fixture(scope="module")
def checks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Check]:
    folder = tmp_path_factory.mktemp("observed")
    repository = folder / "repository"
    repository.mkdir()
    (repository / "cart.py").write_text(CODE)
    (repository / "test_cart.py").write_text(SUITE)
    script = "git init -q . && git add . && git -c user.name=a -c user.email=a@b commit -qm one"
    subprocess.run(["sh", "-c", script], cwd=repository, check=True)
    texts = {"meant": MEANT, "more": CHANGES_MORE, "overfit": OVERFIT, "constant": CONSTANT}
    pairs = [
        (
            Candidate(
                id=name,
                diagnosis_id="d",
                strategy="search",
                rank=1,
                score=0.5,
                files=["cart.py"],
                patch=patch_of({"cart.py": CODE}, {"cart.py": after}),
                explanation="",
                base_commit="HEAD",
            ),
            [ChangedFile(path="cart.py", role="code", before=CODE, after=after)],
        )
        for name, after in texts.items()
    ]
    failing = ["test_cart.py::test_limit"]
    tests = config.TestsConfig()
    return behaviour_checks(repository, "HEAD", folder / "checks", tests, pairs, failing)


def test_every_call_of_a_passing_test_is_held_against_the_same_call_before(
    checks: dict[str, Check],
) -> None:
    assert checks["meant"].counts == {
        "compared": 3,
        "differing": 0,
        "new_literals": 0,
        "expected_literals": 0,
    }


def test_what_comes_out_otherwise_is_listed_with_its_input(checks: dict[str, Check]) -> None:
    assert checks["more"].counts["differing"] == 1
    assert "'most': 50 gives 1 before and gives 100 after" in checks["more"].summary


def test_an_answer_of_the_failing_test_in_the_code_is_told(checks: dict[str, Check]) -> None:
    assert checks["overfit"].counts["differing"] == 0
    assert "it brings what a failing test expects: 10, 14" in checks["overfit"].summary


def test_what_needs_an_import_is_not_held_to_be_the_same(checks: dict[str, Check]) -> None:
    assert checks["constant"].verdict == "unavailable"
    assert "bodies of functions" in checks["constant"].summary
