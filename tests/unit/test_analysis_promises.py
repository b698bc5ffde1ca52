"""Documents and pins against production: contradictions are found, silence is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recording import Recording

from selfheal.analysis import DetectionData, judge
from selfheal.analysis.dependencies import detect_pins, missing_package
from selfheal.analysis.documentation import detect_documentation
from selfheal.analysis.errors import detect_errors
from selfheal.analysis.promises import parts, read_promises, wanted
from selfheal.analysis.releases import compare
from selfheal.artifacts import Anomaly
from selfheal.config import DetectConfig

DOCUMENT = """
# Operations
`GET /products/<id>` one product, `GET /search?q=` searches,
`POST /orders` orders. `GET /statistics` shows figures. `GET /health` is 200.

    python -m shop --port 8080 --colour red
    pip install --upgrade shop
"""
CODE = """
@app.get("/health")
@app.get("/search")
@blueprint.get('/<int:product>')
parser.add_argument("--port")
"""
VERSIONS = {"Flask": "2.3.0", "waitress": "3.0.1"}


def promised(**files: str) -> Any:
    return read_promises(
        "c0ffee", {"docs/api.md": DOCUMENT, "shop/app.py": CODE, **files}, VERSIONS
    )


def contradictions(tmp_path: Path, recording: Recording, promises: Any) -> dict[str, Anomaly]:
    dataset = recording.dataset(tmp_path)
    data = DetectionData(dataset=dataset, comparisons=compare(dataset), promises={"shop": promises})
    found = detect_documentation(data, DetectConfig()).anomalies
    for anomaly in found:
        assert judge(anomaly, dataset, baseline="", candidate="1.0").state == "no_data"
    return {f"{one.evidence['contradiction']}: {one.evidence['name']}": one for one in found}


def production(**more: int) -> Recording:
    recording = Recording()
    operations = {"GET /products/<int:id>": 30, "GET /search": 60, "POST /orders": 30, **more}
    for operation, count in operations.items():
        method, route = operation.split(" ")
        for number in range(count):
            query = "q=lamp&page=2" if operation == "GET /search" and number % 2 else ""
            recording.trace(
                "1.0", operation, number, 5,
                values={"http.request.method": method, "http.route": route, "url.path": route,
                        **({"url.query": query} if query else {})},
            )  # fmt: skip
    return recording


def test_what_documents_and_production_tell_differently_is_named_with_its_line(
    tmp_path: Path,
) -> None:
    promises = promised()
    found = contradictions(tmp_path, production(**{"GET /deals": 25, "GET /rare": 3}), promises)
    assert sorted(found) == [
        "flag not in code: --colour",
        "operation not documented: GET /deals",
        "operation not shown: GET /statistics",
        "parameter not documented: page",
    ]
    gone = found["operation not shown: GET /statistics"]
    assert gone.kind == "documentation"
    assert (gone.evidence["file"], gone.evidence["line"]) == ("docs/api.md", 4)


def test_documents_that_name_few_operations_promise_nothing_about_the_others(
    tmp_path: Path,
) -> None:
    promises = read_promises("c0ffee", {"README.md": "Try `GET /health`.", "app.py": CODE}, None)
    assert contradictions(tmp_path, production(), promises) == {}
    assert promises.pins is None


def test_an_openapi_description_is_a_document(tmp_path: Path) -> None:
    described = """
paths:
  /products/{id}: {get: {}}
  /search:
    get: {parameters: [{name: q, in: query}, {name: page, in: query}]}
  /orders: {post: {}, delete: {}}
"""
    promises = read_promises("c0ffee", {"api/openapi.yaml": described, "app.py": CODE}, None)
    found = contradictions(tmp_path, production(), promises)
    assert list(found) == ["operation not shown: DELETE /orders"]
    assert next(iter(found.values())).evidence["line"] == 6


def test_pins_that_the_environment_does_not_fulfil_are_found(tmp_path: Path) -> None:
    requirements = 'flask>=3.0\nwaitress>=3\n# a note\n-r more.txt\nrequests==2.0\npywin32; sys_platform == "win32"\n'
    project = '[project]\ndependencies = [\n  "waitress<3",\n]\n'
    promises = promised(**{"requirements.txt": requirements, "pyproject.toml": project})
    dataset = production().dataset(tmp_path)
    data = DetectionData(dataset=dataset, comparisons=compare(dataset), promises={"shop": promises})
    assert [anomaly.title for anomaly in detect_pins(data).anomalies] == [
        "pyproject.toml:3 wants waitress<3, which is 3.0.1",
        "requirements.txt:1 wants flask>=3.0, which is 2.3.0",
        "requirements.txt:5 wants requests==2.0, which is not installed",
    ]
    assert {anomaly.kind for anomaly in detect_pins(data).anomalies} == {"dependency"}


@pytest.mark.parametrize(
    ("exception", "message", "package"),
    [
        ("ModuleNotFoundError", "No module named 'yaml'", "yaml"),
        ("ImportError", "cannot import name 'x' from 'flask.json' (/site-packages/f.py)", "flask"),
        (
            "ImportError",
            "cannot import name 'Mapping' from 'collections' (/lib/c.py)",
            "collections",
        ),
        ("ImportError", "cannot import name 'OrderdDict' from 'collections' (/lib/c.py)", None),
        ("AttributeError", "module 'math' has no attribute 'sqroot'", None),
        ("ModuleNotFoundError", "No module named 'distutils.version'", "distutils"),
        ("AttributeError", "module 'numpy' has no attribute 'float'", "numpy"),
        ("pkg_resources.DistributionNotFound", "The 'six' distribution was not found", "six"),
        ("ModuleNotFoundError", "No module named 'shop.prices'", None),
        ("AttributeError", "'NoneType' object has no attribute 'x'", None),
        ("KeyError", "'yaml'", None),
        (None, None, None),
    ],
)
def test_errors_of_imports_are_told_from_faults_of_the_own_code(
    exception: str | None, message: str | None, package: str | None
) -> None:
    frames = '[{"file": "/srv/shop/app.py", "line": 1, "function": "<module>"}]'
    assert missing_package(exception, message, frames) == package


def test_a_missing_module_is_a_dependency_anomaly_and_judged_as_an_error(tmp_path: Path) -> None:
    recording = Recording()
    error = (
        "ModuleNotFoundError",
        "No module named 'yaml'",
        "Traceback (most recent call last):\n  File \"/srv/shop/cart.py\", line 3, in total\nModuleNotFoundError: No module named 'yaml'",
    )
    for number in range(40):
        recording.trace("1.0", "GET /cart", number, 5)
        failed = number % 2 == 0
        recording.trace(
            "1.1", "GET /cart", 50 + number, 5, status=500 if failed else 200,
            error=error if failed else None,
        )  # fmt: skip
    dataset = recording.dataset(tmp_path)
    data = DetectionData(dataset=dataset, comparisons=compare(dataset))
    (anomaly,) = detect_errors(data, DetectConfig()).anomalies
    assert (anomaly.kind, anomaly.evidence["package"]) == ("dependency", "yaml")
    assert judge(anomaly, dataset, baseline="1.0", candidate="1.1").state == "anomalous"


def test_histories_tests_and_foreign_code_promise_nothing() -> None:
    files = ["CHANGELOG.md", "docs/api.md", "node_modules/x/readme.md", "tests/test_app.py", "app.py",
             "requirements-dev.txt", "LICENSE.md", ".venv/lib/a.py"]  # fmt: skip
    assert wanted(files) == {
        "app.py": "code",
        "docs/api.md": "document",
        "requirements-dev.txt": "pins",
    }


@given(st.text(max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    files = ("a.md", "openapi.json", "swagger.yml", "requirements.txt", "pyproject.toml", "a.py")
    read_promises("c0ffee", dict.fromkeys(files, text), {})
    assert all(segment for segment in parts(text))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("pip install shop --user", []),
        ("docker build -t shop --pull", []),
        ("    $ python -m shop --colour", ["--colour"]),
        ("Run `shop serve --colour`.", ["--colour"]),
        ("PORT=1 uv run shop --colour red", ["--colour"]),
        ("cat orders | shop --colour", ["--colour"]),
    ],
)
def test_flags_are_those_of_the_command_that_the_line_runs(line: str, told: list[str]) -> None:
    found = read_promises(
        "c0ffee",
        {
            "pyproject.toml": '[project]\nname = "shop"\n[project.scripts]\nshop = "shop.app:main"\n',
            "README.md": f"{line}\n",
            "shop/app.py": "",
            "shop/__main__.py": "",
        },
        {},
    )
    assert [flag.flag for flag in found.flags] == told
