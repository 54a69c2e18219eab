"""TIFF of all kinds through tifffile."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import tifffile
from numpy.typing import NDArray

from steelquant.errors import FileError
from steelquant.micrograph.calibration import tiff_statements
from steelquant.micrograph.picture import MAX_TIFF_PIXELS, ColourModel, Picture, check_size

# tifffile logs every oddity of a file; what matters is raised or warned of here.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_MODELS: dict[int, ColourModel] = {0: "grey", 1: "grey", 2: "rgb", 3: "palette", 5: "cmyk", 6: "ycbcr"}
_CHANNELS = {"grey": 1, "palette": 1, "rgb": 3, "cmyk": 4, "ycbcr": 3}
_LOSSY = {6, 7, 34892, 33007, 34712, 50001, 50002, 52546}
_PHOTOMETRIC_YCBCR = 6
_JPEG = {6, 7, 34892, 33007}


def count_pages(stream: BinaryIO, path: Path) -> int:
    """Count the fields: full-size pages, not thumbnails, pyramid levels or transparency masks."""
    with tifffile.TiffFile(stream, name=path.name) as tiff:
        return len(_fields(tiff, path))


def decode(stream: BinaryIO, path: Path, page: int, size: int, sha256: str) -> Picture:
    """Decode one field of a TIFF file.

    Parameters
    ----------
    stream
        The file, at its beginning.
    path
        Its name, for messages.
    page
        Zero-based index among the fields.
    size
        Bytes that the file holds.
    sha256
        Their hash.

    Raises
    ------
    FileError
        No such page, too large, cut off, or of a kind that is not read; tifffile's own errors on damaged
        data pass through.
    """
    with tifffile.TiffFile(stream, name=path.name) as tiff:
        pages = _fields(tiff, path)
        if not 0 <= page < len(pages):
            raise FileError(path, f"has no page {page + 1}; it holds {len(pages)}")
        chosen = pages[page]
        _check(chosen, path, size)
        notes: list[str] = []
        samples = _samples_last(chosen, chosen.asarray(maxworkers=1))
        model = _MODELS[int(chosen.photometric)]
        if model == "ycbcr" and int(chosen.compression) in _JPEG:
            model = "rgb"
        samples, model, transparent = _split_channels(samples, model, chosen, path, notes)
        orientation = int(chosen.tags.valueof(274, 1))
        if orientation in range(2, 9):
            samples = _upright(samples, orientation)
            transparent = None if transparent is None else _upright(transparent, orientation)
            notes.append(f"turned upright as its TIFF orientation {orientation} says")
        return Picture(
            samples=np.ascontiguousarray(samples),
            model=model,
            bits=int(chosen.bitspersample),
            sha256=sha256,
            min_is_white=int(chosen.photometric) == 0,
            palette=_palette(chosen, path) if model == "palette" else None,
            transparent=transparent,
            statements=tuple(tiff_statements(tiff, chosen)),
            description=tiff.pages.first.description,
            lossy=int(chosen.compression) in _LOSSY,
            warnings=tuple(notes),
        )


def _fields(tiff: tifffile.TiffFile, path: Path) -> list[Any]:
    """Return the pages that are fields.

    Left out are pages flagged as reduced or as transparency masks, and pages at most half as wide and half
    as high as the largest one: thumbnails and pyramid levels that their writers did not flag.
    """
    tiff.pages.useframes = False
    pages: list[Any] = [
        page
        for page in cast("Any", tiff.pages)
        if page.subfiletype & 0b101 == 0 and page.tags.valueof(255) != 2
    ]
    width = max((page.imagewidth for page in pages), default=0)
    height = max((page.imagelength for page in pages), default=0)
    fields = [page for page in pages if 2 * page.imagewidth > width + 1 or 2 * page.imagelength > height + 1]
    if not fields:
        raise FileError(path, "holds no picture")
    return fields


def _check(page: Any, path: Path, size: int) -> None:
    """Refuse by the tags what could not be decoded rightly."""
    if int(page.photometric) not in _MODELS:
        name = getattr(page.photometric, "name", page.photometric)
        raise FileError(path, f"stores its pixels as {name}, which is not read; save it as RGB or grey TIFF")
    if page.imagedepth > 1:
        raise FileError(path, f"is a volume of {page.imagedepth} layers; save each layer as a page")
    if page.dtype is None:
        raise FileError(
            path, f"stores {page.bitspersample}-bit samples, which are not read; save 8 or 16 bits"
        )
    stored = sum(page.databytecounts)
    check_size(
        path,
        page.imagewidth,
        page.imagelength,
        page.samplesperpixel * page.dtype.itemsize,
        min(stored, size),
        MAX_TIFF_PIXELS,
    )
    ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)]
    if not ends or 0 in page.databytecounts or max(ends) > size:
        raise FileError(path, "is cut off: a part of its pixels is missing")
    if page.is_contiguous and page.dataoffsets[0] + page.nbytes > size:
        raise FileError(path, "is cut off: a part of its pixels is missing")


def _samples_last(page: Any, samples: NDArray[Any]) -> NDArray[Any]:
    """Bring planar samples behind the pixels and into native byte order."""
    samples = samples.reshape(page.shaped)[:, 0]
    separate, height, width, contiguous = samples.shape
    if separate > 1:
        samples = np.moveaxis(samples, 0, -1).reshape(height, width, separate * contiguous)
    else:
        samples = samples[0]
    if samples.shape[-1] == 1:
        samples = samples[..., 0]
    return samples.astype(samples.dtype.newbyteorder("="), copy=False)


def _split_channels(
    samples: NDArray[Any], model: ColourModel, page: Any, path: Path, notes: list[str]
) -> tuple[NDArray[Any], ColourModel, NDArray[np.bool_] | None]:
    """Separate colour from alpha and other extra samples."""
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    extras = [int(extra) for extra in page.extrasamples]
    if model == "grey" and channels >= 3 and channels - len(extras) in (1, 3):
        model = "rgb"  # written without saying so, as many programs do
        notes.append("has three samples per pixel without saying that they are RGB; read as RGB")
    needed = _CHANNELS[model]
    if channels < needed:
        raise FileError(path, f"declares {model.upper()} but has {channels} samples per pixel")
    transparent = None
    if channels > needed:
        first = extras[0] if extras else 0
        if first in (1, 2):
            transparent = samples[..., needed] == 0
        if channels - needed > (first in (1, 2)):
            notes.append("has extra channels beyond its colour; they are ignored")
        samples = samples[..., :needed]
        if needed == 1:
            samples = samples[..., 0]
    return samples, model, transparent


def _palette(page: Any, path: Path) -> NDArray[np.uint8]:
    """Return the colours as ``(n, 3)`` uint8, black where the file names too few."""
    if page.colormap is None:
        raise FileError(path, "declares a palette but has none")
    colours = np.asarray(page.colormap).T
    # The standard wants 16 bits; some writers store 8.
    colours = (colours >> 8 if colours.max(initial=0) > 255 else colours).astype(np.uint8)
    table = np.zeros((max(len(colours), 2 ** int(page.bitspersample)), 3), np.uint8)
    table[: len(colours)] = colours
    return table


def _upright(samples: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Undo a TIFF orientation of 2 to 8."""
    if orientation >= 5:
        samples = samples.swapaxes(0, 1)
    flip_rows, flip_columns = {
        2: (False, True),
        3: (True, True),
        4: (True, False),
        5: (False, False),
        6: (False, True),
        7: (True, True),
        8: (True, False),
    }[orientation]
    if flip_rows:
        samples = samples[::-1]
    return samples[:, ::-1] if flip_columns else samples
