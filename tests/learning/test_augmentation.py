"""What augmentation does to a crop."""

import numpy as np

from steelquant.learning.augmentation import _stained, change_picture


def test_stains_darken_a_part_softly() -> None:
    even = np.full((224, 224, 3), 230, np.float32)
    shares = []
    for seed in range(50):
        kept = _stained(even, np.random.default_rng(seed)) / even
        assert kept.max() <= 1
        assert kept.min() >= 0.35  # never as dark as etched pearlite beside its ferrite
        steps = max(np.abs(np.diff(kept, axis=axis)).max() for axis in (0, 1))
        assert steps < 0.25, "a stain's rim is softer than a phase boundary"
        shares.append((kept.min(axis=2) < 0.95).mean())
    assert 0.2 < np.mean(shares) < 0.8


def test_light_and_dark_keep_their_order() -> None:
    """Pearlite is the darker phase in every etched micrograph; no change of the picture may turn that."""
    crop = np.full((64, 64, 3), 200, np.uint8)
    bands = np.arange(64) % 16 < 8
    crop[:, bands] = 80
    for seed in range(200):
        changed = change_picture(crop, np.random.default_rng(seed)).astype(float)
        assert changed[:, bands].mean() <= changed[:, ~bands].mean()


def test_equal_generators_give_equal_pictures() -> None:
    crop = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for seed in range(20):
        first, second = (change_picture(crop, np.random.default_rng(seed)) for _ in range(2))
        np.testing.assert_array_equal(first, second)
