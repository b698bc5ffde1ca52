"""The visitors of the demo: the same for every release, and as careless as people are."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from selfheal.demo.traffic import ACTIONS, Balancer, Visit, session, visit


def visits(seed: int, sessions: int) -> Iterator[Visit]:
    draw = random.Random(seed)
    for _ in range(sessions):
        yield from session(draw)


def test_equal_seeds_ask_for_equal_things() -> None:
    assert list(visits(5, 40)) == list(visits(5, 40))
    assert list(visits(5, 40)) != list(visits(6, 40))


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_is_a_request(action: str) -> None:
    made = visit(action, random.Random(1))
    assert made.target.startswith("/")
    assert (made.method == "POST") == (made.body is not None)


def test_an_order_follows_an_item_in_the_same_session() -> None:
    for seed in range(200):
        carried = 0
        for made in session(random.Random(seed)):
            if made.target == "/orders":
                assert carried > 0
                carried = 0
            carried += made.target == "/cart/items"


def test_some_visitors_leave_out_what_may_be_left_out() -> None:
    everything = list(visits(1, 2000))
    added = [made.body for made in everything if made.target == "/cart/items" and made.body]
    deals = [made.target for made in everything if made.target.startswith("/deals")]
    assert 0.05 < sum("quantity" not in body for body in added) / len(added) < 0.2
    assert 0.05 < deals.count("/deals?limit=") / len(deals) < 0.2


def write(routing: Path, weights: dict[str, float], moment: int) -> None:
    instances = [{"url": url, "weight": weight} for url, weight in weights.items()]
    routing.write_text(json.dumps({"instances": instances}))
    os.utime(routing, ns=(moment, moment))


def test_visitors_spread_by_weight_and_follow_a_change(tmp_path: Path) -> None:
    routing = tmp_path / "routing.json"
    write(routing, {"http://old": 90.0, "http://new": 10.0, "http://idle": 0.0}, 1)
    balancer, draw = Balancer(routing), random.Random(0)
    chosen = Counter(balancer.choose(draw) for _ in range(2000))
    assert set(chosen) == {"http://old", "http://new"}
    assert 0.06 < chosen["http://new"] / 2000 < 0.14
    write(routing, {"http://new": 100.0}, 2)
    assert balancer.choose(draw) == "http://new"


def test_without_an_instance_nobody_is_sent_anywhere(tmp_path: Path) -> None:
    write(tmp_path / "routing.json", {"http://idle": 0.0}, 1)
    assert Balancer(tmp_path / "routing.json").choose(random.Random(0)) is None
