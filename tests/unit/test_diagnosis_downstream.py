"""What the code waits for, and what slows everything, is told from slow code."""

from __future__ import annotations

import pytest

from selfheal.diagnosis.downstream import is_unreachable, slower_all_over, slower_downstream
from selfheal.diagnosis.traces import Edge, Growth, Node

ENTRY, OUT, ASK = ("shop", "GET /"), ("shop", "GET stock"), ("shop", "SELECT items")


def growth(
    *, own: float = 2, out: float = 5, ask: float = 3, outs: float = 1, asks: float = 1
) -> Growth:
    """An entry that calls a service and a database; the late durations and counts are given."""

    def node(place: tuple[str, str], early: float, late: float, **more: object) -> Node:
        lasting = {"total": early, "late_total": late, "own": early, "late_own": late}
        return Node.model_validate(
            {"service": place[0], "operation": place[1], "is_query": False, **lasting, **more}
        )

    late = own + out * outs + ask * asks
    edges = [
        Edge(parent=ENTRY, child=OUT, total=5, late_total=out * outs, calls=1, late_calls=outs),
        Edge(parent=ENTRY, child=ASK, total=3, late_total=ask * asks, calls=1, late_calls=asks),
    ]
    entry = node(ENTRY, 10, late).model_copy(update={"own": 2.0, "late_own": own})
    return Growth(
        nodes=[entry, node(OUT, 5, out, is_remote=True), node(ASK, 3, ask, is_query=True)],
        edges=edges,
    )


def test_a_slower_service_and_a_slower_database_are_told() -> None:
    assert "GET stock takes 4.0 times" in str(slower_downstream(growth(out=20), ENTRY))
    assert "GET stock takes 4.0 times" in str(slower_downstream(growth(out=20), OUT))
    assert "SELECT items takes 5.0 times" in str(slower_downstream(growth(ask=15), ENTRY))


def test_slower_code_and_calls_that_are_made_more_often_are_no_slower_service() -> None:
    assert slower_downstream(growth(own=30), ENTRY) is None
    assert slower_downstream(growth(outs=9), ENTRY) is None
    assert slower_downstream(growth(asks=9), ENTRY) is None
    assert slower_downstream(growth(), ENTRY) is None
    assert slower_downstream(growth(), ("shop", "unknown")) is None


def test_a_slower_machine_slows_everything_alike() -> None:
    assert "2.0 to 2.0 times" in str(slower_all_over(growth(own=4, out=10, ask=6), ENTRY))
    assert slower_all_over(growth(own=4), ENTRY) is None
    assert slower_all_over(growth(own=4, out=10), ENTRY) is None
    assert slower_all_over(growth(own=20, out=10, ask=6), ENTRY) is None


@pytest.mark.parametrize(
    ("name", "unreachable"),
    [
        ("requests.exceptions.ConnectionError", True),
        ("TimeoutError", True),
        ("KeyError", False),
        ("", False),
    ],
)
def test_exceptions_of_connections_are_known(name: str, unreachable: bool) -> None:
    assert is_unreachable(name) is unreachable
