"""An installed selfheal does everything from a folder outside of this repository.

sdist → wheel → clean environment. The environment holds the wheel alone; the packages
that selfheal depends on are lent to it, so that the test needs no network.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

THIRD_PARTY = {
    "pyproject.toml": """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "acme-licences"
version = "1"

[project.entry-points."selfheal.handlers"]
licences = "acme_licences:HANDLERS"

[project.entry-points."selfheal.sequences"]
licences = "acme_licences.sequences"
""",
    "acme_licences/__init__.py": """\
from selfheal.artifacts import Telemetry
from selfheal.contract import handler


@handler("count_licences", kind="pure", example=lambda folder: {})
def count_licences(telemetry: Telemetry) -> list[str]:
    return sorted({release.version for release in telemetry.releases})


HANDLERS = (count_licences,)
""",
    "acme_licences/sequences/__init__.py": "",
    "acme_licences/sequences/count.json": '{"extends": "anomaly.detect", '
    '"beats": [{"handler": "count_licences", "title": "Count licences"}]}\n',
}


def build(source: Path, out: Path) -> Path:
    """The wheel of a project, built from its sdist."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(out.glob("*.whl"))


class Installation:
    """A clean environment and the commands in it, run from `folder`."""

    def __init__(self, environment: Path, folder: Path) -> None:
        self.bin = environment / "bin"
        self.folder = folder

    def install(self, wheel: Path) -> None:
        self.run("python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel))

    def run(self, *command: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        # Only PATH is kept: nothing of this repository or its environment leaks in.
        environment = {"PATH": f"{self.bin}:{os.environ['PATH']}", "HOME": str(self.folder)}
        done = subprocess.run(
            [str(self.bin / command[0]), *command[1:]],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, f"{command}: {done.stdout}\n{done.stderr}"
        return done

    def selfheal(self, *arguments: str, code: int = 0) -> str:
        return self.run("selfheal", *arguments, code=code).stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Installation:
    base = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", str(base / "venv")], check=True)
    project = base / "project"
    project.mkdir()
    installation = Installation(base / "venv", project)
    installation.install(wheel)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    lent = base / "venv" / "lib" / version / "site-packages" / "lent.pth"
    lent.write_text(sysconfig.get_path("purelib") + "\n")
    return installation


def names(wheel: Path) -> Sequence[str]:
    return zipfile.ZipFile(wheel).namelist()


def test_the_wheel_puts_two_packages_on_the_path_and_nothing_else(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in names(wheel)}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "selfheal",
        "selfheal_handlers",
    }


def test_the_wheel_ships_sequences_and_the_example_service(wheel: Path) -> None:
    held = names(wheel)
    assert "selfheal/_sequences/index.json" in held
    assert any(name.startswith("selfheal/_examples/shop/") for name in held)
    assert not [name for name in held if "__pycache__" in name]


def test_it_is_the_wheel_that_runs(installed: Installation) -> None:
    place = installed.run("python", "-c", "import selfheal; print(selfheal.__file__)").stdout
    assert str(installed.bin.parent) in place


def test_help_and_the_table_of_beats(installed: Installation) -> None:
    assert "selfheal demo" in installed.selfheal("--help")
    beats = json.loads(installed.selfheal("beats", "--json"))
    assert len(beats) == 67
    assert beats[0]["beat"] == "parse_telemetry_requested"


def test_a_beat_of_ones_own_and_a_package_of_beats(
    installed: Installation, small_telemetry: Path, tmp_path: Path
) -> None:
    """`beats new` and an installed third-party package both join the next run."""
    third = tmp_path / "acme"
    for name, text in THIRD_PARTY.items():
        (third / name).parent.mkdir(parents=True, exist_ok=True)
        (third / name).write_text(text, encoding="utf-8")
    installed.install(build(third, tmp_path / "dist"))
    installed.selfheal("run", "--to", "parse", "--telemetry", str(small_telemetry))
    made = json.loads(
        installed.selfheal("beats", "new", "check_licence", "--phase", "detect", "--json")
    )
    assert all(Path(path).is_file() for path in made["files"])
    installed.run("python", "-m", "pytest", "-q", "selfheal_beats/tests")

    result = json.loads(installed.selfheal("run", "--phase", "detect", "--json"))

    assert result["state"] == "succeeded"
    results = Path(result["folder"]) / "results" / "detect"
    found = json.loads((results / "check_licence.json").read_bytes())
    assert "GET /cart" in json.dumps(found)
    assert "1.1" in (results / "count_licences.json").read_text()
    origins = {
        row["beat"]: row["origin"] for row in json.loads(installed.selfheal("beats", "--json"))
    }
    assert origins["check_licence"].endswith("selfheal_beats/handlers/check_licence.py")
    assert "acme_licences" in origins["count_licences"]
