import json
from pathlib import Path

import numpy as np
import pytest
from analytic_structures import poisson_voronoi

from steelquant.stereology.grain_size import number_from_area
from steelquant.stereology.planimetry import PlanimetricCount, edge_grains, planimetry

ORACLE = json.loads((Path(__file__).parents[1] / "oracles" / "grain_size.json").read_text(encoding="utf-8"))


def squares(side_px, cell_px):
    index = np.arange(side_px) // cell_px
    return (index[:, None] * (index.max() + 1) + index[None, :] + 1).astype(np.int32)


def test_jeffries_worked_count():
    worked = ORACLE["jeffries_circle"]
    grains = worked["inside"] + worked["cut"] / 2
    count = PlanimetricCount("", worked["inside"], worked["cut"], 0, grains, worked["area_mm2"] * 1e6)
    assert count.grains == worked["grains"]
    assert count.grains_per_mm2 == pytest.approx(worked["grains_per_mm2"])
    assert count.number == pytest.approx(worked["number"], abs=1e-4)


def test_a_chessboard_is_counted_as_by_hand():
    result = planimetry(squares(100, 20), 2.0)  # 5 × 5 grains: 9 inside, 12 at a side, 4 in corners
    rectangle = result.jeffries_rectangle
    assert (rectangle.inside, rectangle.cut, rectangle.corner) == (9, 12, 4)
    assert rectangle.grains == 9 + 16 / 2
    assert result.saltykov_rectangle.grains == 9 + 12 / 2 + 4 / 4
    assert result.saltykov_rectangle.area_um2 == 100 * 100 * 4.0
    # Saltykov's 16 stand for the 4 × 4 cells of a frame through the middle of the outer ones.
    assert result.whole_grains.grains == 9
    assert result.whole_grains.mean_area_um2 == 20 * 20 * 4.0


def test_a_circle_that_cuts_known_squares():
    # Circle of diameter 60 about the centre of 3 × 3 squares of 20: the middle one is inside, the four
    # beside it touch the frame at the circle's ends, the four in the corners are cut.
    circle = planimetry(squares(60, 20), 1.0).jeffries_circle
    assert (circle.inside, circle.cut) == (1, 8)
    assert circle.area_um2 == pytest.approx(np.pi * 30**2, rel=5e-3)


def test_voronoi_cells_are_as_many_as_their_seeds():
    rng = np.random.default_rng(3)
    counted, seeded = np.zeros(3), np.zeros(3)
    for _ in range(8):
        cells, seeds = poisson_voronoi(rng, 500, 600, 400.0)
        result = planimetry(cells, 0.5)
        of_rules = (result.jeffries_circle, result.jeffries_rectangle, result.saltykov_rectangle)
        counted += [count.grains for count in of_rules]
        in_frame = len(seeds)
        in_circle = (((seeds - (249.5, 299.5)) ** 2).sum(axis=1) < 250**2).sum()
        seeded += [in_circle, in_frame, in_frame]
    assert counted[0] / seeded[0] == pytest.approx(1, abs=0.015)
    # Jeffries counts a corner grain ½ where ¼ is right: 4·¼ in 750 too many.
    assert counted[2] / seeded[2] == pytest.approx(1, abs=0.01)
    assert counted[1] - counted[2] == 8 * 4 / 4


def test_leaving_out_the_edge_favours_small_grains():
    rng = np.random.default_rng(4)
    results = [planimetry(poisson_voronoi(rng, 200, 200, 900.0)[0], 1.0) for _ in range(20)]
    whole = np.mean([result.whole_grains.mean_area_um2 for result in results])
    assert whole < 0.97 * np.mean([result.saltykov_rectangle.mean_area_um2 for result in results])


def test_only_the_area_of_the_phase_counts():
    grains = squares(100, 20)
    striped = grains.copy()
    striped[:, 10::20] = 0  # another phase takes a column of every grain
    assert planimetry(striped, 1.0).jeffries_rectangle.area_um2 == 0.95 * 100 * 100
    assert (
        planimetry(striped, 1.0).jeffries_rectangle.grains
        == planimetry(grains, 1.0).jeffries_rectangle.grains
    )


def test_a_grain_beside_an_excluded_pixel_is_cut():
    grains = squares(100, 20)
    excluded = np.zeros((100, 100), dtype=bool)
    excluded[48:52, 48:52] = True  # in the middle of the middle grain
    grains[excluded] = 0
    result = planimetry(grains, 1.0, excluded=excluded)
    assert (result.jeffries_rectangle.inside, result.jeffries_rectangle.cut) == (8, 13)
    assert edge_grains(grains, excluded)[13]
    assert not edge_grains(grains)[13]


def test_doubling_the_pixel_lowers_the_number_by_two_and_turning_changes_nothing():
    grains = poisson_voronoi(np.random.default_rng(5), 240, 300, 300.0)[0]
    once, twice = planimetry(grains, 0.4), planimetry(grains, 0.8)
    turned, mirrored = planimetry(np.rot90(grains), 0.4), planimetry(grains[:, ::-1], 0.4)
    for name in ("jeffries_circle", "jeffries_rectangle", "saltykov_rectangle", "whole_grains"):
        count = getattr(once, name)
        assert count.number - getattr(twice, name).number == pytest.approx(2, abs=1e-6)
        assert getattr(turned, name) == count
        assert getattr(mirrored, name) == count
        assert number_from_area(count.mean_area_um2) == pytest.approx(count.number, abs=1e-6)


def test_saltykovs_rule_adds_up_over_the_halves_of_a_field():
    # A grain that the cut divides counts ½ in either half; one that it divides at the frame ¼ + ¼ for ½.
    grains = poisson_voronoi(np.random.default_rng(6), 200, 400, 300.0)[0]
    halves = [planimetry(half, 1.0).saltykov_rectangle.grains for half in (grains[:, :200], grains[:, 200:])]
    assert sum(halves) == pytest.approx(planimetry(grains, 1.0).saltykov_rectangle.grains, abs=1.0)


def test_no_grain_gives_no_number():
    count = planimetry(np.zeros((20, 20), dtype=np.int32), 1.0).saltykov_rectangle
    assert (count.grains, count.number, count.mean_area_um2, count.iso_number) == (0, None, None, None)


def test_a_scale_is_needed():
    with pytest.raises(ValueError, match="pixel size"):
        planimetry(squares(20, 10), 0.0)
