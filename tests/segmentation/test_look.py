"""What a field looks like, against pictures whose figures are known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from steelquant.segmentation.look import Sample, look_at


def _noise(height: int = 320, width: int = 400, seed: int = 0) -> np.ndarray:
    """Noise of several sizes in three channels."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    for size in (1, 3, 9, 20):
        layer = cv2.GaussianBlur(rng.normal(size=total.shape).astype(np.float32), (0, 0), size)
        total += layer / layer.std()
    return np.clip(128 + 25 * total, 0, 255).astype(np.uint8)


def _phases(height: int = 320, width: int = 400) -> np.ndarray:
    """Labels of 20 px in columns and rows."""
    y, x = np.mgrid[:height, :width]
    return ((x // 20 + y // 20) % 2).astype(np.uint8)


def test_blur_takes_fine_structure_first():
    pixels, labels = _noise(), _phases()
    sharp = look_at(pixels, labels).texture.mean(axis=0)
    blurred = look_at(cv2.GaussianBlur(pixels, (0, 0), 2), labels).texture.mean(axis=0)
    lost = sharp - blurred
    assert (np.diff(lost) < 0).all()
    assert lost[0] > 0.5
    assert lost[-1] < 0.1


@pytest.mark.parametrize("sigma", [2, 3, 5])
@pytest.mark.parametrize("step", [40, 120])
def test_sharpness_is_that_of_a_blurred_step(sigma, step):
    """The greatest gradient of a step of 1 blurred by σ is 1/(σ√(2π)); measuring blurs by 1 px itself."""
    labels = np.zeros((300, 300), np.uint8)
    labels[:, 150:] = 1
    grey = np.where(labels == 0, 60.0 + step, 60.0).astype(np.float32)
    pixels = np.repeat(cv2.GaussianBlur(grey, (0, 0), sigma)[..., None], 3, axis=2)
    noise = np.random.default_rng(0).normal(0, 4, pixels.shape)
    look = look_at(np.clip(pixels + noise, 0, 255).astype(np.uint8), labels)
    gradient = 1 / (np.hypot(sigma, 1) * np.sqrt(2 * np.pi))
    # The step is measured within 9 px, where a blurred one is not quite at its ends.
    assert gradient < look.sharpness < 2.2 * gradient


def test_a_band_of_no_contrast_is_as_low_as_rounding():
    flat = np.full((256, 256, 3), 90, np.uint8)
    look = look_at(flat, np.zeros((256, 256), np.uint8))
    np.testing.assert_allclose(look.texture, np.log(2 / 255), atol=1e-3)
    assert look.separation is None
    assert look.darkest == look.brightest == pytest.approx(90 / 255)


def test_a_field_looks_as_the_network_sees_it():
    """Twice as large and seen at half the size is the same."""
    pixels, labels = _noise(), _phases()
    large = np.repeat(np.repeat(pixels, 2, axis=0), 2, axis=1)
    large_labels = np.repeat(np.repeat(labels, 2, axis=0), 2, axis=1)
    one, two = look_at(pixels, labels), look_at(large, large_labels, scale=0.5)
    np.testing.assert_allclose(one.texture, two.texture, atol=0.02)
    np.testing.assert_allclose(one.colour, two.colour, atol=0.02)
    assert one.separation == pytest.approx(two.separation, abs=0.02)


def test_colour_is_that_of_the_light_and_not_of_the_exposure():
    pixels = np.full((256, 256, 3), (200, 160, 120), np.uint8)
    labels = np.zeros((256, 256), np.uint8)
    bright, dim = (look_at(p, labels).colour[0] for p in (pixels, pixels // 2))
    assert bright[0] == pytest.approx(np.log((200 + 12.75) / (160 + 12.75)), abs=1e-3)
    assert bright[1] == pytest.approx(np.log((120 + 12.75) / (160 + 12.75)), abs=1e-3)
    np.testing.assert_allclose(bright, dim, atol=0.05)


def test_separation_is_positive_where_the_first_class_is_the_bright_one():
    labels = _phases()
    rng = np.random.default_rng(1)
    grey = np.where(labels == 0, 180, 80) + rng.normal(0, 10, labels.shape)
    pixels = np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    right = look_at(pixels, labels).separation
    assert right > 1.5
    assert look_at(pixels, 1 - labels).separation == pytest.approx(-right, abs=1e-6)
    by_chance = rng.integers(0, 2, (40, 50)).astype(np.uint8)
    by_chance = np.kron(by_chance, np.ones((8, 8), np.uint8))
    assert abs(look_at(pixels, by_chance).separation) < 0.3


def test_evenness_is_the_matrix_against_the_brightest_parts():
    labels = np.zeros((224, 448), np.uint8)
    pixels = np.full((224, 448, 3), 204, np.uint8)
    pixels[:, 224:] = 51
    look = look_at(pixels, labels)
    np.testing.assert_allclose(look.evenness, [0, np.log(0.22 / 0.82)], atol=1e-6)
    labels[:, 224:] = 1
    assert len(look_at(pixels, labels).evenness) == 1


def test_what_does_not_count_is_not_looked_at():
    pixels, labels = _noise(448, 448), _phases(448, 448)
    labels[:224] = 255
    pixels[:224] = 0
    look = look_at(pixels, labels)
    assert len(look.texture) == 2
    assert look.darkest > 0.1
    labels[:] = 255
    assert look_at(pixels, labels) is None


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (63, 200)])
def test_of_small_fields_nothing_is_said(size):
    assert look_at(np.zeros((*size, 3), np.uint8), np.zeros(size, np.uint8)) is None


def test_rows_that_go_by_give_the_look_of_the_whole():
    pixels, labels = _noise(700, 500), _phases(700, 500)
    sample = Sample(700, 500)
    for top in range(0, 700, 90):
        sample.add_pixels(pixels[top : top + 90])
    for top in range(0, 700, 128):
        sample.add_labels(labels[top : top + 128])
    whole, parts = look_at(pixels, labels), sample.look()
    np.testing.assert_array_equal(whole.texture, parts.texture)
    np.testing.assert_array_equal(whole.evenness, parts.evenness)
    assert whole.separation == parts.separation


def test_a_field_of_any_size_costs_the_same():
    pixels = np.zeros((2500, 2500, 3), np.uint8)
    assert len(look_at(pixels, _phases(2500, 2500)).texture) == 16
