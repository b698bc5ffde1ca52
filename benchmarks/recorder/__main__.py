"""``python -m benchmarks.recorder [--rounds N]``: what the recorder adds to one call.

The same function is called bare, decorated with no recorder installed, installed and not
sampled, with the defaults, and with every call recorded: in turns, so that the noise of
the machine falls on all alike. The medians over the rounds are printed, in microseconds of
processor time of this process. Each kind of argument is one line. "of one core" is what
the defaults can cost at most, however often a function is called: 60 records a minute.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selfheal.recorder import install, record, uninstall

GOAL_NOT_SAMPLED = 1.0
GOAL_OF_A_CORE = 0.001
MANY, SOME = 20_000, 300
PER_MINUTE = 60


@dataclasses.dataclass
class Item:
    sku: str
    price: float
    mail: str = "ann@example.org"


def function(value: Any) -> Any:
    return value


decorated = record(function)
ARGUMENTS: dict[str, Any] = {
    "two numbers": (1, 2.5),
    "5 objects": [Item(f"sku-{number}", 1.5 * number) for number in range(5)],
    "JSON of 10 kB": {f"key-{n}": {"name": "a" * 85, "rows": list(range(20))} for n in range(60)},
    "cannot be taken": object(),
}
Way = tuple[str, Callable[[Any], Any], dict[str, Any] | None]
WAYS: list[Way] = [
    ("bare", function, None),
    ("no recorder", decorated, None),
    ("not sampled", decorated, {"first": 0, "rate": 0.0, "kinds": 1}),
    ("defaults", decorated, {}),
    ("every call", decorated, {"rate": 1.0, "per_minute": 10**9, "folder_bytes": 10**12}),
]


def timed(called: Callable[[Any], Any], value: Any, count: int) -> float:
    """Microseconds of processor time of one call."""
    begun = time.process_time_ns()
    for _ in range(count):
        called(value)
    return (time.process_time_ns() - begun) / count / 1000


def measured(value: Any, rounds: int) -> dict[str, float]:
    """The medians of all ways to call with one argument."""
    found: dict[str, list[float]] = {name: [] for name, _, _ in WAYS}
    folder = Path(tempfile.mkdtemp(prefix="selfheal-recorder-"))
    try:
        for _ in range(rounds):
            for name, called, options in WAYS:
                if options is not None:
                    install([], str(folder / name.replace(" ", "-")), **options)
                count = SOME if name == "every call" else MANY
                found[name].append(timed(called, value, count))
                uninstall()
    finally:
        shutil.rmtree(folder)
    return {name: statistics.median(times) for name, times in found.items()}


def imported() -> float:
    """Milliseconds of processor time that importing the recorder takes a new process."""
    code = (
        "import time; begun = time.process_time_ns(); import selfheal.recorder\n"
        "print((time.process_time_ns() - begun) / 1e6)"
    )
    times = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
        for _ in range(5)
    ]
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]}")
    print(f"µs a call, median of {rounds} rounds; importing takes {imported():.0f} ms\n")
    print(f"{'':18}" + "".join(f"{name:>13}" for name, _, _ in WAYS) + f"{'of one core':>13}")
    skipped, share = [], []
    for kind, value in ARGUMENTS.items():
        found = measured(value, rounds)
        skipped.append(found["not sampled"] - found["bare"])
        share.append((found["every call"] - found["bare"]) * PER_MINUTE / 60e6)
        row = "".join(f"{found[name]:13.2f}" for name, _, _ in WAYS)
        print(f"{kind:18}{row}{share[-1]:13.3%}")
    print(
        f"\na call that is not sampled costs {statistics.median(skipped):.2f} µs more than a bare one,"
    )
    print(
        f"goal below {GOAL_NOT_SAMPLED} µs: {'met' if max(skipped) < GOAL_NOT_SAMPLED else 'not met'};"
    )
    print(f"a function's records cost at most {max(share):.3%} of a core,")
    print(f"goal below {GOAL_OF_A_CORE:.1%}: {'met' if max(share) < GOAL_OF_A_CORE else 'not met'}")


if __name__ == "__main__":
    main()
