"""Every fault passes the shop's suite, shows under the visitors' requests, and only there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from selfheal.demo.history import ShopRepository, build_repository, git, planted_faults

SLOW = [fault.name for fault in planted_faults() if fault.exception is None]
FAILING = [fault.name for fault in planted_faults() if fault.exception is not None]
PAIRS = list(zip(SLOW, FAILING, strict=True))

# Runs in the shop's own folder: what the visitors ask for, answered by the test client.
# Work is counted as calls of functions (Python and C) and SQL statements.
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
calls = statements = 0

def count(_frame, event, _argument):
    global calls
    calls += event in ("call", "c_call")

def traced(path, connect=sqlite3.connect, **options):
    connection = connect(path, **options)
    def on_statement(_sql):
        global statements
        statements += 1
    connection.set_trace_callback(on_statement)
    return connection

sqlite3.connect = traced
found = {}
for seed in range(80):
    client = app.test_client()
    for visit in session(random.Random(seed)):
        with app.test_request_context(visit.target, method=visit.method) as context:
            operation = f"{visit.method} {context.request.url_rule}"
        calls = statements = 0
        sys.setprofile(count)
        reply = client.open(visit.target, method=visit.method, json=visit.body)
        sys.setprofile(None)
        work = found.setdefault(operation, {"requests": 0, "failed": 0, "calls": 0, "statements": 0})
        work["requests"] += 1
        work["failed"] += reply.status_code >= 500
        work["calls"] += calls
        work["statements"] += statements
print(json.dumps(found))
"""


def probe(checkout: Path) -> dict[str, dict[str, int]]:
    done = subprocess.run(
        [sys.executable, "-c", PROBE], cwd=checkout, capture_output=True, text=True, check=True
    )
    found: dict[str, dict[str, int]] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def sick(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ShopRepository]:
    """By fault: a repository whose 1.1 has it, each with one slow and one failing fault."""
    built: dict[str, ShopRepository] = {}
    for seed, pair in enumerate(PAIRS):
        repository = build_repository(tmp_path_factory.mktemp("shop"), seed, faults=pair)
        built |= dict.fromkeys(pair, repository)
    return built


@pytest.fixture(scope="module")
def work(
    sick: dict[str, ShopRepository], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, dict[str, int]]]:
    """By fault (``good`` for release 1.0): what each operation did and cost."""
    one = sick[SLOW[0]]
    good = tmp_path_factory.mktemp("good") / "repo"
    git(one.path, "clone", "--quiet", "--branch", "v1.0", str(one.remote), str(good))
    found = {"good": probe(good)}
    for slow, failing in PAIRS:
        found[slow] = found[failing] = probe(sick[slow].path)
    return found


@pytest.mark.parametrize("pair", PAIRS, ids="+".join)
def test_the_suite_passes_at_every_commit_with_a_fault(
    pair: tuple[str, str], sick: dict[str, ShopRepository]
) -> None:
    repository = sick[pair[0]]
    for commit in [*repository.faults.values(), repository.bad_commit]:
        git(repository.path, "checkout", "--quiet", "--detach", commit)
        suite = subprocess.run(
            [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider"],
            cwd=repository.path,
            capture_output=True,
            text=True,
            check=False,
        )
        git(repository.path, "checkout", "--quiet", "main")
        assert suite.returncode == 0, suite.stdout


@pytest.mark.parametrize("name", SLOW)
def test_a_slow_fault_costs_three_times_the_work_at_its_operation_only(
    name: str, work: dict[str, dict[str, dict[str, int]]]
) -> None:
    (fault,) = (fault for fault in planted_faults() if fault.name == name)
    for operation, before in work["good"].items():
        after = work[name][operation]
        ratio = max(after[kind] / before[kind] for kind in ("calls", "statements"))
        if operation == fault.operation:
            assert ratio >= 3
        elif not after["failed"]:  # telling of a failure is work too
            assert ratio < 1.2, operation


@pytest.mark.parametrize("name", FAILING)
def test_a_failing_fault_hits_some_requests_of_its_operation_only(
    name: str, work: dict[str, dict[str, dict[str, int]]]
) -> None:
    (fault,) = (fault for fault in planted_faults() if fault.name == name)
    assert all(operation["failed"] == 0 for operation in work["good"].values())
    for operation, after in work[name].items():
        share = after["failed"] / after["requests"]
        assert 0.03 < share < 0.25 if operation == fault.operation else share == 0, operation


@pytest.mark.parametrize("name", SLOW + FAILING)
def test_the_planted_commit_changes_the_function_at_fault(
    name: str, sick: dict[str, ShopRepository]
) -> None:
    repository = sick[name]
    ((fault, commit),) = ((f, c) for f, c in repository.faults.items() if f.name == name)
    changed = git(repository.path, "show", "--function-context", commit, "--", fault.file)
    assert f"def {fault.function}(" in changed
