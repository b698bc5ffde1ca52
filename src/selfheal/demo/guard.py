"""Ends a production whose owner is gone, however the owner went.

    python -m selfheal.demo.guard --fleet FOLDER

Instances of a fleet outlive the process that started them. The guard holds the other end
of a pipe; when its owner ends (even by SIGKILL) the pipe closes, and it ends the fleet.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from selfheal.delivery.fleet import Fleet


def main(arguments: list[str] | None = None) -> int:
    """Wait until standard input ends, then end every instance of the fleet."""
    parser = argparse.ArgumentParser(prog="python -m selfheal.demo.guard")
    parser.add_argument("--fleet", type=Path, required=True)
    options = parser.parse_args(arguments)
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    sys.stdin.buffer.read()
    Fleet(options.fleet).stop_all()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
