"""Serve the shop: ``python -m shop --port 8080``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from waitress import serve

from shop import logs
from shop.app import create_app


def main() -> None:
    parser = argparse.ArgumentParser(prog="shop", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--threads", type=int, default=4)
    options = parser.parse_args()
    logs.set_up()
    signal.signal(signal.SIGTERM, leave)
    path = os.environ.get("SHOP_DATABASE")
    serve(
        create_app(Path(path) if path else None),
        host=options.host,
        port=options.port,
        threads=options.threads,
    )


def leave(_signal: int, _frame: FrameType | None) -> None:
    """End by the ordinary way out, so that the last spans and logs are exported."""
    sys.exit(0)


if __name__ == "__main__":
    main()
