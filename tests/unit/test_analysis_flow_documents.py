"""Documented flows: what looks like one is read, and held against what production shows."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from recording import Recording

from selfheal.analysis import DetectionData
from selfheal.analysis.documented_flows import detect_documented_flows
from selfheal.analysis.flow_documents import read_flows
from selfheal.analysis.promises import read_promises
from selfheal.analysis.releases import compare
from selfheal.config import DetectConfig

PLACES = """
# How an order goes
The flow is `orders.place` → `stock.check` → `payments.charge`, then mail.
Open Settings -> Privacy -> Cookies. A file goes src -> build -> dist.

1. First `stock.check` counts,
   which takes long,
2. then `orders.place` writes,
3. and `mail.send` tells.

1. Install it
2. Run `make`
3. Enjoy
"""
DIAGRAMS = """
```mermaid
sequenceDiagram
  Client->>Shop: POST /orders
  Shop->>+Stock: stock.check()
  Stock-->>-Shop: ok
  Shop->>Mail: mail.send
```
```mermaid
flowchart TD
  A[orders.place] --> B{stock.check}
  B -->|yes| C["payments.charge"]
  B -- no --> D(orders.refuse)
```
```python
a = b.c -> d.e -> f.g
```
"""


def told(text: str) -> list[tuple[int, list[str]]]:
    return [(flow.line, flow.steps) for flow in read_flows("a.md", text, "")]


def test_arrows_and_lists_of_operations_are_flows_and_menus_are_none() -> None:
    assert told(PLACES) == [
        (3, ["orders.place", "stock.check", "payments.charge"]),
        (6, ["stock.check", "orders.place", "mail.send"]),
    ]


def test_mermaid_diagrams_are_read_with_what_they_order() -> None:
    sequence, chart, code = read_flows("a.md", DIAGRAMS, "def send(): ...")
    assert (sequence.steps, sequence.in_code) == (
        ["POST /orders", "stock.check", "mail.send"],
        [False, False, True],
    )
    assert chart.steps == ["orders.place", "stock.check", "payments.charge", "orders.refuse"]
    assert chart.edges == [(0, 1), (1, 2), (1, 3)]
    assert code.steps == ["b.c", "d.e", "f.g"]


@given(st.text(alphabet="a.`-> →|[]{}()1\n ~mermaidgraph:_GET/", max_size=120))
def test_any_text_is_read_to_its_end(text: str) -> None:
    for flow in read_flows("a.md", f"```mermaid\ngraph\n{text}\n```\n{text}", text):
        assert len(flow.steps) == len(set(flow.steps)) == len(flow.in_code) >= 3
        assert all(a != b for a, b in flow.edges)


def contradictions(folder: Path, document: str) -> set[tuple[str, str]]:
    recording = Recording()
    for number in range(40):
        for path, steps in (
            ("orders", (("orders.place", 1.0, 2.0), ("stock.check", 3.0, 4.0))),
            ("refunds", (("refunds.find", 1.0, 2.0), ("refunds.pay", 3.0, 4.0))),
            ("health", ()),
        ):
            recording.trace("1.0", f"POST /{path}", number, 9, steps=steps)
    dataset = recording.dataset(folder)
    code = "def place(): ...\ndef check(): ...\ndef charge(): ..."
    promises = read_promises("c0ffee", {"docs/flow.md": document, "shop.py": code}, None)
    data = DetectionData(dataset=dataset, comparisons=compare(dataset), promises={"shop": promises})
    found = detect_documented_flows(data, DetectConfig()).anomalies
    assert all(one.kind == "documentation" for one in found)
    return {(one.evidence["contradiction"], one.evidence["name"]) for one in found}


def test_flows_that_hold_and_flows_of_others_contradict_nothing(tmp_path: Path) -> None:
    document = """
    orders.place -> stock.check -> payments.charge
    theirs.one -> theirs.two -> theirs.three
    """
    assert contradictions(tmp_path, document) == set()


def test_a_step_that_is_nowhere_and_an_order_that_nothing_keeps_contradict(tmp_path: Path) -> None:
    assert contradictions(tmp_path, PLACES) == {
        ("flow step not shown", "mail.send"),
        ("flow order not shown", "stock.check → orders.place"),
    }


def test_a_flow_is_missed_only_where_documents_tell_of_several(tmp_path: Path) -> None:
    flows = [
        "POST /orders → orders.place → stock.check",
        "orders.place → stock.check → payments.charge",
        "POST /orders → stock.check → payments.charge",
    ]
    for count, expected in ((2, set()), (3, {("flow not documented", "POST /refunds")})):
        folder = tmp_path / str(count)
        folder.mkdir()
        assert contradictions(folder, "\n\n".join(flows[:count])) == expected
