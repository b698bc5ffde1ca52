"""What production was recorded to do becomes tests: from the service's calls to the proven patch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from selfheal import config
from selfheal.analysis import DetectionData
from selfheal.analysis.releases import compare
from selfheal.analysis.untested import detect_untested
from selfheal.artifacts import Anomaly, Dataset
from selfheal.artifacts.diagnosis import Diagnosis, Impact, Location
from selfheal.codebase.git import git
from selfheal.codebase.history import History
from selfheal.repair import Problem, candidates, propose, regression_test
from selfheal.repair.gather import gather
from selfheal.repair.recorded import ObservedCall, recorded_calls
from selfheal.repair.recorded_test import recorded_tests
from selfheal.sandbox.bench import Bench
from selfheal.sandbox.calls import Calls, with_behaviour
from selfheal.sandbox.evidence import Subject, Untested
from selfheal.sandbox.recorded import observe, spread
from selfheal.sandbox.untested import prove_tests
from selfheal.telemetry import ingest

PRICES = '''\
"""Prices of the kiosk."""

import asyncio
import dataclasses
import datetime
import os
import uuid

SEEN = []
WORDS = {}


class TooHeavy(ValueError):
    pass


@dataclasses.dataclass
class Parcel:
    weight: float
    country: str = "DE"


class Till:
    def __init__(self, cash):
        self._cash = cash

    def take(self, amount):
        self._cash = self._cash + amount
        return self


class Code:
    """Its constructor takes a text, and it holds what that says."""

    def __init__(self, text):
        self._country, _, number = text.partition("-")
        self._number = int(number)
        self._shown = None

    def shown(self):
        self._shown = f"{self._number:04} {self._country}"
        return self._shown


def postage(parcel, express=False):
    if parcel.weight > 30:
        raise TooHeavy(parcel.weight)
    price = 4.9 if parcel.country == "DE" else 12.5
    if express:
        price = price * 2
    return price


def receipt(lines):
    return {"id": str(uuid.uuid4()), "lines": sorted(lines), "words": set(lines)}


def stamped(name):
    return {"name": name, "day": datetime.date.today().isoformat()}


def queue(name):
    SEEN.append(name)
    return len(SEEN)


def unsteady(names):
    return list({str(name) for name in names})


def add(cart, name):
    cart[name] = cart.get(name, 0) + 1


def login(name, password):
    return {"name": name, "length": len(password)}


def where(name):
    return os.environ["KIOSK_FOLDER"] + name


async def stock(name):
    await asyncio.sleep(0)
    return {"tea": 3}.get(name)


def translated(name):
    return WORDS.get(name, name)


def known(name):
    return name == "tea"
'''
TESTS = """\
from kiosk import prices


def test_known():
    assert prices.known("tea")
"""
SERVICE = """\
import asyncio

from selfheal.recorder import install_from_environment

install_from_environment()
from kiosk import prices

for number in range(8):
    for country in ("DE", "FR"):
        prices.postage(prices.Parcel(number * 2.0, country), express=number % 2 == 0)
    prices.receipt(["tea", "salt", f"n{number}"])
    prices.stamped(f"n{number}")
    prices.queue(f"n{number}")
    prices.unsteady(["tea", "salt", "milk", "bread", f"n{number}"])
    prices.add({"tea": number}, "tea" if number % 2 else "salt")
    prices.login("ann", f"hunter{number}")
    prices.where(f"n{number}")
    prices.Till(number).take(2)
    prices.Code(f"DE-{number}").shown()
    prices.known("tea")
    prices.WORDS["n7"] = "seven"
    prices.translated(f"n{number}")
    asyncio.run(prices.stock("tea" if number else "milk"))
try:
    prices.postage(prices.Parcel(31.0))
except ValueError:
    pass
"""


@dataclass
class World:
    """A repository, its service's telemetry, and what is found in it."""

    repository: Path
    commit: str
    dataset: Dataset
    anomalies: dict[str, Anomaly]
    tests: config.TestsConfig


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("recorded")
    repository, telemetry = folder / "repository", folder / "telemetry"
    files = {
        "kiosk/__init__.py": "",
        "kiosk/prices.py": PRICES,
        "tests/test_prices.py": TESTS,
        "conftest.py": "",
        "requirements-dev.txt": "pytest\nhypothesis\n",
    }
    for name, text in files.items():
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text(text)
    identity = {f"GIT_{r}_{k}": "a@b" for r in ("AUTHOR", "COMMITTER") for k in ("NAME", "EMAIL")}
    git(repository, "init", "--quiet")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "One", environment=identity)
    commit = git(repository, "rev-parse", "HEAD").stdout.strip()
    serve(repository, telemetry, commit)
    report = ["-m", "coverage", "run", f"--data-file={folder / 'data'}", "--source=kiosk"]
    for command in (
        [*report, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        [
            *("-m", "coverage", "json", "-q", f"--data-file={folder / 'data'}"),
            *("-o", str(telemetry / "coverage-1.0.json")),
        ],
    ):
        subprocess.run([sys.executable, *command], cwd=repository, check=True, capture_output=True)
    files_read = [*sorted((telemetry / "calls").iterdir()), telemetry / "coverage-1.0.json"]
    dataset = ingest(files_read, folder, "dataset").dataset
    found = detect_untested(DetectionData(dataset=dataset, comparisons=compare(dataset)))
    return World(
        repository=repository,
        commit=commit,
        dataset=dataset,
        anomalies={str(each.evidence["function"]): each for each in found.anomalies},
        tests=config.TestsConfig(command=[sys.executable, "-m", "pytest"], sources=["kiosk"]),
    )


def serve(repository: Path, telemetry: Path, commit: str) -> None:
    """Run the service with the recorder."""
    telemetry.mkdir()
    settings = telemetry / "recorder.config"
    settings.write_text(
        json.dumps({"functions": ["kiosk.prices:*"], "folder": str(telemetry / "calls")})
    )
    environment = {
        "PATH": os.environ["PATH"],
        "KIOSK_FOLDER": "/srv/",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(repository),
        "SELFHEAL_RECORDER": str(settings),
        "OTEL_SERVICE_NAME": "kiosk",
        "OTEL_RESOURCE_ATTRIBUTES": f"service.version=1.0,vcs.ref.head.revision={commit}",
    }
    command = [sys.executable, "-c", SERVICE]
    subprocess.run(command, cwd=repository, env=environment, check=True)


def diagnosis(world: World, function: str) -> Diagnosis:
    anomaly = world.anomalies.get(f"kiosk.prices.{function}")
    name = function.rpartition(".")[2]
    text = PRICES.splitlines()
    line = next(n for n, row in enumerate(text, start=1) if f"def {name}(" in row)
    return Diagnosis(
        id=f"diagnosis-{function}",
        anomaly_ids=[anomaly.id] if anomaly else [],
        kind="coverage",
        service="kiosk",
        operation=f"kiosk.prices.{function}",
        title="",
        verdict="code_cause",
        reason="",
        locations=[Location(file="kiosk/prices.py", line=line, function=function, score=0.9)],
        suspect_commits=[],
        root_service="kiosk",
        impact=Impact(
            severity="low", affected_requests=1, all_requests=1, share=1.0, explanation=""
        ),
        complexity="low",
        recommendations=[],
        bad_commit=world.commit,
        evidence={"executed_count": 8},
    )


def test_functions_that_were_recorded_and_have_no_test_are_found(world: World) -> None:
    names = {name.removeprefix("kiosk.prices.") for name in world.anomalies}
    assert names == {
        *("postage", "receipt", "stamped", "queue", "unsteady", "add", "login", "where"),
        "translated",
        *("stock", "Till.take", "Code.shown"),
    }


def observed(world: World, function: str) -> Any:
    records = recorded_calls(diagnosis(world, function), "1.0", world.dataset)
    return observe(world.repository, world.tests, records)


def answers(calls: list[ObservedCall]) -> list[Any]:
    return [json.loads(call.answer or "null") for call in calls]


def test_answers_that_stay_are_pinned_and_noise_is_asked_by_its_class(world: World) -> None:
    some = {"$": "like", "class": "builtins:str"}
    found = observed(world, "receipt")
    assert {json.dumps(each["id"]) for each in answers(found.calls)} == {json.dumps(some)}
    assert ["n0", "salt", "tea"] in [each["lines"] for each in answers(found.calls)]


def test_what_reads_the_clock_is_asked_by_its_shape(world: World) -> None:
    some = {"$": "like", "class": "builtins:str"}
    assert {"name": some, "day": some} in answers(observed(world, "stamped").calls)


def test_what_depends_on_the_calls_before_or_on_hashes_is_asked_by_its_class(world: World) -> None:
    number = {"$": "like", "class": "builtins:int"}
    assert all(each == number for each in answers(observed(world, "queue").calls))
    found = observed(world, "unsteady")
    assert all("like" in str(call.answer) for call in found.calls)


def test_an_answer_that_production_alone_could_give_does_not_loosen_the_others(
    world: World,
) -> None:
    """Another state of the process gave it: the answers of the other calls are pinned."""
    found = observed(world, "translated")
    assert sorted(answers(found.calls)) == [f"n{number}" for number in range(7)]
    assert found.unused == {"it steadily answers otherwise than in production": 1}


def test_objects_and_changed_arguments_are_told_by_what_they_hold(world: World) -> None:
    (first, *_) = observed(world, "Till.take").calls
    assert json.loads(first.answer)["state"] is True
    assert json.loads(first.after) == {"0": {"_cash": 2}}
    added = observed(world, "add").calls
    assert {"0": {"tea": 2}} in [json.loads(call.after) for call in added]


def test_objects_that_no_constructor_makes_are_made_without_it(
    world: World, tmp_path: Path
) -> None:
    found = observed(world, "Code.shown")
    held = json.loads(found.calls[0].args)[0]
    assert held["held"] is True
    assert json.loads(found.calls[0].answer) == "0000 DE"
    assert found.calls[0].after is None, "what an object keeps for itself is not asked for"
    text = recorded_tests(found, "It ran.")
    assert 'holding(kiosk.prices.Code, _country="DE", _number=0, _shown=None)' in text
    (tmp_path / "test_code.py").write_text(text)
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(
        command, cwd=world.repository, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_calls_that_end_differently_here_are_not_used_and_the_reason_is_told(world: World) -> None:
    found = observed(world, "where")
    assert found.calls == []
    assert list(found.unused) == [
        "it ends with KeyError in the sandbox, in production it was an answer"
    ]
    assert found.unavailable


def test_a_secret_is_replaced_and_its_consequences_are_not_pinned(world: World) -> None:
    (call,) = observed(world, "login").calls
    assert json.loads(call.args) == ["ann", "redacted"]
    assert json.loads(call.answer) == {
        "name": "ann",
        "length": {"$": "like", "class": "builtins:int"},
    }


def test_telemetry_cannot_name_another_function(world: World) -> None:
    records = recorded_calls(diagnosis(world, "known"), "1.0", world.dataset)
    others = {"os": "system", "posixpath": "join", "kiosk.prices": "SEEN.append"}
    calls = [
        records.calls[0].model_copy(update={"module": module, "function": function})
        for module, function in others.items()
    ]
    found = observe(world.repository, world.tests, records.model_copy(update={"calls": calls}))
    assert found.calls == []
    assert sorted(found.unused) == [
        "kiosk.prices:SEEN.append is no function of Python",
        "os:system is no function of Python",
        "posixpath:join is imported from elsewhere than the checkout",
    ]


def test_calls_that_never_end_or_end_the_process_are_unavailable(
    world: World, tmp_path: Path
) -> None:
    endings = {"while True: pass": "do not end", "import os; os._exit(0)": "end the process"}
    for number, (body, told) in enumerate(endings.items()):
        folder = tmp_path / str(number)
        (folder / "kiosk").mkdir(parents=True)
        (folder / "kiosk" / "prices.py").write_text(f"def known(name):\n    {body}\n")
        records = recorded_calls(diagnosis(world, "known"), "1.0", world.dataset)
        found = observe(folder, world.tests, records, timeout_seconds=1)
        assert told in str(found.unavailable)


def test_a_property_is_asked_only_as_far_as_it_holds(world: World, tmp_path: Path) -> None:
    found = observed(world, "postage")
    assert spread(world.repository, world.tests, found) == "wide"
    assert git(world.repository, "status", "--porcelain", "--untracked-files=no").stdout == ""
    (tmp_path / "tests").mkdir()
    assert spread(tmp_path, world.tests, found) == "none", "the project uses no hypothesis"


def test_the_tests_of_recorded_calls_pass_the_bar(world: World, tmp_path: Path) -> None:
    """Steady in 20 shuffled runs, quiet detector, mutants killed; the code stays as it is."""
    accused = diagnosis(world, "postage")
    given = gather(
        accused, History(world.repository), tests_folder="tests", fixture=None, changelog="NEWS"
    )
    anomalies = [world.anomalies["kiosk.prices.postage"]]
    (problem,) = with_behaviour(
        [given],
        Calls(anomalies, world.dataset, world.repository, tmp_path, world.tests),
        requested=[False],
    )
    assert problem.behaviour is not None
    made = regression_test(problem)
    (best,) = candidates(problem, propose(problem), made, None, None, 8)
    assert (best.strategy, best.edit["template"]) == ("add_test", "recorded_calls")
    assert best.files == [made.reproducer.test_file]
    assert "TooHeavy" in best.patch
    checks = proven(
        world, problem, best, f"{made.reproducer.test_file}::{made.reproducer.test_name}", tmp_path
    )
    assert {name: checks[name].verdict for name in checks} == {
        "applies": "passed",
        "tests_not_weakened": "passed",
        "regression_test": "passed",
        "shuffled_runs": "passed",
        "suite": "passed",
        "examples": "unavailable",
        "mutants": "passed",
        "detector": "passed",
        "speed": "unavailable",
    }
    assert checks["shuffled_runs"].counts["passed"] == 20
    assert checks["mutants"].required
    assert checks["mutants"].counts["killed"] >= 0.8 * checks["mutants"].counts["total"]


def proven(world: World, problem: Problem, best: Any, test: str, folder: Path) -> dict[str, Any]:
    (anomaly,) = (world.anomalies["kiosk.prices.postage"],)
    place = problem.diagnosis.locations[0]
    subject = Subject(
        diagnosis_id=problem.diagnosis.id,
        kind="coverage",
        operation=problem.diagnosis.operation,
        anomaly_ids=[anomaly.id],
        candidate_ids=[best.id],
        bad_commit=world.commit,
        test=test,
        untested=[Untested(file=place.file, function=place.function, line=place.line)],
    )
    bench = Bench(world.repository, folder / "bench", world.tests, config.ValidateConfig())
    applied = bench.apply(best)
    tested = bench.prove(best, subject, applied.files)
    judged = prove_tests(bench, subject, best, {anomaly.id: anomaly}, folder=folder / "coverage")
    return {check.name: check for check in [*applied.checks, *tested.checks, *judged]}
