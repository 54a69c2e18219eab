import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile
from analytic_structures import poisson_voronoi, stretched_voronoi
from scipy import ndimage

from steelquant.stereology.intercepts import chord_lengths_um
from steelquant.stereology.patterns import _marked, abrams, circle, count_path, elongation, lines_at

NIST = Path(__file__).resolve().parents[3] / "shared/data/grains_astm"


def column(n, c0, c1, row):
    points = np.arange(c0, c1, 0.5)
    return np.column_stack((np.full(points.size, float(row)), points))


def three_grains():
    """Two grains above, one below; they meet at row 19½, column 19½."""
    image = np.full((40, 40), 3, dtype=np.int32)
    image[:20, :20], image[:20, 20:] = 1, 2
    return image


def test_a_crossing_counts_one():
    assert count_path(_marked(three_grains(), None), column(40, 0, 39, 8), 1.0).interceptions == 1


def test_a_touched_boundary_counts_one():
    # Along the boundary between the upper grains and the lower one it would be long; touch it in a point.
    rows, columns = np.mgrid[:80, :80]
    disc = ((rows - 40) ** 2 + (columns - 40) ** 2 <= 20.5**2).astype(np.int32) + 1
    assert count_path(_marked(disc, None), column(80, 0, 79, 60.5), 1.0).interceptions == 1
    assert count_path(_marked(disc, None), column(80, 0, 79, 62.5), 1.0).interceptions == 0
    assert count_path(_marked(disc, None), column(80, 0, 79, 58.0), 1.0).interceptions == 2


def test_a_triple_junction_counts_one_and_a_half_on_a_line_and_two_on_a_circle():
    image = three_grains()
    slanted = np.column_stack((np.linspace(9.5, 29.5, 81), np.linspace(0, 39, 81)))  # through the junction
    assert count_path(_marked(image, None), slanted, 1.0).interceptions == 1.5
    # A circle through the junction, out of 3 into 1 or 2 and back over one more boundary.
    ring = circle((19.5 + 7.5 * 0.6, 19.5 - 7.5 * 0.8), 7.5)
    assert count_path(_marked(image, None), ring, 1.0, closed=True).interceptions == 2 + 1


def test_an_end_in_a_grain_is_no_crossing_and_an_end_on_a_boundary_half():
    image = np.ones((20, 40), dtype=np.int32)
    image[:, 20:] = 2
    assert count_path(_marked(image, None), column(40, 0, 10, 8), 1.0).interceptions == 0
    assert count_path(_marked(image, None), column(40, 0, 20, 8), 1.0).interceptions == 0.5


def test_another_phase_counts_half_at_its_border():
    image = np.ones((20, 60), dtype=np.int32)
    image[:, 20:40] = 0
    image[:, 40:] = 2
    count = count_path(_marked(image, None), column(60, 0, 59, 8), 0.5)
    assert count.interceptions == 1
    assert count.phase_length_um / count.length_um == pytest.approx(2 / 3, abs=0.01)


def test_circles_on_voronoi_cells():
    rng = np.random.default_rng(2)
    means = [abrams(poisson_voronoi(rng, 600, 700, 900.0)[0], 0.5).mean_intercept_um for _ in range(10)]
    # 160 hits a field. Counting junctions 2 finds up to 2 % more than there are, as with a drawn circle.
    assert np.mean(means) == pytest.approx(np.pi / 4 * 15, rel=0.035)


@pytest.mark.parametrize("angle", [7.0, 22.5, 60.0, 101.0])
def test_lines_at_any_angle_find_the_mean_intercept(angle):
    rng = np.random.default_rng(9)
    means = [
        lines_at(poisson_voronoi(rng, 500, 600, 900.0)[0], 1.0, angle).mean_intercept_um for _ in range(5)
    ]
    assert np.mean(means) == pytest.approx(np.pi / 4 * 30, rel=0.035)


@pytest.mark.parametrize("axis", [0.0, 45.0, 90.0, 30.0, 112.0])
def test_stretched_grains_are_as_elongated_as_they_were_stretched(axis):
    field = stretched_voronoi(np.random.default_rng(5), 450, 450, 1600.0, 3.0, axis)
    result = elongation(field, 1.0, axis)
    assert result.anisotropy_index == pytest.approx(3.0, rel=0.08)
    assert result.along.mean_intercept_um == pytest.approx(np.pi / 4 * 40 * 3**0.5, rel=0.08)
    assert elongation(field, 1.0, axis + 90).anisotropy_index == pytest.approx(1 / 3, rel=0.08)


def test_a_single_grain_has_no_intercept():
    assert abrams(np.ones((50, 50), dtype=np.int32), 1.0).mean_intercept_um is None


def test_excluded_pixels_are_no_boundary():
    grains = np.ones((80, 80), dtype=np.int32)
    excluded = np.zeros((80, 80), dtype=bool)
    excluded[30:50] = True
    assert abrams(grains, 1.0, excluded=excluded).interceptions == 0


@pytest.mark.skipif(not NIST.is_dir(), reason="real micrographs are not at hand")
class TestNist:
    """NIST's own intercepts, in pixels between walls, on its boundary image of a ferritic steel."""

    def published(self, name):
        rows = list(csv.reader((NIST / name).read_text(encoding="utf-8").splitlines()))[1:]
        by_line: dict[int, list[float]] = {}
        for line, length in rows:
            by_line.setdefault(round(float(line)), []).append(float(length))
        return by_line

    def grains(self):
        walls = tifffile.imread(NIST / "nist_steel_boundaries.tif") > 0
        return ndimage.label(~walls)[0].astype(np.int32)

    def test_the_straight_lines_of_the_e112_pattern_are_met_pixel_by_pixel(self):
        published, grains = self.published("nist_intercepts_e112.csv"), self.grains()
        across = chord_lengths_um(grains[570:571, 145:690], 1.0, 0)
        assert across.tolist() == published[1]
        down = chord_lengths_um(grains[20:545, 129:130], 1.0, 90)
        assert down.tolist() == published[2]

    def test_the_mean_of_the_e112_pattern(self):
        published, grains = self.published("nist_intercepts_e112.csv"), self.grains()
        lengths = [
            *chord_lengths_um(grains[570:571, 145:690], 1.0, 0),
            *chord_lengths_um(grains[20:545, 129:130], 1.0, 90),
            *self.diagonals(grains),
        ]
        for radius in (240, 160, 80):
            path = np.rint(circle((300, 400), radius)).astype(int)
            around = grains[path[:, 0], path[:, 1]]
            around = np.roll(around, -int(np.flatnonzero(around == 0)[0]))[None]
            per_point = 2 * np.pi * radius / around.size
            lengths += [
                length * per_point for length in chord_lengths_um(np.append(around, [[0]], 1), 1.0, 0)
            ]
        mean = np.mean(np.concatenate(list(published.values())))
        assert mean == pytest.approx(39.516, abs=1e-3)
        assert np.mean([length for length in lengths if length >= 3]) == pytest.approx(mean, rel=0.02)

    def diagonals(self, grains):
        # Both of the pattern's diagonals, cut to where it is drawn.
        down = np.diagonal(grains, 100)[None]
        up = np.diagonal(grains[:, ::-1], 100)[None]
        return [
            *(2**0.5 * chord_lengths_um(down[:, 10:580], 1.0, 0)),
            *(2**0.5 * chord_lengths_um(up[:, 10:580], 1.0, 0)),
        ]

    def test_the_line_grid_is_met_pixel_by_pixel(self):
        published, grains = self.published("nist_intercepts_line_grid.csv"), self.grains()
        assert np.mean(np.concatenate(list(published.values()))) == pytest.approx(37.176, abs=1e-3)
        # NIST lists no intercept below 3 px. Its 180° lines run backwards; the slanted ones were met on
        # a turned and resampled picture.
        rows = [grains[k : k + 1] for k in range(19, 600, 60)]
        back = [grains[k : k + 1, ::-1] for k in range(580, 0, -60)]
        columns = [grains[:, k : k + 1] for k in range(740, 0, -60)]
        for angle, lines, direction in ((0, rows, 0), (180, back, 0), (90, columns, 90)):
            met = np.concatenate([chord_lengths_um(line, 1.0, direction) for line in lines])
            assert met[met >= 3].tolist() == published[angle]
