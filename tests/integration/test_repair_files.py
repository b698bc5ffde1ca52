"""A requirement that is missing, and documents that tell what is not so, are mended in a real repository."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from selfheal_handlers.anomaly._promises import promises_of
from selfheal_handlers.diagnosis._examples import (
    anomaly,
    make_repository,
    spans_dataset,
    telemetry_of,
)
from selfheal_handlers.fix import HANDLERS as FIX
from selfheal_handlers.validation import HANDLERS as VALIDATION

from selfheal import config
from selfheal.analysis.documentation import detect_documentation
from selfheal.analysis.model import Comparison, DetectionData, ReleaseWindow
from selfheal.artifacts import Anomalies, Anomaly, Diagnoses, Patch, Validation
from selfheal.artifacts.anomalies import Detector, Health
from selfheal.artifacts.diagnosis import Impact
from selfheal.artifacts.telemetry import Release
from selfheal.codebase.git import git
from selfheal.codebase.history import History
from selfheal.diagnosis.dependencies import explain_dependency
from selfheal.diagnosis.documentation import explain_documentation
from selfheal.diagnosis.loading import load_codebase
from selfheal.diagnosis.model import Assessed, anomaly_set
from selfheal.diagnosis.recommendations import recommend
from selfheal.standalone import FolderWorkspace

TESTS = {"tests/test_kiosk.py": "def test_adds():\n    assert 1 + 1 == 2\n", "conftest.py": ""}
PYPROJECT = """\
[project]
name = "kiosk"
version = "1.0"
dependencies = [
    "click>=8",  # the command line
]
"""
READS = "import yaml\n\n\ndef read(text):\n    return yaml.safe_load(text)\n"


class World:
    """A repository with a good and a bad commit, and an anomaly that its telemetry shows."""

    def __init__(self, folder: Path, files: Mapping[str, str], changed: Mapping[str, str]) -> None:
        self.folder = folder
        stages = [("Start", {**TESTS, **files}), ("Change", changed)]
        self.commits = make_repository(folder / "repository", stages)
        self.tests = config.TestsConfig(command=["{python}", "-m", "pytest", "-q"])
        releases = [
            Release(service="items", version=version, commit=commit, spans=0, logs=0)
            for version, commit in (("1.0", self.commits[0]), ("1.1", self.commits[-1]))
        ]
        self.telemetry = telemetry_of(spans_dataset(folder, []), releases)

    def healed(self, found: Anomaly) -> tuple[Patch, Validation]:
        """The fix and the validate phase on the diagnosis of an anomaly."""
        patch, given = self.fixed(found)
        validated = self._phase("validate", VALIDATION, given, config.ValidateConfig(enough=1))
        return patch, validated

    def fixed(self, found: Anomaly) -> tuple[Patch, dict[str, Any]]:
        """The fix phase on the diagnosis of an anomaly, and what the next phase reads."""
        repository = self.folder / "repository"
        telemetry = self.telemetry
        asked = anomaly_set([found])
        settings = config.DiagnoseConfig()
        codebase = load_codebase(History(repository), asked, telemetry, settings)
        explain = explain_dependency if found.kind == "dependency" else explain_documentation
        cause = explain(found, codebase.range_of(found), settings)
        impact = Impact(
            severity="low", affected_requests=1, all_requests=1, share=1, explanation=""
        )
        diagnosis = recommend(Assessed(cause=cause, impact=impact, complexity="low"))
        given: dict[str, Any] = {
            "diagnosis": Diagnoses(diagnoses=[diagnosis]),
            "anomalies": Anomalies(
                anomalies=[found], health=Health(state="no_data", score=None, components=[])
            ),
            "telemetry": telemetry,
            "tests": self.tests,
            "fix": config.FixConfig(),
            "service": config.ServiceConfig(),
        }
        given["patch"] = self._phase("fix", FIX, given, config.FixConfig())
        return given["patch"], given

    def _phase(self, name: str, beats: Any, given: dict[str, Any], settings: Any) -> Any:
        """The beats of a phase in their order, as the runner wires them; the stored artifact."""
        known = dict(given)
        stored = None
        for beat in beats:
            folder = self.folder / name / beat.name
            folder.mkdir(parents=True, exist_ok=True)
            known["workspace"] = FolderWorkspace(folder, repository=self.folder / "repository")
            arguments = {
                each.name: self.tests
                if each.name == "config" and each.annotation is config.TestsConfig
                else settings
                if each.name == "config"
                else known.get(each.name)
                for each in beat.parameters
            }
            known[beat.name] = beat(**arguments)
            if beat.writes:
                stored = known[beat.writes] = known[beat.name]
        return stored


def missing(module: str) -> Anomaly:
    evidence = {
        "package": module,
        "exception_type": "ModuleNotFoundError",
        "message": f"No module named '{module}'",
        "frames": [],
    }
    return anomaly("dependency", "GET /", evidence)


def verdicts(validation: Validation, patch: Patch, number: int = 0) -> dict[str, str]:
    name = patch.candidates[number].id
    result = next(each for each in validation.results if each.candidate_id == name)
    return {check.name: check.verdict for check in result.checks}


def test_a_module_that_no_manifest_requires_is_required_and_imports(tmp_path: Path) -> None:
    """PyYAML is installed here: without the line the import fails among what is required."""
    world = World(tmp_path, {"pyproject.toml": PYPROJECT, "kiosk.py": ""}, {"kiosk.py": READS})
    patch, validation = world.healed(missing("yaml"))
    best = patch.candidates[0]
    assert '+    "PyYAML>=' in best.patch
    assert " # the command line" in best.patch
    assert validation.selected is not None, validation
    assert verdicts(validation, patch)["detector"] == "passed"
    assert "`import yaml` fails" in str(validation.results[0])
    git(tmp_path / "repository", "apply", "--check", "-", input=best.patch)


def test_a_name_that_python_moved_is_mended_where_it_is_missed_and_no_index_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    files = {
        "a_first.py": "from collections import OrderedDict\n",
        "kiosk.py": "from collections import Sized, deque, Mapping\n",
        "pyproject.toml": PYPROJECT,
    }
    world = World(tmp_path, {"pyproject.toml": PYPROJECT}, files)
    message = "cannot import name 'Sized' from 'collections' (/usr/lib/collections/__init__.py)"
    frames = [{"file": "/srv/app/kiosk.py", "function": "<module>", "line": 1}]
    evidence = {"package": "collections", "exception_type": "ImportError", "message": message}
    found = anomaly("dependency", "GET /", evidence | {"frames": frames})
    patch, validation = world.healed(found)
    best = patch.candidates[0]
    assert (
        "+from collections import deque\n+from collections.abc import Sized, Mapping\n"
        in best.patch
    )
    assert not any("index client" in each.reason for each in patch.dropped)
    assert verdicts(validation, patch)["detector"] == "passed", validation


def test_the_import_that_failed_is_looked_at_before_others_of_the_same_module(
    tmp_path: Path,
) -> None:
    files = {f"a_{number}.py": "from collections import OrderedDict\n" for number in range(9)}
    files["kiosk.py"] = "from collections import deque\nfrom collections import Sized\n"
    world = World(tmp_path, {"pyproject.toml": PYPROJECT}, files)
    message = "cannot import name 'Sized' from 'collections' (/usr/lib/collections/__init__.py)"
    evidence = {"package": "collections", "exception_type": "ImportError", "message": message}
    frames = [{"file": "/srv/app/kiosk.py", "function": "<module>", "line": 2}]
    for known in (evidence, evidence | {"frames": frames}):
        _, given = world.fixed(anomaly("dependency", "GET /", known))
        manifest, first, *_ = given["diagnosis"].diagnoses[0].locations
        assert manifest.file == "pyproject.toml"
        assert (first.file, first.line) == ("kiosk.py", 2), known


API = """\
# API

| Operation | |
|---|---|
| `GET /items` | lists the items |
| `GET /gone` | was once |
"""
ROUTES = '''\
from kiosk import app


@app.get("/items")
def items():
    return []


@app.get("/offers")
def offers():
    """Lists what is cheap today."""
    return []
'''


def contradicted(contradiction: str, name: str, line: int | None) -> Anomaly:
    found = anomaly(
        "documentation",
        name,
        {"contradiction": contradiction, "name": name, "file": "docs/api.md", "line": line},
    )
    detector = Detector(
        name="documentation",
        parameters={"contradiction": contradiction, "name": name},
        window=found.detector.window,
    )
    return found.model_copy(update={"detector": detector})


def test_a_document_that_tells_what_is_not_so_is_mended_and_proven(tmp_path: Path) -> None:
    """There is no code test for it: the documents' own detector is red before and quiet after."""
    world = World(tmp_path, {"docs/api.md": API, "kiosk.py": ""}, {"kiosk.py": ROUTES})
    patch, validation = world.healed(contradicted("operation not documented", "GET /offers", None))
    best = patch.candidates[0]
    assert "+| `GET /offers` | Lists what is cheap today |\n" in best.patch
    assert patch.reproducers[best.diagnosis_id].unavailable is not None
    assert validation.selected == best.id, validation
    checks = verdicts(validation, patch)
    assert (checks["detector"], checks["suite"], checks["documentation"]) == ("passed",) * 3
    assert checks["regression_test"] == "unavailable"
    git(tmp_path / "repository", "apply", "--check", "-", input=best.patch)


def wheel(folder: Path, name: str, version: str, code: str) -> None:
    """A wheel of one module, as an index would have it."""
    folder.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(path, text)


def test_a_distribution_comes_from_the_users_own_index_where_it_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pip's configuration says where; the import is tried with what it puts into a folder."""
    wheel(tmp_path / "index", "kioskreader", "2.1", "def read(text):\n    return text\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    reads = "from kioskreader import read\n"
    world = World(tmp_path, {"requirements.txt": "click>=8\n"}, {"kiosk.py": reads})
    patch, validation = world.healed(missing("kioskreader"))
    assert "+kioskreader>=2.1\n" in patch.candidates[0].patch
    assert verdicts(validation, patch)["detector"] == "passed", validation


def test_what_no_index_has_is_told_and_only_the_commit_can_be_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    reads = {"kiosk.py": "from kioskreader import read\n"}
    world = World(tmp_path, {"requirements.txt": "click>=8\n", "kiosk.py": ""}, reads)
    patch, _ = world.fixed(missing("kioskreader"))
    assert "kioskreader is not installed, and the index client says" in patch.dropped[0].reason
    assert {each.strategy for each in patch.candidates} == {"revert_commit"}


NOTES = """\
# Kiosk

    >>> from kiosk import total
    >>> total([10])
    12.0
    >>> total("x")
    Traceback (most recent call last):
    TypeError: no numbers
    >>> total([1])  # doctest: +SKIP
    7
"""
TOTAL = "def total(prices):\n    return round(sum(prices) * 1.2, 2)\n"


def test_an_example_that_a_release_makes_print_otherwise_is_found_mended_and_proven(
    tmp_path: Path,
) -> None:
    """It printed what it tells before; what raises, and what is skipped, is left to people."""
    world = World(
        tmp_path,
        {"NOTES.md": NOTES, "kiosk.py": TOTAL},
        {"kiosk.py": TOTAL.replace("1.2", "1.3")},
    )
    window = ReleaseWindow(version="1.1", start_ns=0, end_ns=1, requests=1)
    earlier = window.model_copy(update={"version": "1.0"})
    pair = Comparison(service="items", baseline=earlier, candidate=window)
    promises = promises_of(
        tmp_path / "repository", world.telemetry, [pair], world.tests, tmp_path / "scratch"
    )
    data = DetectionData(
        dataset=world.telemetry.dataset, comparisons=[pair], promises={"items": promises["items"]}
    )
    (found,) = detect_documentation(data, config.DetectConfig()).anomalies
    assert found.title == "NOTES.md:5: the example total([10]) prints 13.0; 12.0 is told"
    patch, validation = world.healed(found)
    assert "-    12.0\n+    13.0\n" in patch.candidates[0].patch
    assert validation.selected == patch.candidates[0].id, validation
    assert verdicts(validation, patch)["detector"] == "passed"


SLICED = '''\
def sliced(rows, first, last, step):
    """Take some.

    :param rows: all of them
    :param the_first: where they begin
    :param last: where they end
    """
    return rows[first:last:step]
'''


def test_a_renamed_parameter_is_mended_though_another_one_is_not_told_of(tmp_path: Path) -> None:
    """Only beside sound entries is it noticed that `step` is passed over: no new contradiction."""
    told = SLICED.replace("the_first", "first")
    world = World(tmp_path, {"kiosk.py": told}, {"kiosk.py": SLICED})
    window = ReleaseWindow(version="1.1", start_ns=0, end_ns=1, requests=1)
    pair = Comparison(service="items", baseline=None, candidate=window)
    promises = promises_of(
        tmp_path / "repository", world.telemetry, [pair], world.tests, tmp_path / "scratch"
    )
    data = DetectionData(
        dataset=world.telemetry.dataset, comparisons=[pair], promises={"items": promises["items"]}
    )
    (found,) = detect_documentation(data, config.DetectConfig()).anomalies
    patch, validation = world.healed(found)
    assert "+    :param first: where they begin\n" in patch.candidates[0].patch
    assert validation.selected == patch.candidates[0].id, validation
