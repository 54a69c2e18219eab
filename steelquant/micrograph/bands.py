"""The samples of a TIFF field from top to bottom in bands of rows, for fields that exceed the memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelquant.micrograph.tiff import join_channels, samples_last
from steelquant.micrograph.tiff_checks import JPEG

_BAND_BYTES = 16 * 2**20
"""Size of a band once decoded, where the file's own strips and tiles are not higher."""


def read_bands(parts: list[Any], path: Path) -> Iterator[NDArray[Any]]:
    """Yield the samples of a field from top to bottom.

    A band is at least as high as the file's strips or tiles: a compressed file in a single strip comes as
    one band.

    Parameters
    ----------
    parts
        The pages of the field, checked; see :func:`steelquant.micrograph.tiff.field_pages`.
    path
        The file, for messages.

    Yields
    ------
    ndarray
        ``(rows, width)`` or ``(rows, width, channels)`` as stored, in native byte order.
    """
    height, width = parts[0].imagelength, parts[0].imagewidth
    unit = math.lcm(*(_unit_rows(part) for part in parts))
    row_bytes = width * sum(part.samplesperpixel * part.dtype.itemsize for part in parts)
    rows = unit * max(1, _BAND_BYTES // (unit * row_bytes))
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        yield join_channels([samples_last(part, _read_rows(part, top, bottom)) for part in parts], path)


def _unit_rows(page: Any) -> int:
    """Return how many rows can only be decoded together."""
    if page.is_contiguous:
        return 1
    return int(page.tilelength if page.is_tiled else min(page.rowsperstrip, page.imagelength))


def _read_rows(page: Any, top: int, bottom: int) -> NDArray[Any]:
    """Read the rows of a page, ``(planes, rows, width, samples)``."""
    planes, _, height, width, samples = page.shaped
    result = np.empty((planes, bottom - top, width, samples), page.dtype)
    if page.is_contiguous:
        stored = page.dtype.newbyteorder(page.parent.byteorder)
        row_bytes = width * samples * page.dtype.itemsize
        for plane in range(planes):
            page.parent.filehandle.seek(page.dataoffsets[0] + (plane * height + top) * row_bytes)
            content = page.parent.filehandle.read((bottom - top) * row_bytes)
            result[plane] = np.frombuffer(content, stored).reshape(result.shape[1:])
        return result
    across = -(-width // page.tilewidth) if page.is_tiled else 1
    unit = _unit_rows(page)
    down = -(-height // unit)
    tables = (
        {"jpegtables": page.jpegtables, "jpegheader": page.jpegheader}
        if int(page.compression) in JPEG
        else {}
    )
    for plane in range(planes):
        first = (plane * down + top // unit) * across
        last = (plane * down + -(-bottom // unit)) * across
        for index in range(first, last):
            page.parent.filehandle.seek(page.dataoffsets[index])
            content = page.parent.filehandle.read(page.databytecounts[index])
            segment, (_, _, y, x, _), _ = page.decode(content, index, **tables)
            place = result[plane, y - top :, x:]
            rows, columns = min(segment.shape[1], len(place)), min(segment.shape[2], place.shape[1])
            place[:rows, :columns] = segment[0, :rows, :columns]
    return result
