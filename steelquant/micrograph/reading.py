"""Micrographs in: one field from a file of any of the usual kinds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from steelquant.errors import FileError, UsageError
from steelquant.micrograph.calibration import GivenScale, calibrate
from steelquant.micrograph.decoding import count_pages, decode
from steelquant.micrograph.exclusion import Exclusion
from steelquant.micrograph.field import Micrograph
from steelquant.micrograph.intensity import to_rgb8
from steelquant.micrograph.naming import MASK_MARK, PROBABILITY_MARK

_MAX_EMPTY_SHARE = 0.01


def page_count(path: Path) -> int:
    """Count the fields in a file: the full-size pages of a TIFF, otherwise one.

    Raises
    ------
    FileError
        It cannot be read or is no picture.
    """
    return count_pages(path)


def read_micrograph(
    path: Path,
    *,
    page: int = 0,
    pixel_size_um: float | GivenScale | None = None,
    exclusion: Exclusion | None = None,
) -> Micrograph:
    """Read one field.

    Parameters
    ----------
    path
        TIFF, PNG, JPEG or BMP; its content decides, not its ending.
    page
        Zero-based index of the field in a multi-page file.
    pixel_size_um
        The user's own scale in µm per pixel; it wins over what the file states.
    exclusion
        What must not count, besides the fully transparent pixels of the file itself.

    Returns
    -------
    Micrograph
        8-bit RGB pixels, scale, excluded pixels and warnings.

    Raises
    ------
    FileError
        The file or the exclusion mask cannot be used.
    UsageError
        `pixel_size_um` is not a finite positive number.
    """
    picture = decode(path, page)
    if MASK_MARK in picture.description or PROBABILITY_MARK in picture.description:
        raise FileError(path, "is a result of steelquant, not a micrograph")
    calibration = calibrate(picture.statements, pixel_size_um)
    pixels, notes = to_rgb8(picture, path)
    warnings = [*picture.warnings, *notes, *_empty_rows(pixels)]
    try:
        excluded = exclusion.apply(pixels.shape) if exclusion is not None else None
    except UsageError as error:
        # The command may fit the other fields of the run; this one it does not fit.
        raise FileError(path, str(error)) from error
    if picture.transparent is not None and picture.transparent.any():
        if picture.transparent.all():
            warnings.append("is transparent everywhere; its alpha channel is ignored")
        else:
            share = float(np.mean(picture.transparent))
            warnings.append(f"{share:.1%} of its pixels are transparent and excluded")
            excluded = picture.transparent if excluded is None else excluded | picture.transparent
    return Micrograph(path, page, pixels, excluded, calibration, picture.sha256, tuple(warnings))


def _empty_rows(pixels: NDArray[np.uint8]) -> list[str]:
    """Remark on rows of one single colour at an edge."""
    height = pixels.shape[0]
    counts = []
    for row in (0, height - 1):
        colour = pixels[row, 0]
        if not (pixels[row] == colour).all():
            counts.append(0)
            continue
        filled = np.flatnonzero((pixels != colour).any(axis=(1, 2)))
        counts.append(height if not filled.size else int(filled[0] if row == 0 else height - 1 - filled[-1]))
    return remark_empty_rows(height, *counts)


def remark_empty_rows(height_px: int, uppermost: int, lowest: int) -> list[str]:
    """Remark on rows of one single colour at the edges of a field.

    Nothing else tells of an uncompressed copy that was cut short and filled up with zeros, or of a JPEG that
    a program closed in the middle and decoders fill up with grey.

    Parameters
    ----------
    height_px
        The field's height.
    uppermost, lowest
        Number of rows at either edge that have one and the same colour.
    """
    if uppermost == height_px:
        return ["is one colour everywhere"]
    return [
        f"its {count} {edge} rows are one colour; if the file was cut short fetch it again, "
        "if they are no steel exclude them"
        for count, edge in ((uppermost, "uppermost"), (lowest, "lowest"))
        if count > _MAX_EMPTY_SHARE * height_px
    ]
