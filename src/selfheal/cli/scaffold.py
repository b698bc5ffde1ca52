"""What ``selfheal beats new`` writes: a handler that runs, its sequence entry and its test."""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from selfheal.errors import InvalidInput

TELEMETRY_EXAMPLE = """Telemetry(
        sources=[],
        refused=Refused(),
        events=EventCounts(spans=40),
        window=Window(),
        releases=[],
        operations=[
            OperationStatistics(
                service="shop",
                operation="GET /cart",
                release="1.1",
                count=40,
                errors=10,
                error_rate=0.25,
                rate_per_second=2.0,
                p50_ms=3.0,
                p95_ms=8.0,
                p99_ms=9.0,
                mean_ms=3.5,
                max_ms=9.5,
            )
        ],
        dataset=Dataset(path="dataset", tables={}),
    )"""


@dataclass(frozen=True)
class Reads:
    """The artifact that a new beat of a phase reads, and code that makes and counts one."""

    artifact: str
    model: str
    module: str
    example: str
    items: str
    names: tuple[str, ...] = ()
    after: str | None = None


TELEMETRY = Reads(
    "telemetry",
    "Telemetry",
    "telemetry",
    TELEMETRY_EXAMPLE,
    "[o.operation for o in telemetry.operations if o.error_rate > limit]",
    ("EventCounts", "OperationStatistics", "Refused", "Window"),
)
READS: dict[str, Reads] = {
    "parse": Reads(**{**TELEMETRY.__dict__, "after": "store_telemetry_database"}),
    "detect": TELEMETRY,
    "diagnose": Reads(
        "anomalies",
        "Anomalies",
        "anomalies",
        'Anomalies(anomalies=[], health=Health(state="no_data", score=None, components=[]))',
        "[a.title for a in anomalies.anomalies if a.score > limit]",
        ("Health",),
    ),
    "fix": Reads(
        "diagnosis",
        "Diagnoses",
        "diagnosis",
        "Diagnoses(diagnoses=[])",
        "[d.title for d in diagnosis.diagnoses if d.impact.share > limit]",
    ),
    "validate": Reads(
        "patch",
        "Patch",
        "patch",
        "Patch(candidates=[])",
        "[c.id for c in patch.candidates if c.score > limit]",
    ),
    "deploy": Reads(
        "validation",
        "Validation",
        "validation",
        'Validation(results=[], selected=None, reason="nothing to prove", isolation="none")',
        "[\n"
        "        r.candidate_id\n"
        "        for r in validation.results\n"
        '        if sum(c.verdict == "passed" for c in r.checks) < limit * len(r.checks)\n'
        "    ]",
    ),
    "learn": Reads(
        "deployment",
        "Deployment",
        "deployment",
        'Deployment(candidate_id=None, outcome="not_deployed", reason="no candidate")',
        '[f"{s.percent} %" for s in deployment.rollout if s.percent > limit]',
    ),
}

PLAIN = '''\
"""{title}: say here what it looks for, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

{imports}


class {model}(Model):
    """What `{name}` found."""

    findings: list[str]

    @property
    def summary(self) -> str:
        """The line that the progress prints."""
        return f"{{len(self.findings)}} findings"


def example(folder: Path) -> dict[str, Any]:
    """Arguments with which the handler runs for real; the test uses them."""
    {artifact} = {example}
    return {{"{artifact}": {artifact}, "limit": 0.1}}


@handler("{name}", kind="pure", example=example)
def {name}({artifact}: {artifact_model}, limit: float) -> {model}:
    """Reads the artifact `{artifact}`; `limit` comes from the beat's `with` in its sequence."""
    findings = {items}
    return {model}(findings=findings)
'''

DETECTOR = '''\
"""{title}: say here what it looks for, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

{imports}


def example(folder: Path) -> dict[str, Any]:
    """Arguments with which the handler runs for real; the test uses them."""
    telemetry = {example}
    return {{"telemetry": telemetry, "limit": 0.1}}


@handler("{name}", kind="pure", contributes=True, example=example)
def {name}(telemetry: Telemetry, limit: float) -> list[Anomaly]:
    """Operations that fail more often than `limit`, which comes from the beat's `with`."""
    return [
        Anomaly(
            id=short_id("anomaly", "{name}", found.service, found.operation, found.release),
            kind="error",
            service=found.service,
            operation=found.operation,
            severity="medium",
            score=found.error_rate,
            title=f"{{found.operation}} fails in {{found.error_rate:.0%}} of its requests",
            count=found.errors,
            detector=Detector(
                name="{name}",
                parameters={{"limit": limit}},
                window=DataWindow(candidate_release=found.release),
            ),
            evidence={{"requests": found.count, "errors": found.errors}},
        )
        for found in telemetry.operations
        if found.error_rate > limit
    ]
'''

TEST = '''\
"""`{name}` runs on its own example, and finds what it should."""

from __future__ import annotations

import importlib.util
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "handlers" / "{name}.py"


def test_{name}_runs_on_its_example(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("{name}", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    handler = module.{name}
    result = handler(**handler.example(tmp_path))
{check}
'''


def files(name: str, phase: str, sequence: str, *, contributes: bool) -> Mapping[Path, str]:
    """The files of a new beat by their path in the project's beats folder.

    `sequence` is the id of the phase's sequence. Raises InvalidInput where `name` is no
    snake_case Python name or `contributes` is asked of another phase than detect.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise InvalidInput(
            f"{name!r} cannot name a beat: it names a Python function as well.",
            hint="Use lower case letters, digits and underscores, such as check_licence.",
        )
    if phase not in READS:
        raise InvalidInput(
            f"there is no phase {phase!r}.", hint=f"The phases are {', '.join(READS)}."
        )
    if contributes and phase != "detect":
        raise InvalidInput(
            f"--contributes makes a detector, and detectors belong to detect, not to {phase}.",
            hint="Leave --contributes out, or use --phase detect.",
        )
    reads = READS[phase]
    entry: dict[str, object] = {
        "handler": name,
        "title": title(name),
        "event": f"project:{phase}:{name}",
        "kind": "pure",
        "with": {"limit": 0.05},
    }
    after = "load_telemetry_data" if contributes else reads.after
    if after:
        entry["after"] = after
    check = (
        f'    assert [found.detector.name for found in result] == ["{name}"]'
        if contributes
        else f"    assert result.findings == {_expected(phase)}"
    )
    return {
        Path("handlers") / f"{name}.py": _handler(name, reads, contributes),
        Path("sequences") / f"{name}.json": json.dumps(
            {"extends": sequence, "beats": [entry]}, indent=2
        )
        + "\n",
        Path("tests") / f"test_{name}.py": TEST.format(name=name, check=check),
    }


def title(name: str) -> str:
    """The name for people: ``check_licence`` is Check licence."""
    return name.replace("_", " ").capitalize()


def _expected(phase: str) -> str:
    return '["GET /cart"]' if READS[phase].artifact == "telemetry" else "[]"


def _handler(name: str, reads: Reads, contributes: bool) -> str:
    model = "".join(part.capitalize() for part in name.split("_")) + "Result"
    return (DETECTOR if contributes else PLAIN).format(
        name=name,
        title=title(name),
        model=model,
        artifact=reads.artifact,
        artifact_model=reads.model,
        example=reads.example,
        items=reads.items,
        imports=_imports(reads, contributes),
    )


def _imports(reads: Reads, contributes: bool) -> str:
    """Sorted as linters want them."""
    top = {reads.model, "Anomaly"} if contributes else {reads.model, "Model"}
    if reads.artifact == "telemetry":
        top.add("Dataset")
    lines = [f"from selfheal.artifacts import {', '.join(sorted(top))}"]
    if contributes:
        lines.append("from selfheal.artifacts.anomalies import DataWindow, Detector")
        lines.append("from selfheal.artifacts.canonical import short_id")
    if reads.names:
        module = f"selfheal.artifacts.{reads.module}"
        lines.append(f"from {module} import {', '.join(reads.names)}")
    lines.append("from selfheal.contract import handler")
    return "\n".join(lines)
