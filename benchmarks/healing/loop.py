"""One case: the ordinary input goes in, the patch that comes out is graded by the hidden half."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from benchmarks.healing.worlds import World, write

PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short")


@dataclass
class Outcome:
    """What became of one planted fault; `reason` says why it was not healed."""

    library: str
    kind: str
    fault: str
    file: str
    function: str
    line: int
    telling: bool
    result: str = "error"
    reason: str = ""
    seconds: float = 0.0
    tried: int = 0
    plausible: int = 0
    strategy: str = ""
    ranks: dict[str, int] = field(default_factory=dict)
    convicted_commit: bool | None = None
    identical: bool = False
    seen_by_hidden: bool = False
    patch: str = ""
    baselines: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def tests_of(folder: Path, report: Path, seconds: float) -> frozenset[str] | None:
    """The names of the tests that fail; None where the suite does not end."""
    command = [*PYTEST, f"--junitxml={report}"]
    try:
        subprocess.run(
            command, cwd=folder, capture_output=True, timeout=seconds, check=False, env=plain()
        )
    except subprocess.TimeoutExpired:
        return None
    if not report.is_file():
        return None
    failing = set()
    for case in ElementTree.parse(report).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failing.add(f"{case.get('classname')}.{case.get('name')}")
    return frozenset(failing)


def green(repository: Path, nodes: Sequence[str], seconds: float) -> bool:
    """Whether pytest passes; a suite that does not end does not."""
    command = [*PYTEST, "-x", *nodes]
    try:
        done = subprocess.run(
            command, cwd=repository, capture_output=True, timeout=seconds, check=False, env=plain()
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def plain(*, imports: bool = False) -> dict[str, str]:
    """The environment without settings of selfheal, and without ``PYTHONPATH`` but for selfheal."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SELFHEAL_")}
    if not imports:
        kept.pop("PYTHONPATH", None)
    return kept | {"PYTHONDONTWRITEBYTECODE": "1", "GIT_CONFIG_GLOBAL": os.devnull}


def run_loop(
    repository: Path, report: Path, artifacts: Path, outcome: Outcome, seconds: float
) -> None:
    """``selfheal run`` and ``selfheal patch``, as a user would; fills what they told."""
    selfheal = [sys.executable, "-m", "selfheal.cli.main"]
    begun = time.monotonic()
    arguments = ["--repo", str(repository), "--telemetry", str(report), "--to", "validate"]
    command = [*selfheal, "run", *arguments, "--artifacts", str(artifacts)]
    try:
        ran = subprocess.run(
            command,
            cwd=artifacts.parent,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            env=plain(imports=True),
        )
    except subprocess.TimeoutExpired:
        outcome.seconds = time.monotonic() - begun
        outcome.result, outcome.reason = "abstained", f"the run took more than {seconds:.0f} s"
        return
    outcome.seconds = round(time.monotonic() - begun, 1)
    if ran.returncode:
        outcome.result = "error"
        outcome.reason = f"selfheal run ended with {ran.returncode}: {ran.stderr[-600:]}"
        return
    command = [*selfheal, "patch", "--artifacts", str(artifacts)]
    done = subprocess.run(
        command,
        cwd=artifacts.parent,
        capture_output=True,
        text=True,
        check=False,
        env=plain(imports=True),
    )
    outcome.patch = done.stdout if done.returncode == 0 else ""
    read_artifacts(artifacts / "latest", outcome)


def read_artifacts(run: Path, outcome: Outcome) -> None:
    diagnosis, validation = payload(run, "diagnosis"), payload(run, "validation")
    locations = [
        (str(each["file"]), int(each["line"]), str(each.get("function") or ""))
        for diagnosed in diagnosis.get("diagnoses", ())
        for each in diagnosed.get("locations", ())
    ]
    outcome.ranks = ranks(locations, outcome)
    searches = validation.get("searches") or ()
    outcome.tried = sum(int(each.get("tried") or 0) for each in searches)
    outcome.plausible = sum(int(each.get("plausible") or 0) for each in searches)
    chosen = validation.get("selected")
    for each in payload(run, "patch").get("candidates", ()):
        if each["id"] == chosen:
            outcome.strategy = str(each["strategy"])
    if not outcome.patch:
        outcome.result = "abstained"
        outcome.reason = why_not(diagnosis, validation)


def payload(run: Path, name: str) -> Mapping[str, Any]:
    path = run / f"{name}.json"
    found: Mapping[str, Any] = json.loads(path.read_text())["payload"] if path.is_file() else {}
    return found


def ranks(locations: Sequence[tuple[str, int, str]], outcome: Outcome) -> dict[str, int]:
    """The rank (from 1) of the first location on the right line, and in the right function."""
    found: dict[str, int] = {}
    functions: list[tuple[str, str]] = []
    for number, (file, line, function) in enumerate(locations, 1):
        if file != outcome.file:
            functions.append((file, function))
            continue
        functions.append((file, function))
        if abs(line - outcome.line) <= 1:
            found.setdefault("line", number)
        if function.split(".")[-1] == outcome.function.split(".")[-1]:
            found.setdefault("function", len(dict.fromkeys(functions)))
    return found


def why_not(diagnosis: Mapping[str, Any], validation: Mapping[str, Any]) -> str:
    """The run's own words for having no patch."""
    diagnosed = diagnosis.get("diagnoses") or ()
    if not diagnosed:
        return "nothing was diagnosed"
    verdicts = [f"{each['verdict']}: {each.get('reason') or ''}" for each in diagnosed]
    told = [
        str(each.get("unavailable") or each.get("note"))
        for each in validation.get("searches") or ()
    ]
    fallen = [
        f"{result['candidate_id']} {result['verdict']}: "
        + "; ".join(
            f"{check['name']} {check.get('reason') or check.get('summary') or ''}"
            for check in result.get("checks", ())
            if check.get("verdict", check.get("status")) not in ("passed", "not_run")
        )
        for result in validation.get("results") or ()
    ]
    return " | ".join([*verdicts[:2], *told[:2], *fallen[:3]])[:900]


def applied(repository: Path, outcome: Outcome) -> bool:
    """Apply the patch; False, told in the outcome, where git refuses it."""
    done = subprocess.run(
        ["git", "apply", "-"],
        cwd=repository,
        input=outcome.patch,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        outcome.result, outcome.reason = "error", f"git apply: {done.stderr[-300:]}"
    return not done.returncode


def grade(
    world: World,
    repository: Path,
    known: frozenset[str],
    outcome: Outcome,
    seconds: float,
) -> None:
    """Apply the patch and run the whole suite as the distribution has it."""
    if not applied(repository, outcome):
        return
    write(repository, world.graded)
    with tempfile.TemporaryDirectory(prefix="selfheal-healing-") as folder:
        failing = tests_of(repository, Path(folder) / "graded.xml", seconds)
    if failing is None:
        outcome.result, outcome.reason = "wrong", "the suite does not end"
    elif failing - known:
        outcome.result = "wrong"
        outcome.reason = f"{len(failing - known)} fail, such as {min(failing - known)}"
    else:
        outcome.result = "healed"
