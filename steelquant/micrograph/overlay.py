"""The picture to judge a segmentation by: the micrograph in grey, tinted by phase, with the phase boundaries.

It has the field's size, so that the two can be flipped against each other, and the structure stays visible:
the first class (the matrix, ferrite) gets a faint tint, the others a stronger one, boundaries between
phases a thin line, and excluded pixels are faded and hatched. It is a palette picture of up to 64 grey levels
per phase: the eye sees no difference to full colour, and it takes a fifth of the disk and of the time.
"""

from __future__ import annotations

from pathlib import Path

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
_MOST_GREY_LEVELS = 64
_HATCH, _BOUNDARY = 254, 255
"""Indices of the hatching and of the lines; all bits of the latter are set, so that it covers any other."""

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
    write_bytes(path, png.encode(draw_overlay(pixels, labels, classes), overlay_palette(classes)))


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
    ndarray of uint8, ``(height, width)``
        Indices into `overlay_palette`.
    """
    levels = _grey_levels(classes)
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    if levels == 64:
        grey = np.right_shift(np.asarray(grey, np.uint8), 2)  # a table takes ten times as long
    else:
        grey = cv2.LUT(grey, (np.arange(256) * levels // 256).astype(np.uint8))
    picture = cv2.add(grey, _bands(labels, levels, classes))
    outside = labels == EXCLUDED
    if outside.any():
        stripes = np.arange(labels.shape[1] + _HATCH_PERIOD) % _HATCH_PERIOD < 2
        for row in range(_HATCH_PERIOD):
            hatched = outside[row::_HATCH_PERIOD] & stripes[row : row + labels.shape[1]]
            np.putmask(picture[row::_HATCH_PERIOD], hatched, _HATCH)
    return np.asarray(cv2.bitwise_or(picture, _boundaries(labels)), np.uint8)


def _bands(labels: NDArray[np.uint8], levels: int, classes: tuple[PhaseClass, ...]) -> NDArray[np.uint8]:
    """Return each pixel's first index: that of its class, or of excluded pixels."""
    if [item.label for item in classes] == list(range(len(classes))):  # a table takes five times as long
        first = np.asarray(cv2.convertScaleAbs(labels, alpha=levels), np.uint8)
        return np.minimum(first, np.uint8(levels * len(classes)))
    place = {item.label: number for number, item in enumerate(classes)}
    table = np.array([levels * place.get(label, len(classes)) for label in range(256)], np.uint8)
    return np.asarray(cv2.LUT(labels, table), np.uint8)


def overlay_palette(classes: tuple[PhaseClass, ...] = STEEL_CLASSES) -> NDArray[np.uint8]:
    """Return the colours of an overlay's indices, ``(256, 3)`` uint8 RGB.

    Each class has its tint of the grey levels, excluded pixels have a faded grey.
    """
    levels = _grey_levels(classes)
    grey = ((np.arange(levels) + 0.5) * 256 / levels)[:, None]
    tints = [(item.colour, _MATRIX_TINT if item is classes[0] else _PHASE_TINT) for item in classes]
    palette = np.zeros((256, 3), np.uint8)
    for place, (colour, share) in enumerate([*tints, (_FADED_COLOUR, _FADED)]):
        mixed = grey * (1 - share) + np.array(colour) * share
        palette[place * levels : (place + 1) * levels] = np.rint(mixed)
    palette[_HATCH], palette[_BOUNDARY] = _HATCH_COLOUR, BOUNDARY_COLOUR
    return palette


def _grey_levels(classes: tuple[PhaseClass, ...]) -> int:
    """Return how many grey levels each class and the excluded pixels get of the 256 indices."""
    return min(_MOST_GREY_LEVELS, _HATCH // (len(classes) + 1))


def _boundaries(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Mark with 255 the pixels along the boundaries: one row, or one on either side where there is room."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    lower = cv2.erode(labels, cross)
    thin = cv2.compare(labels, lower, cv2.CMP_NE)
    if labels.size >= _WIDE_LINES_FROM_PIXELS and cv2.countNonZero(thin) <= _DENSE_SHARE * labels.size:
        thin = cv2.compare(cv2.dilate(labels, cross), lower, cv2.CMP_NE)
    return np.asarray(thin, np.uint8)
