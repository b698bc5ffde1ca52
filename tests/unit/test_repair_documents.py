"""Documents are mended where they contradict production; every other character stays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from repair_problems import problem_of

from selfheal.analysis.promise_judge import contradictions, judge_promises, shown_by, told_of_code
from selfheal.analysis.promises import Promises, read_promises
from selfheal.artifacts import Anomaly
from selfheal.artifacts.anomalies import DataWindow, Detector
from selfheal.artifacts.diagnosis import Location
from selfheal.errors import InvalidInput
from selfheal.repair import Edit, Problem, edited, propose

CODE = '''\
from flask import app

LIMIT = 50


@app.get("/items")
def items():
    """Lists what is sold."""


@app.get("/items/<int:number>/reviews")
def reviews(number):
    return []


@app.route("/carts", methods=["POST"])
def open_cart():
    parser.add_argument("--page-size", type=int)


def pay(): ...
def ship(): ...
def pack(): ...
'''
TABLE = """\
# API

| Operation | What it does | Since |
|---|---|---|
| `GET /items` | lists the items | 1.0 |
| `GET /gone` | was once | 1.0 |
| `POST /carts` | opens a cart | 1.1 |

More below.
"""
LISTED = """\
- **GET /items** — lists the items
- **GET /gone/{id}** — was once,
  over two lines
- **POST /carts**: opens a cart
"""
STEPS = """\
1. `orders.pay` takes the money
2. `orders.gone` is no more
3. `orders.pack` fills the box
4. `orders.ship` sends it
"""
CHART = """\
```mermaid
flowchart TD
    a["orders.pay"] --> b["orders.gone"]
    b --> c["orders.pack"]
    c --> d["orders.ship"]
```
"""
SEQUENCE = """\
```mermaid
sequenceDiagram
    shop->>orders: orders.pay
    shop->>orders: orders.gone
    shop->>+orders: orders.pack
    shop->>orders: orders.ship
```
"""
ARROWS = "A sale is `orders.pay` → `orders.gone` → `orders.pack` → `orders.ship`.\n"


@dataclass(frozen=True)
class Case:
    """A document before and after, and the contradiction that leads there."""

    before: str
    after: str
    contradiction: str
    name: str
    operation: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    line: int | None = None
    good_code: str | None = None


def shifted(text: str, *lines: int) -> str:
    """A text without some of its lines, from 1."""
    return "".join(each for n, each in enumerate(text.splitlines(True), 1) if n not in lines)


REVIEWS = "GET /items/<int:number>/reviews"
CASES = {
    "a row is taken out": Case(TABLE, shifted(TABLE, 6), "operation not shown", "GET /gone"),
    "an item is taken out with its lines": Case(
        LISTED, shifted(LISTED, 2, 3), "operation not shown", "GET /gone/{id}"
    ),
    "a line by itself is taken out": Case(
        "GET /items\nGET /gone\n", "GET /items\n", "operation not shown", "GET /gone"
    ),
    "the function serves another path": Case(
        TABLE + "\nSee `GET /gone`.\n",
        (TABLE + "\nSee `GET /gone`.\n").replace("/gone", "/items/<int:number>/reviews"),
        "operation not shown",
        "GET /gone",
        good_code=CODE.replace("/items/<int:number>/reviews", "/gone"),
    ),
    "placeholders stay in the document's style": Case(
        LISTED,
        LISTED.replace("/gone/{id}", "/items/{number}/reviews"),
        "operation not shown",
        "GET /gone/{id}",
        good_code=CODE.replace("/items/<int:number>/reviews", "/gone/<number>"),
    ),
    "a row is entered beside its like": Case(
        shifted(TABLE, 6),
        shifted(TABLE, 6).replace(
            "1.0 |\n", f"1.0 |\n| `{REVIEWS}` | reviews | |\n", 1
        ),
        "operation not documented",
        REVIEWS,
    ),
    "an item is entered with what the function says": Case(
        "* `GET /items/<x>/reviews` - what people say\n* `POST /carts`\n* `PUT /other`\n",
        "* `GET /items/<x>/reviews` - what people say\n* `GET /items` - Lists what is sold\n"
        "* `POST /carts`\n* `PUT /other`\n",
        "operation not documented",
        "GET /items",
    ),
    "a document without entries gets a section": Case(
        "Ask `x`.\n",
        "Ask `x`.\n\n## Operations\n\n<!-- selfheal:operations -->\n"
        "- `GET /items` — Lists what is sold\n<!-- /selfheal:operations -->\n",
        "operation not documented",
        "GET /items",
    ),
    "a parameter joins the query": Case(
        "GET /items?page={page}\n",
        "GET /items?page={page}&size={size}\n",
        "parameter not documented",
        "size",
        operation="GET /items",
    ),
    "a first parameter begins the query": Case(
        "| `GET /items` | all |\n",
        "| `GET /items?size={size}` | all |\n",
        "parameter not documented",
        "size",
        operation="GET /items",
    ),
    "a flag has another name": Case(
        "Run `python -m app --size-page 3 --fast`.\n",
        "Run `python -m app --page-size 3 --fast`.\n",
        "flag not in code",
        "--size-page",
        good_code=CODE.replace("--page-size", "--size-page"),
    ),
    "a flag's entry is taken out": Case(
        "    python -m app --ancient\n- `--ancient`: does it\n",
        "    python -m app\n",
        "flag not in code",
        "--ancient",
    ),
    "an item of a flow is left out and the rest is counted": Case(
        STEPS,
        "1. `orders.pay` takes the money\n2. `orders.pack` fills the box\n"
        "3. `orders.ship` sends it\n",
        "flow step not shown",
        "orders.gone",
    ),
    "an arrow leads past a step": Case(
        ARROWS, ARROWS.replace("`orders.gone` → ", ""), "flow step not shown", "orders.gone"
    ),
    "a node of a chart is left out": Case(
        CHART,
        CHART.replace('b["orders.gone"]', 'c["orders.pack"]').replace('    b --> c["orders.pack"]\n', ""),
        "flow step not shown",
        "orders.gone",
    ),
    "a message of a diagram is left out": Case(
        SEQUENCE, shifted(SEQUENCE, 4), "flow step not shown", "orders.gone"
    ),
    "a step has another name": Case(
        ARROWS.replace("gone", "packed").replace(" → `orders.pack`", ""),
        ARROWS.replace("gone", "pack", 1).replace(" → `orders.pack`", "", 1),
        "flow step not shown",
        "orders.packed",
        good_code=CODE.replace("def pack()", "def packed()"),
    ),
    "items of a flow change places": Case(
        STEPS,
        "1. `orders.pay` takes the money\n2. `orders.gone` is no more\n"
        "3. `orders.ship` sends it\n4. `orders.pack` fills the box\n",
        "flow order not shown",
        "orders.pack → orders.ship",
        facts={"steps": ["orders.pack", "orders.ship"]},
        line=1,
    ),
    "names of a chart change places": Case(
        CHART,
        CHART.replace("orders.pack", "-").replace("orders.ship", "orders.pack").replace('"-"', '"orders.ship"'),
        "flow order not shown",
        "orders.pack → orders.ship",
        facts={"steps": ["orders.pack", "orders.ship"]},
        line=1,
    ),
    "a number in the text is the constant's": Case(
        "At most `LIMIT` (20) items, and `LIMIT` is 20.\n",
        "At most `LIMIT` (50) items, and `LIMIT` is 50.\n",
        "value not in code",
        "LIMIT",
        facts={"subject": "LIMIT"},
    ),
    "a heading has the function's parameters": Case(
        "## `reviews(numbers)`\n\n- `reviews(number)` lists\n",
        "## `reviews(number)`\n\n- `reviews(number)` lists\n",
        "signature not in code",
        "reviews",
        facts={"subject": "reviews"},
    ),
    "a flow is drawn": Case(
        STEPS,
        STEPS + '\n## POST /carts\n\n<!-- selfheal:flow POST /carts -->\n```mermaid\nflowchart TD\n'
        '    s1["POST /carts"]\n    s2["orders.pay"]\n    s3["orders.pack"]\n'
        "    s1 --> s2\n    s2 --> s3\n```\n<!-- /selfheal:flow -->\n",
        "flow not documented",
        "POST /carts",
        facts={"steps": ["orders.pay", "orders.pack"]},
    ),
}  # fmt: skip
DOCUMENT = "docs/api.md"


def evidence_of(case: Case) -> dict[str, Any]:
    return {
        "contradiction": case.contradiction,
        "name": case.name,
        "file": DOCUMENT,
        "line": case.line,
        **case.facts,
    }


def problem(case: Case, document: str | None = None) -> Problem:
    found = problem_of(CODE.replace("/gone", "/x"), 1, evidence_of(case), kind="documentation", good=case.good_code)  # fmt: skip
    place = Location(file=DOCUMENT, line=case.line or 1, function="", score=0.9)
    return found.model_copy(
        update={
            "diagnosis": found.diagnosis.model_copy(
                update={"operation": case.operation or case.name, "locations": [place]}
            ),
            "sources": {**found.sources, DOCUMENT: case.before if document is None else document},
        }
    )


def promises(document: str) -> Promises:
    return read_promises("0" * 40, {"app.py": CODE, DOCUMENT: document}, None)


def anomaly_of(case: Case, detector: str = "documentation") -> Anomaly:
    parameters = {"contradiction": case.contradiction, "name": case.name}
    return Anomaly(
        id="a",
        kind="documentation",
        service="s",
        operation=case.operation or case.name,
        severity="low",
        score=0.5,
        title="t",
        count=1,
        detector=Detector(name=detector, parameters=parameters, window=DataWindow()),
        evidence=evidence_of(case),
    )


@pytest.mark.parametrize("name", CASES)
def test_a_document_is_mended_and_its_detector_is_quiet(name: str) -> None:
    """The detector says so before and not after; no new contradiction comes."""
    case = CASES[name]
    made = {edited(edit, problem(case).sources)[DOCUMENT] for edit in propose(problem(case))}
    assert case.after in made, "\n---\n".join(map(str, made))
    assert judge_promises(anomaly_of(case), promises(case.before)).state == "anomalous"
    assert judge_promises(anomaly_of(case), promises(case.after)).state == "quiet"
    before, after = promises(case.before), promises(case.after)
    shown = shown_by(anomaly_of(case))
    assert set(contradictions(after, shown)) <= set(contradictions(before, shown))
    assert set(told_of_code(before)) <= set(told_of_code(after))


def test_what_a_sentence_names_is_not_taken_out() -> None:
    case = Case(TABLE + "\nOnce there was `GET /gone`.\n", "", "operation not shown", "GET /gone")
    assert propose(problem(case)) == []


def test_a_word_that_may_be_a_value_keeps_a_flag_in_place() -> None:
    case = Case("Run `python -m app --ancient thing`.\n", "", "flag not in code", "--ancient")
    assert propose(problem(case)) == []


def test_what_production_shows_is_told_though_code_puts_its_path_together() -> None:
    case = Case(TABLE, "", "operation not documented", "GET /mounted/<int:id>")
    text = TABLE + "\n`GET /mounted/{id}` and `GET /other`\n"
    new = set(contradictions(promises(text), shown_by(anomaly_of(case))))
    assert new - set(contradictions(promises(TABLE))) == {"docs/api.md: GET /other"}


def test_only_the_detector_of_documents_is_asked() -> None:
    with pytest.raises(InvalidInput, match="no document"):
        judge_promises(anomaly_of(CASES["a row is taken out"], "error_fingerprints"), promises(""))


words = st.text("ab |`*-.\r\n→#1", max_size=60)


@given(words, words, st.sampled_from(sorted(CASES)))
def test_characters_around_a_document_stay(before: str, after: str, name: str) -> None:
    """Whatever stands around it, edits are within the document's part that they are about."""
    case = CASES[name]
    text = f"{before}\n\n{case.before}\n{after}"
    changed = problem(case, text)
    for edit in propose(changed):
        assert_untouched(edit, text, len(before), len(after))


def assert_untouched(edit: Edit, text: str, before: int, after: int) -> None:
    result = edited(edit, {DOCUMENT: text, "app.py": CODE})[DOCUMENT]
    assert result is not None
    assert result.startswith(text[:before])
    assert edit.template in ("draw", "section") or result.endswith(text[len(text) - after :])
