"""Sequential tests: no conviction of the innocent however often one looks, and the guilty seen."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfheal.config import GateConfig
from selfheal.delivery.guards import Latencies, Levels, judge_errors, judge_latency
from selfheal.delivery.sequential import (
    Counts,
    convicts,
    dispersion_of,
    is_shifted,
    rate_bounds,
    rate_is_higher,
    rate_is_lower,
    visible_failure_rate,
    visible_ratio,
)

LEVELS = Levels(fail=0.005, well=0.05)
GATE = GateConfig()


def counts_of(
    draw: np.random.Generator, blocks: int, rate: float, ratio: float, share: float = 0.1
) -> Counts:
    """Independent requests, 100 a block."""
    baseline = draw.poisson(100 * (1 - share), blocks)
    candidate = draw.poisson(100 * share, blocks)
    return Counts(
        baseline.astype(float),
        draw.binomial(baseline, rate).astype(float),
        candidate.astype(float),
        draw.binomial(candidate, min(1.0, rate * ratio)).astype(float),
    )


@pytest.mark.parametrize("rate", [0.002, 0.05, 0.6])
def test_equal_rates_are_convicted_at_most_at_the_level_over_all_looks(rate: float) -> None:
    draw = np.random.default_rng(1)
    convicted = sum(
        convicts(rate_is_higher(counts_of(draw, 60, rate, 1.0), dispersion=1.0), 0.05)
        for _ in range(400)
    )
    # 400 · 0.05 = 20; as many as 33 have a probability of 0.002.
    assert convicted <= 33


def test_heavy_tailed_pairs_are_convicted_at_most_at_the_level_over_all_looks() -> None:
    draw = np.random.default_rng(2)
    convicted = sum(convicts(is_shifted(draw.standard_cauchy(60)), 0.05) for _ in range(400))
    assert convicted <= 33


def test_failures_that_come_in_groups_are_not_taken_for_independent_ones() -> None:
    draw = np.random.default_rng(3)
    convicted = naive = 0
    for _ in range(200):
        base = counts_of(draw, 40, 0.01, 1.0, share=0.5)
        grouped = base._replace(
            baseline_failed=base.baseline_failed * 5, candidate_failed=base.candidate_failed * 5
        )
        convicted += convicts(rate_is_higher(grouped), 0.05)
        naive += convicts(rate_is_higher(grouped, dispersion=1.0), 0.05)
    assert convicted <= 20
    assert naive > 2 * convicted


@given(st.integers(0, 2**32 - 1), st.floats(1.0, 20.0))
@settings(max_examples=30, deadline=None)
def test_a_dispersion_never_convicts_whom_the_ratios_acquit(seed: int, dispersion: float) -> None:
    counts = counts_of(np.random.default_rng(seed), 20, 0.1, 1.5)
    plain = rate_is_higher(counts, dispersion=1.0).max()
    assert rate_is_higher(counts, dispersion=dispersion).max() <= max(0.0, plain) + 1e-9


def test_outages_of_both_sides_are_no_dispersion() -> None:
    draw = np.random.default_rng(4)
    calm = [counts_of(draw, 20, rate, 1.0, share=0.5) for rate in (0.01, 0.4)]
    both = Counts(*(np.concatenate(pair) for pair in zip(*calm, strict=True)))
    assert dispersion_of(both) < 1.8


def test_a_doubled_rate_and_a_lower_one_are_seen() -> None:
    draw = np.random.default_rng(5)
    doubled = counts_of(draw, 80, 0.1, 2.0)
    assert convicts(rate_is_higher(doubled, ratio=math.sqrt(1.5)), 0.005)
    same = counts_of(draw, 80, 0.1, 1.0)
    assert rate_is_lower(same, 2.0, most=1.5, dispersion=1.0)[-1] > 3
    assert rate_is_lower(doubled, 1.6, most=1.5, dispersion=1.0)[-1] < 0


def test_blocks_in_which_one_side_was_silent_say_nothing() -> None:
    alone = Counts(*(np.array(each, float) for each in ([0, 0], [0, 0], [50, 50], [50, 50])))
    assert rate_is_higher(alone).tolist() == [0.0, 0.0]


@given(st.integers(0, 500), st.integers(1, 500), st.floats(0.001, 0.5))
@settings(max_examples=50, deadline=None)
def test_bounds_enclose_what_was_seen_and_widen_with_care(
    hits: int, misses: int, level: float
) -> None:
    low, high = rate_bounds(hits, hits + misses, level)
    assert 0 <= low <= hits / (hits + misses) <= high <= 1
    wider = rate_bounds(hits, hits + misses, level / 10)
    assert wider[0] <= low + 1e-9
    assert wider[1] >= high - 1e-9


def test_without_a_trial_nothing_is_known_of_a_rate() -> None:
    assert rate_bounds(0, 0, 0.05) == (0.0, 1.0)


def test_a_service_without_errors_passes_once_there_were_enough_requests() -> None:
    def seen(requests: float) -> str:
        none = np.zeros(10)
        each = np.full(10, requests / 10)
        return judge_errors(Counts(each * 9, none, each, none), GATE, LEVELS).state

    assert [seen(n) for n in (40, 200, 1000)] == ["undecided", "undecided", "pass"]


def test_sparse_errors_that_a_rank_test_passes_are_not_acquitted() -> None:
    """One block in five has failures: medians of block rates are 0 on both sides."""
    hits = np.tile([0, 0, 0, 0, 12.0], 8)
    counts = Counts(np.full(40, 200.0), np.zeros(40), np.full(40, 50.0), hits)
    assert judge_errors(counts, GATE, LEVELS).state == "fail"


def test_no_requests_are_no_data_and_no_latencies_are_undecided() -> None:
    empty = Counts(*(np.zeros(3) for _ in range(4)))
    nothing = Latencies(np.array([]), np.array([]), 1.0, 1.0)
    assert judge_errors(empty, GATE, LEVELS).state == "no_data"
    assert judge_latency(nothing, empty, GATE, LEVELS).state == "no_data"


@pytest.mark.parametrize(
    ("ratio", "state"), [(1.0, "pass"), (1.6, "fail"), (1.25, "undecided"), (0.5, "pass")]
)
def test_latency_is_judged_by_the_ratio_of_blocks(ratio: float, state: str) -> None:
    draw = np.random.default_rng(6)
    blocks = np.log(ratio) + draw.normal(0, 0.15, 30)
    counts = counts_of(draw, 30, 0.0, 1.0)
    found = judge_latency(Latencies(blocks, np.zeros(30), ratio, ratio), counts, GATE, LEVELS)
    assert found.state == state


def test_a_slower_tail_alone_fails() -> None:
    draw = np.random.default_rng(7)
    latencies = Latencies(
        draw.normal(0, 0.1, 40), 0.08 + draw.normal(0, 0.04, 40), ratio=1.0, p95_ratio=1.5
    )
    assert judge_latency(latencies, counts_of(draw, 40, 0, 1), GATE, LEVELS).state == "fail"


def test_more_traffic_shows_smaller_effects() -> None:
    rates = [
        visible_failure_rate(0.01, (9 * n, n), ratio=1.2, level=0.005) for n in (300, 3000, 30000)
    ]
    assert rates[0] is not None
    assert rates == sorted(rates, reverse=True)  # type: ignore[type-var]
    ratios = [visible_ratio(0.2, n, ratio=1.14, level=0.005) for n in (15, 40, 200)]
    assert ratios == sorted(ratios, reverse=True)  # type: ignore[type-var]
    assert ratios[-1] is not None
    assert 1.14 < ratios[-1] < 1.3
    assert visible_failure_rate(0.01, (100, 0), ratio=1.2, level=0.005) is None
    assert visible_ratio(0.2, 3, ratio=1.14, level=0.005) is None


def test_what_is_said_to_be_visible_is_caught_as_often_as_said() -> None:
    draw = np.random.default_rng(8)
    rate = visible_failure_rate(0.02, (90 * 60, 10 * 60), ratio=math.sqrt(1.5), level=0.005)
    assert rate is not None
    caught = sum(
        convicts(
            rate_is_higher(
                counts_of(draw, 60, 0.02, rate / 0.02), ratio=math.sqrt(1.5), dispersion=1.0
            ),
            0.005,
        )
        for _ in range(200)
    )
    assert 0.7 < caught / 200 <= 1
