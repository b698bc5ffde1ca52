"""A recording of the sick shop: its repository and what it told in production."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from selfheal.demo.history import ShopRepository, build_repository
from selfheal.demo.production import Production


@dataclass(frozen=True)
class Recording:
    """`repository` and the folder of the telemetry; `answers` counts what visitors were answered."""

    repository: ShopRepository
    telemetry: Path
    answers: dict[str, int]


def record(
    folder: Path, seed: int = 0, *, seconds: float = 12.0, faults: Iterable[str] | None = None
) -> Recording:
    """Build the repository, run both releases for `seconds`, and end production.

    Files: ``folder/{repo,forge.git,telemetry,production}``; ``telemetry`` is a link into
    production. `faults` names the faults to plant in place of the seed's choice.
    """
    repository = build_repository(folder, seed, faults=faults)
    with Production(folder / "production", repository) as production:
        answers = production.record_releases(seconds=seconds, seed=seed)
    (folder / "telemetry").symlink_to("production/telemetry", target_is_directory=True)
    return Recording(repository, folder / "telemetry", answers)
