"""The journal: what was appended survives, a torn tail does not, a contradiction is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.engine.journal import Journal, decode, encode, parse, read_journal
from selfheal.engine.record import fold
from selfheal.errors import JournalError

STATES = ("succeeded", "failed", "timed_out", "skipped", "waiting", "cancelled")

texts = st.text(max_size=12)


def one_event(draw: Any) -> dict[str, Any]:
    beat = {"phase": "p", "beat": draw(st.sampled_from("abc"))}
    match draw(st.integers(0, 4)):
        case 0:
            return {"event": "session_started"}
        case 1:
            return {"event": "beat_started", "attempt": 1, **beat}
        case 2:
            state = draw(st.sampled_from(STATES))
            key = draw(texts) if state == "succeeded" else None
            return {
                "event": "beat_finished",
                "state": state,
                "key": key,
                "reason": draw(texts),
                **beat,
            }
        case 3:
            return {"event": "phase_finished", "phase": "p", "state": "failed", "elapsed": 0.5}
        case _:
            return {
                "event": "session_finished",
                "state": "failed",
                "reason": draw(texts),
                "hint": "",
            }


@st.composite
def histories(draw: Any) -> list[dict[str, Any]]:
    return [
        {"seq": number, "at": "2024-01-01T00:00:00+00:00", **one_event(draw)}
        for number in range(draw(st.integers(0, 8)))
    ]


@given(histories())
def test_a_journal_cut_at_every_byte_gives_exactly_its_whole_lines(
    events: list[dict[str, Any]],
) -> None:
    lines = [encode(event) for event in events]
    content = b"".join(lines)
    ends = [sum(map(len, lines[:count])) for count in range(len(lines) + 1)]
    for cut in range(len(content) + 1):
        found, length = parse(content[:cut])
        whole = max(index for index, end in enumerate(ends) if end <= cut)
        assert found == events[:whole]
        assert length == ends[whole]


@given(histories())
def test_every_prefix_folds_to_the_last_word_on_every_beat(events: list[dict[str, Any]]) -> None:
    for count in range(len(events) + 1):
        record = fold(events[:count])
        for (phase, name), beat in record.beats.items():
            mine = [e for e in events[:count] if (e.get("phase"), e.get("beat")) == (phase, name)]
            if mine[-1]["event"] == "beat_finished":
                assert beat.state == mine[-1]["state"]
                assert beat.key == mine[-1]["key"]
            else:
                last = events.index(mine[-1])
                restarted = any(e["event"] == "session_started" for e in events[last:count])
                assert beat.state == ("pending" if restarted else "running")


@given(st.dictionaries(texts, st.one_of(texts, st.integers(), st.none(), st.booleans())))
def test_an_event_reads_back_as_it_was_written(event: dict[str, Any]) -> None:
    assert decode(encode(event)) == event


@given(st.binary(max_size=60))
def test_a_tail_of_garbage_is_cut_before_appending(garbage: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        first = Journal(path)
        first.append("one")
        first.close()
        with path.open("ab") as file:
            file.write(garbage)
        second = Journal(path)
        second.append("two")
        second.close()
        assert [event["event"] for event in read_journal(path)] == ["one", "two"]


@pytest.mark.parametrize("position", range(0, 60, 7))
def test_a_flipped_byte_in_the_middle_is_a_contradiction(tmp_path: Path, position: int) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path, durable=True)
    for number in range(3):
        journal.append("event", number=number)
    journal.close()
    content = bytearray(path.read_bytes())
    content[position] ^= 0x01
    path.write_bytes(content)
    with pytest.raises(JournalError, match=r"journal\.jsonl:1"):
        Journal(path)


def test_a_lost_line_is_a_contradiction() -> None:
    lines = [encode({"seq": number, "event": "e"}) for number in (0, 2)]
    with pytest.raises(JournalError, match="event 2 stands where 1 belongs"):
        parse(b"".join(lines))


def test_no_journal_is_an_empty_one(tmp_path: Path) -> None:
    assert read_journal(tmp_path / "none") == []
