"""Wiring is checked before anything runs; the message prints the declaration and what was expected."""

from __future__ import annotations

from collections.abc import Sequence as Items
from typing import Any

import pytest

from selfheal.artifacts import Anomalies, Dataset, Tables, Telemetry
from selfheal.config import DeployConfig, DetectConfig, Settings
from selfheal.contract import Effects, Handler, Workspace, handler
from selfheal.errors import HandlerError, WiringError
from selfheal.sequences import Sequence, WiredSequence, wire
from selfheal.sequences.typefit import fits


def nothing(_folder: Any) -> dict[str, Any]:
    return {}


def pure(name: str, **more: Any) -> Any:
    return handler(name, kind="pure", example=nothing, **more)


@pure("numbers")
def numbers() -> list[int]: ...


@pure("tables")
def tables() -> Tables: ...


@pure("words")
def words() -> list[str]: ...


@pure("takes_numbers")
def takes_numbers(numbers: Items[int]) -> int: ...


@pure("takes_dataset")
def takes_dataset(tables: Dataset) -> int: ...


@pure("takes_words_wrongly")
def takes_words_wrongly(words: list[int]) -> int: ...


@pure("takes_telemetry")
def takes_telemetry(telemetry: Telemetry) -> int: ...


@pure("takes_telemetry_wrongly")
def takes_telemetry_wrongly(telemetry: Anomalies) -> int: ...


@pure("writes_anomalies", writes="anomalies")
def writes_anomalies() -> Anomalies: ...


@pure("writes_anomalies_too", writes="anomalies")
def writes_anomalies_too() -> Anomalies: ...


@pure("writes_wrongly", writes="anomalies")
def writes_wrongly() -> int: ...


@pure("takes_number")
def takes_number(value: int) -> int: ...


@pure("has_default")
def has_default(limit: int = 3) -> int: ...


@pure("configured")
def configured(config: DetectConfig, deploy: DeployConfig, everything: Settings) -> int: ...


@pure("configured_wrongly")
def configured_wrongly(config: int) -> int: ...


@pure("one", contributes=True)
def one() -> list[int]: ...


@pure("two", contributes=True)
def two() -> list[int]: ...


@pure("contributes_words", contributes=True)
def contributes_words() -> list[str]: ...


@pure("contributes_no_list", contributes=True)
def contributes_no_list() -> int: ...


@pure("collect")
def collect(contributed: list[int]) -> int: ...


@pure("ping")
def ping(contributed: list[int]) -> int: ...


@pure("pong", contributes=True)
def pong(ping: int) -> list[int]: ...


@pure("all_completed")
def all_completed() -> int: ...


@pure("each")
def each(item: int) -> int: ...


@pure("takes_each")
def takes_each(each: list[int]) -> int: ...


@handler("crew", kind="stage-crew", example=nothing)
def crew(workspace: Workspace, effects: Effects) -> int: ...


def _asks(workspace: Workspace) -> int: ...


SMUGGLER: Handler[..., Any] = Handler("smuggler", _asks, "pure", "1", nothing)

TABLE: dict[str, Handler[..., Any]] = {
    found.name: found for found in list(globals().values()) if isinstance(found, Handler)
}


def lookup(name: str) -> Handler[..., Any]:
    if name not in TABLE:
        raise HandlerError(f"no handler {name} is registered.", hint="Did you mean ping?")
    return TABLE[name]


def wired(
    *beats: str | dict[str, Any], available: tuple[str, ...] = ("telemetry",)
) -> WiredSequence:
    rows = [{"handler": beat} if isinstance(beat, str) else beat for beat in beats]
    rows = [{**row, "beat": number} for number, row in enumerate(rows, 1)]
    document = {"id": "s", "name": "S", "movements": [{"id": "m", "beats": rows}]}
    return wire(Sequence.model_validate(document), lookup, available)


@pytest.mark.parametrize(
    ("beats", "words"),
    [
        (["nobody"], "no handler nobody is registered"),
        (["takes_numbers"], "reads 'numbers', which nothing before it produces"),
        (["takes_numbers", "numbers"], "comes later in the sequence"),
        (["words", "takes_words_wrongly"], "annotated list[int]; expected list[str]"),
        (["takes_telemetry_wrongly"], "annotated Anomalies; expected Telemetry"),
        (["writes_anomalies", "writes_anomalies_too"], "both write anomalies.json"),
        (["writes_wrongly"], "expected Anomalies"),
        (["takes_number"], "reads 'value', which nothing before it produces"),
        ([{"handler": "takes_number", "with": {"value": "x"}}], "is no int"),
        ([{"handler": "takes_number", "with": {"value": 1, "vlaue": 2}}], "Did you mean 'value'?"),
        ([{"handler": "numbers", "kind": "stage-crew"}], "its handler is pure"),
        (["smuggler"], "asks for workspace"),
        (["configured_wrongly"], "expected a section of the configuration"),
        (["collect", "contributes_words"], "contributes list[str] to collect"),
        (["contributes_no_list"], "expected a list"),
        (["ping", "pong"], "wait for each other: p"),
        ([{"handler": "numbers", "needs": ["nmbers"]}], "which is no beat of s"),
        ([{"handler": "numbers", "when": "numbrs.x"}], "reads 'numbrs'"),
        ([{"handler": "tables", "foreach": "telemetry.sources"}], "has foreach and returns tables"),
        ([{"handler": "numbers", "catch": [{"on": ["all"], "result": 3}]}], "catch 0"),
        ([{"handler": "numbers", "compensate": "nobody"}], "no handler nobody"),
    ],
)
def test_beats_that_do_not_fit_are_refused_with_the_reason(beats: list[Any], words: str) -> None:
    with pytest.raises(WiringError) as caught:
        wired(*beats)
    assert words in str(caught.value)
    assert caught.value.where is not None
    if "nobody" not in words and "no beat" not in words:
        assert "(" in caught.value.message, "the declaration is printed"


def test_an_artifact_that_no_earlier_phase_writes_is_unproduced() -> None:
    with pytest.raises(WiringError, match="reads 'telemetry'"):
        wired("takes_telemetry", available=())


def order_of(sequence: WiredSequence) -> dict[str, set[str]]:
    return {beat.id: set(beat.reads | beat.follows) for beat in sequence.beats}


def test_a_beat_that_reads_nothing_follows_the_one_before_it() -> None:
    assert order_of(wired("numbers", "words", "takes_numbers")) == {
        "numbers": set(),
        "words": {"numbers"},
        "takes_numbers": {"numbers"},
    }


def test_contributors_run_side_by_side_wherever_they_stand() -> None:
    found = order_of(wired("numbers", "one", "collect", "two", "all_completed"))
    assert found["one"] == found["two"] == {"numbers"}
    assert found["collect"] == {"one", "two"}
    assert found["all_completed"] == {"numbers", "one", "two", "collect"}


def test_values_defaults_sections_and_services_are_wired() -> None:
    found = wired(
        {"handler": "takes_number", "with": {"value": 3}}, "has_default", "configured", "crew"
    )
    kinds = {beat.id: [(s.kind, *s.names) for s in beat.sources] for beat in found.beats}
    assert kinds == {
        "takes_number": [("value", "value")],
        "has_default": [("default",)],
        "configured": [("config", "detect"), ("config", "deploy"), ("config", "")],
        "crew": [("service", "workspace"), ("service", "effects")],
    }


def test_foreach_gives_its_readers_a_list() -> None:
    found = wired("numbers", {"handler": "each", "foreach": "numbers"}, "takes_each")
    assert order_of(found) == {"numbers": set(), "each": {"numbers"}, "takes_each": {"each"}}


def test_one_handler_may_do_two_beats_of_different_names() -> None:
    found = wired(
        {"handler": "takes_number", "with": {"value": 1}},
        {"handler": "takes_number", "name": "again", "with": {"value": 2}},
    )
    assert [beat.id for beat in found.beats] == ["takes_number", "again"]


class Base: ...


class Derived(Base): ...


@pytest.mark.parametrize(
    ("produced", "wanted", "fit"),
    [
        (Derived, Base, True),
        (Base, Derived, False),
        (list[Derived], list[Base], True),
        (list[Derived], Items[Base | int], True),
        (list[Base], list[Derived], False),
        (Derived | None, Base, False),
        (Derived | None, Base | None, True),
        (dict[str, int], dict[str, float], True),
        (tuple[int, ...], Items[int], True),
        (Tables, Dataset, True),
        (Any, Base, True),
        (Base, object, True),
        (list, list[int], True),
        (bool, int, True),
        (str, int, False),
    ],
)
def test_what_fits_where(produced: Any, wanted: Any, fit: bool) -> None:
    assert fits(produced, wanted) is fit
