"""``selfheal init`` finds what is there, says where, and writes a file that loads."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from selfheal.cli.discovery import discover
from selfheal.cli.init import render
from selfheal.cli.main import main
from selfheal.configuration import load_settings

FLASK_FACTORY = """\
from flask import Flask

def create_app(database=None):
    app = Flask(__name__)

    @app.get("/healthz")
    def health():
        return "ok"

    return app
"""
CONFTEST = """\
import pytest
from shop import create_app

@pytest.fixture
def database():
    return ":memory:"

@pytest.fixture()
def web(database):
    return create_app(database).test_client()
"""


def repository(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    subprocess.run(["git", "init", "-q", "-b", "trunk", str(folder)], check=True)
    return folder


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return repository(
        tmp_path / "shop",
        {
            "pyproject.toml": '[project]\nname = "web-shop"\ndependencies = ["flask", "waitress"]\n'
            "[tool.pytest.ini_options]\n",
            "src/shop/__init__.py": FLASK_FACTORY,
            "tests/conftest.py": CONFTEST,
            "CHANGELOG.md": "# Changes\n",
            "Makefile": "check: test\n\techo\ntest:\n\techo\n",
        },
    )


def values(folder: Path) -> dict[str, object]:
    return {key: finding.value for key, finding in discover(folder).findings.items()}


def test_a_flask_factory_behind_waitress(shop: Path) -> None:
    found = values(shop)
    assert found["service.name"] == "web-shop"
    assert found["service.start"] == [
        "{python}",
        "-m",
        "waitress",
        "--listen=127.0.0.1:{port}",
        "--call",
        "shop:create_app",
    ]
    assert found["service.health"] == "/healthz"
    assert found["tests.client_fixture"] == "web"
    assert found["tests.sources"] == ["shop"]
    assert found["deploy.base"] == "trunk"
    assert found["deploy.ci_command"] == ["make", "check"]
    assert found["fix.changelog"] == "CHANGELOG.md"


def test_every_finding_says_where(shop: Path) -> None:
    findings = discover(shop).findings
    assert findings["service.start"].found_in == "src/shop/__init__.py:4"
    assert findings["tests.client_fixture"].found_in == "tests/conftest.py:9"


@pytest.mark.parametrize(
    ("files", "start"),
    [
        (
            {"app.py": "from fastapi import FastAPI\napp = FastAPI()\n"},
            ["{python}", "-m", "uvicorn", "app:app", "--port", "{port}"],
        ),
        (
            {"web/main.py": "from flask import Flask\nsite = Flask(__name__)\n"},
            ["{python}", "-m", "flask", "--app", "web.main:site", "run", "--port", "{port}"],
        ),
        (
            {"manage.py": "# Django\n"},
            ["{python}", "manage.py", "runserver", "127.0.0.1:{port}", "--noreload"],
        ),
    ],
)
def test_other_frameworks(tmp_path: Path, files: dict[str, str], start: list[str]) -> None:
    assert values(repository(tmp_path / "x", files))["service.start"] == start


def test_a_factory_with_required_arguments_cannot_be_started(tmp_path: Path) -> None:
    text = "from flask import Flask\ndef make(database):\n    return Flask(__name__)\n"
    discovered = discover(repository(tmp_path / "x", {"app.py": text}))
    assert "service.start" not in discovered.findings
    assert "service.start" in discovered.missing


def test_files_that_do_not_parse_and_ignored_ones_do_no_harm(tmp_path: Path) -> None:
    files = {
        "broken.py": "def (:\n",
        ".gitignore": "env/\n",
        "env/app.py": "from flask import Flask\napp = Flask(__name__)\n",
    }
    assert "service.start" not in values(repository(tmp_path / "x", files))


def test_what_init_writes_loads_and_is_not_overwritten(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", "--repo", str(shop), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["file"] == str(shop / "selfheal.yaml")
    settings = load_settings(shop)
    assert settings.tests.client_fixture == "web"
    assert settings.deploy.approval == "review"
    assert main(["init", "--repo", str(shop)]) == 2
    assert "selfheal init --force" in capsys.readouterr().err
    assert main(["init", "--repo", str(shop), "--force"]) == 0


def test_an_empty_repository_gives_a_file_that_loads_too(tmp_path: Path) -> None:
    folder = repository(tmp_path / "empty", {})
    (folder / "selfheal.yaml").write_text(render(discover(folder)), encoding="utf-8")
    assert load_settings(folder).service.name == "empty"


def test_no_repository_is_an_input_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", "--repo", str(tmp_path)]) == 2
    assert "no git repository" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
