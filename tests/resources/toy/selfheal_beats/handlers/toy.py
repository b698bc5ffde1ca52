"""Small handlers with every kind of input and output, for the tests of the engine."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pyarrow as pa

from selfheal.artifacts import Anomalies, Dataset, Model, Tables, Telemetry
from selfheal.artifacts.anomalies import Health
from selfheal.artifacts.dataset import write_tables
from selfheal.artifacts.telemetry import EventCounts, Refused, Window
from selfheal.config import DetectConfig, RunConfig
from selfheal.contract import Approval, Effects, Failed, Skipped, Waiting, Workspace, handler


def outside() -> Path:
    """The folder that stands for the world outside the run."""
    return Path(os.environ["TOY_WORLD"])


def switch(name: str) -> str:
    return os.environ.get(f"TOY_{name}", "")


def nothing(folder: Path) -> dict[str, object]:
    return {}


class Numbers(Model):
    values: list[int]

    @property
    def summary(self) -> str:
        return f"{len(self.values)} numbers"


@handler("toy_requested", kind="pure", example=nothing)
def toy_requested() -> Numbers:
    print("what a handler prints goes to stderr")
    return Numbers(values=[3, 1, 2])


@handler("toy_tables", kind="pure", example=nothing)
def toy_tables(toy_requested: Numbers, factor: int) -> Tables:
    return Tables({"numbers": pa.table({"n": [n * factor for n in toy_requested.values]})})


@handler("toy_store", kind="stage-crew", example=nothing, writes="telemetry")
def toy_store(toy_tables: Dataset, workspace: Workspace) -> Telemetry:
    table = toy_tables.arrow("SELECT n FROM numbers ORDER BY n")
    dataset = write_tables({"spans": table}, workspace.run_folder, "dataset")
    workspace.measured("toy", {"clock": time.time()})
    return Telemetry(
        sources=[],
        refused=Refused(),
        events=EventCounts(spans=table.num_rows),
        window=Window(),
        releases=[],
        operations=[],
        dataset=dataset,
    )


@handler("toy_completed", kind="pure", example=nothing)
def toy_completed(telemetry: Telemetry) -> int:
    return telemetry.events.spans


def _find(offset: int, telemetry: Telemetry) -> list[int]:
    rows = telemetry.dataset.rows("SELECT sum(n)::INTEGER AS total FROM spans")
    return [rows[0]["total"] + offset]


@handler("toy_first", kind="pure", contributes=True, example=nothing)
def toy_first(telemetry: Telemetry) -> list[int]:
    if switch("BREAK") == "first":
        raise RuntimeError("broken on purpose")
    return _find(1, telemetry)


@handler("toy_second", kind="pure", contributes=True, example=nothing)
def toy_second(telemetry: Telemetry, config: DetectConfig) -> list[int]:
    return _find(round(config.significance * 100), telemetry)


@handler("toy_third", kind="pure", contributes=True, example=nothing)
def toy_third(telemetry: Telemetry) -> list[int] | Skipped:
    return Skipped("there is no third")


@handler("toy_aggregate", kind="pure", example=nothing, writes="anomalies")
def toy_aggregate(contributed: list[int], toy_third: list[int] | None) -> Anomalies:
    assert toy_third is None
    health = Health(state="measured", score=float(sum(contributed)), components=[])
    return Anomalies(anomalies=[], health=health)


@handler("toy_square", kind="pure", example=nothing)
def toy_square(item: int) -> int:
    return item * item


@handler("toy_ask", kind="pure", example=nothing)
def toy_ask(anomalies: Anomalies, approval: Approval | None) -> str | Failed | Waiting:
    if switch("ASK") and approval is None:
        return Waiting("a human must agree")
    if approval is not None and approval.decision == "rejected":
        return Failed(f"{approval.by} said no", "Ask again.")
    return approval.by if approval else "nobody"


def _count(name: str) -> int:
    """Leave one more line outside; TOY_SLOW widens the moment before it."""
    path = outside() / name
    time.sleep(float(switch("SLOW") or 0))
    with path.open("a") as file:
        file.write("done\n")
    return len(path.read_text().splitlines())


@handler("toy_effect", kind="stage-crew", example=nothing)
def toy_effect(toy_ask: str, effects: Effects, workspace: Workspace, name: str) -> int:
    place = outside() / name

    def probe() -> int | None:
        return len(place.read_text().splitlines()) or None if place.exists() else None

    (workspace.folder / "scratch").write_text("left over?")
    return effects.once(f"toy/{name}", lambda: _count(name), probe)


@handler("toy_undo", kind="stage-crew", example=nothing)
def toy_undo(workspace: Workspace) -> str:
    with (outside() / "undone").open("a") as file:
        file.write("undone\n")
    return "undone"


@handler("toy_sleep", kind="stage-crew", example=nothing)
def toy_sleep(workspace: Workspace, seconds: float) -> str:
    """A child process that sleeps, and leaves its process id outside."""
    child = subprocess.Popen(["sleep", str(seconds)])
    (outside() / "child").write_text(str(child.pid))
    (outside() / "begun").touch()
    child.wait()
    return "slept"


@handler("toy_meet", kind="stage-crew", example=nothing)
def toy_meet(workspace: Workspace, me: str, other: str) -> bool:
    """Two of these succeed only while both are running."""
    (outside() / me).touch()
    deadline = time.monotonic() + 20
    while not (outside() / other).exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@handler("toy_flaky", kind="stage-crew", example=nothing)
def toy_flaky(workspace: Workspace, good_from: int) -> int:
    count = _count("attempts")
    if count < good_from:
        raise ConnectionError(f"attempt {count} fails")
    return count


@handler("toy_killed", kind="stage-crew", example=nothing)
def toy_killed(workspace: Workspace, good_from: int) -> int:
    count = _count("kills")
    if count < good_from:
        os.kill(os.getpid(), 9)
    return count


@handler("toy_fails", kind="pure", example=nothing)
def toy_fails(config: RunConfig) -> int | Failed:
    if switch("MENDED"):
        return 1
    return Failed("the answer is no", "Set TOY_MENDED.")


@handler("toy_follower", kind="pure", example=nothing)
def toy_follower(toy_fails: int) -> int:
    return toy_fails + 1


@handler("toy_tolerant", kind="pure", example=nothing)
def toy_tolerant(toy_fails: int | None) -> str:
    return f"got {toy_fails}"


@handler("toy_nan", kind="pure", example=nothing)
def toy_nan() -> float:
    return float("nan")


@handler("toy_number", kind="pure", example=nothing)
def toy_number(value: int) -> int:
    return value
