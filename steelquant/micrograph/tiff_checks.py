"""What is checked of a TIFF page before it is decoded: size, completeness, kind of compression."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

from steelquant.errors import FileError
from steelquant.micrograph.picture import MAX_TIFF_PIXELS, check_size

JPEG = frozenset((6, 7, 34892, 33007))
_JPEG_2000 = frozenset((33003, 33004, 33005, 34712))
LOSSY = JPEG | _JPEG_2000
_LOSSLESS = frozenset((1, 2, 3, 4, 5, 8, 32771, 32773, 32946, 34925, 34926, 50000))
"""None, CCITT, LZW, deflate (two codes), PackBits (two codes), LZMA and Zstandard (two codes)."""

_END_OF_STREAM = b"\xff\xd9"
_HEAD_BYTES = 65536
_TAIL_BYTES = 16


def check_page(page: Any, path: Path, size: int) -> None:
    """Refuse by the tags, and for JPEG by the stream's own header and end, what could not be decoded rightly.

    Parameters
    ----------
    page
        A ``tifffile.TiffPage``.
    path
        The file, for messages.
    size
        Bytes that the file holds.

    Raises
    ------
    FileError
        Too large, cut off, sparse, a volume, or compressed in a way that is not read.
    """
    if page.imagedepth > 1:
        raise FileError(path, f"is a volume of {page.imagedepth} layers; save each layer as a page")
    if page.dtype is None:
        raise FileError(
            path, f"stores {page.bitspersample}-bit samples, which are not read; save 8 or 16 bits"
        )
    compression = int(page.compression)
    if compression not in LOSSY | _LOSSLESS:
        name = getattr(page.compression, "name", page.compression)
        raise FileError(path, f"is compressed with {name}, which is not read; save it with LZW or deflate")
    offsets, counts = page.dataoffsets, page.databytecounts
    whole = page.is_contiguous or len(offsets) == math.prod(page.chunked)
    if not offsets or not whole or len(offsets) != len(counts) or 0 in counts or 0 in offsets:
        raise FileError(path, "is damaged or cut off: a part of its pixels is missing")
    ends = max(offset + count for offset, count in zip(offsets, counts, strict=True))
    if ends > size or (page.is_contiguous and offsets[0] + page.nbytes > size):
        raise FileError(path, "is cut off: a part of its pixels is missing")
    if sum(counts) > size:
        raise FileError(path, "is damaged: parts of its pixels overlap")
    pixel_bytes = page.samplesperpixel * page.dtype.itemsize
    stored = sum(counts)
    check_size(path, page.imagewidth, page.imagelength, pixel_bytes, stored, MAX_TIFF_PIXELS)
    if page.is_tiled:
        check_size(path, page.tilewidth, page.tilelength, pixel_bytes, stored, MAX_TIFF_PIXELS)
    if compression in LOSSY:
        for offset, count in zip(offsets, counts, strict=True):
            _check_stream(page, path, offset, count)


def _check_stream(page: Any, path: Path, offset: int, count: int) -> None:
    """Check a JPEG or JPEG 2000 stream: libjpeg would fill up a cut one with grey and say nothing."""
    handle = page.parent.filehandle
    handle.seek(offset + max(0, count - _TAIL_BYTES))
    if _END_OF_STREAM not in handle.read(min(count, _TAIL_BYTES)):
        raise FileError(path, "is cut off: a part of its compressed pixels is missing")
    handle.seek(offset)
    width, height = _stream_size(handle.read(min(count, _HEAD_BYTES)), int(page.compression))
    segment = (page.tilewidth, page.tilelength) if page.is_tiled else (page.imagewidth, page.imagelength)
    if width * height > 4 * max(segment[0] * segment[1], page.imagewidth * page.imagelength, 65536):
        raise FileError(path, f"is damaged: a part of it declares {width}x{height} px, more than the whole")


def _stream_size(head: bytes, compression: int) -> tuple[int, int]:
    """Read the size that a JPEG or JPEG 2000 stream declares; zeros where the head names none."""
    if compression in _JPEG_2000:
        position = head.find(b"\xff\x4f\xff\x51")
        if position < 0 or position + 16 > len(head):
            return 0, 0
        width, height = struct.unpack_from(">II", head, position + 8)
        return int(width), int(height)
    position = 2
    while position + 9 <= len(head) and head[position] == 0xFF:
        marker, length = head[position + 1], int.from_bytes(head[position + 2 : position + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", head, position + 5)
            return int(width), int(height)
        position += 2 + length
    return 0, 0
