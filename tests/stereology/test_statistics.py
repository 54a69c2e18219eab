"""Means, intervals and comparisons against worked numbers, SciPy and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from steelquant.stereology.statistics import (
    estimate,
    fields_needed,
    fields_needed_by_points,
    half_width,
    holm,
    welch,
)


def test_four_fractions_give_the_worked_mean_interval_and_relative_accuracy():
    result = estimate([0.1, 0.2, 0.3, 0.4])

    assert result.mean == pytest.approx(0.25)
    assert result.standard_deviation == pytest.approx(0.12910, abs=5e-6)
    assert result.ci95 == pytest.approx(0.20543, abs=5e-6)
    assert result.relative_accuracy_percent == pytest.approx(82.17, abs=5e-3)
    assert result.n == 4
    assert result.reason == ""


def test_the_e562_point_count_example():
    hits = [9, 11, 8, 12, 10, 7, 13, 10, 9, 11]

    result = estimate([100 * p / 25 for p in hits])

    assert result.mean == pytest.approx(40.0)
    assert result.standard_deviation == pytest.approx(7.303, abs=5e-4)
    assert result.ci95 == pytest.approx(5.224, abs=5e-4)
    assert result.relative_accuracy_percent == pytest.approx(13.06, abs=5e-3)


def test_six_fields_by_their_mean_and_spread():
    ci95 = half_width(0.181, 6)

    assert ci95 == pytest.approx(0.190, abs=5e-4)
    assert 100 * ci95 / 5.21 == pytest.approx(3.65, abs=5e-3)


def test_one_field_has_a_mean_but_no_interval_and_says_why():
    result = estimate([0.3])

    assert result.mean == 0.3
    assert (result.standard_deviation, result.ci95, result.relative_accuracy_percent) == (None, None, None)
    assert (result.low, result.high) == (None, None)
    assert "one field" in result.reason


def test_no_field_has_no_mean_and_says_why():
    result = estimate([None, math.nan])

    assert result.mean is None
    assert result.n == 0
    assert result.reason


def test_fields_without_the_value_do_not_count():
    assert estimate([1.0, None, 3.0, math.nan]) == estimate([1.0, 3.0])


def test_a_mean_of_zero_has_an_interval_but_no_relative_accuracy():
    result = estimate([0.0, 0.0, 0.0])

    assert result.ci95 == 0
    assert result.relative_accuracy_percent is None


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30))
def test_interval_agrees_with_scipy(values):
    assume(np.std(values) > 0)
    low, high = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))

    result = estimate(values)

    assert result.low == pytest.approx(low, rel=1e-9, abs=1e-6)
    assert result.high == pytest.approx(high, rel=1e-9, abs=1e-6)


@given(st.floats(0.01, 10), st.floats(0.01, 100), st.sampled_from([1.0, 5.0, 10.0, 30.0]))
def test_fields_needed_is_the_smallest_number_that_reaches_the_aim(s, mean, wanted):
    spread = estimate([mean - s / math.sqrt(2), mean + s / math.sqrt(2)])

    n = fields_needed(spread, wanted)

    aim = wanted / 100 * mean * (1 + 1e-12)
    assert half_width(spread.standard_deviation, n) <= aim
    assert n == 2 or half_width(spread.standard_deviation, n - 1) > wanted / 100 * mean


def test_fields_needed_is_unknown_after_one_field():
    assert fields_needed(estimate([0.3])) is None


def test_fields_needed_by_points_follows_e562():
    # 4/0.1² · 60/(40·25) = 24
    assert fields_needed_by_points(40, 25, 0.1) == 24
    # 4/0.2² · 90/(10·100) = 9
    assert fields_needed_by_points(10, 100, 0.2) == 9
    assert fields_needed_by_points(10, 99, 0.2) == 10


def test_scaling_an_estimate_equals_estimating_the_scaled_values():
    values = [0.1, 0.2, 0.4]

    scaled, direct = estimate(values).scaled(0.738, 0.022), estimate([0.738 * v + 0.022 for v in values])

    assert scaled.mean == pytest.approx(direct.mean)
    assert scaled.standard_deviation == pytest.approx(direct.standard_deviation)
    assert scaled.ci95 == pytest.approx(direct.ci95)
    assert scaled.relative_accuracy_percent == pytest.approx(direct.relative_accuracy_percent)


@given(
    st.lists(st.floats(0, 100), min_size=2, max_size=12), st.lists(st.floats(0, 100), min_size=2, max_size=12)
)
def test_welch_agrees_with_scipy(a, b):
    assume(min(np.var(a), np.var(b)) > 1e-3)
    peer = stats.ttest_ind(a, b, equal_var=False)
    interval = peer.confidence_interval(0.95)

    result = welch(a, b)

    assert result.t == pytest.approx(peer.statistic, rel=1e-9, abs=1e-12)
    assert result.p_value == pytest.approx(peer.pvalue, rel=1e-8, abs=1e-12)
    assert result.difference - result.ci95 == pytest.approx(interval.low, rel=1e-8, abs=1e-8)
    assert result.difference + result.ci95 == pytest.approx(interval.high, rel=1e-8, abs=1e-8)


def test_welch_needs_two_fields_on_either_side():
    assert welch([1.0], [1.0, 2.0]) is None


def test_welch_without_spread_tells_equal_from_different():
    assert welch([1.0, 1.0], [1.0, 1.0]).p_value == 1
    assert welch([1.0, 1.0], [2.0, 2.0]).p_value == 0


def test_holm_matches_the_worked_steps():
    # sorted 0.01·4, 0.02·3, 0.03·2, 0.04·1 and never falling: 0.04 0.06 0.06 0.06
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []
