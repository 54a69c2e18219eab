"""Bands of known period are found where single features hide them, and none where there are none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from analytic_structures import poisson_voronoi, stretched_voronoi
from scipy import ndimage

from steelquant.learning.synthetic import Recipe, synthesize_field
from steelquant.stereology.banding import estimate_axis, given_axis, measure_banding
from steelquant.stereology.bands import BEYOND_CHANCE, Bands, measure_bands

LEVEL = given_axis(0)


def banded_grains(rng, shape, grain_px, period_px, fraction, strength):
    """Cells that are pearlite with the probability f·(1 + strength·sin(2πy/period)), drawn cell by cell."""
    labels, _ = poisson_voronoi(rng, *shape, grain_px**2)
    count = int(labels.max()) + 1
    rows = np.repeat(np.arange(shape[0]), shape[1])
    size = np.maximum(np.bincount(labels.ravel(), minlength=count), 1)
    centre = np.bincount(labels.ravel(), weights=rows, minlength=count) / size
    phase = rng.uniform(0, 2 * math.pi)
    chance = fraction * (1 + strength * np.sin(2 * math.pi * centre / period_px + phase))
    return (rng.random(count) < chance)[labels]


def bands_of(mask, axis=LEVEL, excluded=None) -> Bands:
    plain = measure_banding(mask, 1.0, axis, excluded=excluded)
    finest = max(plain.across.per_mm, plain.along.per_mm) / 1e3
    found = measure_bands(mask, axis, finest, excluded=excluded)
    assert found is not None
    return found


def plain_index(mask, axis=LEVEL) -> float:
    return measure_banding(mask, 1.0, axis).anisotropy_index


@pytest.mark.parametrize("period_px", [80, 160])
@pytest.mark.parametrize("fraction", [0.4, 0.6])
def test_bands_of_grains_are_found_with_their_period_where_single_features_hide_them(period_px, fraction):
    rng = np.random.default_rng(period_px)
    masks = [banded_grains(rng, (700, 900), 12, period_px, fraction, 0.65) for _ in range(3)]

    found = [bands_of(mask) for mask in masks]

    assert np.mean([plain_index(mask) for mask in masks]) < 1.15  # what the eye would not believe
    assert all(bands.are_shown for bands in found)
    assert np.mean([bands.anisotropy_index for bands in found]) > 1.4
    assert np.mean([bands.spacing_px for bands in found]) == pytest.approx(period_px, rel=0.2)


def test_fields_without_bands_keep_an_index_of_one_and_show_none():
    rng = np.random.default_rng(2)
    fields = [
        banded_grains(rng, (450, 600), grain_px, 100, fraction, 0.0)
        for fraction in (0.1, 0.3, 0.6)
        for grain_px in (8, 12, 16)
        for _ in range(3)
    ]

    found = [bands_of(mask) for mask in fields]

    assert not any(bands.are_shown for bands in found)
    assert np.mean([bands.anisotropy_index for bands in found]) == pytest.approx(1, abs=0.05)
    # The threshold lies more than three times the scatter away.
    assert 3 * np.std([bands.contrast for bands in found]) < BEYOND_CHANCE


def test_an_axis_estimated_from_the_same_field_shows_no_bands_either():
    rng = np.random.default_rng(3)
    for _ in range(8):
        mask = banded_grains(rng, (450, 600), 12, 100, 0.3, 0.0)
        assert not bands_of(mask, estimate_axis(mask)).are_shown


def test_drawn_out_grains_count_less_than_by_their_outlines_and_bands_of_round_ones_more():
    rng = np.random.default_rng(9)
    cells = stretched_voronoi(rng, 450, 600, 300.0, 2.0, 0.0)
    drawn_out = (rng.random(cells.max() + 1) < 0.3)[cells]
    banded = banded_grains(rng, (450, 600), 12, 80, 0.4, 0.8)

    assert 1.1 < bands_of(drawn_out).anisotropy_index < plain_index(drawn_out)
    assert bands_of(banded).anisotropy_index > 1.2 * plain_index(banded)


@pytest.mark.parametrize("arrangement", ["banded", "random"])
def test_drawn_microstructures_are_told_apart_along_an_estimated_axis(arrangement):
    recipe = Recipe(
        pearlite_fraction=(0.2, 0.6), grain_diameter_px=(8, 13), aspect=(1, 1), pure_ferrite=0,
        pure_pearlite=0, films=0, plates=0, clustered=0, network=0, mounted_edge=0, info_bar=0, scale_bar=0,
        letter=0, eyepiece=0, wide_crack=0, random=float(arrangement == "random"),
        banded=float(arrangement == "banded"),
    )  # fmt: skip
    masks = [synthesize_field(recipe, (seed, 0), 450, 600).labels == 1 for seed in range(4)]

    found = [bands_of(mask, estimate_axis(mask)) for mask in masks]

    indices = [bands.anisotropy_index for bands in found]
    if arrangement == "banded":
        assert all(bands.are_shown for bands in found)
        assert np.median(indices) > 1.5 * np.median([plain_index(m, estimate_axis(m)) for m in masks])
    else:
        assert not any(bands.are_shown for bands in found)
        assert np.mean(indices) == pytest.approx(1, abs=0.12)


@pytest.mark.parametrize(("period", "width"), [(20, 6), (20, 10), (24, 3)])
def test_perfect_bands_keep_their_spacing_and_specks_do_not_count(period, width):
    rows = np.arange(480)
    mask = np.tile(((rows + 7) % period < width)[:, None], (1, 500))
    specked = mask ^ (np.random.default_rng(0).random(mask.shape) < 0.03)

    clean, dirty = bands_of(mask), bands_of(specked)

    assert clean.anisotropy_index == math.inf
    assert clean.spacing_px == pytest.approx(period, rel=0.03)
    assert plain_index(specked) < 3
    assert dirty.anisotropy_index > 8
    assert dirty.spacing_px == pytest.approx(period, rel=0.05)


def test_bands_across_the_stated_axis_have_an_index_below_one_and_are_not_shown():
    mask = banded_grains(np.random.default_rng(4), (600, 600), 12, 80, 0.4, 1.0)

    found = bands_of(mask, given_axis(90))

    assert found.anisotropy_index < 0.7
    assert found.contrast < -BEYOND_CHANCE
    assert not found.are_shown
    assert found.spacing_px is None


def test_turning_and_mirroring_change_nothing():
    mask = banded_grains(np.random.default_rng(5), (480, 600), 12, 80, 0.4, 0.8)

    once = bands_of(mask)

    for other, axis in ((np.rot90(mask), 90), (mask[::-1], 0), (mask[:, ::-1], 0)):
        turned = bands_of(other, given_axis(axis))
        assert turned.smoothing_px == once.smoothing_px
        assert turned.anisotropy_index == pytest.approx(once.anisotropy_index, rel=0.02)
        assert turned.spacing_px == pytest.approx(once.spacing_px, rel=0.02)


def test_pixels_of_half_the_size_give_the_same_bands():
    mask = banded_grains(np.random.default_rng(6), (400, 500), 12, 80, 0.4, 0.8)

    once, fine = bands_of(mask), bands_of(np.kron(mask, np.ones((2, 2), dtype=bool)))

    assert fine.anisotropy_index == pytest.approx(once.anisotropy_index, rel=0.1)
    assert fine.spacing_px == pytest.approx(2 * once.spacing_px, rel=0.05)
    assert fine.contrast == pytest.approx(once.contrast, rel=0.1)


def test_an_excluded_bar_does_not_count():
    mask = banded_grains(np.random.default_rng(7), (480, 600), 12, 80, 0.4, 0.8)
    bar = np.zeros((60, 600), dtype=bool)
    bar[20:30] = True
    barred = np.vstack([mask, bar])
    excluded = np.zeros(barred.shape, dtype=bool)
    excluded[480:] = True

    alone, beside = bands_of(mask), bands_of(barred, excluded=excluded)

    assert beside.spacing_px == pytest.approx(alone.spacing_px, rel=0.05)
    assert beside.anisotropy_index == pytest.approx(alone.anisotropy_index, rel=0.15)


@pytest.mark.parametrize(("of_phase", "fraction"), [(True, 0.1), (False, 0.4)])
def test_lone_discs_below_the_stated_size_are_passed_over(of_phase, fraction):
    # An island that is just too small vanishes, one just large enough stays: the sizes are those stated.
    field = banded_grains(np.random.default_rng(8), (600, 600), 12, 80, fraction, 0.5)
    bands, share = bands_of(field), float(field.mean())
    diameter = bands.smallest_feature_px if of_phase else bands.smallest_island_px
    rows, columns = np.mgrid[-200:200, -200:200]
    for factor, survives in ((0.9, False), (1.15, True)):
        disc = np.hypot(rows, columns) < factor * diameter / 2
        local = ndimage.gaussian_filter((disc == of_phase).astype(float), bands.smoothing_px)
        assert ((local > share).any() if of_phase else (local <= share).any()) == survives


@pytest.mark.parametrize("value", [False, True])
def test_a_field_without_two_phases_has_no_bands(value):
    assert measure_bands(np.full((200, 200), value), LEVEL, 0.1) is None


def test_few_bands_wider_than_the_coarsest_smoothing_are_counted_as_they_are():
    mask = np.tile((np.arange(240) % 80 >= 40)[:, None], (1, 300))

    found = bands_of(mask)

    assert found.smoothing_px == pytest.approx(10)  # 1/24 of the field, where half a band would be 20 px
    assert found.are_shown
    assert found.spacing_px == pytest.approx(240 / 2.5, rel=0.05)  # the last band ends at the frame


def test_a_single_feature_shows_no_bands():
    mask = np.zeros((100, 100), dtype=bool)
    mask[30:70, 30:70] = True

    found = bands_of(mask)

    assert found.anisotropy_index == pytest.approx(1)
    assert not found.are_shown
