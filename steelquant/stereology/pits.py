"""Etching pits and specks in a bright phase: found by their roundness and filled."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]

_LONGEST_PX = 7
"""A spot must be shorter than this in every direction; a line is longer in its own."""
_DIRECTIONS = 8
_SMOOTHING_PX = 0.7
_DARK_AROUND = 0.08
"""Share of the ring around a spot that may be dark: a piece of a line has the line on either side."""
_STEPS = 200.0
"""Grey steps of the phase's brightness: a byte is enough for spots and four times as fast."""


def fill_pits(image: Float, inside: NDArray[np.bool_], deeper_than: float) -> tuple[Float, int]:
    """Fill small, round, dark spots that stand alone.

    Parameters
    ----------
    image
        ``(height, width)`` float32, the phase at about 1.
    inside
        ``(height, width)`` bool, true on the phase.
    deeper_than
        Least darkness of a pit as a share of the phase's brightness.

    Returns
    -------
    filled
        The image with the pits at the level of what surrounds them.
    count
        Number of pits on the phase.
    """
    smooth = cv2.GaussianBlur(image, (0, 0), _SMOOTHING_PX)
    grey = np.clip(smooth * _STEPS, 0, 255).astype(np.uint8)
    # Closing along a line keeps what is dark along it: what every direction fills is short in all of them.
    closed = np.full(grey.shape, 255, np.uint8)
    for k in range(_DIRECTIONS):
        line = _line(math.pi * k / _DIRECTIONS)
        closed = np.minimum(closed, cv2.morphologyEx(grey, cv2.MORPH_CLOSE, line)).astype(np.uint8)
    depth = closed - grey  # a closing is nowhere below what it closes
    spots = ((depth > deeper_than * _STEPS) & inside).astype(np.uint8)
    count, found, boxes, _ = cv2.connectedComponentsWithStats(spots, connectivity=8)
    numbers = np.asarray(found, np.int32)
    pit = _stand_alone(grey, closed, depth, spots, numbers, count)
    pit &= boxes[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(axis=1) <= _LONGEST_PX
    pit[0] = False
    flanks = cv2.dilate(pit[numbers].astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    filled = np.where(flanks, np.maximum(closed / np.float32(_STEPS), image), image)
    return filled.astype(np.float32), int(np.count_nonzero(pit))


def _line(angle: float) -> NDArray[np.uint8]:
    line = np.zeros((_LONGEST_PX, _LONGEST_PX), np.uint8)
    reach = _LONGEST_PX // 2
    for along in np.linspace(-reach, reach, 4 * _LONGEST_PX):
        line[round(reach - along * math.sin(angle)), round(reach + along * math.cos(angle))] = 1
    return line


def _stand_alone(
    grey: NDArray[np.uint8],
    closed: NDArray[np.uint8],
    depth: NDArray[np.uint8],
    spots: NDArray[np.uint8],
    numbers: NDArray[np.int32],
    count: int,
) -> NDArray[np.bool_]:
    """Tell of each spot whether the ring around it, other spots left out, is bright."""
    within = spots > 0
    deepest = np.zeros(count, np.int64)
    np.maximum.at(deepest, numbers[within], depth[within])
    level = np.zeros(count, np.int64)
    np.maximum.at(level, numbers[within], closed[within])
    # float32 holds every number up to 16 million, and is what OpenCV dilates.
    reach = cv2.dilate(numbers.astype(np.float32), np.ones((7, 7), np.uint8)).astype(np.int32)
    ring = (reach > 0) & (cv2.dilate(spots, np.ones((3, 3), np.uint8)) == 0)
    owner = reach[ring]
    dark = grey[ring] < level[owner] - 0.4 * deepest[owner]
    pixels = np.bincount(owner, minlength=count)
    return np.bincount(owner, weights=dark, minlength=count) <= _DARK_AROUND * np.maximum(pixels, 1)
