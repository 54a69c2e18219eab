import numpy as np
import pytest
from analytic_structures import poisson_voronoi

from steelquant.stereology.duplex import as_large_as, duplex
from steelquant.stereology.grain_size import area_of_number


def lognormal_areas(rng, number, count, spread=0.6):
    logs = rng.normal(0, spread, count)
    return area_of_number(number) * np.exp(logs) / np.exp(logs).mean()


def test_one_coarse_grain_among_fine_ones():
    fine = lognormal_areas(np.random.default_rng(1), 9.0, 2000)
    coarse = area_of_number(4.0)  # 32 times the mean of the rest, 1.6 % of the area
    largest = as_large_as(np.append(fine, coarse))
    assert largest.number == pytest.approx(4.0, abs=1e-6)
    assert largest.outliers == 1
    assert largest.outlier_area_fraction == pytest.approx(32 / 2032, rel=0.01)
    assert largest.applies
    result = duplex(np.append(fine, coarse))
    assert result.kind == "isolated coarse grains"
    assert result.populations[0].number == pytest.approx(4.0, abs=1e-6)
    assert result.populations[1].number == pytest.approx(9.0, abs=1e-2)


def test_equal_areas_have_no_outlier():
    assert not as_large_as(np.full(100, 5.0)).applies
    assert as_large_as([]) is None


def test_many_coarse_grains_are_no_isolated_ones():
    rng = np.random.default_rng(2)
    fine, coarse = lognormal_areas(rng, 10.0, 3000, 0.5), lognormal_areas(rng, 5.0, 60, 0.5)
    areas = np.concatenate((fine, coarse))
    assert not as_large_as(areas).applies
    result = duplex(areas)
    assert result.kind == "bimodal"
    share = coarse.sum() / areas.sum()
    assert result.populations[0].area_fraction == pytest.approx(share, abs=0.03)
    assert result.populations[0].number == pytest.approx(5.0, abs=0.3)
    assert result.populations[1].number == pytest.approx(10.0, abs=0.3)


def test_a_wide_range_is_called_so():
    areas = np.exp(np.random.default_rng(3).uniform(np.log(10), np.log(10 * 2**9), 2000)) ** 1.0
    # Equal shares of the area over nine numbers.
    areas = np.repeat(areas, np.maximum(1, (areas.max() / areas / 8).astype(int)))
    result = duplex(areas)
    assert result.kind == "wide range"
    assert result.spread > 5


def test_ordinary_structures_are_not_duplex():
    rng = np.random.default_rng(4)
    cells, _ = poisson_voronoi(rng, 600, 800, 500.0)
    areas = np.bincount(cells.ravel())
    assert duplex(areas[areas > 0]).kind == "none"
    assert duplex(lognormal_areas(rng, 8.0, 1500)).kind == "none"
    assert duplex(np.full(10, 3.0)) is None
