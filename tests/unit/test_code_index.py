"""The code index answers where a name, a path from telemetry or a route lies."""

from __future__ import annotations

from pathlib import Path

import pytest
from selfheal_handlers.diagnosis._examples import make_repository

from selfheal.codebase.history import History
from selfheal.codebase.index import CodeIndex, is_test, is_vendored

SHOP = """from flask import Blueprint

from .prices import total as price_of
from shop import helpers

bp = Blueprint("shop", __name__)


class Cart:
    def __init__(self, items):
        self.items = items

    def total(self):
        return sum(self._one(item) for item in self.items)

    def _one(self, item):
        return price_of(item)


@bp.get("/carts/<int:id>")
def show(id):
    def inner():
        return helpers.load(id)

    return Cart(inner()).total()
"""
FILES = {
    "src/shop/__init__.py": "from .prices import total\n",
    "src/shop/cart.py": SHOP,
    "src/shop/prices.py": "def total(item):\n    return item\n",
    "src/shop/helpers.py": "import math\n\ndef load(id):\n    return math.total(id)\n",
    "src/shop/app.py": "from shop import total\n\ndef run():\n    return total(1)\n",
    "tests/test_cart.py": "def test_total():\n    pass\n\ndef helper():\n    pass\n",
    "broken.py": "def (",
    "docs/guide.md": "# Guide\n\n`show` answers /carts/{id}.\n",
}


@pytest.fixture(scope="module")
def index() -> CodeIndex:
    return CodeIndex.of(FILES)


def test_functions_are_found_by_line_innermost_first(index: CodeIndex) -> None:
    inside = index.function_at("src/shop/cart.py", 23)
    assert inside is not None
    assert inside.qualified_name == "show.inner"
    decorator = index.function_at("src/shop/cart.py", 20)
    assert decorator is not None
    assert (decorator.qualified_name, decorator.line) == ("show", 21)
    assert index.function_at("src/shop/cart.py", 6) is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Cart.total", ["Cart.total"]),
        ("shop.cart.Cart.total", ["Cart.total"]),
        ("show.<locals>.inner", ["show.inner"]),
        ("srv.app.src.shop.prices.total", ["total"]),
        ("math.total", []),
        ("nothing", []),
        ("", []),
    ],
)
def test_names_are_found_as_code_and_telemetry_write_them(
    index: CodeIndex, name: str, expected: list[str]
) -> None:
    assert [found.qualified_name for found in index.find(name)] == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/srv/app/shop/cart.py", "src/shop/cart.py"),
        ("shop\\cart.py", "src/shop/cart.py"),
        ("cart.py", "src/shop/cart.py"),
        ("/usr/lib/python3.11/json/decoder.py", None),
        ("", None),
    ],
)
def test_paths_from_telemetry_are_found_by_their_end(
    index: CodeIndex, path: str, expected: str | None
) -> None:
    assert index.locate(path) == expected


def test_a_path_that_fits_two_files_equally_is_not_guessed() -> None:
    index = CodeIndex.of({"a/views.py": "", "b/views.py": ""})
    assert index.locate("views.py") is None
    assert index.locate("/x/b/views.py") == "b/views.py"


def test_calls_are_followed_through_imports_packages_and_self(index: CodeIndex) -> None:
    def callees(name: str) -> list[str]:
        return [
            f"{found.file.rpartition('/')[2]}:{found.qualified_name}"
            for found in index.callees(index.find(name)[0])
        ]

    assert callees("Cart.total") == ["cart.py:Cart._one"]
    assert callees("Cart._one") == ["prices.py:total"]
    assert callees("show.inner") == ["helpers.py:load"]
    assert callees("run") == ["prices.py:total"]
    assert callees("helpers.load") == []


def test_routes_are_found_whatever_their_parameters_are_called(index: CodeIndex) -> None:
    assert [found.name for found in index.routed("/carts/{cart}")] == ["show"]
    assert [found.name for found in index.routed("/api/carts/:id")] == ["show"]
    assert index.routed("/other") == []


def test_broken_files_are_noted_and_tests_and_documents_are_known(index: CodeIndex) -> None:
    assert [(found.file, found.line) for found in index.broken] == [("broken.py", 1)]
    assert [found.name for found in index.tests] == ["test_total"]
    assert index.docs_mentioning("show") == ["docs/guide.md"]
    assert index.docs_mentioning("/carts/{id}") == ["docs/guide.md"]
    assert index.docs_mentioning("sho") == []


def test_an_index_survives_storage(index: CodeIndex) -> None:
    assert CodeIndex.model_validate_json(index.model_dump_json()) == index


def test_the_index_is_of_the_commit_and_leaves_out_vendored_code(tmp_path: Path) -> None:
    path = tmp_path / "repo"
    commits = make_repository(
        path,
        [
            ("First", {"a.py": "def f(): ...\n", "vendor/b.py": "def g(): ...\n"}),
            ("Next", {"a.py": ""}),
        ],
    )
    index = CodeIndex.build(History(path), commits[0], vendored=["vendor/"])
    assert [found.name for found in index.definitions] == ["f"]


def test_test_files_and_vendored_folders_are_told_by_whole_names() -> None:
    assert is_test("tests/a.py")
    assert is_test("a/test_b.py")
    assert not is_test("contest/a.py")
    assert is_vendored("x/vendor/y.py", ["vendor/"])
    assert not is_vendored("myvendor/y.py", ["vendor/"])
