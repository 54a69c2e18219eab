"""TIFF of all kinds through tifffile: which pages are fields, and their samples as stored."""

from __future__ import annotations

import io
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast
from xml.etree import ElementTree  # nosec B405 # see _channels_in_pages

import numpy as np
import tifffile
from numpy.typing import NDArray

from steelquant.errors import FileError
from steelquant.micrograph.calibration import tiff_statements
from steelquant.micrograph.picture import ColourModel, Picture, upright
from steelquant.micrograph.tiff_checks import JPEG, LOSSY, check_page

# tifffile logs every oddity of a file; what matters is raised or warned of here.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_MODELS: dict[int, ColourModel] = {0: "grey", 1: "grey", 2: "rgb", 3: "palette", 5: "cmyk", 6: "ycbcr"}
_CHANNELS: dict[ColourModel, int] = {"grey": 1, "palette": 1, "rgb": 3, "cmyk": 4, "ycbcr": 3}
_REDUCED_OR_MASK = 0b101
_OLD_REDUCED = 2
_ALPHA = (1, 2)
_BUFFER_BYTES = 16 * 2**20


def count_pages(stream: BinaryIO, path: Path) -> int:
    """Count the fields: full-size pages, not thumbnails, pyramid levels or transparency masks.

    Raises
    ------
    FileError
        There is none, or their channels cannot be put together.
    """
    with tifffile.TiffFile(stream, name=path.name) as tiff:
        return len(_fields(tiff, path)) // _channels_in_pages(tiff, path)


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
        parts = field_pages(tiff, path, page)
        content = stream.getvalue() if isinstance(stream, io.BytesIO) else None
        return interpret(tiff, parts, _read(parts, path, size, content), path, sha256)


def field_pages(tiff: tifffile.TiffFile, path: Path, page: int) -> list[Any]:
    """Return the pages that make one field: one, or three where its channels are pages of their own.

    Raises
    ------
    FileError
        There is no such field, or its colours are of a kind that is not read.
    """
    pages = _fields(tiff, path)
    channels = _channels_in_pages(tiff, path)
    count = len(pages) // channels
    if not 0 <= page < count:
        raise FileError(path, f"has no page {page + 1}; it holds {count}")
    parts = pages[page * channels : (page + 1) * channels]
    photometric = parts[0].photometric
    if int(photometric) not in _MODELS:
        name = getattr(photometric, "name", photometric)
        raise FileError(path, f"stores its pixels as {name}, which is not read; save it as RGB or grey TIFF")
    return parts


def interpret(
    tiff: tifffile.TiffFile, parts: list[Any], samples: NDArray[Any], path: Path, sha256: str
) -> Picture:
    """Say what the samples of a field, or of some of its rows, mean.

    Parameters
    ----------
    tiff, parts
        The file and the pages of the field.
    samples
        ``(height, width)`` or ``(height, width, channels)`` as stored, in native byte order.
    path
        The file, for messages.
    sha256
        Hash of its bytes.
    """
    first = parts[0]
    notes: list[str] = []
    model = _MODELS[int(first.photometric)]
    if model == "ycbcr" and int(first.compression) in JPEG:
        model = "rgb"  # tifffile has converted it
    if len(parts) == 3:
        model = "rgb"
        notes.append("holds its 3 channels as separate pages; they are read as red, green and blue")
    samples, model, transparent = _split_channels(samples, model, first, path, notes)
    orientation = int(first.tags.valueof(274, 1))
    if orientation in range(2, 9):
        samples = upright(samples, orientation)
        transparent = None if transparent is None else upright(transparent, orientation)
        notes.append(f"turned upright as its TIFF orientation {orientation} says")
    return Picture(
        samples=np.ascontiguousarray(samples),
        model=model,
        bits=_declared_bits(first, samples, path),
        sha256=sha256,
        min_is_white=int(first.photometric) == 0,
        palette=_palette(first, samples, path) if model == "palette" else None,
        transparent=transparent,
        statements=tuple(tiff_statements(tiff, first)),
        description=tiff.pages.first.description,
        lossy=int(first.compression) in LOSSY,
        warnings=tuple(notes),
    )


def _fields(tiff: tifffile.TiffFile, path: Path) -> list[Any]:
    """Return the pages that are fields, or channels of fields.

    Left out are pages flagged as reduced or as transparency masks, and pages at most half as wide and half
    as high as the largest one: thumbnails and pyramid levels that their writers did not flag.
    """
    pages = [
        page
        for page in _chain(tiff, path)
        if not page.subfiletype & _REDUCED_OR_MASK and page.tags.valueof(255) != _OLD_REDUCED
    ]
    width = max((page.imagewidth for page in pages), default=0)
    height = max((page.imagelength for page in pages), default=0)
    fields = [
        page
        for page in pages
        if (page.imagewidth, page.imagelength) == (width, height)
        or 2 * page.imagewidth > width + 1
        or 2 * page.imagelength > height + 1
    ]
    if not fields:
        raise FileError(path, "holds no picture")
    if tiff.is_imagej and len(fields) == 1:
        images = (tiff.imagej_metadata or {}).get("images", 1)
        if images > 1:
            raise FileError(
                path,
                f"is an ImageJ stack of {images} pictures behind one page, as ImageJ writes above 4 GB; "
                "save it as an image sequence",
            )
    return fields


def _chain(tiff: tifffile.TiffFile, path: Path) -> Iterator[Any]:
    """Yield the pages of the main chain; one that leads back to itself would have no end."""
    tiff.pages.useframes = False
    offsets = set()
    for entry in tiff.pages:
        if entry.offset in offsets:
            raise FileError(path, "is damaged: its pages lead back to one another")
        offsets.add(entry.offset)
        yield cast("Any", entry).aspage()  # in LSM files, where tifffile makes frames of them


def _channels_in_pages(tiff: tifffile.TiffFile, path: Path) -> int:
    """Tell how many pages make one field: 3 where ImageJ or OME hold red, green and blue as pages."""
    channels, together = 1, True
    if tiff.is_imagej:
        channels = int((tiff.imagej_metadata or {}).get("channels", 1))
    elif tiff.is_ome and "<!" not in (tiff.ome_metadata or "").replace("<!--", ""):
        # Without entities, as asked for above, XML cannot grow beyond its own size.
        pixels = ElementTree.fromstring(tiff.ome_metadata or "").find(".//{*}Pixels")  # nosec B314
        if pixels is not None:
            planes = [int(channel.get("SamplesPerPixel", 1)) for channel in pixels.findall("{*}Channel")]
            channels = len(planes) or int(pixels.get("SizeC", 1))
            others = int(pixels.get("SizeZ", 1)) * int(pixels.get("SizeT", 1))
            together = others == 1 or pixels.get("DimensionOrder", "")[2:3] == "C"
    pages = len(_fields(tiff, path))
    if channels <= 1 or pages == 1:
        return 1
    if channels != 3 or not together or pages % 3:
        raise FileError(path, f"holds {channels} channels as separate pages; convert it to RGB or grey")
    return 3


def _read(parts: list[Any], path: Path, size: int, content: bytes | None) -> NDArray[Any]:
    """Check and decode the pages of one field, channels last."""
    for part in parts:
        check_page(part, path, size)
    return join_channels([samples_last(part, _samples(part, content)) for part in parts], path)


def _samples(page: Any, content: bytes | None) -> NDArray[Any]:
    """Decode a page; what lies uncompressed in a file that is in memory is looked at where it lies."""
    plain = page.is_contiguous and page.fillorder == 1 and page.predictor == 1 and not page.is_subsampled
    if content is None or not plain:
        return np.asarray(page.asarray(maxworkers=1, buffersize=_BUFFER_BYTES))
    dtype = np.dtype(page.parent.byteorder + page._dtype.char)
    return np.frombuffer(content, dtype, math.prod(page.shaped), page.dataoffsets[0])


def join_channels(arrays: list[NDArray[Any]], path: Path) -> NDArray[Any]:
    """Put the pages of one field together, channels last.

    Raises
    ------
    FileError
        They differ in size.
    """
    if len(arrays) == 1:
        return arrays[0]
    if any(array.ndim != 2 or array.shape != arrays[0].shape for array in arrays):
        raise FileError(path, "holds channels of unequal size; convert it to RGB or grey")
    return np.stack(arrays, axis=-1)


def samples_last(page: Any, samples: NDArray[Any]) -> NDArray[Any]:
    """Bring planar samples of all or some rows behind the pixels and into native byte order."""
    separate, _, _, width, contiguous = page.shaped
    samples = samples.reshape(separate, -1, width, contiguous)
    samples = np.moveaxis(samples, 0, -1)[..., 0, :] if separate > 1 else samples[0]
    if samples.shape[-1] == 1:
        samples = samples[..., 0]
    return samples.astype(samples.dtype.newbyteorder("="), copy=False)


def _split_channels(
    samples: NDArray[Any], model: ColourModel, page: Any, path: Path, notes: list[str]
) -> tuple[NDArray[Any], ColourModel, NDArray[np.bool_] | None]:
    """Separate colour from alpha and other extra samples."""
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    extras = [int(extra) for extra in page.extrasamples]
    if model == "grey" and channels - len(extras) == 3:
        model = "rgb"
        notes.append("has three samples per pixel without saying that they are RGB; read as RGB")
    needed = _CHANNELS[model]
    if channels < needed:
        raise FileError(path, f"says that it is {model.upper()} but has {channels} samples per pixel")
    if channels == needed:
        return samples, model, None
    transparent = None
    unknown = channels - needed
    if extras and extras[0] in _ALPHA:
        transparent = samples[..., needed] == 0
        unknown -= 1
    if unknown:
        notes.append(f"has {unknown} extra channels beside its colour; they are ignored")
    return samples[..., 0] if needed == 1 else samples[..., :needed], model, transparent


def _declared_bits(page: Any, samples: NDArray[Any], path: Path) -> int:
    """Return the bits per sample, checked against the samples where they fill only a part of their type."""
    bits = int(page.bitspersample)
    partial = samples.dtype.kind == "b" or bits < 8 * samples.dtype.itemsize
    if partial and int(samples.max(initial=0)) >= 2**bits:
        raise FileError(path, f"is damaged: it declares {bits} bits per sample but holds more")
    return bits


def _palette(page: Any, samples: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    """Return a colour for every index that the samples' type can hold, black where the file names none."""
    if page.colormap is None:
        raise FileError(path, "is damaged: its palette is missing")
    if samples.dtype not in (np.bool_, np.uint8, np.uint16):
        raise FileError(path, f"is damaged: {samples.dtype} samples cannot point into a palette")
    colours = np.asarray(page.colormap).T
    # The standard wants 16 bits; some writers store 8.
    colours = (colours >> 8 if colours.max(initial=0) > 255 else colours).astype(np.uint8)
    table = np.zeros((max(len(colours), 256**samples.dtype.itemsize), 3), np.uint8)
    table[: len(colours)] = colours
    return table
