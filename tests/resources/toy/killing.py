"""Runs the toy sequences and dies by SIGKILL where it is told; used by the kill tests.

    python killing.py run FOLDER            one run (or resume) on real worker processes
    python killing.py everywhere FOLDER     killed at every step of the commit protocol

``everywhere`` forks one child per kill and runs the handlers in its threads, so that
the child can die between any two steps, inside an effect too. It prints the number of
kills and what differed as JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from selfheal.config import Settings
from selfheal.engine import api, attempt, journal, run, services

TOY = Path(__file__).parent
ARTIFACTS = ("telemetry.json", "anomalies.json", "dataset/spans.parquet")


def start_or_resume(folder: Path) -> str:
    """One session; a run that was never made is made."""
    if (folder / "artifacts/runs/r").exists():
        return api.resume_run(folder / "artifacts", "r").state
    return api.start_run(
        Settings(),
        repository=None,
        artifacts=folder / "artifacts",
        phases=("parse", "deploy"),
        run_id="r",
        project=TOY,
        sequences=TOY / "sequences",
        packages=False,
    ).state


class Steps:
    """Counts the steps before and after everything that must not be torn apart."""

    def __init__(self, fatal: int | None) -> None:
        self.fatal = fatal
        self.count = 0
        for owner, name in (
            (journal.Journal, "append"),
            (attempt, "_moved"),
            (services.EffectsLedger, "_append"),
            (services, "write_atomically"),
        ):
            setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **more: Any) -> Any:
            self._step()
            result = function(*arguments, **more)
            self._step()
            return result

        return counted

    def _step(self) -> None:
        if self.count == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        self.count += 1


def in_child(folder: Path, fatal: int | None) -> int:
    """A session in a forked child; returns its steps, or -1 where it was killed."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        steps = Steps(fatal)
        run.make_executor = in_threads
        os.dup2(2, 1)
        os.environ["TOY_WORLD"] = str(folder / "world")
        (folder / "world").mkdir(parents=True, exist_ok=True)
        state = start_or_resume(folder)
        os.write(writer, f"{steps.count if state == 'succeeded' else state}".encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as told:
        answer = told.read()
    os.waitpid(child, 0)
    return int(answer) if answer else -1


def in_threads(*_ignored: Any) -> Executor:
    return ThreadPoolExecutor(2)


def outcome(folder: Path) -> dict[str, str]:
    """Everything that must be the same after any kill."""
    found = {name: (folder / "artifacts/runs/r" / name).read_bytes().hex() for name in ARTIFACTS}
    results = (folder / "artifacts/runs/r/results").rglob("*.json")
    found |= {str(path.relative_to(folder)): path.read_bytes().hex() for path in results}
    return found | {path.name: path.read_text() for path in sorted((folder / "world").iterdir())}


def everywhere(folder: Path) -> None:
    for heavy in ("duckdb", "jsonschema", "networkx", "pyarrow.parquet"):
        importlib.import_module(heavy)  # once, not in every child
    total = in_child(folder / "undisturbed", None)
    expected = outcome(folder / "undisturbed")
    differing = []
    for fatal in range(total):
        place = folder / str(fatal)
        first = in_child(place, fatal)
        again = in_child(place, None)
        if first != -1 or again < 0 or outcome(place) != expected:
            differing.append([fatal, first, again])
    print(json.dumps({"kills": total, "differing": differing}))


if __name__ == "__main__":
    if sys.argv[1] == "everywhere":
        everywhere(Path(sys.argv[2]))
    else:
        print(start_or_resume(Path(sys.argv[2])))
