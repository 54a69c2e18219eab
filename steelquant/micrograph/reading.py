"""Micrographs in: one field from a file of any of the usual kinds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from steelquant.errors import FileError, UsageError
from steelquant.micrograph.calibration import calibrate
from steelquant.micrograph.decoding import count_pages, decode
from steelquant.micrograph.exclusion import Exclusion
from steelquant.micrograph.field import Micrograph
from steelquant.micrograph.intensity import to_rgb8
from steelquant.micrograph.naming import MASK_MARK, PROBABILITY_MARK

_MAX_BLACK_SHARE = 0.01


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
    pixel_size_um: float | None = None,
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
    warnings = [*picture.warnings, *notes, *_black_rows(pixels)]
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


def _black_rows(pixels: NDArray[np.uint8]) -> list[str]:
    """Remark on rows of pure zeros at an edge; nothing else tells of an uncompressed copy cut short."""
    if pixels[0].any() and pixels[-1].any():
        return []
    rows = pixels.shape[0]
    filled = np.flatnonzero(pixels.reshape(rows, -1).any(axis=1))
    if not filled.size:
        return ["is black everywhere"]
    remarks = []
    for count, edge in ((int(filled[0]), "uppermost"), (rows - 1 - int(filled[-1]), "lowest")):
        if count > _MAX_BLACK_SHARE * rows:
            remarks.append(
                f"its {count} {edge} rows are pure black; if the file was cut short fetch it again, "
                "if this is no steel exclude it"
            )
    return remarks
