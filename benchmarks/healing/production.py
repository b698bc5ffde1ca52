"""A library in production: its whole suite is who uses it, and the recorder writes down how."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.healing.loop import PYTEST, plain
from benchmarks.healing.worlds import World, git, write

RECORDING = """
import json, os
from pathlib import Path
from selfheal.recorder import install

def pytest_collection(session):
    install(json.loads(os.environ["RECORDED"]), folder=os.environ["CALLS"], per_minute=600)
"""


def modules_of(world: World) -> list[str]:
    """The modules of a library, as they are imported."""
    root = f"{world.library.source_folder}/"
    names = (path.removeprefix(root).removesuffix(".py") for path in sorted(world.code))
    found = [name.removesuffix("/__init__").replace("/", ".") for name in names]
    return [name for name in found if not name.rpartition(".")[2].startswith("__")]


def use(world: World, repository: Path, calls: Path) -> None:
    """Run the whole suite on the repository's HEAD, with every function recorded into `calls`."""
    commit = git(repository, "rev-parse", "HEAD").strip()
    with tempfile.TemporaryDirectory(prefix="selfheal-healing-") as name:
        folder = Path(name)
        git(repository, "worktree", "add", "-q", "--detach", str(folder / "tree"), commit)
        write(folder / "tree", world.graded)
        (folder / "recording.py").write_text(RECORDING)
        environment = plain(imports=True)
        environment |= {
            "PYTHONPATH": os.pathsep.join([str(folder), environment.get("PYTHONPATH", "")]),
            "RECORDED": json.dumps([f"{module}:*" for module in modules_of(world)]),
            "CALLS": str(calls),
            "OTEL_SERVICE_NAME": world.library.name,
            "OTEL_RESOURCE_ATTRIBUTES": f"service.version=1.0,vcs.ref.head.revision={commit}",
        }
        command = [*PYTEST, "-p", "recording"]
        subprocess.run(
            command,
            cwd=folder / "tree",
            capture_output=True,
            check=False,
            timeout=5 * world.seconds,
            env=environment,
        )
        git(repository, "worktree", "remove", "--force", str(folder / "tree"))


def covered(folder: Path, report: Path, seconds: float, *nodes: str) -> None:
    """coverage.py's report of the suite that lies in `folder`, or of its tests `nodes`.

    Raises:
        subprocess.TimeoutExpired: They do not end within `seconds`.
    """
    coverage = [sys.executable, "-m", "coverage"]
    environment = plain() | {"COVERAGE_FILE": str(report.with_suffix(".data"))}
    run = [*coverage, "run", "--branch", f"--source={folder}", *PYTEST[1:], *nodes]
    for command in (run, [*coverage, "json", "-q", "-o", str(report)]):
        subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            check=False,
            timeout=seconds,
            env=environment,
        )
