"""The registry: explicit tables and a project's folder, nothing guessed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from selfheal.errors import HandlerError
from selfheal.registry import Registry

MINE = """
from selfheal.contract import handler

@handler("{name}", kind="pure", example=lambda folder: {{}})
def {name}() -> int:
    return 1
"""


def project(tmp_path: Path, **files: str) -> Registry:
    folder = tmp_path / "handlers"
    folder.mkdir()
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return Registry(tmp_path, packages=False)


def test_a_projects_handlers_are_found_with_their_files(tmp_path: Path) -> None:
    registry = project(tmp_path, mine=MINE.format(name="mine"), _private="1 / 0")
    assert registry.names() == ["mine"]
    assert registry.get("mine")() == 1
    assert registry.origin("mine").endswith("mine.py")


def test_two_handlers_of_one_name_are_both_named(tmp_path: Path) -> None:
    registry = project(tmp_path, a=MINE.format(name="same"), b=MINE.format(name="same"))
    with pytest.raises(HandlerError) as caught:
        registry.names()
    assert "a.py" in str(caught.value)
    assert "b.py" in str(caught.value)


def test_an_unknown_name_gives_the_nearest(tmp_path: Path) -> None:
    registry = project(tmp_path, mine=MINE.format(name="check_licence"))
    with pytest.raises(HandlerError, match="Did you mean check_licence"):
        registry.get("check_license")


@pytest.mark.parametrize(
    ("text", "line"), [("x = 1\n1 / 0\n", 2), ("def broken(:\n", 1), ("\n\nimport nowhere\n", 3)]
)
def test_a_file_that_does_not_load_is_named_with_its_line(
    tmp_path: Path, text: str, line: int
) -> None:
    with pytest.raises(HandlerError, match=rf"bad\.py:{line}"):
        project(tmp_path, bad=text).names()


def test_making_a_registry_imports_no_handlers() -> None:
    code = (
        "import sys; from selfheal.registry import Registry; Registry();"
        "assert 'selfheal_handlers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
