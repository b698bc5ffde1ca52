"""The candidates: each runs a chain of beats that read the one before and write a file.

    python -m benchmarks.engine.candidates NAME COUNT FOLDER

prints ``{"start": seconds, "work": seconds}``: what the tool does once per run (its own
files, database, processes; imports not counted), and from the first beat to the last.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selfheal.artifacts.canonical import canonical_bytes

Timing = dict[str, float]


def write(folder: Path, number: int, value: int) -> None:
    """What every candidate's beat leaves: one small JSON file, written atomically."""
    temporary = folder / f".{number}.tmp"
    temporary.write_bytes(canonical_bytes(value))
    temporary.replace(folder / f"{number}.json")


def read(folder: Path, number: int) -> int:
    return int(json.loads((folder / f"{number}.json").read_bytes())) if number >= 0 else 0


def plain(count: int, folder: Path) -> Timing:
    """A Python loop, and no way to go on after a crash."""
    begun = time.perf_counter()
    for number in range(count):
        write(folder, number, read(folder, number - 1) + 1)
    return {"start": 0.0, "work": time.perf_counter() - begun}


HANDLER = """
@handler("beat_{number}", kind="pure", example=example)
def beat_{number}({reads}) -> int:
    return {value}
"""
HEAD = """from selfheal.contract import handler

def example(folder):
    return {}
"""


def selfheal(count: int, folder: Path) -> Timing:
    """The engine on its worker processes: journal, keys, run folder, results."""
    from selfheal.config import Settings
    from selfheal.engine.api import Observer, start_run

    handlers = folder / "selfheal_beats" / "handlers"
    handlers.mkdir(parents=True)
    source = [HEAD]
    for number in range(count):
        reads = f"beat_{number - 1}: int" if number else ""
        value = f"beat_{number - 1} + 1" if number else "1"
        source.append(HANDLER.format(number=number, reads=reads, value=value))
    (handlers / "chain.py").write_text("".join(source))
    beats = [{"handler": f"beat_{number}"} for number in range(count)]
    chain = {"id": "chain", "name": "Chain", "movements": [{"id": "all", "beats": beats}]}
    row = {"phase": "chain", "sequence": "chain", "file": "chain.json"}
    index = {"schema": "selfheal/sequence-index/1", "phases": [row]}
    for name, document in (("chain.json", chain), ("index.json", index)):
        (folder / name).write_text(json.dumps(document))

    class Watch(Observer):
        first = 0.0
        work = 0.0

        def beat_finished(self, *_: Any) -> None:
            self.first = self.first or time.perf_counter()

        def phase_finished(self, *_: Any) -> None:
            self.work = time.perf_counter() - self.first

    watch = Watch()
    begun = time.perf_counter()
    result = start_run(
        Settings(),
        repository=None,
        artifacts=folder / "artifacts",
        phases=("chain", "chain"),
        project=folder,
        sequences=folder,
        packages=False,
        observer=watch,
    )
    whole = time.perf_counter() - begun
    assert result.state == "succeeded", result.reason
    last = result.folder / "results" / "chain" / f"beat_{count - 1}.json"
    assert json.loads(last.read_bytes()) == count
    return {"start": whole - watch.work, "work": watch.work}


def luigi(count: int, folder: Path) -> Timing:
    """Luigi with its local scheduler and one worker; a task is done if its file is there."""
    import luigi as package

    class Beat(package.Task):  # type: ignore[misc]
        number = package.IntParameter()

        def requires(self) -> Any:
            return Beat(number=self.number - 1) if self.number else []

        def output(self) -> Any:
            return package.LocalTarget(str(folder / f"{self.number}.json"))

        def run(self) -> None:
            write(folder, self.number, read(folder, self.number - 1) + 1)

    logging.getLogger("luigi-interface").setLevel(logging.CRITICAL)
    sys.setrecursionlimit(100_000)
    begun = time.perf_counter()
    done = package.build([Beat(number=count - 1)], local_scheduler=True, log_level="CRITICAL")
    work = time.perf_counter() - begun
    assert done
    assert read(folder, count - 1) == count
    return {"start": 0.0, "work": work}


def dbos(count: int, folder: Path) -> Timing:
    """DBOS on SQLite: one workflow, a durable step per beat."""
    from dbos import DBOS

    begun = time.perf_counter()
    DBOS(
        config={
            "name": "chain",
            "system_database_url": f"sqlite:///{folder}/dbos.sqlite",
            "log_level": "CRITICAL",
        }
    )

    @DBOS.step()
    def beat(number: int, value: int) -> int:
        write(folder, number, value + 1)
        return value + 1

    @DBOS.workflow()
    def chain() -> int:
        value = 0
        for number in range(count):
            value = beat(number, value)
        return value

    DBOS.launch()
    launched = time.perf_counter()
    total = chain()
    work = time.perf_counter() - launched
    assert total == count
    DBOS.destroy()
    return {"start": launched - begun, "work": work}


CANDIDATES: dict[str, Callable[[int, Path], Timing]] = {
    "plain loop": plain,
    "selfheal": selfheal,
    "Luigi": luigi,
    "DBOS (SQLite)": dbos,
}


if __name__ == "__main__":
    print(json.dumps(CANDIDATES[sys.argv[1]](int(sys.argv[2]), Path(sys.argv[3]))))
