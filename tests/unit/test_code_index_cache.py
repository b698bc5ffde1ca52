"""Stored facts give the same index as parsing does, whatever became of the store."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selfheal_handlers.diagnosis._examples import make_repository

from selfheal.codebase.history import History
from selfheal.codebase.index import CodeIndex, FileFacts
from selfheal.codebase.index_cache import StoredFacts

CART = (
    "from .prices import price\n\n\nclass Cart:\n    def total(self):\n        return price(self)\n"
)
PRICES = "def price(cart):\n    return len(cart)\n"
STAGES = (
    ("Start", {"shop/cart.py": CART, "shop/prices.py": PRICES, "README.md": "# price\n"}),
    ("More", {"shop/prices.py": PRICES + "\n\ndef tax():\n    return 1\n", "copy/cart.py": CART}),
    ("Broken", {"shop/prices.py": "def price(:\n"}),
)


def test_stored_facts_give_the_index_that_parsing_gives(tmp_path: Path) -> None:
    """Equal content at two paths keeps two sets of facts: relative imports differ."""
    commits = make_repository(tmp_path / "repository", STAGES)
    history, cache = History(tmp_path / "repository"), StoredFacts(tmp_path / "c" / "facts.sqlite")
    for _ in range(2):
        for commit in commits:
            stored = CodeIndex.build(history, commit, cache=cache)
            assert stored == CodeIndex.build(history, commit)
    assert stored.imports["shop/cart.py"] != stored.imports["copy/cart.py"]


def test_only_what_is_new_is_parsed(tmp_path: Path) -> None:
    commits = make_repository(tmp_path / "repository", STAGES)
    history, cache = History(tmp_path / "repository"), StoredFacts(tmp_path / "facts.sqlite")
    CodeIndex.build(history, commits[0], cache=cache)
    blobs = dict(history.blobs(commits[1]))
    assert sorted(cache.known(blobs)) == ["README.md", "shop/cart.py"]


@pytest.mark.parametrize("content", [b"", b"no database at all, only some bytes" * 200])
def test_a_store_that_cannot_be_read_is_made_anew(tmp_path: Path, content: bytes) -> None:
    cache = StoredFacts(tmp_path / "facts.sqlite")
    cache.file.write_bytes(content)
    facts = {"a.md": FileFacts(words=["one"])}
    assert cache.known({"a.md": "b1"}) == {}
    cache.add({"a.md": "b1"}, facts)
    cache.add({"a.md": "b1"}, facts)
    assert cache.known({"a.md": "b1", "c.md": "b2"}) == facts


def test_a_folder_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = StoredFacts(tmp_path / "file" / "facts.sqlite")
    cache.add({"a.md": "b1"}, {"a.md": FileFacts()})
    assert cache.known({"a.md": "b1"}) == {}


@given(st.text(st.characters(codec="utf-8"), max_size=200))
def test_any_text_has_facts(text: str) -> None:
    for name in ("a.py", "a.md"):
        assert CodeIndex.of({name: text}).files == [name]
