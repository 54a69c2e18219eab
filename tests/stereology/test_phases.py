"""Areal fraction, point count, N_A, N_L and paths against worked numbers and analytic fields."""

from __future__ import annotations

import numpy as np
import pytest

from steelquant.stereology.features import measure_phase
from steelquant.stereology.phases import (
    count_interceptions,
    count_points,
    measure_fractions,
    threshold_sensitivity,
)


def measured(mask: np.ndarray, phase: int = 1):
    mask = mask.astype(np.uint8)
    return measure_fractions(mask, phase, measure_phase(mask, phase))


def test_a_line_that_ends_in_a_feature_counts_half():
    line = np.array([[1, 1, 0, 0, 1, 0, 0, 1]], dtype=bool)

    assert count_interceptions(line, np.ones_like(line)) == 2.0


def test_an_end_at_an_excluded_pixel_is_no_boundary():
    line = np.array([[0, 1, 1, 0, 1, 1]], dtype=bool)
    counted = np.array([[1, 1, 1, 0, 1, 1]], dtype=bool)

    assert count_interceptions(line, counted) == 0.5


@pytest.mark.parametrize(("period", "width"), [(20, 5), (25, 10), (40, 36)])
def test_perfect_bands_have_their_fraction_intercept_and_free_path(period, width):
    columns = np.arange(1000)
    mask = np.tile((columns + period // 3) % period < width, (200, 1))

    result = measured(mask)

    # Only the rows cross the bands, but half of all test lines run along them.
    across = result.interceptions / (result.test_line_px / 2)
    assert result.area_fraction == pytest.approx(width / period)
    assert across == pytest.approx(1 / period)
    assert result.area_fraction / across == pytest.approx(width)
    assert (1 - result.area_fraction) / across == pytest.approx(period - width)


def test_squares_have_their_number_area_intercept_and_free_path():
    mask = np.zeros((400, 600), dtype=np.uint8)
    for top in range(5, 400, 20):
        for left in range(5, 600, 20):
            mask[top : top + 10, left : left + 10] = 1

    result = measured(mask)

    assert result.feature_count == 600
    assert result.features_per_px2 == pytest.approx(1 / 400)
    assert result.mean_area_px2 == pytest.approx(100)
    assert result.area_fraction == pytest.approx(0.25)
    assert result.interceptions_per_px == pytest.approx(0.5 / 20)  # half of all lines meet a square per 20 px
    assert result.mean_intercept_px == pytest.approx(10)
    assert result.mean_free_path_px == pytest.approx(30)


def test_discs_at_random_have_the_mean_intercept_of_a_disc():
    # π·r/2 for discs; 60 of them apart from each other on a jittered lattice
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[:800, :800]
    mask = np.zeros((800, 800), dtype=bool)
    for y in range(50, 800, 100):
        for x in range(50, 800, 100):
            cy, cx = y + rng.uniform(-15, 15), x + rng.uniform(-15, 15)
            mask |= (rows - cy) ** 2 + (columns - cx) ** 2 <= 30**2

    result = measured(mask)

    assert result.mean_intercept_px == pytest.approx(np.pi * 30 / 2, rel=0.01)
    assert result.mean_area_px2 == pytest.approx(np.pi * 30**2, rel=0.01)


def test_cut_features_count_half_so_that_the_number_per_area_does_not_depend_on_the_frame():
    rng = np.random.default_rng(8)
    per_area = []
    for _ in range(40):
        wide = np.zeros((400, 400), dtype=np.uint8)
        for y in range(0, 400, 40):
            for x in range(0, 400, 40):
                wide[y + 5 : y + 25, x + 5 : x + 25] = 1
        top, left = rng.integers(0, 40, 2)
        per_area.append(measured(wide[top : top + 320, left : left + 320]).features_per_px2)

    # Exactly periodic, so the mean over positions is the truth, but for the 4 corners in 64 features.
    assert np.mean(per_area) == pytest.approx(1 / 1600, rel=0.02)


def test_excluded_pixels_count_nowhere():
    mask = np.zeros((100, 100), dtype=np.uint8)
    mask[:, :25] = 1
    bar = np.full((30, 100), 255, dtype=np.uint8)

    with_bar, alone = measured(np.vstack([mask, bar])), measured(mask)

    assert with_bar.area_fraction == alone.area_fraction == 0.25
    assert with_bar.interceptions == alone.interceptions
    assert with_bar.test_line_px == alone.test_line_px
    assert with_bar.mean_free_path_px == alone.mean_free_path_px


def test_the_two_phases_share_their_boundary_and_add_up():
    rng = np.random.default_rng(2)
    mask = (rng.random((60, 70)) > 0.6).astype(np.uint8)
    mask[rng.random((60, 70)) > 0.9] = 255

    ferrite, pearlite = measured(mask, 0), measured(mask, 1)

    assert ferrite.area_fraction + pearlite.area_fraction == pytest.approx(1)
    assert ferrite.interceptions == pearlite.interceptions
    assert ferrite.mean_intercept_px == pytest.approx(pearlite.mean_free_path_px)
    assert ferrite.point_count.hits + pearlite.point_count.hits == pearlite.point_count.points


def test_a_field_without_the_phase_has_no_paths():
    result = measured(np.zeros((40, 40)))

    assert result.area_fraction == 0
    assert (result.mean_intercept_px, result.mean_free_path_px, result.mean_area_px2) == (None, None, None)


def test_the_point_grid_is_square_and_fills_the_field():
    count = count_points(np.ones((1542, 2080), dtype=np.uint8), 1)

    assert (count.hits, count.points) == (130.0, 130)  # 10 rows of 13, 154.2 px apart


def test_points_on_a_boundary_count_half():
    mask = np.zeros((100, 100), dtype=np.uint8)
    mask[:, :25] = 1  # the grid's columns lie at 5, 15, 25 …: two inside, one on the boundary

    count = count_points(mask, 1)

    assert count.points == 100
    assert count.hits == 25.0


def test_points_beside_excluded_pixels_do_not_count():
    mask = np.ones((100, 100), dtype=np.uint8)
    mask[:, 50:] = 255

    count = count_points(mask, 1)

    assert (count.hits, count.points) == (50.0, 50)


def test_the_point_count_agrees_with_the_area_over_many_fields():
    rng = np.random.default_rng(0)
    masks = [np.kron(rng.random((30, 40)) < 0.3, np.ones((20, 20))).astype(np.uint8) for _ in range(60)]

    counted = np.mean([count_points(mask, 1).fraction for mask in masks])
    area = np.mean([mask.mean() for mask in masks])

    # 60 fields of 130 nearly independent points: standard error 0.005
    assert counted == pytest.approx(area, abs=0.015)


@pytest.mark.parametrize("shape", [(1, 50), (2, 2), (3, 90)])
def test_small_fields_have_room_for_few_points(shape):
    count = count_points(np.ones(shape, dtype=np.uint8), 1)

    assert count.hits == count.points
    assert (count.fraction is None) == (min(shape) == 1)


def test_threshold_sensitivity_counts_pixels_above_each_probability():
    probability = np.array([[0, 90, 110, 140, 160, 255]], dtype=np.uint8)
    counted = np.array([[1, 1, 1, 1, 1, 0]], dtype=bool)

    # 0.4·255 = 102, 0.5·255 = 127.5, 0.6·255 = 153
    assert threshold_sensitivity(probability, counted) == pytest.approx((3 / 5, 2 / 5, 1 / 5))
