"""Small services with a history of commits and the telemetry of two releases, by a seed.

The code, the innocent commits and the requests are drawn; what goes wrong is the case's.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet
from selfheal_handlers.diagnosis._examples import make_repository, telemetry_of

from selfheal.artifacts import Telemetry
from selfheal.artifacts.dataset import describe
from selfheal.artifacts.telemetry import Release
from selfheal.telemetry.model import DATASET, arrow_schema

START = 1_714_564_800_000_000_000
MINUTE = 60_000_000_000
MINUTES, PER_MINUTE = 20, 10
SERVICE = "orders"

CODE = '''"""Orders: prices, stock and delivery."""

import logging

RATES = {"EUR": 1.0, "USD": 1.1}
LIMIT = 50
log = logging.getLogger(__name__)


def find(db, key):
    rows = db.execute("SELECT * FROM items WHERE key = ?", (key,)).fetchall()
    return rows[:LIMIT]


def price(rows, currency):
    total = 0
    for row in rows:
        total += row["price"] * row.get("count", 1)
    return total * RATES.get(currency, 1.0)


def delivery(client, order):
    answer = client.get(f"/delivery/{order}")
    return answer["days"]


def label(row):
    return f"no. {row['key']}"


def handle(db, client, request):
    rows = find(db, request["key"])
    amount = price(rows, request.get("currency", "EUR"))
    days = delivery(client, request["key"])
    names = [label(row) for row in rows]
    return {"amount": amount, "days": days, "names": names}
'''
FUNCTIONS = ("find", "price", "delivery", "label", "handle")

# Changes that keep what the program does: (text to find, its replacement), some of them in
# every function, none of them cosmetic only.
INNOCENT: dict[str, tuple[str, str]] = {
    "Log the lookups": (
        "    return rows[:LIMIT]",
        '    log.debug("found %d rows", len(rows))\n    return rows[:LIMIT]',
    ),
    "Name the count": (
        '        total += row["price"] * row.get("count", 1)',
        '        count = row.get("count", 1)\n        total += row["price"] * count',
    ),
    "Name the address": (
        '    answer = client.get(f"/delivery/{order}")',
        '    path = f"/delivery/{order}"\n    answer = client.get(path)',
    ),
    "Labels say item": ("no. {row", "item {row"),
    "Currency by itself": (
        '    amount = price(rows, request.get("currency", "EUR"))',
        '    currency = request.get("currency", "EUR")\n    amount = price(rows, currency)',
    ),
    "Log the requests": (
        '    rows = find(db, request["key"])',
        '    log.debug("asked for %s", request["key"])\n    rows = find(db, request["key"])',
    ),
    "More currencies": ('"USD": 1.1}', '"USD": 1.1, "CHF": 0.95}'),
    "Say what delivery gives": (
        "def delivery(client, order):\n",
        'def delivery(client, order):\n    """Days until the order arrives."""\n',
    ),
    "A helper for totals": (
        "def label(row):",
        "def rounded(value):\n    return round(value, 2)\n\n\ndef label(row):",
    ),
}


@dataclass
class Traffic:
    """The requests of one release, as rows of the tables of a dataset."""

    release: str
    commit: str
    spans: list[dict[str, Any]] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Request:
    """What one request costs (ms) and how it ends."""

    key: str
    query: float = 3.0
    queries: int = 1
    remote: float = 5.0
    remotes: int = 1
    own: float = 2.0
    error: Mapping[str, Any] | None = None


def innocent_history(
    generator: random.Random, commits: int, start: str = CODE
) -> list[tuple[str, dict[str, str]]]:
    """A first release and some innocent commits, most of them in the same file."""
    text = start
    stages = [("First release", {"orders.py": text, "README.md": "# Orders\n"})]
    names = generator.sample(sorted(INNOCENT), k=min(commits, len(INNOCENT)))
    for number, name in enumerate(names):
        old, new = INNOCENT[name]
        changed = text.replace(old, new)
        if changed == text:
            stages.append((f"Readme {number}", {"README.md": f"# Orders {number}\n"}))
        else:
            text = changed
            stages.append((name, {"orders.py": text}))
    return stages


def send(traffic: Traffic, requests: Sequence[Request], generator: random.Random) -> None:
    """The spans of requests that come one after another, `PER_MINUTE` a minute."""
    offset = 0 if traffic.release == "1.0" else MINUTES + 1
    for number, request in enumerate(requests):
        minute, place = divmod(number, PER_MINUTE)
        start = START + (offset + minute) * MINUTE + place * (MINUTE // PER_MINUTE)
        noise = generator.lognormvariate(0, 0.15)
        _spans(traffic, f"{traffic.release}-{number}", start, request, noise)


def _spans(traffic: Traffic, trace: str, start: int, request: Request, noise: float) -> None:
    query, remote, own = (ms * noise for ms in (request.query, request.remote, request.own))
    waited = request.remotes * remote
    total = own + request.queries * query + waited
    failed = request.error is not None

    def add(name: str, parent: str | None, ms: float, kind: str, **more: Any) -> None:
        end = start + round(ms * 1e6)
        traffic.spans.append(
            {
                "trace_id": trace,
                "span_id": name,
                "parent_span_id": parent,
                "service": SERVICE,
                "release": traffic.release,
                "commit": traffic.commit,
                "kind": kind,
                "start_ns": start,
                "end_ns": end,
                "duration_ms": ms,
                "status": "error" if failed and kind == "server" else "ok",
                **more,
            }
        )

    http = {
        "http_method": "GET",
        "http_route": "/orders/<key>",
        "http_path": f"/orders/{request.key}",
    }
    code = {"code_file": "/srv/orders.py"}
    status = 500 if failed else 200
    add("a", None, total + 0.5, "server", operation="GET /orders/<key>", http_status=status, **http)
    add("b", "a", total, "internal", operation="handle", code_function="handle", **code)
    lookup = request.queries * query
    add("c", "b", lookup + own / 2, "internal", operation="find", code_function="find", **code)
    for number in range(request.queries):
        add(
            f"q{number}",
            "c",
            query,
            "client",
            operation="SELECT items",
            db_statement="SELECT * FROM items",
        )
    for number in range(request.remotes):
        place = {"operation": "delivery", "code_function": "delivery", **code}
        add(f"d{number}", "b", remote + own / 4 / request.remotes, "internal", **place)
        add(f"e{number}", f"d{number}", remote, "client", operation="GET delivery")
    if request.error is not None:
        traffic.errors.append(
            {
                "time_ns": start + round(total * 1e6),
                "service": SERVICE,
                "release": traffic.release,
                "operation": "GET /orders/<key>",
                "trace_id": trace,
                "span_id": "b",
                "handled": False,
                **request.error,
            }
        )


def error(kind: str, message: str, frames: Sequence[tuple[str, int, str]]) -> dict[str, Any]:
    """The columns of an exception; frames are (file, line, function), outermost first."""
    rows = [{"file": file, "line": line, "function": name} for file, line, name in frames]
    return {
        "exception_type": kind,
        "exception_message": message,
        "frames": json.dumps(rows),
        "fingerprint": f"{kind}-{len(frames)}",
    }


def write(folder: Path, sides: Sequence[Traffic]) -> Telemetry:
    """The telemetry of both releases, its dataset under `folder`."""
    rows: dict[str, list[dict[str, Any]]] = {"spans": [], "errors": []}
    for traffic in sides:
        rows["spans"] += traffic.spans
        rows["errors"] += traffic.errors
    target = folder / "dataset"
    target.mkdir(parents=True)
    for name, columns in DATASET.items():
        schema = arrow_schema(columns)
        given = [
            {column: row.get(column) for column in columns} | {"source": 0, "line": number}
            for number, row in enumerate(rows.get(name, []))
        ]
        for number, row in enumerate(given):
            if "id" in row:
                row["id"] = number
        parquet.write_table(pa.Table.from_pylist(given, schema), target / f"{name}.parquet")
    releases = [
        Release(service=SERVICE, version=side.release, commit=side.commit, spans=0, logs=0)
        for side in sides
    ]
    return telemetry_of(describe(folder, "dataset"), releases)


def line_of(text: str, part: str) -> int:
    """The line of a text where a part of it begins."""
    return text[: text.index(part)].count("\n") + 1


def repository(folder: Path, stages: Sequence[tuple[str, Mapping[str, str]]]) -> list[str]:
    """The commits of a history made in `folder`."""
    return make_repository(folder, stages)
