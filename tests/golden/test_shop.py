"""What selfheal says of one recording stays as it is, to the byte, unless we mean it.

`shop/telemetry` is a recording of both releases of the shop by the real SDK, with a
slow price list and a failing quote. After a change that is meant:

    make test ARGS="tests/golden --update-golden"

and read the difference before it is committed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from selfheal.config import Settings
from selfheal.demo import build_repository
from selfheal.engine.api import start_run

SHOP = Path(__file__).parent / "shop"
GOLDEN = ("telemetry", "anomalies", "diagnosis")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("golden")
    shop = build_repository(folder, 0, faults=["price_list", "quote"])
    result = start_run(
        Settings.model_validate({"telemetry": {"paths": [str(SHOP / "telemetry")]}}),
        repository=shop.path,
        artifacts=folder / "artifacts",
        phases=("parse", "diagnose"),
        run_id="golden",
        project=folder,
    )
    assert result.state == "succeeded", result.reason
    return result.folder


@pytest.mark.parametrize("name", GOLDEN)
def test_the_same_recording_gives_the_same_artifact(
    name: str, run: Path, request: pytest.FixtureRequest
) -> None:
    found = without_storage(json.loads((run / f"{name}.json").read_bytes())["payload"])
    kept = SHOP / f"{name}.json"
    if request.config.getoption("--update-golden"):
        kept.write_text(json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    assert found == json.loads(kept.read_text("utf-8"))


def without_storage(payload: dict[str, Any]) -> dict[str, Any]:
    """Without the hashes of Parquet files, which change with the library that writes them."""
    for table in payload.get("dataset", {}).get("tables", {}).values():
        del table["sha256"]
    return payload
