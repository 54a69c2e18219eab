"""The picture to judge a segmentation by: the micrograph, tinted by phase, with the phase boundaries."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from steelquant.errors import FileError
from steelquant.micrograph.field import EXCLUDED, STEEL_CLASSES, PhaseClass
from steelquant.micrograph.files import atomic_write

_TINT = 0.3


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
        ``(height, width)`` uint8.
    classes
        Colours of the labels.

    Raises
    ------
    FileError
        The file cannot be written.
    """
    picture = draw_overlay(pixels, labels, classes)
    done, encoded = cv2.imencode(
        ".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1]
    )
    if not done:
        raise FileError(path, "the overlay cannot be encoded as PNG")
    with atomic_write(path) as temporary:
        temporary.write_bytes(encoded.tobytes())


def draw_overlay(
    pixels: NDArray[np.uint8], labels: NDArray[np.uint8], classes: tuple[PhaseClass, ...] = STEEL_CLASSES
) -> NDArray[np.uint8]:
    """Draw the overlay of a field as ``(height, width, 3)`` uint8 RGB."""
    colours = np.zeros((256, 3), np.uint8)
    for item in classes:
        colours[item.label] = item.colour
    tinted = cv2.addWeighted(pixels, 1 - _TINT, colours[labels], _TINT, 0)
    kernel = np.ones((3, 3), np.uint8)
    edges = cv2.dilate(labels, kernel) != cv2.erode(labels, kernel)
    tinted[edges] = colours[labels[edges]]
    outside = labels == EXCLUDED
    tinted[outside] = pixels[outside] // 3
    return np.asarray(tinted, np.uint8)
