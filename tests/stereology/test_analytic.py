"""Whole measurements on structures whose amounts, intercepts and grain sizes geometry gives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from analytic_structures import boolean_discs, hexagons

from steelquant.stereology.features import measure_phase
from steelquant.stereology.grain_size import number_from_area
from steelquant.stereology.phases import measure_fractions
from steelquant.stereology.planimetry import planimetry


def test_a_boolean_model_has_its_fraction_intercepts_and_free_path():
    rng, radius, per_px2 = np.random.default_rng(1), 9.0, 1 / 600
    masks = [boolean_discs(rng, 700, 800, radius, per_px2).astype(np.uint8) for _ in range(6)]

    measures = [measure_fractions(mask, 1, measure_phase(mask, 1)) for mask in masks]

    fraction = 1 - math.exp(-per_px2 * math.pi * radius**2)
    per_length = (1 - fraction) * 2 * radius * per_px2  # a line meets a disc in its gaps only
    assert np.mean([found.area_fraction for found in measures]) == pytest.approx(fraction, rel=0.02)
    assert np.mean([found.interceptions_per_px for found in measures]) == pytest.approx(per_length, rel=0.02)
    assert np.mean([found.mean_free_path_px for found in measures]) == pytest.approx(
        1 / (2 * radius * per_px2), rel=0.03
    )
    assert np.mean([found.mean_intercept_px for found in measures]) == pytest.approx(
        fraction / per_length, rel=0.03
    )


def test_hexagons_have_their_mean_area_and_its_grain_size():
    width_px, pixel_um = 40.0, 0.5
    area_um2 = width_px**2 * math.sqrt(3) / 2 * pixel_um**2

    found = planimetry(hexagons((1200, 1400), width_px), pixel_um)

    for count in (found.saltykov_rectangle, found.jeffries_circle):
        assert count.mean_area_um2 == pytest.approx(area_um2, rel=0.02)
        assert count.number == pytest.approx(number_from_area(area_um2), abs=0.03)
    # Of equal grains also those that nothing cuts have the mean area.
    assert found.whole_grains.mean_area_um2 == pytest.approx(area_um2, rel=0.005)
