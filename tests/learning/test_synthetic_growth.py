"""Nucleation and growth against Avrami's equation, brute force and plain counting."""

from __future__ import annotations

import numpy as np
import pytest

from steelquant.learning.synthetic.growth import Nuclei, grow, sample_nuclei
from steelquant.learning.synthetic.structure import merge_slivers, without_threads


def places(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return x, y


def transformed_fraction(saturation: float, diameter_px: float = 12.0) -> tuple[np.ndarray, np.ndarray]:
    """Return times and transformed fractions between 5 and 90 %."""
    rng = np.random.default_rng(3)
    nuclei = sample_nuclei(rng, 500, 500, diameter_px, saturation=saturation)
    arrival = grow(nuclei, *places(500, 500), diameter_px).time
    times = np.quantile(arrival, np.linspace(0.05, 0.9, 30))
    return times, np.array([(arrival < time).mean() for time in times])


def avrami_exponent(times: np.ndarray, fractions: np.ndarray) -> float:
    return float(np.polyfit(np.log(times), np.log(-np.log(1 - fractions)), 1)[0])


def test_site_saturated_growth_has_avrami_exponent_two() -> None:
    times, fractions = transformed_fraction(saturation=1.0)

    assert avrami_exponent(times, fractions) == pytest.approx(2, abs=0.12)
    density = 4 / (np.pi * 12**2)
    assert fractions == pytest.approx(1 - np.exp(-np.pi * density * times**2), abs=0.03)


def test_continuous_nucleation_has_avrami_exponent_three() -> None:
    times, fractions = transformed_fraction(saturation=0.0)

    assert avrami_exponent(times, fractions) == pytest.approx(3, abs=0.2)


@pytest.mark.parametrize("saturation", [0.0, 1.0])
def test_grains_have_the_wanted_mean_area(saturation: float) -> None:
    rng = np.random.default_rng(5)
    nuclei = sample_nuclei(rng, 600, 600, 15, saturation=saturation)
    inside = (nuclei.x_px > 0) & (nuclei.x_px < 600) & (nuclei.y_px > 0) & (nuclei.y_px < 600)

    # Johnson-Mehl nuclei that are swallowed before they appear must not be counted.
    assert int(inside.sum()) == pytest.approx(600 * 600 * 4 / (np.pi * 15**2), rel=0.1)


def brute_force(nuclei: Nuclei, height: int, width: int) -> np.ndarray:
    x, y = places(height, width)
    dx = x[..., None] - nuclei.x_px
    dy = y[..., None] - nuclei.y_px
    a, b, c, d = nuclei.frame.T
    u, v = a * dx + b * dy, c * dx + d * dy
    hexagon = np.maximum(abs(u), abs(u) / 2 + 0.866 * abs(v))
    return (1 - nuclei.facets) * np.hypot(u, v) + nuclei.facets * 1.05 * hexagon + nuclei.time


@pytest.mark.parametrize(("saturation", "irregularity", "facets"), [(1, 0, 0), (0, 0, 0), (0.5, 0.6, 0.5)])
def test_growth_equals_brute_force(saturation: float, irregularity: float, facets: float) -> None:
    rng = np.random.default_rng(1)
    nuclei = sample_nuclei(
        rng, 90, 110, 14, saturation=saturation, irregularity=irregularity, facets=facets, aspect=1.3
    )

    grown = grow(nuclei, *places(90, 110), 14)

    arrival = brute_force(nuclei, 90, 110)
    ranked = np.sort(arrival, axis=-1)
    # The coarse look-up may miss a far, fast grain at a few pixels; it must not do so often.
    assert np.mean(grown.first == arrival.argmin(axis=-1)) > 0.995
    assert np.mean(np.isclose(grown.time, ranked[..., 0], atol=1e-3)) > 0.995
    assert np.mean(np.isclose(grown.gap, ranked[..., 1] - ranked[..., 0], atol=1e-2)) > 0.97


def test_the_gap_is_twice_the_distance_to_a_straight_boundary() -> None:
    frame = np.tile(np.array([[1, 0, 0, 1]], np.float32), (2, 1))
    nuclei = Nuclei(
        np.array([10, 50], np.float32), np.array([20, 20], np.float32), np.zeros(2, np.float32), frame
    )

    grown = grow(nuclei, *places(41, 61), 30)

    assert grown.gap[20, 10:50] == pytest.approx(2 * abs(np.arange(10, 50) - 30.0))
    assert (grown.first[:, :30] == 0).all()
    assert (grown.first[:, 31:] == 1).all()


def test_slivers_join_their_stretch_of_ferrite_but_islands_stay() -> None:
    grains = np.zeros((12, 20), np.int32)
    grains[2:10, 2:10] = 1
    grains[2:4, 10:12] = 2  # four pixels that touch grain 1
    grains[6:8, 16:18] = 3  # four pixels alone in pearlite

    merged = merge_slivers(grains, 6)

    assert (merged[2:4, 10:12] == 1).all()
    assert (merged[6:8, 16:18] == 3).all()
    assert ((merged > 0) == (grains > 0)).all()


def test_threads_of_pearlite_go_but_bodies_and_their_tips_stay() -> None:
    pearlite = np.zeros((60, 60), bool)
    pearlite[10:30, 10:30] = True
    pearlite[19:21, 30:58] = True  # a thread, two pixels wide, that starts at the body
    pearlite[45:47, 5:50] = True  # a thread alone

    kept = without_threads(pearlite, 5)

    assert kept[11:29, 11:29].all()
    assert kept[19:21, 30:34].all()
    assert not kept[19:21, 42:].any()
    assert not kept[40:].any()
    # The smoothing rounds the two corners where the thread leaves the body; it adds nothing else.
    assert (kept & ~pearlite).sum() <= 2
    assert without_threads(pearlite, 0)[45:47, 7:48].all()
