"""Stored samples of any depth and colour model to 8-bit RGB, the networks' and the report's form.

The rule for more than 8 bits: linear from zero, over the significant range of the camera. That is the
smallest of 8, 10, 12, 14 and 16 bits that holds the brightest pixel, because cameras of 10 to 14 bits store
their values unshifted in 16. Contrast is never stretched to the minimum and maximum of one picture, so
fields of one series stay comparable, and what was done is told in a warning.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from steelquant.errors import FileError
from steelquant.micrograph.picture import Picture

_DEPTHS = (8, 10, 12, 14, 16)
_DARK_SHARE = 1 / 16


def to_rgb8(picture: Picture, path: Path) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Convert a picture to ``(height, width, 3)`` uint8 RGB.

    Parameters
    ----------
    picture
        The stored samples.
    path
        The file, for messages.

    Returns
    -------
    pixels, warnings
        The picture, and what was done that a user should know.

    Raises
    ------
    FileError
        Negative or not finite samples, or a range that no camera has.
    """
    notes: list[str] = []
    if picture.palette is not None:
        return picture.palette[picture.samples.astype(np.uint16, copy=False)], ()
    samples = _to_uint8(picture, path, notes)
    if picture.min_is_white:
        samples = 255 - samples
    if samples.ndim == 2:
        return cv2.cvtColor(np.ascontiguousarray(samples), cv2.COLOR_GRAY2RGB).astype(
            np.uint8, copy=False
        ), tuple(notes)
    if picture.model == "cmyk":
        ink = 255 - samples.astype(np.uint16)
        samples = ((ink[..., :3] * ink[..., 3:] + 127) // 255).astype(np.uint8)
        notes.append("converted from CMYK without a colour profile")
    elif picture.model == "ycbcr":
        samples = cv2.cvtColor(np.ascontiguousarray(samples[..., [0, 2, 1]]), cv2.COLOR_YCrCb2RGB).astype(
            np.uint8
        )
    return np.ascontiguousarray(samples), tuple(notes)


def _to_uint8(picture: Picture, path: Path, notes: list[str]) -> NDArray[np.uint8]:
    """Scale samples of any type to 0–255."""
    samples: NDArray[Any] = picture.samples
    kind = samples.dtype.kind
    if kind == "b":
        notes.append("has only two grey levels")
        return samples.astype(np.uint8) * np.uint8(255)
    if kind == "f":
        return _from_float(picture, path, notes)
    if kind not in "ui":
        raise FileError(path, f"stores {samples.dtype} samples, which are not read; save 8 or 16 bits")
    if picture.bits < 8:
        if picture.bits == 1:
            notes.append("has only two grey levels")
        return _scaled(samples, 2**picture.bits - 1)
    if kind == "i" and _extremes(picture)[0] < 0:
        raise FileError(
            path, "holds negative pixels, which are no intensities; save it as unsigned 8 or 16 bits"
        )
    if picture.bits == 8:
        return samples.astype(np.uint8, copy=False)
    brightest = int(_extremes(picture)[1])
    if brightest > 65535:
        raise FileError(path, f"holds values up to {brightest}, more than 16 bits; save it as 8 or 16 bits")
    if picture.bits in _DEPTHS and picture.bits < 16:
        depth = picture.bits
    else:
        depth = next(bits for bits in _DEPTHS if brightest < 2**bits)
    notes.append(
        f"{picture.bits}-bit samples scaled linearly to 8 bits as {depth}-bit data "
        f"(brightest pixel {brightest} of {2**depth - 1})"
    )
    if brightest >= 16 and np.count_nonzero(samples > brightest * _DARK_SHARE) < 0.01 * samples.size:
        notes.append(
            "99 % of its pixels lie in the darkest sixteenth of its range; it will look almost black"
        )
    return _scaled(samples, 2**depth - 1)


def _extremes(picture: Picture) -> tuple[float, float]:
    """Return the least and the greatest sample of the whole field, at most and at least 0."""
    if picture.extremes is not None:
        return picture.extremes
    return float(picture.samples.min(initial=0)), float(picture.samples.max(initial=0))


def _from_float(picture: Picture, path: Path, notes: list[str]) -> NDArray[np.uint8]:
    """Scale floating point samples of 0–1, 0–255 or the range of 16-bit cameras."""
    lowest, highest = _extremes(picture)
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        raise FileError(path, "holds pixels that are not a number or infinite; save it as 8 or 16 bits")
    if lowest < 0:
        raise FileError(
            path, "holds negative pixels, which are no intensities; save it as unsigned 8 or 16 bits"
        )
    if highest > 65535:
        raise FileError(path, f"holds values up to {highest:g}, more than 16 bits; save it as 8 or 16 bits")
    top = 1 if highest <= 1 else next(2**bits - 1 for bits in _DEPTHS if highest <= 2**bits - 1)
    notes.append(
        f"floating point samples scaled linearly to 8 bits as 0–{top} (brightest pixel {highest:.6g})"
    )
    return np.rint(picture.samples.astype(np.float32) * np.float32(255 / top)).astype(np.uint8)


def _scaled(samples: NDArray[Any], top: int) -> NDArray[np.uint8]:
    """Map whole numbers 0–`top` to 0–255, rounded; `top` is below 65536."""
    table = np.rint(np.arange(top + 1) * (255.0 / top)).astype(np.uint8)
    return table[samples]
