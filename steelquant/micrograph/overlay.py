"""The picture to judge a segmentation by: the micrograph itself, tinted by phase, with the phase boundaries.

It has the field's size, so that the two can be flipped against each other, and the structure stays visible:
the first class (the matrix, ferrite) gets a faint tint, the others a stronger one, boundaries between
phases a thin line, and excluded pixels are faded and hatched.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from steelquant.micrograph import png
from steelquant.micrograph.field import EXCLUDED, STEEL_CLASSES, PhaseClass
from steelquant.micrograph.files import write_bytes

BOUNDARY_COLOUR = (213, 94, 0)
"""Vermilion of Okabe and Ito: it stands out from tints and etched steel, also to the colour-blind."""

_MATRIX_TINT = 0.16
_PHASE_TINT = 0.36
_FADED = 0.5
_FADED_COLOUR = (90, 90, 90)
_HATCH_COLOUR = (255, 255, 255)
_HATCH_PERIOD = 24
_WIDE_LINES_FROM_PIXELS = 1_500_000
"""Larger fields are looked at reduced, where lines of one pixel would vanish …"""

_DENSE_SHARE = 0.02
"""… unless so much of them is boundary that wide lines would hide the structure."""


def write_overlay(
    path: Path,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    classes: tuple[PhaseClass, ...] = STEEL_CLASSES,
) -> None:
    """Write the overlay of a field as PNG.

    Parameters
    ----------
    path
        The file to write.
    pixels
        ``(height, width, 3)`` uint8 RGB.
    labels
        ``(height, width)`` uint8: the classes' labels, and 255 for excluded pixels.
    classes
        Labels and colours; the first is the matrix.

    Raises
    ------
    FileError
        The file cannot be written.
    """
    write_bytes(path, png.encode(draw_overlay(pixels, labels, classes)))


def draw_overlay(
    pixels: NDArray[np.uint8], labels: NDArray[np.uint8], classes: tuple[PhaseClass, ...] = STEEL_CLASSES
) -> NDArray[np.uint8]:
    """Draw the overlay of a field.

    Parameters
    ----------
    pixels, labels, classes
        As for `write_overlay`.

    Returns
    -------
    ndarray of uint8, ``(height, width, 3)``
        RGB.
    """
    picture = pixels.copy()
    for item in classes:
        tint = _MATRIX_TINT if item is classes[0] else _PHASE_TINT
        cv2.copyTo(_mixed(pixels, item.colour, tint), (labels == item.label).view(np.uint8), picture)
    outside = (labels == EXCLUDED).view(np.uint8)
    if outside.any():
        cv2.copyTo(_faded(pixels), outside, picture)
    picture[_boundaries(labels)] = BOUNDARY_COLOUR
    return picture


def _mixed(pixels: NDArray[np.uint8], colour: tuple[int, int, int], share: float) -> NDArray[Any]:
    """Mix a share of one colour into a picture: one table per channel."""
    ramp = np.arange(256)[:, None] * (1 - share) + np.array(colour) * share
    return cv2.LUT(pixels, np.rint(ramp).astype(np.uint8)[None])


def _faded(pixels: NDArray[np.uint8]) -> NDArray[Any]:
    """Draw a picture faded to grey under diagonal lines."""
    grey = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    faded = _mixed(np.asarray(grey, np.uint8), _FADED_COLOUR, _FADED)
    width = pixels.shape[1]
    stripes = np.arange(width + _HATCH_PERIOD) % _HATCH_PERIOD < 2
    for row in range(_HATCH_PERIOD):
        faded[row::_HATCH_PERIOD, stripes[row : row + width]] = _HATCH_COLOUR
    return faded


def _boundaries(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Mark the pixels along the boundaries: one row of them, or one on either side where there is room."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    lower = cv2.erode(labels, cross)
    thin = np.asarray(labels != lower, np.bool_)
    if labels.size < _WIDE_LINES_FROM_PIXELS or np.count_nonzero(thin) > _DENSE_SHARE * labels.size:
        return thin
    return np.asarray(cv2.dilate(labels, cross) != lower, np.bool_)
