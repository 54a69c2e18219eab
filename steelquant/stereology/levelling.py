"""The bright phase of a micrograph as a picture of its own: evenly lit, with nothing beside it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]

_RIM_PX = 2
"""Ferrite this near another phase is not looked at: the picture blurs the two."""

_THIN_PX = 5


def with_thin_lines(ferrite: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Add lines up to 5 px wide between two parts of the phase.

    Such a line is too thin to tell whether it is a boundary etched dark, which a threshold on grey takes
    out of the mask, or a film of another phase; grains end at either.

    Parameters
    ----------
    ferrite
        ``(height, width)`` bool.

    Returns
    -------
    ndarray
        ``(height, width)`` bool.
    """
    rim = _THIN_PX
    padded = cv2.copyMakeBorder(ferrite.astype(np.uint8), rim, rim, rim, rim, cv2.BORDER_REPLICATE)
    y, x = np.ogrid[-(rim // 2) : rim // 2 + 1, -(rim // 2) : rim // 2 + 1]
    disc = (x**2 + y**2 <= (rim / 2) ** 2).astype(np.uint8)  # OpenCV's own changes when it is turned
    closed = np.asarray(cv2.morphologyEx(padded, cv2.MORPH_CLOSE, disc))
    return np.asarray(closed[rim:-rim, rim:-rim] > 0)


def levelled(pixels: NDArray[np.uint8], ferrite: NDArray[np.bool_]) -> tuple[Float, NDArray[np.bool_]]:
    """Divide a micrograph by the local level of one phase and fill in everything else.

    Parameters
    ----------
    pixels
        ``(height, width)`` or ``(height, width, 3)`` uint8.
    ferrite
        ``(height, width)`` bool, true on the phase.

    Returns
    -------
    image
        ``(height, width)`` float32, the phase at about 1; elsewhere the phase's level nearby, so that no
        filter sees an edge.
    core
        ``(height, width)`` bool, the phase without a rim of 2 px.
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if pixels.ndim == 3 else pixels
    picture = grey.astype(np.float32)
    size = 2 * _RIM_PX + 1
    core = cv2.erode(ferrite.astype(np.uint8), np.ones((size, size), np.uint8)) > 0
    if not core.any():
        return np.ones_like(picture), core
    weight = core.astype(np.float32)
    middle = float(np.median(picture[core][::7]))
    level = _spread(picture, weight, 64.0, 8, middle, 1e-3)
    fill = _spread(picture, weight, 12.0, 4, level, 1e-2)
    fill = _spread(picture, weight, 3.0, 1, fill, 1e-1)
    return (np.where(core, picture, fill) / np.maximum(level, 1.0)).astype(np.float32), core


def _spread(
    picture: Float, weight: Float, reach_px: float, step: int, otherwise: Float | float, least: float
) -> Float:
    """Return the weighted local mean, leaning on another value where there is little weight."""
    height, width = picture.shape
    small = (max(1, width // step), max(1, height // step))
    total, share = (
        cv2.resize(
            cv2.GaussianBlur(cv2.resize(part, small, interpolation=cv2.INTER_AREA), (0, 0), reach_px / step),
            (width, height),
            interpolation=cv2.INTER_LINEAR,
        )
        for part in (picture * weight, weight)
    )
    return np.asarray((total + least * otherwise) / (share + least), np.float32)
