"""``python -m benchmarks.queries [PART …] [--spans N] [--folder F]``: reports, queries, detect.

Each report and each shipped query is timed beside its own SQL run bare in DuckDB over the
same Parquet files, the two in turn, the best of `--repetitions` each.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.queries import detect, reports, shipped
from benchmarks.queries.dataset import generate

PARTS = {"reports": reports.run, "queries": shipped.run, "detect": detect.run}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.queries")
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], default=[])
    parser.add_argument("--spans", type=int, default=1_000_000)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="keeps the generated telemetry")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        run = generate(chosen.folder or Path(temporary), chosen.spans)
        for name in chosen.parts or PARTS:
            print(f"\n{name}, {chosen.spans:,} spans")
            PARTS[name](run, chosen.repetitions)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
