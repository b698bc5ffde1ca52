"""No worker of a dead holder goes on: all are written down, end when told to, and are found."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from selfheal.engine.lock import RunLock, start_time
from selfheal.engine.pool import WorkerLost, WorkerPool

UNENDING = """
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import os, time
with ThreadPoolExecutor(1) as pool:
    pool.submit(time.sleep, 120)
    Path({place!r}).write_text(str(os.getpid()))
"""


def test_workers_that_start_together_are_both_written_down() -> None:
    told: list[list[int]] = []

    def note(pids: list[int]) -> None:
        # The slower of two that tell at once must not have the last word with older news.
        time.sleep(0.3 if not told else 0)
        told.append(pids)

    pool = WorkerPool(2, note)
    try:
        tasks = [pool.submit(os.getpid), pool.submit(os.getpid)]
        assert {task.result(60) for task in tasks} <= set(told[-1])
        deadline = time.monotonic() + 60
        while len(told) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert sorted(told[-1]) == sorted(pool.pids())
    finally:
        pool.shutdown(kill=True)


def test_a_worker_that_is_told_to_end_does_not_wait_for_its_threads(tmp_path: Path) -> None:
    pool = WorkerPool(1)
    place = tmp_path / "pid"
    try:
        task = pool.submit(exec, UNENDING.format(place=str(place)))
        while not place.exists() or not place.read_text():
            time.sleep(0.01)
        os.kill(int(place.read_text()), signal.SIGTERM)
        assert isinstance(task.exception(60), WorkerLost)
    finally:
        pool.shutdown(kill=True)


def test_a_worker_that_cannot_be_written_down_is_ended_and_told() -> None:
    started: list[int] = []

    def note(pids: list[int]) -> None:
        started.extend(pids)
        raise PermissionError("the lock file cannot be written")

    pool = WorkerPool(1, note)
    try:
        lost = pool.submit(os.getpid).exception(60)
        assert isinstance(lost, WorkerLost)
        assert "the lock file cannot be written" in str(lost)
        assert not any(Path(f"/proc/{pid}").exists() for pid in started)
    finally:
        pool.shutdown(kill=True)


def test_the_processes_of_a_worker_that_is_told_to_end_end_with_it(tmp_path: Path) -> None:
    pool = WorkerPool(1)
    place = tmp_path / "pid"
    program = "import subprocess\nsubprocess.Popen(['sleep', '120'])\n" + UNENDING
    try:
        task = pool.submit(exec, program.format(place=str(place)))
        while not place.exists() or not place.read_text():
            time.sleep(0.01)
        worker = int(place.read_text())
        [child] = Path(f"/proc/{worker}/task/{worker}/children").read_text().split()
        os.kill(worker, signal.SIGTERM)
        assert isinstance(task.exception(60), WorkerLost)
        deadline = time.monotonic() + 30
        while _runs(int(child)) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not _runs(int(child))
    finally:
        pool.shutdown(kill=True)


HOLDER = """
import sys, time
from selfheal.engine.pool import WorkerPool
pool = WorkerPool(1)
pool.submit(exec, sys.argv[1])
time.sleep(120)
"""


STUBBORN = """
from pathlib import Path
import os, time
Path({place!r}).write_text(str(os.getpid()))
while True:
    try:
        time.sleep(120)
    except BaseException:
        continue
"""


@pytest.mark.parametrize("handler", [UNENDING, STUBBORN])
def test_the_processes_of_a_worker_end_when_its_holder_is_killed(
    tmp_path: Path, handler: str
) -> None:
    place = tmp_path / "pid"
    program = "import subprocess\nsubprocess.Popen(['sleep', '120'])\n" + handler
    command = [sys.executable, "-c", HOLDER, program.format(place=str(place))]
    with subprocess.Popen(command) as holder:
        while not place.exists() or not place.read_text():
            time.sleep(0.01)
        worker = int(place.read_text())
        children = Path(f"/proc/{worker}/task/{worker}/children").read_text().split()
        holder.kill()
    started = [worker, *map(int, children)]
    deadline = time.monotonic() + 30
    while any(map(_runs, started)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(_runs, started))


def _runs(pid: int) -> bool:
    """Whether a process lives; one that waits for nobody to reap it does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_workers_are_found_behind_a_line_that_was_not_cut_off(tmp_path: Path) -> None:
    """The holder was killed after it wrote a shorter line over a longer one."""
    with subprocess.Popen(["sleep", "120"], start_new_session=True) as left:
        line = {"pid": 1, "workers": [{"pid": left.pid, "started": start_time(left.pid)}]}
        path = tmp_path / "lock"
        path.write_text(json.dumps(line) + '\n"started": "17"}]}\n')
        RunLock(path).release()
        assert left.wait(60) == -signal.SIGTERM
