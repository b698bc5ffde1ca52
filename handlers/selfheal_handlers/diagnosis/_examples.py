"""A small service for the examples of this phase: a git repository, traces and anomalies.

Release 1.1 of it reads a key that some rows lack, asks the database once per row, and
has a function that no test runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfheal.artifacts import Anomalies, Anomaly, Telemetry
from selfheal.artifacts.anomalies import DataWindow, Detector, Health
from selfheal.artifacts.dataset import Dataset, write_tables
from selfheal.artifacts.model import AnomalyKind
from selfheal.artifacts.telemetry import EventCounts, Refused, Release, Window
from selfheal.codebase.git import git
from selfheal.codebase.history import History
from selfheal.config import DiagnoseConfig
from selfheal.diagnosis.loading import load_codebase
from selfheal.diagnosis.model import AnomalySet, Codebase, anomaly_set

GOOD = """def price(row):
    return row.get("price", 0)


def names(db, ids):
    marks = ",".join("?" for _ in ids)
    return db.execute(f"SELECT name FROM items WHERE id IN ({marks})", ids).fetchall()


def greet():
    return "hello"
"""
BAD_PRICE = GOOD.replace('row.get("price", 0)', 'row["price"]')
BAD = BAD_PRICE.replace(
    GOOD.split("\n\n\n")[1],
    """def names(db, ids):
    found = []
    for id in ids:
        found.append(db.execute("SELECT name FROM items WHERE id = ?", (id,)).fetchone())
    return found""",
)
README = "# Items\n\n`price` gives a price, `names` the names.\n"
STAGES = (
    ("Items with prices and names", {"items.py": GOOD, "README.md": "# Items\n"}),
    ("Describe the functions", {"README.md": README}),
    ("Simplify the price lookup", {"items.py": BAD_PRICE}),
    ("Fetch names one by one", {"items.py": BAD}),
)


@dataclass(frozen=True)
class Example:
    """The service under one folder; `commits` are those of `STAGES`, the first is release 1.0."""

    repository: Path
    commits: list[str]
    telemetry: Telemetry
    anomalies: Anomalies

    @property
    def set(self) -> AnomalySet:
        return anomaly_set(self.anomalies.anomalies)

    @property
    def codebase(self) -> Codebase:
        return load_codebase(History(self.repository), self.set, self.telemetry, DiagnoseConfig())


def analysis_arguments(folder: Path) -> Mapping[str, Any]:
    """What every analysis reads, of the example's world made in `folder`."""
    made = build(folder)
    return {
        "load_anomalies": made.set,
        "load_codebase_info": made.codebase,
        "telemetry": made.telemetry,
        "config": DiagnoseConfig(),
    }


def build(base: Path) -> Example:
    """Make the example in `base`: ``base/repository`` and the dataset ``base/dataset``."""
    repository = base / "repository"
    commits = make_repository(repository, STAGES)
    releases = [
        Release(service="items", version=version, commit=commit, spans=0, logs=0)
        for version, commit in (("1.0", commits[0]), ("1.1", commits[-1]))
    ]
    telemetry = telemetry_of(_dataset(base), releases)
    return Example(
        repository, commits, telemetry, Anomalies(anomalies=_anomalies(), health=_health())
    )


def make_repository(
    folder: Path, stages: Sequence[tuple[str, Mapping[str, str | None]]]
) -> list[str]:
    """A git repository with one commit per stage (message, files; None deletes); returns the ids."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    stream = b"".join(_commit_stream(number, *stage) for number, stage in enumerate(stages, 1))
    git(folder, "fast-import", "--quiet", input=stream)
    git(folder, "reset", "--quiet", "--hard")
    return git(folder, "rev-list", "--reverse", "main").stdout.split()


def _commit_stream(number: int, message: str, files: Mapping[str, str | None]) -> bytes:
    """One commit in the language of ``git fast-import``, dated day `number` of March 2024."""
    moment = 1_709_283_600 + 86_400 * number
    head = f"commit refs/heads/main\ncommitter Ada <ada@example.org> {moment} +0000\n"
    parts = [head.encode(), _data(message.encode())]
    for name, text in files.items():
        path = json.dumps(name, ensure_ascii=False)
        if text is None:
            parts.append(f"D {path}\n".encode())
        else:
            parts += [f"M 100644 inline {path}\n".encode(), _data(text.encode())]
    return b"".join(parts)


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


def telemetry_of(dataset: Dataset, releases: list[Release]) -> Telemetry:
    """A telemetry payload around a dataset."""
    return Telemetry(
        sources=[],
        refused=Refused(),
        events=EventCounts(),
        window=Window(),
        releases=releases,
        operations=[],
        dataset=dataset,
    )


def anomaly(
    kind: AnomalyKind, operation: str, evidence: dict[str, Any], *, service: str = "items"
) -> Anomaly:
    """An anomaly between the releases 1.0 and 1.1."""
    window = DataWindow(baseline_release="1.0", candidate_release="1.1")
    return Anomaly(
        id=f"anomaly-{kind}-{operation.strip('/').replace(' ', '-')}",
        kind=kind,
        service=service,
        operation=operation,
        severity="high",
        score=0.9,
        title=f"{kind} at {operation}",
        count=3,
        detector=Detector(name=kind, parameters={}, window=window),
        evidence=evidence,
    )


def spans_dataset(
    base: Path, spans: Sequence[Mapping[str, Any]], errors: Sequence[Mapping[str, Any]] = ()
) -> Dataset:
    """A dataset with the given spans and errors; missing columns are null."""
    import pyarrow as pa

    columns = {
        **dict.fromkeys(_TEXT, pa.string()),
        **dict.fromkeys(("start_ns", "end_ns"), pa.int64()),
        **dict.fromkeys(("code_line", "http_status"), pa.int32()),
        "duration_ms": pa.float64(),
    }
    schema = pa.schema(list(columns.items()))
    rows = [{name: span.get(name) for name in columns} for span in spans]
    of_errors = pa.schema([(name, pa.string()) for name in ("trace_id", "release", "fingerprint")])
    tables = {
        "spans": pa.Table.from_pylist(rows, schema),
        "errors": pa.Table.from_pylist([dict(error) for error in errors], of_errors),
    }
    return write_tables(tables, base, "dataset")


_TEXT = (
    *("trace_id", "span_id", "parent_span_id", "service", "release", "operation", "kind"),
    *("status", "code_function", "code_file", "http_method", "http_route", "http_path"),
    *("http_query", "request_body", "request_content_type", "db_statement", "session_id"),
)


def _dataset(base: Path) -> Dataset:
    spans: list[dict[str, Any]] = []
    for version, queries, each in (("1.0", 1, 2.0), ("1.1", 12, 24.0)):
        for number in range(30):
            trace = f"{version}-{number}"
            shared = {"trace_id": trace, "service": "items", "release": version, "status": "ok"}
            entry = {"operation": "GET /names", "kind": "server", "http_method": "GET"}
            spans.append(
                {**shared, **entry, "span_id": "a", "http_path": "/names", "duration_ms": each + 1}
            )
            code = {"code_function": "names", "code_file": "/srv/app/items.py"}
            inner = {"parent_span_id": "a", "operation": "names", "kind": "internal"}
            spans.append({**shared, **inner, **code, "span_id": "b", "duration_ms": each})
            for query in range(queries):
                asked = {"operation": "SELECT", "kind": "client", "db_statement": "SELECT name"}
                place = {"span_id": f"q{query}", "parent_span_id": "b", "duration_ms": 1.0}
                spans.append({**shared, **asked, **place})
    return spans_dataset(base, spans)


def _anomalies() -> list[Anomaly]:
    frames = [{"file": "/srv/app/items.py", "line": 2, "function": "price"}]
    return [
        anomaly("performance", "GET /names", {"ratio": 8.3, "entry": True}),
        anomaly("performance", "names", {"ratio": 12.0, "entry": False, "parents": ["GET /names"]}),
        anomaly(
            "error",
            "GET /price",
            {
                "exception_type": "KeyError",
                "message": "'price'",
                "frames": frames,
                "fingerprint": "f1",
                "trace_ids": [],
            },
        ),
        anomaly(
            "behavioral",
            "GET /names",
            {"violation": "missing", "step": "names", "trace_ids": ["1.1-0"], "support": 30},
        ),
        anomaly(
            "coverage",
            "greet",
            {"file": "items.py", "function": "greet", "first_line": 12, "executed_count": 4},
        ),
    ]


def _health() -> Health:
    return Health(state="no_data", score=None, components=[])
