"""What the ``best`` protocol does to a crop so that the network meets more than its training set holds."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Picture = NDArray[Any]  # cv2's stubs know no narrower type

_SCALES = (0.6, 1.7)


def draw_crop(
    image: Pixels, labels: Pixels, y: int, x: int, crop_px: int, random: np.random.Generator
) -> tuple[Pixels, Pixels]:
    """Cut a crop near ``(y, x)`` at a random scale, mirrored or not, and change its light, focus and noise.

    Parameters
    ----------
    image, labels
        ``(height, width, 3)`` and ``(height, width)`` uint8, at least ``crop_px`` on both edges.
    y, x
        Origin of the crop in the grid.
    crop_px
        Edge of the result.
    random
        Source of all chance: equal generators give equal crops.

    Returns
    -------
    crop, crop_labels
        ``(crop_px, crop_px, 3)`` and ``(crop_px, crop_px)`` uint8.
    """
    height, width = labels.shape
    scale = np.exp(random.uniform(*np.log(_SCALES))) if random.random() < 0.6 else 1.0
    window = int(np.clip(round(crop_px / scale), 16, min(height, width)))
    top = _near(y + (crop_px - window) // 2, crop_px // 2, height - window, random)
    left = _near(x + (crop_px - window) // 2, crop_px // 2, width - window, random)
    crop: Picture = image[top : top + window, left : left + window]
    crop_labels: Picture = labels[top : top + window, left : left + window]
    if window != crop_px:
        shrinking = window > crop_px
        crop = cv2.resize(
            crop, (crop_px, crop_px), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC
        )
        crop_labels = cv2.resize(crop_labels, (crop_px, crop_px), interpolation=cv2.INTER_NEAREST_EXACT)
    if random.random() < 0.5:
        crop, crop_labels = crop[:, ::-1], crop_labels[:, ::-1]
    return change_picture(crop, random), np.ascontiguousarray(crop_labels)


def _near(origin: int, spread: int, limit: int, random: np.random.Generator) -> int:
    return int(np.clip(origin + random.integers(-spread, spread + 1), 0, limit))


def change_picture(crop: Pixels, random: np.random.Generator) -> Pixels:
    """Change light, colour, focus and noise of a crop ``(h, w, 3)``, each with its own chance.

    Light-dark order is kept: pearlite is the darker phase in every etched micrograph.
    """
    picture: Picture = crop.astype(np.float32)
    if random.random() < 0.25:
        picture = np.repeat(picture.mean(axis=2, keepdims=True), 3, axis=2)
    if random.random() < 0.3:
        picture *= random.uniform(0.85, 1.15, size=3).astype(np.float32)
    if random.random() < 0.15:
        picture = _uneven_light(picture, random)
    if random.random() < 0.15:
        picture = _stained(picture, random)
    if random.random() < 0.4:
        contrast = np.exp(random.uniform(np.log(0.25), np.log(1.3)))
        # Half of the time about the crop's own ferrite: a faint etch beside ferrite that stays as it is.
        pivot = random.uniform(60, 255) if random.random() < 0.5 else np.percentile(picture[::4, ::4], 90)
        picture = (picture - pivot) * contrast + pivot
    if random.random() < 0.3:
        picture += random.uniform(-30, 30)
    if random.random() < 0.25:
        gamma = np.exp(random.uniform(np.log(0.55), np.log(1.8)))
        picture = 255 * (np.clip(picture, 0, 255) / 255) ** gamma
    if random.random() < 0.2:
        picture = cv2.GaussianBlur(picture, (0, 0), random.uniform(0.5, 2.2))
    if random.random() < 0.25:
        grain = random.standard_normal(picture.shape, dtype=np.float32)
        if random.random() < 0.5:
            grain = grain[..., :1]
        picture = picture + grain * np.float32(np.exp(random.uniform(np.log(2), np.log(28))))
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _uneven_light(picture: Picture, random: np.random.Generator) -> Picture:
    height, width = picture.shape[:2]
    angle = random.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    slope = np.cos(angle) * columns + np.sin(angle) * rows
    light = 1 + random.uniform(0.05, 0.35) * slope
    return picture * light[..., None].astype(np.float32)


def _stained(picture: Picture, random: np.random.Generator) -> Picture:
    """Lay dried etchant over a part: brownish, of any shape, and softer at its rim than any phase."""
    height, width = picture.shape[:2]
    coarse = random.standard_normal((random.integers(2, 6), random.integers(2, 6)), dtype=np.float32)
    shape = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    share = 1 / (1 + np.exp((random.uniform(-0.3, 0.8) - shape) * random.uniform(3, 10)))
    tint = random.uniform(0.1, 0.5) * random.uniform((0.7, 0.9, 1.0), (1.0, 1.1, 1.3))
    return picture * (1 - share[..., None] * tint.astype(np.float32))
