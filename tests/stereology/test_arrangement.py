import numpy as np
import pytest

from steelquant.stereology.arrangement import nearest_neighbours, orientation_rose


def test_points_at_random_are_called_random():
    rng = np.random.default_rng(2)
    results = [nearest_neighbours(rng.uniform(0, (300, 200), (150, 2)), 60_000, 1000) for _ in range(200)]
    called_random = sum(result.arrangement == "random" for result in results)
    assert 180 <= called_random <= 198  # 5 % are wrong by design
    # Without the correction for the edge the ratio of 150 points would be 1.04.
    assert np.mean([result.ratio for result in results]) == pytest.approx(1, abs=0.01)
    assert np.std([result.z for result in results]) == pytest.approx(1, abs=0.15)


def test_a_lattice_is_regular():
    rows, columns = np.mgrid[5:200:10, 5:300:10]
    result = nearest_neighbours(np.column_stack((rows.ravel(), columns.ravel())), 200 * 300, 1000)
    assert result.mean_distance_um == 10
    assert result.arrangement == "regular"
    assert result.ratio == pytest.approx(2.0, rel=0.06)


def test_clusters_are_clustered():
    rng = np.random.default_rng(4)
    parents = rng.uniform(20, 280, (12, 2))
    children = np.repeat(parents, 15, axis=0) + rng.normal(0, 4, (180, 2))
    result = nearest_neighbours(children, 300 * 300, 1200)
    assert result.arrangement == "clustered"
    assert result.ratio < 0.5


def test_few_points_are_not_judged():
    assert nearest_neighbours(np.array([[1.0, 2.0]]), 100, 40).mean_distance_um is None
    few = nearest_neighbours(np.array([[1.0, 2.0], [4.0, 6.0]]), 100, 40)
    assert few.mean_distance_um == 5
    assert few.arrangement == "too few features"


def test_a_rose_adds_up_and_finds_the_axis():
    rng = np.random.default_rng(6)
    angles = (170 + rng.normal(0, 15, 500)) % 180
    rose = orientation_rose(angles)
    assert sum(rose.shares) == pytest.approx(1)
    assert len(rose.shares) == 18
    assert abs((rose.mean_deg - 170 + 90) % 180 - 90) < 2
    # A wrapped normal of doubled angles has R = exp(−2σ²).
    assert rose.resultant == pytest.approx(np.exp(-2 * np.radians(15) ** 2), abs=0.03)
    assert rose.p_value < 1e-6


def test_axes_at_random_have_no_direction():
    rng = np.random.default_rng(7)
    p_values = [orientation_rose(rng.uniform(0, 180, 60)).p_value for _ in range(300)]
    assert 0.02 < np.mean(np.array(p_values) < 0.05) < 0.09


def test_weights_turn_the_rose_and_180_is_0():
    rose = orientation_rose([0.0, 180.0, 90.0], [1.0, 1.0, 6.0])
    assert rose.shares[0] == pytest.approx(0.25)
    assert rose.shares[9] == pytest.approx(0.75)
    assert rose.mean_deg == pytest.approx(90)
    assert orientation_rose([]).p_value is None
