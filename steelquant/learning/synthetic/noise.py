"""Smooth random fields: the low-frequency unevenness of everything in a micrograph."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]


def white_noise(rng: np.random.Generator, height: int, width: int) -> Float:
    """Return ``(height, width)`` independent standard normal values."""
    return rng.standard_normal((height, width), dtype=np.float32)


def smooth_noise(rng: np.random.Generator, height: int, width: int, scale_px: float) -> Float:
    """Return a random field of about unit standard deviation that varies over `scale_px`.

    Normal values on a grid of that pitch, placed at a random offset and joined by cubic interpolation.
    """
    return stretched_noise(rng, height, width, scale_px, scale_px, 0.0)


def stretched_noise(
    rng: np.random.Generator, height: int, width: int, along_px: float, across_px: float, angle_deg: float
) -> Float:
    """Return a random field of about unit standard deviation, drawn out along one direction.

    Parameters
    ----------
    along_px, across_px
        Distance over which the field varies along and across the direction.
    angle_deg
        Direction against the horizontal.
    """
    finest = min(along_px, across_px)
    if max(along_px, across_px) < 1.5:
        return white_noise(rng, height, width)
    if finest >= 8:
        # So smooth a field loses nothing when it is made small and enlarged linearly.
        step = int(min(finest / 4, 8))
        small = stretched_noise(
            rng, -(-height // step) + 1, -(-width // step) + 1, along_px / step, across_px / step, angle_deg
        )
        size = (small.shape[1] * step, small.shape[0] * step)
        enlarged = cv2.resize(small, size, interpolation=cv2.INTER_LINEAR)
        return np.ascontiguousarray(enlarged[:height, :width], dtype=np.float32)
    angle = np.deg2rad(angle_deg)
    cosine, sine = abs(np.cos(angle)), abs(np.sin(angle))
    extent_along = (width * cosine + height * sine) / along_px
    extent_across = (width * sine + height * cosine) / across_px
    grid = rng.standard_normal((int(extent_across) + 6, int(extent_along) + 6), dtype=np.float32)
    # Destination pixel -> grid node: rotate about the middle, divide by the pitch, shift at random.
    rotation = np.array(
        [
            [np.cos(angle) / along_px, np.sin(angle) / along_px],
            [-np.sin(angle) / across_px, np.cos(angle) / across_px],
        ]
    )
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    target = np.array([(grid.shape[1] - 1) / 2, (grid.shape[0] - 1) / 2]) + rng.uniform(-0.5, 0.5, 2)
    offset = target - rotation @ middle
    matrix = np.hstack([rotation, offset[:, None]]).astype(np.float64)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    field = cv2.warpAffine(grid, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT)
    # Cubic interpolation between independent nodes keeps about 0.64 of the variance.
    return np.asarray(field * np.float32(1.25), np.float32)


def fractal_noise(
    rng: np.random.Generator, height: int, width: int, scale_px: float, octaves: int = 3
) -> Float:
    """Return smooth noise with finer, weaker noise upon it; about unit standard deviation."""
    total = np.zeros((height, width), np.float32)
    power = 0.0
    for octave in range(octaves):
        weight = 0.6**octave
        total += np.float32(weight) * smooth_noise(rng, height, width, max(scale_px / 2**octave, 1.0))
        power += weight**2
    return total / np.float32(np.sqrt(power))


def soft_step(values: Float, low: float, high: float) -> Float:
    """Return 0 below `low`, 1 above `high` and a smooth cubic between."""
    ramp = np.clip((values - np.float32(low)) / np.float32(max(high - low, 1e-6)), 0, 1)
    result: Float = ramp * ramp * (3 - 2 * ramp)
    return result


def pair_values(
    first: NDArray[np.int32], second: NDArray[np.int32], salt: int, bins: int = 4096
) -> NDArray[np.int32]:
    """Return one of `bins` numbers for each unordered pair of labels, the same wherever they meet."""
    low = np.minimum(first, second).astype(np.uint32)
    high = np.maximum(first, second).astype(np.uint32)
    mixed = low * np.uint32(2654435761) ^ high * np.uint32(2246822519) ^ np.uint32(salt & 0xFFFFFFFF)
    mixed ^= mixed >> np.uint32(15)
    mixed *= np.uint32(739982445)
    mixed ^= mixed >> np.uint32(12)
    return (mixed % np.uint32(bins)).astype(np.int32)
