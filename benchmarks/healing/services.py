"""The example shop in production: one planted fault each, real telemetry of both releases.

Graded by what nobody of the loop sees: a fixed set of requests, sent to the first release,
to the sick one and to the healed one, with their failures and their counted work.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.healing.loop import PYTEST, Outcome, payload, plain, run_loop, why_not
from benchmarks.healing.worlds import git
from selfheal.demo.history import Fault, planted_faults
from selfheal.demo.recording import Recording, record

SECONDS = 12.0
# How much of the additional work may be left where slow code counts as healed.
LEFT = 0.25

PROBE = """
import json, random, sqlite3, sys, tempfile
from pathlib import Path
sys.path.insert(0, ".")
from selfheal.demo.traffic import session
from shop import sample
from shop.app import create_app

folder = Path(tempfile.mkdtemp())
sample.create(folder / "shop.db")
app = create_app(folder / "shop.db")
app.config["PROPAGATE_EXCEPTIONS"] = False
work = 0

def count(_frame, event, _argument):
    global work
    work += event in ("call", "c_call")

def traced(path, connect=sqlite3.connect, **options):
    connection = connect(path, **options)
    def on_statement(_sql):
        global work
        work += 100
    connection.set_trace_callback(on_statement)
    return connection

sqlite3.connect = traced
found = {}
for seed in range(100, 180):
    client = app.test_client()
    for visit in session(random.Random(seed)):
        with app.test_request_context(visit.target, method=visit.method) as context:
            operation = f"{visit.method} {context.request.url_rule}"
        work = 0
        sys.setprofile(count)
        reply = client.open(visit.target, method=visit.method, json=visit.body)
        sys.setprofile(None)
        known = found.setdefault(operation, {"requests": 0, "failed": 0, "work": 0})
        known["requests"] += 1
        known["failed"] += reply.status_code >= 500
        known["work"] += work
print(json.dumps(found))
"""

Probed = dict[str, dict[str, int]]


def shop_cases(names: Sequence[str]) -> list[Fault]:
    """The shop's faults of these names; of none, all."""
    return [fault for fault in planted_faults() if not names or fault.name in names]


def run_shop(fault: Fault, number: int, folder: Path, seconds: float) -> Outcome:
    """Record the sick shop, run the loop on it, and grade the patch."""
    recording = record(folder / "shop", number, seconds=SECONDS, faults=[fault.name])
    outcome = Outcome(
        library="shop",
        kind="error" if fault.exception else "performance",
        fault=f"{fault.exception} in production" if fault.exception else f"slow {fault.name}",
        file=fault.file,
        function=fault.function,
        line=-9,
        telling=True,
        seen_by_hidden=True,
    )
    artifacts = folder / "artifacts"
    run_loop(recording.repository.path, recording.telemetry, artifacts, outcome, seconds)
    outcome.convicted_commit = convicted(artifacts / "latest", recording)
    if outcome.patch and not answers(artifacts / "latest", fault):
        run = artifacts / "latest"
        outcome.result = "abstained"
        outcome.reason = why_not(payload(run, "diagnosis"), payload(run, "validation"))
    elif outcome.patch:
        grade_shop(fault, recording, folder, outcome)
    return outcome


def convicted(run: Path, recording: Recording) -> bool:
    """Whether the planted commit is the first suspect of a diagnosis."""
    planted = set(recording.repository.faults.values())
    return any(
        diagnosis["suspect_commits"][0]["sha"] in planted
        for diagnosis in payload(run, "diagnosis").get("diagnoses", ())
        if diagnosis["suspect_commits"]
    )


def answers(run: Path, fault: Fault) -> bool:
    """Whether the patch claims to heal the planted kind, and not just what else was found."""
    kind = "performance" if fault.exception is None else "error"
    own = {each["id"] for each in payload(run, "diagnosis")["diagnoses"] if each["kind"] == kind}
    selections = payload(run, "validation").get("selections", ())
    return any(each["candidate_id"] and each["diagnosis_id"] in own for each in selections)


def grade_shop(fault: Fault, recording: Recording, folder: Path, outcome: Outcome) -> None:
    repository = recording.repository
    checkouts = {}
    for name, commit in (
        ("good", repository.good_commit),
        ("bad", repository.bad_commit),
        ("healed", repository.bad_commit),
    ):
        checkouts[name] = folder / name
        git(repository.path, "worktree", "add", "-q", "--detach", str(folder / name), commit)
    (folder / "fix.patch").write_text(outcome.patch)
    try:
        git(checkouts["healed"], "apply", str(folder / "fix.patch"))
    except subprocess.CalledProcessError as error:
        outcome.result, outcome.reason = "error", f"git apply: {error.stderr[-300:]}"
        return
    command = [*PYTEST]
    suite = subprocess.run(
        command, cwd=checkouts["healed"], capture_output=True, env=plain(), check=False
    )
    work = {name: probe(path).get(fault.operation) for name, path in checkouts.items()}
    good, bad, healed = (work[name] or {} for name in ("good", "bad", "healed"))
    if suite.returncode:
        outcome.result, outcome.reason = "wrong", "the shop's suite fails"
    elif not healed or healed["failed"] > good.get("failed", 0):
        outcome.result, outcome.reason = "wrong", f"requests fail: {work}"
    elif fault.exception is None and not _cheap(good, bad, healed):
        outcome.result, outcome.reason = "wrong", f"as slow as before: {work}"
    else:
        outcome.result = "healed"


def _cheap(good: dict[str, int], bad: dict[str, int], healed: dict[str, int]) -> bool:
    """By counted work a request."""
    least, most, now = (each["work"] / each["requests"] for each in (good, bad, healed))
    return now <= least + LEFT * (most - least)


def probe(checkout: Path) -> Probed:
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=True,
        env=plain(imports=True),
    )
    found: Probed = json.loads(done.stdout)
    return found
