"""Feature properties against scikit-image, brute force and shapes with known values."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist
from skimage.measure import label as skimage_label
from skimage.measure import regionprops_table

from steelquant.stereology.features import Features, label_phase, measure_features, measure_phase

SAME_AS_SKIMAGE = {
    "area": "area_px",
    "centroid-0": "centroid_y_px",
    "centroid-1": "centroid_x_px",
    "bbox-0": "top_px",
    "bbox-1": "left_px",
    "bbox-2": "bottom_px",
    "bbox-3": "right_px",
    "perimeter": "perimeter_px",
    "axis_major_length": "axis_major_px",
    "axis_minor_length": "axis_minor_px",
    "eccentricity": "eccentricity",
    "area_convex": "convex_area_px",
    "solidity": "solidity",
    "equivalent_diameter_area": "equivalent_diameter_px",
}


def random_phase(sigma: float, fraction: float, seed: int, shape=(150, 170)) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(shape)
    if sigma:
        noise = ndimage.gaussian_filter(noise, sigma)
    return (noise > np.quantile(noise, 1 - fraction)).astype(np.uint8)


def touching_labels(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 120, (40, 2))
    rows, columns = np.mgrid[:110, :120]
    distance = [(rows - y) ** 2 + (columns - x) ** 2 for y, x in points]
    return (np.argmin(distance, axis=0) + 1).astype(np.int32)


def assert_equal_to_skimage(label_image: np.ndarray, features: Features | None = None) -> None:
    names = ["label", "area", "centroid", "bbox", "perimeter", "axis_major_length", "axis_minor_length"]
    names += ["eccentricity", "orientation", "area_convex", "solidity", "equivalent_diameter_area"]
    peer = regionprops_table(np.maximum(label_image, 0), properties=names)

    ours = measure_features(label_image) if features is None else features

    np.testing.assert_array_equal(ours.label, peer["label"])
    for theirs, mine in SAME_AS_SKIMAGE.items():
        np.testing.assert_allclose(getattr(ours, mine), peer[theirs], rtol=1e-9, atol=1e-6, err_msg=theirs)
    oblong = ours.eccentricity > 1e-6  # a circle has no axis to give a direction
    turned = np.radians(ours.orientation_deg - 90) - peer["orientation"]
    np.testing.assert_allclose(np.sin(turned[oblong]), 0, atol=1e-7)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("sigma", "fraction"), [(0, 0.2), (0, 0.5), (1, 0.3), (3, 0.1), (3, 0.5), (6, 0.8)])
def test_properties_equal_scikit_image(sigma, fraction, seed):
    phase = random_phase(sigma, fraction, seed)

    assert_equal_to_skimage(label_phase(phase, 1), measure_phase(phase, 1))


@pytest.mark.parametrize("seed", range(3))
def test_properties_of_touching_labels_equal_scikit_image(seed):
    assert_equal_to_skimage(touching_labels(seed))


def test_properties_of_a_label_in_several_pieces_equal_scikit_image():
    image = np.zeros((40, 40), dtype=np.int32)
    image[2:6, 3:9] = image[20:22, 30:31] = image[35, 1:4] = 7
    image[10:12, 10:12] = 9

    assert_equal_to_skimage(image)


def test_winding_shapes_equal_scikit_image():
    rows, columns = np.mgrid[-60:61, -60:61]
    angle, radius = np.arctan2(rows, columns), np.hypot(rows, columns)
    spiral = (np.sin(angle + radius / 3) > 0.5) & (radius < 58)
    comb = np.zeros((60, 60), dtype=np.uint8)
    comb[:, ::4] = comb[30, :] = 1

    assert_equal_to_skimage(label_phase(spiral.astype(np.uint8), 1))
    assert_equal_to_skimage(label_phase(comb, 1))


def test_features_join_over_corners_and_are_numbered_in_raster_order():
    phase = random_phase(1, 0.35, 5)

    np.testing.assert_array_equal(label_phase(phase, 1), skimage_label(phase, connectivity=2))


def _midpoints(pixels: np.ndarray) -> np.ndarray:
    offsets = np.array([[0.5, 0], [-0.5, 0], [0, 0.5], [0, -0.5]])
    return np.unique((pixels[:, None, :] + offsets).reshape(-1, 2), axis=0)


def _smallest_width(points: np.ndarray) -> float:
    vertices = points[ConvexHull(points).vertices]
    edges = np.roll(vertices, -1, axis=0) - vertices
    normals = np.stack([-edges[:, 1], edges[:, 0]], axis=1) / np.linalg.norm(edges, axis=1)[:, None]
    reach = normals @ vertices.T
    return float((reach.max(axis=1) - reach.min(axis=1)).min())


@pytest.mark.parametrize(("sigma", "fraction"), [(0, 0.3), (1.5, 0.3), (4, 0.4)])
def test_feret_diameters_equal_brute_force(sigma, fraction):
    label_image = label_phase(random_phase(sigma, fraction, 11, (90, 100)), 1)

    features = measure_features(label_image)

    for i, number in enumerate(features.label):
        points = _midpoints(np.argwhere(label_image == number))
        assert features.feret_max_px[i] == pytest.approx(pdist(points).max(), abs=1e-9)
        assert features.feret_min_px[i] == pytest.approx(_smallest_width(points), abs=1e-9)


def test_a_rectangle_has_its_own_sizes():
    mask = np.zeros((60, 80), dtype=np.uint8)
    mask[10:30, 20:60] = 1  # 20 high, 40 wide

    features = measure_phase(mask, 1)

    assert features.count == 1
    assert features.area_px[0] == 800
    assert (features.left_px[0], features.top_px[0], features.right_px[0], features.bottom_px[0]) == (
        20,
        10,
        60,
        30,
    )
    assert (features.centroid_x_px[0], features.centroid_y_px[0]) == (39.5, 19.5)
    assert features.solidity[0] == 1
    assert features.feret_min_px[0] == pytest.approx(20)
    assert features.orientation_deg[0] == pytest.approx(0)
    assert features.axis_major_px[0] == pytest.approx(4 * np.sqrt((40**2 - 1) / 12))


def test_a_disc_is_round():
    rows, columns = np.mgrid[-110:111, -110:111]
    features = measure_phase((np.hypot(rows, columns) <= 100.3).astype(np.uint8), 1)

    assert features.equivalent_diameter_px[0] == pytest.approx(200.6, rel=1e-3)
    assert features.axis_major_px[0] == pytest.approx(200.6, rel=2e-3)
    assert features.feret_max_px[0] == pytest.approx(201, abs=1)
    assert features.feret_min_px[0] == pytest.approx(201, abs=1)
    assert features.solidity[0] == pytest.approx(1, abs=0.01)
    # Benkrid and Crookes' estimate is about 5 % too long on a circle.
    assert features.perimeter_px[0] == pytest.approx(2 * np.pi * 100.3, rel=0.06)


@pytest.mark.parametrize("angle", [0, 30, 45, 90, 120, 179])
def test_orientation_is_counter_clockwise_from_the_horizontal(angle):
    rows, columns = np.mgrid[-100:101, -100:101]
    direction = np.radians(angle)
    along = columns * np.cos(direction) - rows * np.sin(direction)  # rows count downwards
    across = columns * np.sin(direction) + rows * np.cos(direction)

    features = measure_phase(((along / 80) ** 2 + (across / 20) ** 2 <= 1).astype(np.uint8), 1)

    difference = (features.orientation_deg[0] - angle + 90) % 180 - 90
    assert abs(difference) < 0.5


def test_cut_features_are_flagged():
    mask = np.zeros((30, 30), dtype=np.uint8)
    mask[0:3, 5:8] = 1  # at the frame
    mask[10:13, 10:13] = 1  # whole
    mask[20:23, 20:23] = 1  # beside the excluded strip
    mask[23:, :] = 255
    mask[15, 29] = 1  # one pixel at the frame
    mask[18:20, 3:5], mask[20, 5] = 1, 255  # excluded only over a corner: not cut

    features = measure_phase(mask, 1)

    np.testing.assert_array_equal(features.touches_edge, [True, False, True, False, False])
    np.testing.assert_array_equal(features.touches_excluded, [False, False, False, False, True])
    np.testing.assert_array_equal(features.cut, [True, False, True, False, True])


@pytest.mark.parametrize("seed", range(3))
def test_both_ways_to_measure_a_phase_agree_on_excluded_fields(seed):
    mask = random_phase(1, 0.4, seed)
    mask[random_phase(3, 0.2, seed + 10) > 0] = 255

    fast, general = measure_phase(mask, 1), measure_features(label_phase(mask, 1))

    for name, values in vars(general).items():
        np.testing.assert_array_equal(getattr(fast, name), values, err_msg=name)
    assert 0 < fast.touches_excluded.sum() < fast.count


def test_excluded_pixels_are_marked_in_the_label_image():
    mask = np.array([[1, 255, 1], [0, 255, 0]], dtype=np.uint8)

    np.testing.assert_array_equal(label_phase(mask, 1), [[1, -1, 2], [0, -1, 0]])


def test_specks_below_the_smallest_size_are_left_out():
    mask = np.zeros((20, 20), dtype=np.uint8)
    mask[2, 2] = 1
    mask[5:8, 5:8] = 1

    features = measure_phase(mask, 1, smallest_px=4)

    assert features.label.tolist() == [2]
    assert features.area_px.tolist() == [9]


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (12, 13)])
def test_a_field_that_is_all_one_feature(shape):
    features = measure_phase(np.ones(shape, dtype=np.uint8), 1)

    assert features.area_px.tolist() == [shape[0] * shape[1]]
    assert features.convex_area_px.tolist() == [shape[0] * shape[1]]
    assert features.feret_min_px[0] <= min(shape) + 1e-12


def test_a_field_without_features_gives_empty_arrays():
    features = measure_phase(np.zeros((20, 30), dtype=np.uint8), 1)

    assert features.count == 0
    assert features.feret_max_px.shape == features.area_px.shape == (0,)


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_turning_the_field_changes_no_size(turn):
    phase = random_phase(2, 0.3, 3)

    upright, turned = measure_phase(phase, 1), measure_phase(np.rot90(phase, turn).copy(), 1)

    for name in (
        "area_px",
        "perimeter_px",
        "axis_major_px",
        "convex_area_px",
        "feret_max_px",
        "feret_min_px",
    ):
        np.testing.assert_allclose(np.sort(getattr(upright, name)), np.sort(getattr(turned, name)), rtol=1e-9)
