"""Many small parts of a growing store become one, so that reading does not slow down.

Every addition makes a part, and a reader opens them all. Parts that nothing replaces any
more are written anew as one, rows in the order of the parts, those of replaced sources
left out. It happens inside of an addition: the new part counts with the manifest that
names it, and whoever is killed before has changed nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from selfheal.store.manifest import Manifest, Part, sync
from selfheal.store.parts import Parts
from selfheal.telemetry.model import EXTRACTED

MOST_PARTS = 16


def mergeable(parts: Sequence[Part], unsettled: Collection[str]) -> list[Part]:
    """The parts to merge: all that are settled, once there are more than `MOST_PARTS`.

    `unsettled` are the parts that hold the rest of a file, which its next lines replace.
    """
    settled = [part for part in parts if part.id not in unsettled]
    return settled if len(settled) > MOST_PARTS else []


def merge(folder: Path, parts: Sequence[Part], id: str) -> Part:
    """Write the rows of `parts` as one new part `id` in the store in `folder`."""
    target = folder / "parts" / id
    target.mkdir(parents=True)
    rows = {}
    with Parts.of(folder, Manifest(parts=list(parts))).connect() as connection:
        for name, columns in EXTRACTED.items():
            counted = connection.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0]
            if not counted:
                continue
            file = str(target / f"{name}.parquet").replace("'", "''")
            connection.execute(
                f"COPY (SELECT {', '.join(columns)} FROM {name}) TO '{file}' "
                "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)"
            )
            rows[name] = counted
    sync(target)
    kept = {source for part in parts for source in set(part.sources) - set(part.hidden)}
    return Part(id=id, rows=rows, sources=sorted(kept))
