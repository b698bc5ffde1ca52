"""`selfheal run` takes its telemetry from the configured store where none is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from selfheal.cli import run
from selfheal.cli.main import main
from selfheal.cli.project import Project


class Reached(BaseException):
    """The settings of the run, at the moment when its telemetry is looked for."""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], ["clickhouse://reader@db:8123/otel"]),
        (["--telemetry", "exports"], ["exports"]),
    ],
)
def test_the_store_is_asked_where_no_telemetry_is_named(
    given: list[str], expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "selfheal.yaml").write_text(
        "store:\n  url: clickhouse://reader:secret@db:8123/otel\n"
    )
    monkeypatch.chdir(tmp_path)

    def looked_for(project: Project) -> None:
        raise Reached(project.settings.model_dump()["telemetry"]["paths"])

    monkeypatch.setattr(run, "check_telemetry", looked_for)
    with pytest.raises(Reached) as reached:
        main(["run", "--to", "detect", *given])
    assert reached.value.args[0] == expected
