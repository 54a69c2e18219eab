import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from analytic_structures import hexagons, poisson_voronoi

from steelquant.stereology.grain_size import number_from_intercept
from steelquant.stereology.intercepts import (
    DIRECTIONS_DEG,
    chord_lengths_um,
    count_lines,
    heyn,
    lineal_density,
)

ORACLE = json.loads((Path(__file__).parents[1] / "oracles" / "grain_size.json").read_text(encoding="utf-8"))


def runs_by_hand(line):
    """Interceptions of one line, walked pixel by pixel: ends in a label ½."""
    total, i = 0.0, 0
    while i < len(line):
        j = i
        while j < len(line) and line[j] == line[i]:
            j += 1
        if line[i] > 0:
            total += 1 - 0.5 * (i == 0) - 0.5 * (j == len(line))
        i = j
    return total


def lines_of(image, angle):
    if angle == 0:
        return list(image)
    if angle == 90:
        return list(image.T)
    flipped = image if angle == 135 else image[:, ::-1]
    return [np.diagonal(flipped, k) for k in range(-image.shape[0] + 1, image.shape[1])]


def test_a_line_with_two_ends_in_features_meets_two_of_them():
    line = np.array([[1, 1, 0, 0, 1, 0, 0, 1]], dtype=bool)
    assert count_lines(line, 1.0, 0).interceptions == 2.0


@pytest.mark.parametrize("angle", DIRECTIONS_DEG)
def test_every_line_is_counted_as_by_hand(angle):
    image = np.random.default_rng(angle).integers(0, 4, (23, 31)).astype(np.int32)
    expected = sum(runs_by_hand(line) for line in lines_of(image, angle))
    result = count_lines(image, 0.5, angle)
    assert result.interceptions == expected
    step = 0.5 * (2**0.5 if angle in (45, 135) else 1)
    assert result.length_um == pytest.approx(image.size * step)
    assert result.phase_length_um == pytest.approx((image > 0).sum() * step)


@pytest.mark.parametrize("angle", DIRECTIONS_DEG)
def test_whole_chords_are_those_found_by_hand(angle):
    image = np.random.default_rng(7).integers(0, 3, (19, 27)).astype(np.int32)
    expected = []
    for line in lines_of(image, angle):
        edges = [0, *(np.flatnonzero(np.diff(line)) + 1), len(line)]
        expected += [b - a for a, b in itertools.pairwise(edges) if line[a] > 0 and a > 0 and b < len(line)]
    step = 2**0.5 if angle in (45, 135) else 1.0
    chords = chord_lengths_um(image, 1.0, angle)
    assert np.sort(chords) == pytest.approx(np.sort(np.array(expected)) * step)


def test_lines_end_at_excluded_pixels():
    image = np.array([[1, 1, 2, 2, 2, 3, 3, 3]], dtype=np.int32)
    excluded = np.zeros(image.shape, dtype=bool)
    excluded[0, 3] = True
    result = count_lines(image, 1.0, 0, excluded=excluded)
    # 1|2 crossed, then 2 cut off; 2 cut off, 2|3 crossed: two lines with one crossing each.
    assert result.interceptions == 2.0
    assert result.length_um == 7
    assert chord_lengths_um(image, 1.0, 0, excluded=excluded).size == 0


def test_square_grid_of_walls():
    worked = ORACLE["square_grid"]
    pitch, side = worked["pitch_px"], worked["side_px"]
    position = np.arange(side)
    in_wall = (position % pitch >= 12) & (position % pitch < 12 + worked["wall_px"])
    walls = in_wall[:, None] | in_wall[None, :]
    middles = np.arange(0, side, pitch)  # through the cells, away from walls along the line
    rows, columns = walls[middles], walls[:, middles]
    counts = [
        count_lines(rows, worked["pixel_size_um"], 0),
        count_lines(columns, worked["pixel_size_um"], 90),
    ]
    hits = sum(count.interceptions for count in counts)
    assert hits == worked["lines"] * worked["hits_per_line"]
    mean_um = sum(count.length_um for count in counts) / hits
    assert mean_um == worked["mean_intercept_um"]
    assert number_from_intercept(mean_um) == pytest.approx(worked["number"], abs=5e-4)


def test_pooled_lines():
    worked = ORACLE["pooled_lines"]
    pooled = lineal_density(worked["hits"], worked["lengths"])
    assert pooled.per_mm == pytest.approx(1e3 * worked["per_length"], rel=1e-6)
    assert pooled.mean_intercept_um == pytest.approx(worked["mean_intercept"], rel=1e-6)
    assert pooled.standard_error_per_mm == pytest.approx(1e3 * worked["standard_error"], rel=1e-4)
    assert lineal_density([3], [10]).standard_error_per_mm is None


def test_stripes_have_their_own_intercepts():
    # Bands 6 px wide, 20 px apart: 10 in the field of 200.
    bands = np.tile((np.arange(200) % 20 < 6)[:, None], (1, 150))
    across, along = count_lines(bands, 2.0, 90), count_lines(bands, 2.0, 0)
    # The first band touches the frame: ½.
    assert across.interceptions == 150 * 9.5
    assert along.interceptions == 0
    assert along.mean_intercept_um is None
    inner = bands[10:190]
    assert count_lines(inner, 2.0, 90).per_mm == pytest.approx(1e3 / 40)
    assert set(chord_lengths_um(inner, 2.0, 90)) == {12.0}
    # At 45° every distance is √2 longer.
    assert set(np.round(chord_lengths_um(inner, 2.0, 45), 6)) == {np.round(12.0 * 2**0.5, 6)}


def test_discs_have_a_mean_chord_of_quarter_pi_diameters():
    radius, field = 40, np.zeros((400, 400), dtype=np.int32)
    rows, columns = np.mgrid[:400, :400]
    for number, (r, c) in enumerate([(100, 100), (100, 300), (300, 100), (300, 300)]):
        field[(rows - r) ** 2 + (columns - c) ** 2 <= radius**2] = number + 1
    for angle in DIRECTIONS_DEG:
        count = count_lines(field, 1.0, angle)
        assert count.mean_intercept_um == pytest.approx(np.pi / 2 * radius, rel=0.02)
        # Convex: as many chords as their whole length says.
        assert chord_lengths_um(field, 1.0, angle).sum() == pytest.approx(count.phase_length_um)


def test_hexagons_give_their_mean_intercept():
    # Cauchy: mean over directions of N_L = 2·L_A/π, with L_A = half a hexagon's perimeter per its area.
    # Four directions 45° apart see the hexagon's boundary within 1.5 % of all directions.
    width = 37.3
    perimeter, area = 6 * width / 3**0.5, width**2 * 3**0.5 / 2
    expected_per_mm = 1e3 * 2 / np.pi * perimeter / 2 / area
    assert heyn(hexagons((900, 1100), width), 1.0).per_mm == pytest.approx(expected_per_mm, rel=0.02)


def test_voronoi_cells_give_their_mean_intercept():
    # Poisson–Voronoi in the plane: boundary 2/√(mean area) per area, so l̄ = (π/4)·√(mean area).
    rng = np.random.default_rng(11)
    ratios = [heyn(poisson_voronoi(rng, 500, 600, 900.0)[0], 0.3).mean_intercept_um for _ in range(8)]
    assert np.mean(ratios) == pytest.approx(np.pi / 4 * 30 * 0.3, rel=0.025)


def test_the_matrix_intercept_of_a_boolean_model():
    # Discs thrown at random: the covered fraction is p = 1 − exp(−nπr²), and the uncovered parts' mean
    # intercept 1/(2·n·r) in every direction (exponential gaps).
    rng, r, per_px2 = np.random.default_rng(12), 8.0, 1 / 500
    rates = []
    for _ in range(6):
        centres = rng.uniform(-r, 600 + r, (rng.poisson(per_px2 * (600 + 2 * r) ** 2), 2))
        rows, columns = np.mgrid[:600, :600]
        covered = np.zeros((600, 600), dtype=bool)
        for cr, cc in centres:
            window = np.s_[
                max(0, int(cr - r)) : max(0, int(cr + r) + 2), max(0, int(cc - r)) : max(0, int(cc + r) + 2)
            ]
            covered[window] |= (rows[window] - cr) ** 2 + (columns[window] - cc) ** 2 <= r**2
        rates.append(heyn((~covered).astype(np.int32), 1.0).mean_intercept_um)
    assert np.mean(rates) == pytest.approx(1 / (2 * r * per_px2), rel=0.05)


def test_another_phase_ends_an_intercept_and_is_not_part_of_it():
    # Grains 10 px long between pearlite 10 px long: the matrix intercept is 10, not 20.
    image = np.zeros((40, 200), dtype=np.int32)
    for k in range(10):
        image[:, 5 + 20 * k : 15 + 20 * k] = k + 1
    count = count_lines(image, 1.0, 0)
    assert count.mean_intercept_um == 10
    assert count.phase_length_um / count.length_um == 0.5


def test_scale_turning_mirroring_and_halves():
    grains = poisson_voronoi(np.random.default_rng(13), 400, 600, 400.0)[0]
    whole = heyn(grains, 0.5)
    assert whole.number - heyn(grains, 1.0).number == pytest.approx(2, abs=1e-6)
    for moved in (np.rot90(grains), grains[::-1], grains[:, ::-1], grains.T):
        assert heyn(moved, 0.5).mean_intercept_um == pytest.approx(whole.mean_intercept_um, rel=1e-12)
        assert heyn(moved, 0.5).interceptions == whole.interceptions
    halves = [heyn(half, 0.5) for half in (grains[:, :300], grains[:, 300:])]
    # What the cut loses is the crossings right on it: one pair of columns in 600.
    assert sum(half.interceptions for half in halves) == pytest.approx(whole.interceptions, rel=0.004)
    assert np.mean([half.per_mm for half in halves]) == pytest.approx(whole.per_mm, rel=0.004)


def test_three_megapixels_take_well_under_a_second():
    import time

    image = np.random.default_rng(1).integers(0, 40, (1542 // 6, 2080 // 6)).astype(np.int32)
    image = np.kron(image, np.ones((6, 6), dtype=np.int32))
    start = time.perf_counter()
    heyn(image, 1.0)
    assert time.perf_counter() - start < 0.8


def test_other_angles_and_scales_are_refused():
    with pytest.raises(ValueError, match="45"):
        count_lines(np.ones((3, 3), dtype=bool), 1.0, 30)
    with pytest.raises(ValueError, match="pixel size"):
        count_lines(np.ones((3, 3), dtype=bool), 0.0, 0)
