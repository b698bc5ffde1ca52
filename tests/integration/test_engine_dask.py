"""Runs on two real dask workers: the same bytes as here, and time limits hold there too."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from selfheal.config import RunConfig, Settings
from selfheal.engine import api
from selfheal.engine.executors import make_executor
from selfheal.errors import ConfigurationError

pytest.importorskip("distributed")

TOY = Path(__file__).parents[1] / "resources" / "toy"

CLUSTER = """
import sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1",
                      dashboard_address=None, silence_logs=50) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def scheduler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a scheduler with two worker processes, in processes of their own."""
    world = tmp_path / "world"
    world.mkdir()
    monkeypatch.setenv("TOY_WORLD", str(world))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    script = tmp_path / "cluster.py"
    script.write_text(CLUSTER)
    process = subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip().replace("tcp://", "dask://")
    finally:
        process.communicate("", timeout=30)


def run(folder: Path, executor: str, sequences: Path, phases: tuple[str, str]) -> api.RunResult:
    return api.start_run(
        Settings.model_validate({"run": {"executor": executor}}),
        repository=None,
        artifacts=folder,
        phases=phases,
        run_id="r",
        project=TOY,
        sequences=sequences,
        packages=False,
    )


def test_a_run_on_dask_gives_the_same_bytes(scheduler: str, tmp_path: Path) -> None:
    there = run(tmp_path / "there", scheduler, TOY / "sequences", ("parse", "detect"))
    here = run(tmp_path / "here", "processes", TOY / "sequences", ("parse", "detect"))
    assert there.state == here.state == "succeeded"
    for name in ("telemetry.json", "anomalies.json", "dataset/spans.parquet"):
        assert (there.folder / name).read_bytes() == (here.folder / name).read_bytes()
    timing = tmp_path / "timing"
    timing.mkdir()
    slow = {"handler": "toy_sleep", "with": {"seconds": 600}, "timeout": 2}
    document = {"id": "s", "name": "S", "movements": [{"id": "m", "beats": [slow]}]}
    (timing / "s.json").write_text(json.dumps(document))
    row = {"phase": "only", "sequence": "s", "file": "s.json"}
    index = {"schema": "selfheal/sequence-index/1", "phases": [row]}
    (timing / "index.json").write_text(json.dumps(index))
    late = run(tmp_path / "late", scheduler, timing, ("only", "only"))
    assert [found.state for found in late.beats] == ["timed_out"]


@pytest.mark.parametrize(
    ("executor", "words"),
    [
        ("dask://192.0.2.1:8786", "no TLS certificate is set"),
        ("dask://nowhere", "no address of a scheduler"),
        ("threads", "no executor 'threads'"),
    ],
)
def test_an_executor_that_cannot_be_used_is_refused(executor: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        make_executor(RunConfig(executor=executor))
