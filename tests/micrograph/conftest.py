"""Small pictures with structure in every direction, so that a flip, a shift or a swapped channel shows."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray


@pytest.fixture(scope="session")
def grey() -> NDArray[np.uint8]:
    """Grey levels 10–240, no symmetry, height and width no multiples of anything."""
    y, x = np.mgrid[:61, :83]
    waves = 125 + 70 * np.sin(x / 7 + y / 31) + 40 * np.cos(y / 5)
    return np.clip(waves + np.random.default_rng(1).normal(0, 4, waves.shape), 10, 240).astype(np.uint8)


@pytest.fixture(scope="session")
def rgb(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Colour with three different channels."""
    return np.stack([grey, grey[::-1], grey[:, ::-1]], axis=-1)


@pytest.fixture(scope="session")
def labels() -> NDArray[np.uint8]:
    """Ferrite, pearlite and an excluded strip."""
    result = np.zeros((61, 83), np.uint8)
    result[10:30, 20:50] = 1
    result[-7:] = 255
    return result
