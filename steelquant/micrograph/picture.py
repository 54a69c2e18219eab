"""A picture as its file stores it, and the limits of what is decoded at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from steelquant.errors import FileError
from steelquant.micrograph.calibration import ScaleStatement

ColourModel = Literal["grey", "palette", "rgb", "cmyk", "ycbcr"]

MAX_TIFF_PIXELS = 2_000_000_000
"""The largest TIFF page that is decoded: mosaics of 44,000 x 44,000 px."""

MAX_RASTER_PIXELS = 500_000_000
"""The largest PNG, JPEG or BMP that is decoded."""

_SURELY_HARMLESS_BYTES = 256 * 2**20
_MAX_EXPANSION = 1100
"""Deflate, the strongest of the usual codecs, expands by at most 1,032."""


@dataclass(frozen=True)
class Picture:
    """The stored samples of one field.

    Attributes
    ----------
    samples
        ``(height, width)`` or, in colour, ``(height, width, channels)``; native byte order, no alpha.
    model
        What the samples mean.
    bits
        Bits per sample that the file declares.
    sha256
        Hash of the file's bytes.
    min_is_white
        True where zero is drawn white.
    palette
        Colours as ``(n, 3)`` uint8 where `model` is ``palette``; every stored index has one.
    transparent
        ``(height, width)`` bool, true where the picture shows nothing; None where it shows all.
    statements
        What the file states about the scale.
    description
        The TIFF ImageDescription.
    extremes
        Least and greatest sample of the whole field where `samples` are only some of its rows.
    lossy
        True where the pixels went through JPEG or the like.
    warnings
        What a user should know, one sentence each.
    """

    samples: NDArray[np.generic]
    model: ColourModel
    bits: int
    sha256: str
    min_is_white: bool = False
    palette: NDArray[np.uint8] | None = None
    transparent: NDArray[np.bool_] | None = None
    statements: tuple[ScaleStatement, ...] = ()
    description: str = ""
    extremes: tuple[float, float] | None = None
    lossy: bool = False
    warnings: tuple[str, ...] = ()


def check_size(
    path: Path, width: int, height: int, sample_bytes: float, stored_bytes: int, limit: int
) -> None:
    """Refuse a picture by its declared size, before anything is decoded.

    Parameters
    ----------
    path
        The file, for the message.
    width, height
        Declared size in pixels.
    sample_bytes
        Bytes per pixel once decoded.
    stored_bytes
        Bytes that the file holds.
    limit
        Largest number of pixels for this format.

    Raises
    ------
    FileError
        Empty, above `limit`, or more than the stored bytes can possibly hold.
    """
    if width <= 0 or height <= 0:
        raise FileError(path, f"declares an empty picture of {width}x{height} px")
    if width * height > limit:
        raise FileError(
            path,
            f"declares {width}x{height} px, more than the {limit / 1e6:.0f} megapixels that are read; "
            "cut it into smaller fields",
        )
    decoded = width * height * sample_bytes
    if decoded > _SURELY_HARMLESS_BYTES and decoded > _MAX_EXPANSION * stored_bytes:
        raise FileError(
            path, f"declares {width}x{height} px but holds only {stored_bytes} bytes; it is damaged or a trap"
        )


def upright(samples: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn samples ``(height, width, ...)`` from a TIFF or EXIF orientation of 2 to 8 to that of 1."""
    if orientation >= 5:
        samples = samples.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    return np.ascontiguousarray(samples)
