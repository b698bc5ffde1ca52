"""Search goes from words to what is related, to shapes and to meaning, and says what it could not do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selfheal_handlers.diagnosis._examples import make_repository

from selfheal.cli.main import main
from selfheal.codebase.history import History
from selfheal.codebase.search import search, words_of
from selfheal.errors import InvalidInput, RepositoryError

PRICES = '''"""Prices."""


def applyDiscount(price, percent):
    """Take a discount off a price."""
    return price - price * percent / 100


def names(db, ids):
    found = []
    for id in ids:
        found.append(db.execute("SELECT name FROM items WHERE id = ?", (id,)).fetchone())
    return found
'''
CART = "from shop.prices import applyDiscount\n\n\ndef total(rows):\n    return sum(applyDiscount(row, 5) for row in rows)\n"
TEST = "from shop.prices import applyDiscount\n\n\ndef test_off():\n    assert applyDiscount(10, 10) == 9\n"
STAGES = (
    ("Start", {"shop/prices.py": PRICES, "shop/rates.json": "{}\n"}),
    ("Cart", {"shop/cart.py": CART, "docs.md": "# Offers\n\nHow a discount works.\n"}),
    ("Percent", {"shop/prices.py": PRICES + "\n# off\n", "shop/late.py": "A = 1\n"}),
    ("Again", {"shop/prices.py": PRICES + "\n# on\n", "shop/late.py": "A = 2\n"}),
    ("Test", {"tests/test_prices.py": TEST}),
)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    make_repository(tmp_path / "repository", STAGES)
    return tmp_path / "repository"


def test_words_find_the_function_and_relations_what_belongs_to_it(repository: Path) -> None:
    found = search(History(repository), "discounts of prices")
    best = found.hits[0]
    assert (best.file, best.function, best.line) == ("shop/prices.py", "applyDiscount", 4)
    reasons = {(hit.file, hit.function): hit.reasons for hit in found.hits}
    assert "calls applyDiscount" in reasons["shop/cart.py", "total"]
    assert "calls applyDiscount" in reasons["tests/test_prices.py", "test_off"]
    assert reasons["docs.md", ""] == ["holds discount"]
    together = reasons["shop/late.py", "<module>"]
    assert together == ["changed in 67 % of the commits that changed shop/prices.py"]
    assert found.actions == [
        "git log -L 4,6:shop/prices.py",
        "python -m pytest tests/test_prices.py::test_off",
        "selfheal search total",
    ]
    scores = [hit.score for hit in found.hits]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 for score in scores)


def test_regular_expressions_and_shapes_are_found(repository: Path) -> None:
    found = search(History(repository), r"execute\(.*WHERE id")
    best = found.hits[0]
    assert best.function == "names"
    assert any(reason.startswith("line 12 matches:") for reason in best.reasons)
    assert any("queries_in_loop" in reason for reason in best.reasons)


def test_a_stage_that_cannot_be_done_says_what_would_help(repository: Path) -> None:
    stages = {stage.name: stage for stage in search(History(repository), "gone (").stages}
    assert "no regular expression" in stages["patterns"].reason
    assert stages["meaning"].state == "unavailable"
    assert "pip install 'selfheal[search]'" in stages["meaning"].reason or (
        "--model" in stages["meaning"].reason
    )
    assert stages["related"].state == "not needed"


def test_what_cannot_be_searched_is_the_users_mistake(repository: Path) -> None:
    with pytest.raises(InvalidInput):
        search(History(repository), "  ")
    with pytest.raises(RepositoryError):
        search(History(repository), "price", revision="unheard")


def test_the_verb_prints_places_or_one_json_document(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--repo", str(repository), "--artifacts", str(tmp_path / "artifacts")]
    assert main(["search", "discount", *where]) == 0
    assert "shop/prices.py:4  applyDiscount" in capsys.readouterr().out
    assert main(["search", "discount", "--json", *where]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["hits"][0]["function"] == "applyDiscount"
    assert main(["search", "zzzunheard", *where]) == 1


@given(st.text())
def test_words_are_lower_case_and_free_of_signs(text: str) -> None:
    assert all(word.isalnum() and word == word.lower() for word in words_of(text))
