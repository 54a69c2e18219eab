"""PNG, JPEG and BMP."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import BmpImagePlugin, Image, JpegImagePlugin

from steelquant.errors import FileError
from steelquant.micrograph import png
from steelquant.micrograph.calibration import ScaleStatement, density_statement
from steelquant.micrograph.picture import MAX_RASTER_PIXELS, ColourModel, Picture, check_size, upright

# Pillow warns about broken EXIF blocks, which matter to no pixel.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

_INCH_UM = 25400.0
_CENTIMETRE_UM = 10000.0
_ORIENTATION = 0x0112
_MODELS: dict[str, ColourModel] = {
    "1": "grey",
    "L": "grey",
    "P": "palette",
    "RGB": "rgb",
    "RGBA": "rgb",
    "CMYK": "cmyk",
}


def decode(stream: BinaryIO, path: Path, kind: str, size: int, sha256: str) -> Picture:
    """Decode a PNG, JPEG or BMP, turned upright as its EXIF orientation says.

    Parameters
    ----------
    stream
        The file, at its beginning.
    path
        Its name, for messages.
    kind
        ``"PNG"``, ``"JPEG"`` or ``"BMP"``.
    size
        Bytes that the file holds.
    sha256
        Their hash.

    Raises
    ------
    FileError
        Damaged, too large, or of a kind that is not read; the decoders' own errors on damaged data pass.
    """
    if kind == "PNG":
        picture, orientation = png.decode(stream.read(), path, sha256)
    elif kind == "JPEG":
        picture, orientation = _decode_jpeg(stream, path, size, sha256)
    else:
        picture, orientation = _decode_bmp(stream, path, size, sha256), 1
    if orientation not in range(2, 9):
        return picture
    return dataclasses.replace(
        picture,
        samples=upright(picture.samples, orientation),
        transparent=None if picture.transparent is None else upright(picture.transparent, orientation),
        warnings=(*picture.warnings, f"turned upright as its EXIF orientation {orientation} says"),
    )


def _decode_jpeg(stream: BinaryIO, path: Path, size: int, sha256: str) -> tuple[Picture, int]:
    # The reader itself: Image.open would apply the size limit that the whole process shares, not ours.
    image = JpegImagePlugin.JpegImageFile(stream)
    _check(image, path, size)
    exif, orientation = _read_exif(image)
    picture = Picture(
        samples=np.asarray(image),
        model=_MODELS[image.mode],
        bits=8,
        sha256=sha256,
        statements=_jpeg_density(image, exif),
        lossy=True,
    )
    return picture, orientation


def _decode_bmp(stream: BinaryIO, path: Path, size: int, sha256: str) -> Picture:
    image = BmpImagePlugin.BmpImageFile(stream)
    _check(image, path, size)
    samples = np.asarray(image)
    transparent: NDArray[np.bool_] | None = None
    if image.mode == "RGBA":
        transparent = samples[..., 3] == 0
        samples = samples[..., :3]
    x, y = image.info.get("dpi", (0, 0))
    return Picture(
        samples=samples,
        model=_MODELS[image.mode],
        bits=1 if image.mode == "1" else 8,
        sha256=sha256,
        palette=_palette(image) if image.mode == "P" else None,
        transparent=transparent,
        statements=(density_statement("BMP resolution", float(x), float(y), _INCH_UM),) if x and y else (),
    )


def _read_exif(image: Image.Image) -> tuple[Image.Exif, int]:
    """Return the EXIF block and its orientation; a broken block says nothing about the pixels."""
    try:
        exif = image.getexif()
        return exif, int(exif.get(_ORIENTATION, 1))
    except Exception:
        return Image.Exif(), 1


def _check(image: Image.Image, path: Path, size: int) -> None:
    """Refuse by the header what is too large or not read."""
    check_size(path, *image.size, len(image.getbands()), size, MAX_RASTER_PIXELS)
    if image.mode not in _MODELS:
        raise FileError(path, f"stores its pixels as {image.mode}, which is not read; save it as RGB or grey")


def _palette(image: Image.Image) -> NDArray[np.uint8]:
    """Return 256 colours, black where the file names fewer."""
    colours = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)[:256]
    table = np.zeros((256, 3), np.uint8)
    table[: len(colours)] = colours
    return table


def _jpeg_density(image: Image.Image, exif: Image.Exif) -> tuple[ScaleStatement, ...]:
    """Read the density of the JFIF header, or else the resolution of the EXIF block."""
    unit = {1: _INCH_UM, 2: _CENTIMETRE_UM}.get(image.info.get("jfif_unit", 0))
    if unit is not None:
        x, y = image.info["jfif_density"]
        return (density_statement("JPEG density", float(x), float(y), unit),)
    try:
        x, y = float(exif[282]), float(exif.get(283, exif[282]))
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return ()
    unit = _CENTIMETRE_UM if exif.get(296) == 3 else _INCH_UM
    return (density_statement("EXIF resolution", x, y, unit),)
