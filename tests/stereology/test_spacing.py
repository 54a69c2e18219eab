import math

import numpy as np
import pytest
from scipy import ndimage

from steelquant.stereology.spacing import lamellar_spacing


def lamellae(rng, size, period_px, colony_px=None, contrast=60.0, noise=6.0, blur=0.6):
    """Sinusoidal lamellae of one apparent period, in one colony or in many of different directions."""
    rows, columns = np.mgrid[:size, :size]
    if colony_px is None:
        colony = np.zeros((size, size), dtype=int)
    else:
        seeds = rng.uniform(0, size, (max(4, round((size / colony_px) ** 2)), 2))
        distance = (rows[..., None] - seeds[:, 0]) ** 2 + (columns[..., None] - seeds[:, 1]) ** 2
        colony = distance.argmin(axis=-1)
    angle = rng.uniform(0, np.pi, colony.max() + 1)[colony]
    phase = 2 * np.pi * (rows * np.sin(angle) + columns * np.cos(angle)) / period_px
    image = 120 + contrast * np.sin(phase + rng.uniform(0, 6, colony.max() + 1)[colony])
    image = ndimage.gaussian_filter(image, blur) + rng.normal(0, noise, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("period", [5.0, 8.0, 13.0, 21.0])
def test_the_spacing_of_known_lamellae(period):
    image = lamellae(np.random.default_rng(1), 512, period, colony_px=170)
    result = lamellar_spacing(image, np.ones(image.shape, dtype=bool), 0.02)
    assert result.reason == ""
    # A random direction in the section crosses lamellae an apparent σ apart every π/2·σ.
    assert result.random_spacing_um == pytest.approx(math.pi / 2 * period * 0.02, rel=0.05)
    assert result.true_spacing_um == pytest.approx(result.random_spacing_um / 2)
    assert result.apparent_spacing_um == pytest.approx(period * 0.02, rel=0.05)
    assert result.spacing_px == pytest.approx(period, rel=0.06)
    assert result.resolved_fraction > 0.5


def test_one_circle_counts_by_the_formula():
    image = lamellae(np.random.default_rng(2), 160, 8.0, noise=0.0)
    result = lamellar_spacing(image, np.ones(image.shape, dtype=bool), 1.0)
    # Straight lamellae cross a circle of diameter d twice every period: 2·d/σ, σ_r = π·d/n = π/2·σ.
    assert result.random_spacing_um == pytest.approx(math.pi / 2 * 8.0, rel=0.06)


def test_doubling_the_pixel_doubles_the_spacing():
    image = lamellae(np.random.default_rng(3), 256, 7.0)
    once = lamellar_spacing(image, np.ones(image.shape, dtype=bool), 0.1)
    twice = lamellar_spacing(image, np.ones(image.shape, dtype=bool), 0.2)
    assert twice.true_spacing_um == pytest.approx(2 * once.true_spacing_um)
    assert twice.standard_error_um == pytest.approx(2 * once.standard_error_um)


def test_fine_lamellae_are_refused():
    image = lamellae(np.random.default_rng(4), 300, 3.0, blur=0.3)
    result = lamellar_spacing(image, np.ones(image.shape, dtype=bool), 0.1)
    assert result.true_spacing_um is None
    assert "3.0 px apart" in result.reason
    assert result.spacing_px == pytest.approx(3.0, rel=0.05)


@pytest.mark.parametrize("grain", [0.0, 1.0, 3.0, 8.0])
def test_noise_and_mottling_are_no_lamellae(grain):
    rng = np.random.default_rng(5)
    texture = rng.normal(0, 1, (300, 300))
    texture = ndimage.gaussian_filter(texture, grain) if grain else texture
    image = np.clip(120 + 40 * texture / texture.std(), 0, 255).astype(np.uint8)
    result = lamellar_spacing(image, np.ones(image.shape, dtype=bool), 0.1)
    assert result.true_spacing_um is None
    assert result.reason


def test_small_nodules_are_refused():
    image = lamellae(np.random.default_rng(6), 200, 6.0)
    rows, columns = np.mgrid[:200, :200]
    specks = (rows % 40 < 20) & (columns % 40 < 20)
    result = lamellar_spacing(image, specks, 0.1)
    assert "window" in result.reason


def test_only_the_pearlite_is_looked_at():
    rng = np.random.default_rng(7)
    image = lamellae(rng, 400, 6.0)
    pearlite = np.zeros(image.shape, dtype=bool)
    pearlite[:, :200] = True
    image[:, 200:] = lamellae(rng, 400, 15.0)[:, 200:]
    result = lamellar_spacing(np.repeat(image[..., None], 3, axis=2), pearlite, 1.0)
    assert result.apparent_spacing_um == pytest.approx(6.0, rel=0.06)
