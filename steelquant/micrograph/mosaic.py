"""Very large fields, such as stitched mosaics, read from top to bottom in bands of rows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
from numpy.typing import NDArray

from steelquant.errors import FileError
from steelquant.micrograph.bands import read_bands
from steelquant.micrograph.calibration import GivenScale, calibrate
from steelquant.micrograph.decoding import file_errors, open_picture
from steelquant.micrograph.field import Calibration
from steelquant.micrograph.intensity import to_rgb8
from steelquant.micrograph.naming import MASK_MARK, PROBABILITY_MARK
from steelquant.micrograph.picture import Picture
from steelquant.micrograph.tiff import field_pages, interpret
from steelquant.micrograph.tiff_checks import check_page

STREAMED_FROM_PX = 64_000_000
"""Fields of more pixels are read and segmented in bands, smaller ones whole."""

_SURVEY_PX = 1024
"""Notes on intensities are taken from every n-th pixel each way, so that about this many make a side."""


class Band(NamedTuple):
    """Some rows of a field.

    Attributes
    ----------
    pixels
        ``(rows, width, 3)`` uint8 RGB.
    transparent
        ``(rows, width)`` bool, true where the file shows nothing; None where it shows all.
    """

    pixels: NDArray[np.uint8]
    transparent: NDArray[np.bool_] | None


@dataclass(frozen=True)
class Mosaic:
    """A field that is read in bands, each as `read_micrograph` would have read it.

    Attributes
    ----------
    path, page
        The file and the zero-based index of the field in it.
    height_px, width_px
        Its size.
    calibration
        Its scale.
    warnings
        What is done to the pixels that a user should know, one sentence each.
    extremes
        Its least and greatest sample, where they decide how it is scaled to 8 bits.
    has_transparency
        Whether some of its pixels are transparent and others not.
    """

    path: Path
    page: int
    height_px: int
    width_px: int
    calibration: Calibration
    warnings: tuple[str, ...]
    extremes: tuple[float, float] | None
    has_transparency: bool

    def bands(self) -> Iterator[Band]:
        """Yield the field's rows from top to bottom; memory is needed for a band only.

        Raises
        ------
        FileError
            The file is damaged.
        """
        for picture in read_in_bands(self.path, self.page):
            pixels, _ = to_rgb8(dataclasses.replace(picture, extremes=self.extremes), self.path)
            yield Band(pixels, picture.transparent if self.has_transparency else None)


def open_mosaic(
    path: Path, page: int = 0, *, pixel_size_um: float | GivenScale | None = None
) -> Mosaic | None:
    """Prepare a very large field for reading in bands.

    Files with other samples than bytes, or with transparency, are read through once: the range of all
    samples decides how each is scaled.

    Parameters
    ----------
    path, page, pixel_size_um
        As `read_micrograph` takes them.

    Returns
    -------
    Mosaic or None
        None where the field is smaller, or is no TIFF, or must be turned upright first.

    Raises
    ------
    FileError
        The file cannot be read, is damaged, or is no micrograph.
    """
    found = size_in_bands(path, page)
    if found is None or math.prod(found) <= STREAMED_FROM_PX:
        return None
    height, width = found
    picture = next(read_in_bands(path, page))
    picture = dataclasses.replace(picture, samples=picture.samples[:1])
    if MASK_MARK in picture.description or PROBABILITY_MARK in picture.description:
        raise FileError(path, "is a result of steelquant, not a micrograph")
    extremes, transparent_share, notes = None, 0.0, to_rgb8(picture, path)[1]
    if picture.samples.dtype not in (np.bool_, np.uint8) or picture.transparent is not None:
        extremes, transparent_share, notes = _survey(path, page, height, width)
    warnings = [*picture.warnings, *notes]
    if transparent_share == 1:
        warnings.append("is transparent everywhere; its alpha channel is ignored")
    elif transparent_share:
        warnings.append(f"{transparent_share:.1%} of its pixels are transparent and excluded")
    return Mosaic(
        path=path,
        page=page,
        height_px=height,
        width_px=width,
        calibration=calibrate(picture.statements, pixel_size_um),
        warnings=tuple(warnings),
        extremes=extremes,
        has_transparency=0 < transparent_share < 1,
    )


def size_in_bands(path: Path, page: int = 0) -> tuple[int, int] | None:
    """Return height and width of a field that can be read in bands.

    None for files other than TIFF, and for TIFFs whose orientation says that they must be turned.

    Raises
    ------
    FileError
        The file cannot be read.
    """
    with file_errors(path), open_picture(path) as (stream, kind, _):
        if kind != "TIFF":
            return None
        with tifffile.TiffFile(stream, name=path.name) as tiff:
            first = field_pages(tiff, path, page)[0]
            is_turned = int(first.tags.valueof(274, 1)) in range(2, 9)
            return None if is_turned else (int(first.imagelength), int(first.imagewidth))


def read_in_bands(path: Path, page: int = 0) -> Iterator[Picture]:
    """Yield the samples of a field of a TIFF file from top to bottom, as stored.

    Raises
    ------
    FileError
        The file cannot be read or is damaged.
    """
    with (
        file_errors(path),
        open_picture(path) as (stream, _, size),
        tifffile.TiffFile(stream, name=path.name) as tiff,
    ):
        parts = field_pages(tiff, path, page)
        for part in parts:
            check_page(part, path, size)
        for samples in read_bands(parts, path):
            yield interpret(tiff, parts, samples, path, "")


def _survey(
    path: Path, page: int, height_px: int, width_px: int
) -> tuple[tuple[float, float], float, tuple[str, ...]]:
    """Read a field through once; return its extremes, the share of transparent pixels, and the notes."""
    step = max(1, math.ceil(max(height_px, width_px) / _SURVEY_PX))
    lowest = highest = 0.0
    top = transparent_px = 0
    sparse: list[NDArray[Any]] = []
    picture: Picture | None = None
    for picture in read_in_bands(path, page):
        samples = picture.samples
        # Python's min and max would drop a NaN.
        lowest = float(np.minimum(lowest, samples.min()))
        highest = float(np.maximum(highest, samples.max()))
        if picture.transparent is not None:
            transparent_px += int(np.count_nonzero(picture.transparent))
        sparse.append(samples[-top % step :: step, ::step].copy())
        top += len(samples)
    assert picture is not None
    extremes = lowest, highest
    sample = dataclasses.replace(picture, samples=np.concatenate(sparse), extremes=extremes)
    return extremes, transparent_px / (height_px * width_px), to_rgb8(sample, path)[1]
