"""The interval of one field's mean intercept covers the truth as often as it claims."""

from __future__ import annotations

import math

import numpy as np
import pytest
from analytic_structures import poisson_voronoi, stretched_voronoi

from steelquant.stereology.grain_interval import (
    InterceptInterval,
    circles_interval,
    density_interval,
    intercept_interval,
    with_boundaries,
)
from steelquant.stereology.intercepts import heyn
from steelquant.stereology.patterns import abrams
from steelquant.stereology.planimetry import planimetry

SHAPE = (240, 320)


def voronoi(rng, area_px):
    """Poisson–Voronoi cells: l̄ = π/4·√a on a line, which pixels follow but for what they round off."""
    return poisson_voronoi(rng, *SHAPE, area_px)[0]


def two_phases(rng, area_px):
    """The same, a third of the cells being another phase: the intercept stays that of the cells."""
    grains = voronoi(rng, area_px)
    grains[rng.random(grains.max() + 1)[grains] < 1 / 3] = 0
    return grains


def elongated(rng, area_px):
    return stretched_voronoi(rng, *SHAPE, area_px, 2.0, 20)


STRUCTURES = {
    "fine cells": (voronoi, 150),
    "cells": (voronoi, 600),
    "coarse cells": (voronoi, 1200),
    "two phases": (two_phases, 500),
    "elongated cells": (elongated, 500),
}


def coverage(name: str, fields: int, seed: int = 0) -> float:
    """Return how often the interval holds the mean of many fields: that of pixels, the same for all."""
    make, area_px = STRUCTURES[name]
    rng = np.random.default_rng(seed)
    found, widths = [], []
    for _ in range(fields):
        grains = make(rng, area_px)
        interval = intercept_interval(grains)
        assert interval.relative_ci95 is not None
        found.append(heyn(grains, 1.0).mean_intercept_um)
        widths.append(interval.relative_ci95)
    truth = fields / sum(1 / length for length in found)
    return float(np.mean(np.abs(truth / np.array(found) - 1) <= widths))


def test_the_interval_covers_the_truth_in_90_to_99_percent_of_cases():
    shares = [coverage(name, 25) for name in STRUCTURES]

    assert 0.90 <= np.mean(shares) <= 0.99, shares


@pytest.mark.slow
@pytest.mark.parametrize("name", STRUCTURES)
def test_the_interval_covers_the_truth_for_each_kind_of_structure(name):
    assert 0.90 <= coverage(name, 300, seed=1) <= 0.99


def test_the_mean_that_the_interval_is_about_is_that_of_the_lines():
    rng = np.random.default_rng(2)
    truth = math.pi / 4 * math.sqrt(600)
    means = [heyn(voronoi(rng, 600), 1.0).mean_intercept_um for _ in range(20)]

    assert np.mean(means) == pytest.approx(truth, rel=0.03)


def test_turning_and_mirroring_change_nothing():
    grains = two_phases(np.random.default_rng(3), 500)
    straight = intercept_interval(grains)

    for turn in (np.rot90, np.fliplr, np.transpose):
        turned = intercept_interval(np.ascontiguousarray(turn(grains)))
        assert turned.blocks == straight.blocks
        assert turned.relative_ci95 == pytest.approx(straight.relative_ci95, rel=1e-5)


def test_twice_the_pixels_give_the_same_interval():
    grains = voronoi(np.random.default_rng(4), 600)

    twice = intercept_interval(np.kron(grains, np.ones((2, 2), np.int32)))

    assert twice.relative_ci95 == pytest.approx(intercept_interval(grains).relative_ci95, rel=0.15)


def test_four_times_the_field_halves_the_interval():
    rng = np.random.default_rng(5)
    fields = [poisson_voronoi(rng, 480, 480, 300)[0] for _ in range(6)]

    whole = np.mean([intercept_interval(field).relative_ci95 for field in fields])
    quarter = np.mean([intercept_interval(field[:240, :240]).relative_ci95 for field in fields])

    assert quarter / whole == pytest.approx(2, rel=0.15)


def test_excluded_pixels_do_not_count():
    grains = voronoi(np.random.default_rng(6), 300)
    excluded = np.zeros(grains.shape, bool)
    excluded[:, 160:] = True
    disturbed = grains.copy()
    disturbed[:, 160:] = 1

    first, second = (intercept_interval(part, excluded=excluded) for part in (grains, disturbed))

    assert first == second


@pytest.mark.parametrize("grains", [np.ones((50, 50), np.int32), np.zeros((50, 50), np.int32)])
def test_a_field_without_boundaries_has_no_interval_and_says_so(grains):
    found = intercept_interval(grains)

    assert found.relative_ci95 is None
    assert "one field" in found.reason


def test_two_grains_are_too_few():
    grains = np.ones((50, 50), np.int32)
    grains[:, 25:] = 2

    assert "measure more fields" in intercept_interval(grains).reason


def test_the_interval_of_grains_per_area_covers_the_truth():
    rng = np.random.default_rng(4)
    hits = []
    for k in range(120):
        area_px = (150, 600)[k % 2]
        grains = voronoi(rng, area_px)
        counted = planimetry(grains, 1.0).jeffries_rectangle
        interval = density_interval(grains)
        hits.append(abs(counted.area_um2 / (area_px * counted.grains) - 1) <= interval.relative_ci95)

    assert 0.90 <= np.mean(hits) <= 0.99


def test_the_interval_of_circles_covers_the_truth():
    """The truth of another method: cells per area, of which π/4·√a is the intercept."""
    rng = np.random.default_rng(8)
    hits = []
    for k in range(120):
        area_px = (150, 400)[k % 2]
        circles = abrams(voronoi(rng, area_px), 1.0)
        interval = circles_interval(circles.sectors)
        truth = math.pi / 4 * math.sqrt(area_px)
        hits.append(abs(truth / circles.mean_intercept_um - 1) <= interval.relative_ci95)

    assert 0.90 <= np.mean(hits) <= 0.99


def test_sectors_of_circles_are_the_circles():
    circles = abrams(two_phases(np.random.default_rng(9), 300), 2.0)

    assert sum(s.interceptions for s in circles.sectors) == circles.interceptions
    inside, length = (
        sum(getattr(s, name) for s in circles.sectors) for name in ("phase_length_um", "length_um")
    )
    assert inside / length == pytest.approx(circles.phase_fraction)
    lengths = [s.length_um for s in circles.sectors]
    assert max(lengths) - min(lengths) <= 3 * 0.5 * 2.0  # a point of half a pixel more on each circle


def test_boundaries_add_to_the_interval_as_g_does():
    chance = InterceptInterval(0.05, 30, "blocks")

    # G ± 0.2 is an intercept off by a factor of 2^0.1, nearly 7 %, and N_A by twice as much.
    assert with_boundaries(chance, 0.2).relative_ci95 == pytest.approx(math.hypot(0.05, 0.0693), abs=1e-4)
    assert with_boundaries(chance, 0.2, power=2).relative_ci95 == pytest.approx(
        math.hypot(0.05, 0.1386), abs=1e-4
    )
    assert with_boundaries(chance, None) is chance
    assert with_boundaries(chance, 4.0).relative_ci95 is None
