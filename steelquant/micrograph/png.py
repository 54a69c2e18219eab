"""PNG: read chunk by chunk with every checksum, samples as stored; written fast.

Pillow would cut 16-bit colour to 8 bits, spread 2- and 4-bit greys over 0–255, and not check the checksums
of the pixels; so the chunks are read here, and only palettes and low bit depths go through Pillow.
"""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from steelquant.errors import FileError
from steelquant.micrograph.calibration import ScaleStatement, density_statement
from steelquant.micrograph.deflate import deflate
from steelquant.micrograph.picture import MAX_RASTER_PIXELS, ColourModel, Picture, check_size

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_METRE_UM = 1e6
_COLOUR_TYPES: dict[int, tuple[ColourModel, int, bool]] = {
    0: ("grey", 1, False),
    2: ("rgb", 3, False),
    3: ("palette", 1, False),
    4: ("grey", 1, True),
    6: ("rgb", 3, True),
}
"""Colour model, channels without alpha, and whether alpha follows, by PNG's colour type."""


def decode(content: bytes, path: Path, sha256: str) -> tuple[Picture, int]:
    """Decode a PNG.

    Parameters
    ----------
    content
        The whole file.
    path
        Its name, for messages.
    sha256
        Hash of `content`.

    Returns
    -------
    picture, orientation
        The samples as stored, and the EXIF orientation, 1 where none is given.

    Raises
    ------
    FileError
        Damaged, cut off or too large.
    """
    chunks = _chunks(content, path)
    width, height, bits, colour_type = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    if colour_type not in _COLOUR_TYPES:
        raise FileError(path, f"is damaged: PNG knows no colour type {colour_type}")
    model, channels, alpha = _COLOUR_TYPES[colour_type]
    sample_bytes = (channels + alpha) * max(1, bits // 8)
    check_size(path, width, height, sample_bytes, len(content), MAX_RASTER_PIXELS)
    transparent: NDArray[np.bool_] | None = None
    if model == "palette" or bits < 8:
        samples, transparent = _low_depth(content, chunks, bits, model)
    else:
        samples = imagecodecs.png_decode(content)
        if samples.ndim == 3 and samples.shape[2] > channels:  # also where tRNS names a transparent colour
            transparent = samples[..., channels] == 0
            samples = samples[..., :channels]
        if channels == 1 and samples.ndim == 3:
            samples = samples[..., 0]
    picture = Picture(
        samples=samples,
        model=model,
        bits=bits,
        sha256=sha256,
        palette=_palette(chunks, path) if model == "palette" else None,
        transparent=transparent,
        statements=_density(chunks),
        warnings=("is an animation; its first picture is read",) if b"acTL" in chunks else (),
    )
    return picture, _orientation(chunks)


def encode(indices: NDArray[np.uint8], palette: NDArray[np.uint8]) -> bytes:
    """Encode a palette picture as PNG, several times faster than libpng at the same size.

    Each row is stored as its difference to the row above (filter 2 of the PNG standard).

    Parameters
    ----------
    indices
        ``(height, width)`` uint8.
    palette
        ``(256, 3)`` uint8 RGB.
    """
    height, width = indices.shape
    filtered = np.empty((height, width + 1), np.uint8)
    filtered[:, 0] = 2
    filtered[0, 1:] = indices[0]
    np.subtract(indices[1:], indices[:-1], out=filtered[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = (
        (b"IHDR", header),
        (b"PLTE", palette.tobytes()),
        (b"IDAT", deflate(filtered)),
        (b"IEND", b""),
    )
    parts = [_SIGNATURE]
    for kind, data in chunks:
        parts += [
            struct.pack(">I", len(data)),
            kind,
            data,
            struct.pack(">I", zlib.crc32(data, zlib.crc32(kind))),
        ]
    return b"".join(parts)


def _chunks(content: bytes, path: Path) -> dict[bytes, bytes]:
    """Check every chunk's checksum and return the first of each kind, pixels aside."""
    found: dict[bytes, bytes] = {}
    position = len(_SIGNATURE)
    view = memoryview(content)
    while position + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, position)
        end = position + 12 + length
        if end > len(content):
            break
        kind = bytes(view[position + 4 : position + 8])
        (checksum,) = struct.unpack_from(">I", content, end - 4)
        if zlib.crc32(view[position + 4 : end - 4]) != checksum:
            raise FileError(path, "is damaged: a checksum of the PNG does not fit its data")
        if kind == b"IEND":
            if not {b"IHDR", b"IDAT"} <= found.keys():
                raise FileError(path, "is damaged: it holds no pixels")
            return found
        found.setdefault(kind, b"" if kind == b"IDAT" else bytes(view[position + 8 : end - 4]))
        position = end
    raise FileError(path, "is cut off: a part of its pixels is missing")


def _low_depth(
    content: bytes, chunks: dict[bytes, bytes], bits: int, model: ColourModel
) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
    """Decode palettes and greys below 8 bits to the stored numbers."""
    # The reader itself: Image.open would apply the size limit that the whole process shares, not ours.
    image = PngImagePlugin.PngImageFile(io.BytesIO(content))
    samples = np.asarray(image).astype(np.uint8)
    key = chunks.get(b"tRNS")
    if model == "palette":
        if key is None:
            return samples, None
        table = np.full(256, 255, np.uint8)
        table[: len(key)] = np.frombuffer(key[:256], np.uint8)
        return samples, table[samples] == 0
    if bits in (2, 4):
        samples //= 255 // (2**bits - 1)
    if key is None:
        return samples, None
    return samples, samples == int.from_bytes(key[:2], "big")


def _palette(chunks: dict[bytes, bytes], path: Path) -> NDArray[np.uint8]:
    """Return 256 colours, black where the file names fewer."""
    if b"PLTE" not in chunks:
        raise FileError(path, "is damaged: its palette is missing")
    colours = np.frombuffer(chunks[b"PLTE"], np.uint8)
    colours = colours[: len(colours) // 3 * 3].reshape(-1, 3)[:256]
    table = np.zeros((256, 3), np.uint8)
    table[: len(colours)] = colours
    return table


def _density(chunks: dict[bytes, bytes]) -> tuple[ScaleStatement, ...]:
    """Read pHYs in pixels per metre."""
    if len(chunks.get(b"pHYs", b"")) != 9:
        return ()
    x, y, unit = struct.unpack(">IIB", chunks[b"pHYs"])
    return (density_statement("PNG pHYs", x, y, _METRE_UM),) if unit == 1 else ()


def _orientation(chunks: dict[bytes, bytes]) -> int:
    """Read the EXIF orientation."""
    if b"eXIf" not in chunks:
        return 1
    try:
        exif = Image.Exif()
        exif.load(b"Exif\0\0" + chunks[b"eXIf"])
        return int(exif.get(0x0112, 1))
    except Exception:
        return 1  # a broken EXIF block says nothing, and the pixels are checked by themselves
