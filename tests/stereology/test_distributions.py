import math

import numpy as np
import pytest

from steelquant.stereology.distributions import (
    equivalent_diameter_um,
    frame_weights,
    size_distribution,
    unfold_spheres,
)


def area_of(diameter):
    return math.pi / 4 * np.asarray(diameter, dtype=float) ** 2


def test_a_disc_is_its_own_equivalent():
    assert equivalent_diameter_um([area_of(7.0)]) == pytest.approx([7.0])


def test_two_sizes_by_number_and_by_area():
    # 90 of 10 µm and 10 of 30 µm: equal areas.
    result = size_distribution(area_of([10.0] * 90 + [30.0] * 10))
    assert result.count == 100
    assert result.by_number.mean_um == pytest.approx(12.0)
    assert result.by_area.mean_um == pytest.approx(20.0)
    assert result.by_number.d50_um == pytest.approx(10.0)
    assert result.by_area.standard_deviation_um == pytest.approx(10.0)
    assert sum(result.by_number.fractions) == pytest.approx(1)
    assert sorted(result.by_area.fractions)[-2:] == pytest.approx([0.5, 0.5])
    assert len(result.edges_um) == len(result.by_number.fractions) + 1


def test_a_lognormal_is_found_again_by_number_and_shifted_by_area():
    sizes = np.exp(np.random.default_rng(1).normal(math.log(20), 0.4, 20_000))
    result = size_distribution(area_of(sizes))
    fit = result.by_number.lognormal
    assert fit.median_um == pytest.approx(20, rel=0.01)
    assert math.log(fit.geometric_deviation) == pytest.approx(0.4, rel=0.02)
    assert fit.distance < 0.01
    # Weighing a lognormal by the square of the size shifts its mean logarithm by 2σ² and nothing else.
    by_area = result.by_area.lognormal
    assert math.log(by_area.median_um / 20) == pytest.approx(2 * 0.4**2, rel=0.05)
    assert math.log(by_area.geometric_deviation) == pytest.approx(0.4, rel=0.05)


def test_what_is_not_lognormal_lies_far_from_the_fit():
    sizes = np.concatenate((np.full(500, 5.0), np.full(500, 40.0))) * np.linspace(0.99, 1.01, 1000)
    assert size_distribution(area_of(sizes)).by_number.lognormal.distance > 0.2


def test_few_or_equal_sizes_have_no_fit():
    assert size_distribution(area_of([5.0] * 100)).by_number.lognormal is None
    assert size_distribution(area_of(np.linspace(5, 9, 10))).by_number.lognormal is None
    assert size_distribution([]) is None
    with pytest.raises(ValueError, match="greater than 0"):
        size_distribution([1.0, 0.0])


def test_frame_weights_restore_what_the_frame_cuts():
    # Squares of 20 and of 100 px thrown at random on a field of 400 × 300, equally often: count the whole.
    rng = np.random.default_rng(5)
    weighted = {20: 0.0, 100: 0.0}
    for side in weighted:
        top, left = rng.integers(-100, 400, 40_000), rng.integers(-100, 500, 40_000)
        whole = (top >= 0) & (left >= 0) & (top + side <= 300) & (left + side <= 400)
        n = int(whole.sum())
        weighted[side] = frame_weights([side] * n, [side] * n, 400, 300).sum()
    per_position = 40_000 / (500 * 600)
    assert weighted[20] == pytest.approx(per_position * 400 * 300, rel=0.03)
    assert weighted[100] == pytest.approx(per_position * 400 * 300, rel=0.03)
    with pytest.raises(ValueError, match="larger than the field"):
        frame_weights([500], [5], 400, 300)


def sections(diameter, count):
    """Diameters of evenly spaced sections through one sphere: the exact distribution's quantiles."""
    depth = (np.arange(count) + 0.5) / count * diameter / 2
    return 2 * np.sqrt((diameter / 2) ** 2 - depth**2)


def test_equal_spheres_unfold_to_one_class():
    # N_A = N_V·D: 1000 sections on 1 mm² from spheres of 50 µm are 20000 per mm³.
    result = unfold_spheres(sections(50.0, 1000), 1e6, classes=10)
    assert result.number_per_mm3 == pytest.approx(1000 / 0.05, rel=0.01)
    assert result.mean_diameter_um == pytest.approx(50, rel=0.01)
    assert result.per_mm3[-1] / result.number_per_mm3 > 0.97
    assert result.volume_fraction == pytest.approx(
        math.pi / 6 * 50**3 * result.number_per_mm3 * 1e-9, rel=0.03
    )
    # Delesse: the volume fraction is that of the area.
    assert result.volume_fraction == pytest.approx(area_of(sections(50.0, 1000)).sum() / 1e6, rel=0.02)


def test_two_sizes_of_spheres_are_told_apart():
    # 40 and 100 µm, as many per volume: sections as 40 to 100.
    both = np.concatenate((sections(40.0, 400), sections(100.0, 1000)))
    result = unfold_spheres(both, 1e6, classes=10)
    density = np.array(result.per_mm3)
    assert density[9] == pytest.approx(10_000, rel=0.03)
    assert density[3] == pytest.approx(10_000, rel=0.06)
    assert density[[0, 1, 2, 4, 5, 6, 7, 8]].sum() < 0.12 * density.sum()
    assert result.misfit < 0.02


def test_where_no_class_is_negative_it_is_saltykovs_back_substitution():
    # Saltykov's coefficients for equal classes, from the largest class down.
    counts = np.array([3.0, 9.0, 20.0, 26.0, 18.0])
    k, width = len(counts), 10.0
    edges = np.arange(k + 1) * width
    expected, left = np.zeros(k), counts.copy()
    for j in range(k - 1, -1, -1):
        span = np.sqrt(edges[j + 1] ** 2 - edges[: j + 1] ** 2) - np.sqrt(
            edges[j + 1] ** 2 - edges[1 : j + 2] ** 2
        )
        expected[j] = left[j] / span[j]
        left[: j + 1] -= expected[j] * span
    assert (expected >= 0).all()
    middles = np.repeat(edges[1:] - width / 2, counts.astype(int))
    middles[-1] = edges[-1]  # the largest section ends the classes
    result = unfold_spheres(middles, 1e6, classes=k)
    assert np.array(result.per_mm3) * 1e-9 == pytest.approx(expected / 1e6, rel=1e-6)


def test_nothing_unfolds_to_nothing():
    assert unfold_spheres([], 1.0) is None
    with pytest.raises(ValueError, match="greater than 0"):
        unfold_spheres([1.0], 0.0)
