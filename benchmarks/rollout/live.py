"""Live rollouts: real processes under load, good and bad fixes, and kill -9 of what takes part.

Each scenario is a whole deploy phase, with git and a forge, in a process of its own. The
load asks through the proxy; a request without an answer is a failed one. Only the time in
which the proxy itself is dead is counted apart.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests" / "handlers")]

from delivery_world import Delivery  # noqa: E402
from live_world import SICK, Traffic, fleet_of, living, recording  # noqa: E402

from selfheal.config import GateConfig  # noqa: E402
from selfheal.delivery.fleet import Fleet  # noqa: E402
from selfheal.delivery.rollout_record import RolloutFolder  # noqa: E402
from selfheal.telemetry.receiver import Receiver  # noqa: E402

GATE = GateConfig(step_seconds=24, minimum_requests=12, grace_seconds=5)
GOOD_FIX = "DISCOUNTS.get(code, 1.0)"
PATIENCE_SECONDS = 240.0

_RUNNER = """
import json, sys
from pathlib import Path
from selfheal.config import Settings
from selfheal.engine import api
given = json.loads(sys.argv[1])
if given["verb"] == "resume":
    api.resume_run(Path(given["artifacts"]), "r1")
else:
    api.start_run(
        Settings.model_validate(given["settings"]), repository=Path(given["repository"]),
        artifacts=Path(given["artifacts"]), phases=("deploy", "deploy"), run_id="r1",
        source_run="source", project=Path(given["project"]),
    )
"""


def start(made: Delivery, verb: str = "start") -> subprocess.Popen[bytes]:
    """The deploy phase in a process group of its own."""
    given = {
        "verb": verb,
        "settings": made.settings.model_dump(mode="json", by_alias=True),
        "repository": str(made.world.repository),
        "artifacts": str(made.artifacts),
        "project": str(made.folder),
    }
    return subprocess.Popen(
        [sys.executable, "-c", _RUNNER, json.dumps(given)], start_new_session=True
    )


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition. Raises TimeoutError."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)


def at(fleet: Fleet, label: str) -> None:
    until(lambda: fleet.routing().label == label)


def kill(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def plain(made: Delivery, _fleet: Fleet, _traffic: Traffic) -> str:
    start(made).wait()
    return ""


def killed_and_resumed(made: Delivery, fleet: Fleet, _traffic: Traffic) -> str:
    process = start(made)
    at(fleet, "10 %")
    kill(process)
    start(made, "resume").wait()
    return "selfheal killed at 10 %, resumed"


def killed_and_left(made: Delivery, fleet: Fleet, _traffic: Traffic) -> str:
    process = start(made)
    at(fleet, "10 %")
    kill(process)
    began = time.monotonic()
    until(lambda: fleet.routing().percents.get("1.1") == 100)
    back = time.monotonic() - began
    record = RolloutFolder(fleet.folder).record()
    assert record is not None
    start(made, "resume").wait()
    return f"selfheal killed at 10 %; all traffic on the old release after {back:.1f} s; resumed"


def worker_killed(made: Delivery, fleet: Fleet, _traffic: Traffic) -> str:
    process = start(made)
    at(fleet, "10 %")
    os.killpg(fleet.instances("1.1")[0].pid, signal.SIGKILL)
    process.wait()
    return "an old instance killed at 10 %"


def new_worker_killed(made: Delivery, fleet: Fleet, _traffic: Traffic) -> str:
    process = start(made)
    at(fleet, "10 %")
    (new,) = [i for i in fleet.instances() if i.release != "1.1"]
    os.killpg(new.pid, signal.SIGKILL)
    process.wait()
    return "the new instance killed at 10 %"


def proxy_killed(made: Delivery, fleet: Fleet, traffic: Traffic) -> str:
    process = start(made)
    at(fleet, "10 %")
    proxy = fleet._proxy()
    until(fleet.carried)
    serving = proxy.pid() if proxy else None
    if serving is None:
        kill(process)
        return "unavailable: HAProxy is not installed"
    before = traffic.statuses.count(0)
    os.kill(serving, signal.SIGKILL)
    began = time.monotonic()
    until(lambda: not fleet.carried())
    until(fleet.carried)
    back = time.monotonic() - began
    time.sleep(0.5)
    lost = traffic.statuses.count(0) - before
    traffic.statuses[:] = [status for status in traffic.statuses if status]
    process.wait()
    return f"the proxy killed at 10 %, back within {back:.1f} s; {lost} requests lost meanwhile"


SCENARIOS: list[tuple[str, str, Callable[[Delivery, Fleet, Traffic], str]]] = [
    ("good fix", GOOD_FIX, plain),
    ("fails at everything", "undefined", plain),
    ("fails in another way", "DISCOUNTS.get(code)", plain),
    ("good fix", GOOD_FIX, killed_and_resumed),
    ("good fix", GOOD_FIX, killed_and_left),
    ("good fix", GOOD_FIX, worker_killed),
    ("good fix", GOOD_FIX, new_worker_killed),
    ("good fix", GOOD_FIX, proxy_killed),
]


def live(only: list[str]) -> list[dict[str, Any]]:
    """One row per scenario, printed as it ends; `only` names some by their functions."""
    folder = Path(tempfile.mkdtemp(prefix="selfheal-live-"))
    rows = []
    try:
        recorded = recording(folder / "recording", 2.0)
        for number, (fix, text, happen) in enumerate(SCENARIOS):
            if only and happen.__name__ not in only:
                continue
            row = scenario(folder / str(number), text, recorded, happen)
            rows.append({"fix": fix, **row})
            print(json.dumps(rows[-1]), flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return rows


def scenario(
    folder: Path, fix: str, recorded: Path, happen: Callable[[Delivery, Fleet, Traffic], str]
) -> dict[str, Any]:
    """One deploy phase with what happens to it."""
    began = time.monotonic()
    with Receiver(folder / "fleet" / "telemetry") as receiver:
        fleet = fleet_of(folder / "fleet", receiver.endpoint, "1.1", SICK)
        try:
            check = {} if fix == GOOD_FIX else {"ci_command": ["{python}", "-c", "import pricing"]}
            made = living(folder / "world", fix, fleet, recorded, gate=GATE, **check)
            with Traffic(fleet.folder / "routing.json") as traffic:
                happened = happen(made, fleet, traffic)
            found = made.deployment()
            return {
                "happened": happened,
                "outcome": found.outcome,
                "steps": [f"{step.percent} % {step.gate.state}" for step in found.rollout],
                "reason": found.reason,
                "requests": len(traffic.statuses),
                "failed_requests": traffic.statuses.count(0)
                + traffic.statuses.count(502)
                + traffic.statuses.count(503),
                "seconds": round(time.monotonic() - began),
            }
        except (OSError, AssertionError) as error:
            return {"happened": f"broken off: {type(error).__name__} {error}"}
        finally:
            fleet.stop_all()
