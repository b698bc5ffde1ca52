"""The handler contract: what a declaration may say, and what is read from it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from selfheal.artifacts import Anomaly
from selfheal.config import DetectConfig
from selfheal.contract import Failed, Skipped, Waiting, Workspace, handler
from selfheal.errors import HandlerError, MissingExtra, SelfhealError


def no_example(folder: Path) -> dict[str, Any]:
    return {}


def test_a_handler_stays_an_ordinary_function() -> None:
    @handler("double", kind="pure", example=no_example)
    def double(number: int) -> int:
        return 2 * number

    assert double(21) == 42
    assert double.name == "double"


def test_parameters_name_what_is_read_and_which_may_be_absent() -> None:
    @handler("reader", kind="pure", example=no_example)
    def reader(first: list[Anomaly], second: int | None, config: DetectConfig) -> list[Anomaly]:
        return first

    described = [(each.name, each.annotation, each.optional) for each in reader.parameters]
    assert described == [
        ("first", list[Anomaly], False),
        ("second", int, True),
        ("config", DetectConfig, False),
    ]


def test_outcomes_are_not_part_of_what_is_stored() -> None:
    @handler("outcome", kind="pure", example=no_example)
    def outcome() -> list[Anomaly] | Skipped | Failed | Waiting:
        return Skipped("nothing to do")

    assert outcome.returns == list[Anomaly]


def test_a_pure_handler_may_not_ask_for_a_service() -> None:
    with pytest.raises(HandlerError, match=r"is pure and asks for workspace.*stage-crew"):

        @handler("impure", kind="pure", example=no_example)
        def impure(workspace: Workspace) -> None: ...


def test_only_the_seven_artifacts_can_be_written() -> None:
    with pytest.raises(HandlerError, match=r"writes 'diary', which is no artifact.*patterns"):
        handler("diarist", kind="pure", writes="diary", example=no_example)


def test_a_parameter_without_a_type_is_refused() -> None:
    @handler("untyped", kind="pure", example=no_example)
    def untyped(mystery) -> int:  # type: ignore[no-untyped-def]
        return 1

    with pytest.raises(HandlerError, match="parameter mystery of handler untyped"):
        _ = untyped.parameters


def test_star_arguments_are_refused() -> None:
    @handler("starred", kind="pure", example=no_example)
    def starred(*everything: int) -> int:
        return 1

    with pytest.raises(HandlerError, match=r"takes \*everything"):
        _ = starred.parameters


def test_errors_survive_the_way_between_processes() -> None:
    error = HandlerError("broken.", where="a.py:3", hint="Mend it.")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (HandlerError, "a.py:3: broken. Mend it.")


def test_a_missing_extra_names_the_exact_command() -> None:
    assert "pip install 'selfheal[otlp]'" in str(MissingExtra.of("opentelemetry-proto", "otlp"))


def test_every_error_has_a_slug_of_its_own() -> None:
    def family(kind: type[SelfhealError]) -> list[type[SelfhealError]]:
        return [kind, *(each for child in kind.__subclasses__() for each in family(child))]

    slugs = [kind.slug for kind in family(SelfhealError)]
    assert len(slugs) == len(set(slugs))
