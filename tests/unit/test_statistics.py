"""The statistics keep their level under the null, find what is there, and do not depend on units."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from selfheal.analysis.statistics.change_point import change_points, upward_change
from selfheal.analysis.statistics.multiplicity import benjamini_hochberg
from selfheal.analysis.statistics.ranks import is_larger
from selfheal.analysis.statistics.rates import (
    proportion_is_higher,
    rate_is_higher,
    trials_to_see,
)
from selfheal.analysis.statistics.resampling import exceeds_more, ratio_interval
from selfheal.analysis.statistics.seasonality import of_dependent, period_of

LEVEL = 0.05


def within_level(alarms: int, runs: int) -> bool:
    """Whether a count of false alarms is one that the level explains (99.9 %)."""
    return alarms <= stats.binom.ppf(0.999, runs, LEVEL)


def test_rank_test_keeps_its_level_and_has_power_at_30_percent() -> None:
    generator = np.random.default_rng(1)
    null = shifted = 0
    for _ in range(300):
        first, second = generator.lognormal(0, 0.2, (2, 30))
        null += is_larger(first, second).p_value <= LEVEL
        shifted += is_larger(first, 1.3 * second).p_value <= LEVEL
    assert within_level(null, 300)
    assert shifted >= 0.95 * 300


def clustered(generator: np.random.Generator, factor: float) -> tuple[np.ndarray, ...]:
    """60 buckets of 20 requests with a common level each; the last 30 are slower by `factor`."""
    levels = np.exp(generator.normal(0, 0.1, 60))[:, None]
    second = np.arange(60) >= 30
    requests = levels * generator.lognormal(0, 0.4, (60, 20)) * np.where(second, factor, 1)[:, None]
    exceeding = (requests > np.quantile(requests, 0.95)).sum(axis=1)
    return exceeding, np.full(60, 20), second


def test_tail_test_keeps_its_level_on_clustered_requests_and_has_power() -> None:
    generator = np.random.default_rng(2)
    null = sum(
        exceeds_more(*clustered(generator, 1), permutations=199) <= LEVEL for _ in range(200)
    )
    found = sum(
        exceeds_more(*clustered(generator, 1.5), permutations=199) <= LEVEL for _ in range(60)
    )
    assert within_level(null, 200)
    assert found >= 0.95 * 60


def test_change_point_keeps_its_level_and_finds_the_place() -> None:
    generator = np.random.default_rng(3)
    null = 0
    for _ in range(200):
        change = upward_change(generator.normal(size=60), margin=8)
        assert change is not None
        null += change.p_value <= LEVEL
    assert within_level(null, 200)
    series = generator.normal(10, 0.5, 60)
    series[40:] += 2
    change = upward_change(series, margin=8)
    assert change is not None
    assert change.p_value < 0.01
    assert abs(change.at - 40) <= 1
    falling = upward_change(series[::-1].copy(), margin=8)
    assert falling is not None
    assert falling.p_value > LEVEL
    assert upward_change(series[:15], margin=8) is None


def lingering_noise(generator: np.random.Generator, length: int) -> np.ndarray:
    """AR(1) with φ = 0.6."""
    values = generator.normal(size=length + 50)
    for place in range(1, len(values)):
        values[place] += 0.6 * values[place - 1]
    return values[50:]


def test_what_repeats_or_lingers_is_no_change() -> None:
    generator = np.random.default_rng(4)
    hours = np.arange(150)
    alarms = 0
    for _ in range(100):
        day = 10 + 3 * np.sin(2 * np.pi * (hours / 24 + generator.random()))
        alarms += bool(change_points(day * generator.lognormal(0, 0.1, 150)))
        alarms += bool(change_points(lingering_noise(generator, 150)))
    assert alarms <= 5


def test_changes_up_and_down_are_found_through_a_daily_pattern_and_spikes() -> None:
    generator = np.random.default_rng(5)
    hours = np.arange(240)
    series = (10 + 3 * np.sin(2 * np.pi * hours / 24)) * generator.lognormal(0, 0.1, 240)
    series[80:160] *= 1.5
    series[generator.integers(0, 240, 8)] *= 4
    first, second = change_points(series)
    assert (first.rises, second.rises) == (True, False)
    assert abs(first.at - 80) <= 5
    assert abs(second.at - 160) <= 5


def test_a_period_is_told_and_noise_has_none() -> None:
    generator = np.random.default_rng(6)
    hours = np.arange(200)
    assert period_of(np.sin(2 * np.pi * hours / 24) + generator.normal(0, 0.3, 200)) == 24
    assert period_of(generator.normal(size=200)) is None
    assert period_of(np.repeat([0.0, 5.0], 100) + generator.normal(size=200)) is None
    assert period_of(np.zeros(50)) is None


@given(st.lists(st.floats(-1e6, 1e6), max_size=40))
def test_any_series_has_an_answer(values: list[float]) -> None:
    for change in change_points(np.asarray(values), margin=4):
        assert 4 <= change.at <= len(values) - 4
        assert 0 < change.p_value <= 0.003


@given(st.floats(1e-9, 1 - 1e-9), st.floats(0, 0.9))
def test_dependence_makes_evidence_weaker(p_value: float, lingering: float) -> None:
    adjusted = of_dependent(p_value, lingering)
    assert abs(adjusted - 0.5) <= abs(p_value - 0.5) + 1e-9


@settings(max_examples=30, deadline=None)
@given(scale=st.floats(1e-3, 1e3), power=st.sampled_from([1.0, 2.0, 0.5]), seed=st.integers(0, 99))
def test_rank_methods_know_no_units(scale: float, power: float, seed: int) -> None:
    generator = np.random.default_rng(seed)
    first, second = generator.lognormal(0, 0.5, (2, 20))
    plain = is_larger(first, second)
    assert is_larger(scale * first**power, scale * second**power) == pytest.approx(plain)
    assert is_larger(second, first).cliffs_delta == pytest.approx(-plain.cliffs_delta)
    series = np.concatenate([first, second])
    before, after = upward_change(series, margin=8), upward_change(scale * series**power, margin=8)
    assert before is not None
    assert after is not None
    assert (after.at, after.p_value) == pytest.approx((before.at, before.p_value), rel=0.02)


@settings(max_examples=30, deadline=None)
@given(ratio=st.floats(0.2, 5), seed=st.integers(0, 99))
def test_the_interval_scales_with_the_ratio_and_repeats(ratio: float, seed: int) -> None:
    generator = np.random.default_rng(seed)
    first, second = generator.lognormal(0, 0.1, (2, 40))
    low, high = ratio_interval(first, second)
    assert low <= np.median(second) / np.median(first) <= high
    assert ratio_interval(first, ratio * second) == pytest.approx((ratio * low, ratio * high))


@given(st.lists(st.floats(0, 1), max_size=30))
def test_adjusting_is_that_of_scipy_and_never_lowers_a_p_value(p_values: list[float]) -> None:
    adjusted = benjamini_hochberg(p_values)
    if p_values:
        assert adjusted == pytest.approx(list(stats.false_discovery_control(p_values)))
    assert all(after >= before for before, after in zip(p_values, adjusted, strict=True))


@given(st.integers(0, 30), st.integers(1, 500), st.integers(0, 30), st.integers(1, 500))
def test_exact_tests_agree_with_their_textbook_form(a: int, n: int, b: int, m: int) -> None:
    p_value = rate_is_higher(a, n, b, m)
    assert 0 <= p_value <= 1
    if a + b:
        expected = stats.binomtest(b, a + b, m / (n + m), alternative="greater").pvalue
        assert p_value == pytest.approx(expected, abs=1e-12)
    assert rate_is_higher(a, n, b, m, ratio=2) >= p_value
    if a <= n and b <= m:
        table = [[b, m - b], [a, n - a]]
        expected = stats.fisher_exact(table, alternative="greater").pvalue
        assert proportion_is_higher(a, n, b, m) == pytest.approx(expected, abs=1e-9)


@given(st.floats(0.001, 1), st.floats(0.001, 0.5))
def test_absence_needs_just_enough_trials(probability: float, level: float) -> None:
    needed = trials_to_see(probability, level)
    assert (1 - probability) ** needed <= level * (1 + 1e-9)
    assert needed == 1 or (1 - probability) ** (needed - 1) > level * (1 - 1e-9)
