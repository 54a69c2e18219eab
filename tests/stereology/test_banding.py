import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from steelquant.stereology.banding import (
    anisotropy_index,
    degree_of_orientation,
    estimate_axis,
    given_axis,
    measure_banding,
)

ORACLE = json.loads((Path(__file__).parents[1] / "oracles" / "banding.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("row", ORACLE["rows"])
def test_the_worked_formulas(row):
    rates = row["across_per_mm"], row["along_per_mm"]
    assert degree_of_orientation(*rates) == pytest.approx(row["degree_of_orientation"], abs=5e-5)
    expected = math.inf if row["anisotropy_index"] is None else row["anisotropy_index"]
    assert anisotropy_index(*rates) == expected


def test_no_feature_has_no_index():
    result = measure_banding(np.zeros((40, 40), dtype=bool), 1.0, given_axis(0))
    assert result.anisotropy_index is None
    assert result.degree_of_orientation is None
    assert result.band_spacing_um is None
    assert result.mean_free_path_um is None


def bands(angle_deg, period, width, size=400):
    rows, columns = np.mgrid[:size, :size]
    across = rows * math.cos(math.radians(angle_deg)) + columns * math.sin(math.radians(angle_deg))
    return across % period < width


@pytest.mark.parametrize("turned", [False, True])
def test_perfect_bands_have_their_period_and_width(turned):
    # Period 20 px and width 6 px at 0.5 µm/px; 20 whole bands, none at the frame.
    field = np.roll(bands(0, 20, 6), 7, axis=0)
    field = field.T if turned else field
    result = measure_banding(field, 0.5, given_axis(90 if turned else 0))
    assert result.band_spacing_um == pytest.approx(10.0)
    assert result.phase_fraction == pytest.approx(0.3)
    assert result.mean_free_path_um == pytest.approx(7.0)
    assert result.across.mean_intercept_um == pytest.approx(3.0)
    assert result.anisotropy_index == math.inf
    assert result.degree_of_orientation == 1.0


@pytest.mark.parametrize("angle", [12.0, 37.0, 45.0, 64.0, 135.0, 160.0])
def test_slanted_bands_keep_their_spacing(angle):
    result = measure_banding(bands(angle, 24, 8, 600), 1.0, given_axis(angle))
    assert result.band_spacing_um == pytest.approx(24, rel=0.03)
    assert result.mean_free_path_um == pytest.approx(16, rel=0.04)
    assert result.degree_of_orientation > 0.93


@pytest.mark.parametrize("angle", [0.0, 20.0, 45.0, 90.0, 133.0])
def test_the_axis_of_bands_is_found(angle):
    rng = np.random.default_rng(1)
    ragged = bands(angle, 30, 10, 500) & (rng.random((500, 500)) > 0.02)
    axis = estimate_axis(ndimage.binary_opening(ragged))
    off = (axis.angle_deg - angle + 90) % 180 - 90
    assert abs(off) < 2
    assert axis.certain
    assert axis.ci95_deg < 5


def random_discs(rng, size, radius, count, stretch=1.0):
    rows, columns = np.mgrid[:size, :size]
    field = np.zeros((size, size), dtype=bool)
    for r, c in rng.uniform(0, size, (count, 2)):
        field |= ((rows - r) * stretch**0.5) ** 2 + ((columns - c) / stretch**0.5) ** 2 <= radius**2
    return field


def test_discs_have_no_axis_and_an_index_of_one():
    uncertain = 0
    indices = []
    for seed in range(10):
        field = random_discs(np.random.default_rng(seed), 300, 9, 70)
        uncertain += not estimate_axis(field).certain
        indices.append(measure_banding(field, 1.0, given_axis(0)).anisotropy_index)
    # p < 0.01 in one of a hundred fields without direction.
    assert uncertain >= 9
    assert np.mean(indices) == pytest.approx(1.0, abs=0.05)


def test_ellipses_are_as_anisotropic_as_they_are_long():
    # For a convex feature N_L is its projected height per area: heights are as 1 : stretch.
    fields = [random_discs(np.random.default_rng(seed), 400, 8, 60, stretch=3.0) for seed in range(4)]
    results = [measure_banding(field, 1.0, estimate_axis(field)) for field in fields]
    assert all(result.axis.certain for result in results)
    assert np.mean([result.anisotropy_index for result in results]) == pytest.approx(3.0, rel=0.12)


def test_turning_and_doubling():
    field = random_discs(np.random.default_rng(3), 300, 8, 60, stretch=2.5)
    once = measure_banding(field, 0.5, given_axis(0))
    assert (
        measure_banding(np.rot90(field), 0.5, given_axis(90)).across.interceptions
        == once.across.interceptions
    )
    twice = measure_banding(field, 1.0, given_axis(0))
    assert twice.band_spacing_um == pytest.approx(2 * once.band_spacing_um)
    assert twice.degree_of_orientation == pytest.approx(once.degree_of_orientation)
    axis, mirrored = estimate_axis(field), estimate_axis(field[:, ::-1])
    assert (axis.angle_deg + mirrored.angle_deg) % 180 == pytest.approx(0, abs=0.5) or (
        axis.angle_deg + mirrored.angle_deg
    ) % 180 == pytest.approx(180, abs=0.5)


def test_an_excluded_bar_neither_has_an_axis_nor_counts():
    field = np.zeros((300, 300), dtype=bool)
    excluded = np.zeros_like(field)
    excluded[250:] = True
    field[:250] = random_discs(np.random.default_rng(8), 300, 9, 70)[:250]
    field[260:265] = True  # the bar's own line
    assert estimate_axis(field, excluded=excluded).angle_deg == pytest.approx(
        estimate_axis(field[:240]).angle_deg, abs=12
    )
    inside = measure_banding(field, 1.0, given_axis(0), excluded=excluded)
    assert inside.along.interceptions == measure_banding(field[:250], 1.0, given_axis(0)).along.interceptions


def test_an_empty_field_has_no_axis():
    assert not estimate_axis(np.zeros((64, 64), dtype=bool)).certain


@pytest.mark.parametrize("angle_deg", [0, 35, 90])
def test_bands_of_round_features_have_an_axis_all_the_same(angle_deg):
    rng = np.random.default_rng(5)
    rows, columns = np.mgrid[:480, :640]
    turn = math.radians(angle_deg)
    phase = np.zeros(rows.shape, dtype=bool)
    for row, column in rng.uniform((0, 0), rows.shape, (700, 2)):
        if (row * math.cos(turn) + column * math.sin(turn)) % 120 < 50:
            near = np.s_[max(0, int(row) - 5) : int(row) + 6, max(0, int(column) - 5) : int(column) + 6]
            phase[near] |= np.hypot(rows[near] - row, columns[near] - column) < 5

    axis = estimate_axis(phase)

    assert axis.certain
    assert abs((axis.angle_deg - angle_deg + 90) % 180 - 90) < 8
    assert "borders of bands" in axis.source


def test_round_features_at_random_have_no_certain_axis():
    rng = np.random.default_rng(6)
    certain = 0
    for _ in range(40):
        grey = ndimage.gaussian_filter(rng.normal(size=(240, 320)), rng.uniform(3, 7))
        certain += estimate_axis(grey > np.quantile(grey, 0.7)).certain
    assert certain <= 2
