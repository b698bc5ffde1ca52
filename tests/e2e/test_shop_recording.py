"""Production of the shop: what the real SDK exports over the wire, and that nothing stays behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from selfheal.delivery.fleet import Fleet
from selfheal.demo import Recording, record

SECONDS = 8


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return record(
        tmp_path_factory.mktemp("shop"), 2, seconds=SECONDS, faults=["category_page", "add"]
    )


def spans(recording: Recording) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """(release, attributes, span) of everything that was exported."""
    for line in (recording.telemetry / "traces.jsonl").read_text("utf-8").splitlines():
        for resource in json.loads(line)["resourceSpans"]:
            release = plain(resource["resource"]["attributes"])["service.version"]
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    yield release, plain(span.get("attributes", [])), span


def plain(attributes: list[dict[str, Any]]) -> dict[str, Any]:
    return {each["key"]: next(iter(each["value"].values())) for each in attributes}


def test_both_releases_served_and_only_the_new_one_failed(recording: Recording) -> None:
    assert recording.answers["200"] > 100
    failed = {
        release
        for release, attributes, _ in spans(recording)
        if int(attributes.get("http.response.status_code", 200)) >= 500
    }
    assert failed <= {"1.1"}
    assert {release for release, _, _ in spans(recording)} == {"1.0", "1.1"}


def test_entry_spans_say_what_was_asked_and_by_whom(recording: Recording) -> None:
    entries = [a for _, a, span in spans(recording) if "http.route" in a]
    assert len(entries) > 100
    for attributes in entries:
        assert attributes["http.request.method"] in ("GET", "POST")
        assert attributes["url.path"].startswith("/")
        assert attributes["session.id"]
    bodies = [a for a in entries if a["http.route"] == "/cart/items"]
    assert all("product" in json.loads(a["selfheal.request.body"]) for a in bodies)
    assert {a["selfheal.request.content_type"] for a in bodies} == {"application/json"}


def test_inner_spans_say_where_their_function_is_written(recording: Recording) -> None:
    functions = {
        (a["code.function.name"], Path(a["code.file.path"]).name)
        for _, a, _ in spans(recording)
        if "code.function.name" in a
    }
    assert ("shop.catalogue.category_page", "catalogue.py") in functions
    assert len(functions) >= 10


def test_statements_are_traced_below_the_functions(recording: Recording) -> None:
    statements = [a for _, a, _ in spans(recording) if "db.query.text" in a or "db.statement" in a]
    assert len(statements) > 300


def test_logs_and_coverage_lie_beside_the_traces(recording: Recording) -> None:
    names = {path.name for path in recording.telemetry.iterdir()}
    assert {"coverage-1.1.json", "traces.jsonl", "app-1.0-1.log", "app-1.1-2.log"} <= names
    coverage = json.loads((recording.telemetry / "coverage-1.1.json").read_text("utf-8"))
    assert "shop/catalogue.py" in coverage["files"]
    for log in recording.telemetry.glob("app-1.1-*.log"):
        for line in log.read_text("utf-8").splitlines():
            json.loads(line)


def test_nothing_runs_any_more(recording: Recording) -> None:
    assert Fleet(recording.telemetry.resolve().parent).instances() == []


OWNER = """
import sys, time
from pathlib import Path
from selfheal.demo import Production, build_repository

folder = Path(sys.argv[1])
repository = build_repository(folder)
with Production(folder / "production", repository) as production:
    production.start("1.0", repository.good_commit)
    production.fleet.route({"1.0": 100})
    with production.traffic(seed=1):
        print("ready", flush=True)
        time.sleep(120)
"""


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_production_ends_with_its_owner_however_that_ends(
    ending: signal.Signals, tmp_path: Path
) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == b"ready\n"
    fleet = Fleet(tmp_path / "production")
    assert len(fleet.instances()) == 2
    os.kill(owner.pid, ending)
    owner.wait(timeout=60)
    deadline = time.monotonic() + 30
    while processes_in(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_in(tmp_path) == []
    assert fleet.instances() == []


def processes_in(folder: Path) -> list[str]:
    """The command lines of processes that name `folder` or work in it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            place = str((process / "cwd").readlink())
        except OSError:
            continue
        if command and (str(folder) in command or place.startswith(str(folder))):
            found.append(command)
    return found
