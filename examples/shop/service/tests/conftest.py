from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from shop import sample
from shop.app import create_app


@pytest.fixture(scope="session")
def sample_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "shop.db"
    sample.create(path)
    return path


@pytest.fixture
def client(sample_file: Path, tmp_path: Path) -> Iterator[FlaskClient]:
    """A visitor of a shop that has just opened, with the sample assortment."""
    shutil.copyfile(sample_file, tmp_path / "shop.db")
    app = create_app(tmp_path / "shop.db")
    app.testing = True
    with app.test_client() as visitor:
        yield visitor
