"""Declared sequences, topics and callers: what a contract does not know is named, and no more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recording import Recording, attributes

from selfheal.analysis import DetectionData, judge
from selfheal.analysis.behaviour import detect_behaviour
from selfheal.analysis.declared import DeclaredFlow, is_sequence_file, read_flow
from selfheal.analysis.declared_order import detect_declared
from selfheal.analysis.releases import compare
from selfheal.analysis.topics import detect_topics
from selfheal.artifacts import Anomaly, Dataset
from selfheal.config import DetectConfig
from selfheal.telemetry import ingest

CONFIG = DetectConfig()
RESOURCES = Path(__file__).parents[1] / "resources"


def beat(number: int, name: str, **more: Any) -> dict[str, Any]:
    return {"beat": number, "event": f"cart:{name}", "handler": f"do{name.title()}", **more}


CART = {
    "id": "cart-symphony",
    "name": "Cart Checkout",
    "movements": [
        {"id": "gather", "name": "Gather", "beats": [beat(1, "load"), beat(2, "price")]},
        {
            "id": "close",
            "name": "Close",
            "beats": [
                beat(3, "mail"),
                beat(3, "print"),
                beat(4, "gift", when="gift.wanted"),
                beat(5, "retry", retry={"max_attempts": 3}),
                beat(6, "end"),
            ],
        },
    ],
}


def flow() -> DeclaredFlow:
    found = read_flow("json-sequences/cart.json", json.dumps(CART))
    assert found is not None
    return found


def played(number: int, beats: list[tuple[str, int]]) -> str:
    """One run in a beat log; each beat has its name and its place in the declaration."""
    lines = ['▶️ SequenceExecutor: Starting sequence "Cart Checkout"']
    lines += ['ExecutionQueue: Now executing "Cart Checkout"']
    playing = ""
    for name, place in beats:
        title = "Gather" if place < 3 else "Close"
        if title != playing:
            playing = title
            lines.append(f'MovementExecutor: Starting movement "{title}" (2 beats)')
        lines.append(f"BeatExecutor: Executing beat {place} (cart:{name}) for Cart Checkout")
        lines.append(f"BeatExecutor: Beat {place} (cart:{name}) completed in 2.00ms")
    lines.append('SequenceExecutor: Sequence "Cart Checkout" completed in 30ms')
    at = f"2025-11-10T21:{number // 60:02}:{number % 60:02}"
    return "".join(f"{at}.{10 * n:03}Z {line}\n" for n, line in enumerate(lines))


GOOD = [("load", 1), ("price", 2), ("mail", 3), ("print", 3), ("retry", 5), ("end", 6)]


def detected(folder: Path, runs: list[list[tuple[str, int]]], extra: str = "") -> list[Anomaly]:
    log = folder / "conductor.log"
    log.write_text("".join(played(n, run) for n, run in enumerate(runs)) + extra)
    dataset = ingest([log], folder, "dataset").dataset
    data = DetectionData(dataset=dataset, comparisons=compare(dataset), declared=[flow()])
    findings = [detect_declared(data, CONFIG), detect_topics(data, CONFIG)]
    assert [question for one in findings for question in one.undecided] == []
    anomalies = [anomaly for one in findings for anomaly in one.anomalies]
    for anomaly in findings[0].anomalies:
        release = data.comparisons[0].candidate.version
        assert judge(anomaly, dataset, baseline="", candidate=release).state == "anomalous"
    return anomalies


def told(anomalies: list[Anomaly]) -> set[tuple[str, str, str | None]]:
    return {(a.evidence["violation"], a.evidence["step"], a.evidence["other"]) for a in anomalies}


def test_optional_repeated_and_concurrent_beats_are_legal(tmp_path: Path) -> None:
    beside = [*GOOD[:2], GOOD[3], GOOD[2], ("gift", 4), ("retry", 5), ("retry", 5), ("end", 6)]
    assert detected(tmp_path, [GOOD, beside]) == []


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ([GOOD[0], *GOOD[2:]], ("missing", "cart:price", None)),
        ([*GOOD[:2], ("price", 2), *GOOD[2:]], ("duplicated", "cart:price", None)),
        ([GOOD[1], GOOD[0], *GOOD[2:]], ("swapped", "cart:load", "cart:price")),
        ([*GOOD[:4], ("bonus", 7), *GOOD[4:]], ("extra", "cart:bonus", None)),
    ],
)
def test_each_breach_of_a_declaration_is_named_alone(
    tmp_path: Path, run: list[tuple[str, int]], expected: tuple[str, str, str | None]
) -> None:
    anomalies = detected(tmp_path, [GOOD, GOOD, run])
    assert told(anomalies) == {expected}
    (anomaly,) = anomalies
    assert (anomaly.operation, anomaly.count) == ("Cart Checkout", 1)
    assert anomaly.evidence["declared_in"] == "json-sequences/cart.json"
    assert len(anomaly.evidence["trace_ids"]) == 1


def test_a_beat_in_another_movement_has_the_wrong_caller(tmp_path: Path) -> None:
    moved = played(9, GOOD).replace('movement "Close"', 'movement "Gather"', 1)
    steps = ("cart:mail", "cart:print", "cart:retry", "cart:end")
    assert told(detected(tmp_path, [GOOD], moved)) == {
        ("wrong caller", step, "Gather") for step in steps
    }


def test_a_run_that_failed_lacks_steps_rightly(tmp_path: Path) -> None:
    failed = played(9, GOOD[:2]).replace(
        'Sequence "Cart Checkout" completed in 30ms', 'Sequence "Cart Checkout" failed: no stock'
    )
    assert detected(tmp_path, [GOOD], failed) == []


def test_a_topic_of_a_declared_name_space_has_to_be_declared(tmp_path: Path) -> None:
    lines = "".join(
        f'2025-11-10T22:00:0{n}.000Z 📡 EventBus: Subscribed to "{topic}" (1 total subscribers)\n'
        for n, topic in enumerate(("cart:load", "cart:lod", "theme:get"))
    )
    anomalies = detected(tmp_path, [GOOD], lines)
    assert told(anomalies) == {("wrong topic", "cart:lod", "subscribed")}


def test_spans_are_held_against_a_declaration_and_silent_steps_asked_about(tmp_path: Path) -> None:
    recording = Recording()
    for number in range(30):
        steps = [("cart.do_load", 1.0, 2.0), ("cart.do_price", 3.0, 4.0), ("helper", 3.1, 3.2)]
        steps += [("cart.do_mail", 5.0, 9.0), ("cart.do_print", 5.0, 7.0)]
        if number < 3:
            steps[0], steps[1] = ("cart.do_load", 3.0, 4.0), ("cart.do_price", 1.0, 2.0)
        recording.trace("1.0", "cart_checkout", number, 10, steps=tuple(steps))
    dataset = recording.dataset(tmp_path)
    data = DetectionData(dataset=dataset, comparisons=compare(dataset), declared=[flow()])
    findings = detect_declared(data, CONFIG)
    assert told(findings.anomalies) == {("swapped", "cart:load", "cart:price")}
    assert (findings.anomalies[0].count, findings.anomalies[0].evidence["traces"]) == (3, 30)
    assert [one.reason.split()[0] for one in findings.undecided] == ["cart:retry", "cart:end"]


def test_the_sequence_files_of_the_ecosystem_are_read() -> None:
    file = RESOURCES / "sequence_telemetry.parse.json"
    found = read_flow("sequences/parse.json", file.read_text())
    assert found is not None
    assert found.label == "Parse Production Telemetry"
    assert "self-healing:telemetry:parse:requested" in found.events
    assert found.steps[0].names.count("parsetelemetryrequested") == 1
    assert found.steps[-1].after == list(range(len(found.steps) - 1))
    assert is_sequence_file("packages/a/json-sequences/b.json")
    assert not is_sequence_file("json-sequences/sequence.schema.json")
    assert not is_sequence_file("package.json")


def test_needs_order_beats_and_nothing_else_does() -> None:
    beats = [beat(1, "a"), beat(2, "b"), beat(3, "c", needs=["do_a"]), beat(4, "d", needs=["do_c"])]
    found = read_flow("x.json", json.dumps({"name": "x", "beats": beats}))
    assert found is not None
    assert [step.after for step in found.steps] == [[], [], [0], [0, 2]]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["movements", "beats", "beat", "event", "needs", "name", "handler"]),
            inner,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_whatever_json_is_there_reading_declares_or_passes_over(document: Any) -> None:
    found = read_flow("any.json", json.dumps(document))
    assert found is None or all(
        position < number for number, step in enumerate(found.steps) for position in step.after
    )


def called(
    recording: Recording, release: str, start: float, wrong: int, *, total: int = 60
) -> None:
    """Orders are checked by `place`; in `wrong` traces it is `audit` that calls the check."""
    for number in range(total):
        recording.trace(
            release, "POST /orders", start + number, 9,
            steps=(("place", 1, 5), ("audit", 5, 8), ("check", 2, 3)),
        )  # fmt: skip
        spans = recording.requests[-1]["resourceSpans"][0]["scopeSpans"][0]["spans"]
        caller = spans[2] if number < wrong else spans[1]
        spans[3]["parentSpanId"] = caller["spanId"]


def callers(tmp_path: Path, wrong: int) -> tuple[Dataset, list[Anomaly]]:
    recording = Recording()
    called(recording, "1.0", 0, 0)
    called(recording, "1.1", 100, wrong)
    dataset = recording.dataset(tmp_path)
    data = DetectionData(dataset=dataset, comparisons=compare(dataset))
    return dataset, detect_behaviour(data, CONFIG).anomalies


def test_a_step_called_by_what_never_called_it_is_found(tmp_path: Path) -> None:
    dataset, (anomaly,) = callers(tmp_path, 15)
    assert told([anomaly]) == {("wrong caller", "check", "audit")}
    assert (anomaly.evidence["expected"], anomaly.count) == ("check called by place", 15)
    assert judge(anomaly, dataset, baseline="1.0", candidate="1.1").state == "anomalous"
    assert judge(anomaly, dataset, baseline="1.1", candidate="1.0").state == "quiet"


def test_one_odd_caller_may_be_chance(tmp_path: Path) -> None:
    assert callers(tmp_path, 1)[1] == []


def test_a_topic_that_its_user_never_used_is_found(tmp_path: Path) -> None:
    recording = Recording()
    for release, start in (("1.0", 0), ("1.1", 200)):
        for number in range(60):
            recording.trace(
                release, "POST /orders", start + number, 9, steps=(("place", 1, 5), ("send", 2, 3))
            )
            spans = recording.requests[-1]["resourceSpans"][0]["scopeSpans"][0]["spans"]
            lost = release == "1.1" and number % 4 == 0
            topic = "orders.lost" if lost else ("orders.paid" if number % 2 else "orders.placed")
            spans[2] |= {
                "kind": 4,
                "parentSpanId": spans[1]["spanId"],
                "attributes": attributes({"messaging.destination.name": topic}),
            }
    dataset = recording.dataset(tmp_path)
    data = DetectionData(dataset=dataset, comparisons=compare(dataset))
    (anomaly,) = detect_topics(data, CONFIG).anomalies
    assert told([anomaly]) == {("wrong topic", "orders.lost", "published")}
    assert (anomaly.operation, anomaly.count) == ("place", 15)
    assert judge(anomaly, dataset, baseline="1.0", candidate="1.1").state == "anomalous"
    assert judge(anomaly, dataset, baseline="1.1", candidate="1.0").state == "quiet"
