"""The single-field interval covers the true fraction as often as it claims, on fields of known truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage, stats

from steelquant.stereology.single_field import field_interval

SHAPE = (320, 420)


def gaussian_field(rng, fraction, sigma, stretch=1.0) -> np.ndarray:
    """Threshold a Gaussian random field at the level that gives ``fraction`` in the ensemble."""
    sigmas = (sigma, sigma * stretch)
    pad = int(4 * max(sigmas)) + 1
    noise = rng.standard_normal((SHAPE[0] + 2 * pad, SHAPE[1] + 2 * pad))
    smooth = ndimage.gaussian_filter(noise, sigmas)[pad:-pad, pad:-pad]
    scale = np.sqrt(np.prod([_kernel_power(s) for s in sigmas]))
    return (smooth > scale * stats.norm.isf(fraction)).astype(np.uint8)


def _kernel_power(sigma: float) -> float:
    impulse = np.zeros(int(8 * sigma) * 2 + 3)
    impulse[impulse.size // 2] = 1
    return float((ndimage.gaussian_filter1d(impulse, sigma) ** 2).sum())


def boolean_field(rng, fraction, radius) -> np.ndarray:
    """Union of discs at Poisson points: the fraction is 1 − exp(−density·area) exactly."""
    rows, columns = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disc = rows**2 + columns**2 <= radius**2
    shape = (SHAPE[0] + 2 * radius, SHAPE[1] + 2 * radius)
    count = rng.poisson(-np.log(1 - fraction) / disc.sum() * shape[0] * shape[1])
    field = np.zeros((shape[0] + 2 * radius, shape[1] + 2 * radius), dtype=bool)
    for y, x in zip(rng.integers(0, shape[0], count), rng.integers(0, shape[1], count), strict=True):
        field[y : y + 2 * radius + 1, x : x + 2 * radius + 1] |= disc
    return field[2 * radius :, 2 * radius :][: SHAPE[0], : SHAPE[1]].astype(np.uint8)


FIELDS = {
    "fine Gaussian 50 %": (gaussian_field, 0.5, (3,)),
    "coarse Gaussian 20 %": (gaussian_field, 0.2, (7,)),
    "banded Gaussian 30 %": (gaussian_field, 0.3, (3, 5.0)),
    "small discs 10 %": (boolean_field, 0.1, (4,)),
    "large discs 40 %": (boolean_field, 0.4, (11,)),
    "discs 85 %": (boolean_field, 0.85, (8,)),
}


def coverage(name: str, fields: int, seed: int = 0) -> float:
    make, fraction, options = FIELDS[name]
    rng = np.random.default_rng(seed)
    intervals = [field_interval(make(rng, fraction, *options), 1) for _ in range(fields)]
    assert all(interval.ci95 is not None for interval in intervals)
    return float(np.mean([abs(i.fraction - fraction) <= i.ci95 for i in intervals]))


def test_the_interval_covers_the_truth_in_90_to_99_percent_of_cases():
    shares = [coverage(name, 18) for name in FIELDS]

    assert 0.90 <= np.mean(shares) <= 0.99, shares


@pytest.mark.slow
@pytest.mark.parametrize("name", FIELDS)
def test_the_interval_covers_the_truth_for_each_kind_of_structure(name):
    assert 0.90 <= coverage(name, 400, seed=1) <= 0.99


def test_the_interval_does_not_depend_on_the_size_of_pixels():
    mask = gaussian_field(np.random.default_rng(4), 0.3, 4)

    once, twice = field_interval(mask, 1), field_interval(np.kron(mask, np.ones((2, 2), dtype=np.uint8)), 1)

    assert twice.fraction == once.fraction
    assert twice.ci95 == pytest.approx(once.ci95, rel=0.15)
    assert twice.correlation_length_x_px == pytest.approx(2 * once.correlation_length_x_px, rel=0.1)


def test_the_correlation_length_is_that_of_the_structure():
    # exp(−|h|/a) along a row of telegraph noise has the integral 2a; a = 1/(2·rate of flips)
    rng = np.random.default_rng(1)
    flips = rng.random((400, 1200)) < 0.05
    mask = ((np.cumsum(flips, axis=1) + rng.integers(0, 2, (400, 1))) % 2).astype(np.uint8)

    interval = field_interval(mask, 1)

    assert interval.correlation_length_x_px == pytest.approx(1 / 0.05, rel=0.15)
    assert interval.correlation_length_y_px <= 2.5


def test_both_phases_have_the_same_interval():
    mask = boolean_field(np.random.default_rng(7), 0.3, 6)

    assert field_interval(mask, 0).ci95 == pytest.approx(field_interval(mask, 1).ci95)


def test_an_excluded_bar_leaves_the_fraction_alone():
    mask = boolean_field(np.random.default_rng(7), 0.3, 6)
    barred = np.vstack([mask, np.full((60, mask.shape[1]), 255, dtype=np.uint8)])

    whole, cropped = field_interval(mask, 1), field_interval(barred, 1)

    assert cropped.fraction == whole.fraction
    assert cropped.ci95 == pytest.approx(whole.ci95, rel=0.35)


@pytest.mark.parametrize("value", [0, 1])
def test_a_uniform_field_has_no_interval_and_says_why(value):
    interval = field_interval(np.full((90, 90), value, dtype=np.uint8), 1)

    assert interval.fraction == value
    assert interval.ci95 is None
    assert "without variation" in interval.reason


def test_a_field_of_one_large_feature_has_no_interval_and_says_why():
    mask = np.zeros((200, 200), dtype=np.uint8)
    mask[:, :100] = 1

    interval = field_interval(mask, 1)

    assert interval.ci95 is None
    assert "too few features" in interval.reason
    assert interval.as_estimate().mean == 0.5
