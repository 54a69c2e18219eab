"""PNG, JPEG and BMP through Pillow."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import BmpImagePlugin, Image, ImageOps, JpegImagePlugin, PngImagePlugin

from steelquant.errors import FileError
from steelquant.micrograph.calibration import ScaleStatement, density_statement
from steelquant.micrograph.picture import MAX_RASTER_PIXELS, ColourModel, Picture, check_size

# Pillow warns about broken EXIF blocks, which matter to no pixel.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

# The readers themselves rather than Image.open: only the sniffed format is tried, and the limit on the
# declared size is ours (check_size) and not Pillow's own, which every library of the process shares.
_READERS: dict[str, type[Any]] = {
    "PNG": PngImagePlugin.PngImageFile,
    "JPEG": JpegImagePlugin.JpegImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
}
_INCH_UM = 25400.0
_CENTIMETRE_UM = 10000.0
_ORIENTATION = 0x0112
_MODELS: dict[str, ColourModel] = {
    "1": "grey",
    "L": "grey",
    "LA": "grey",
    "I": "grey",
    "I;16": "grey",
    "I;16B": "grey",
    "P": "palette",
    "PA": "palette",
    "RGB": "rgb",
    "RGBA": "rgb",
    "CMYK": "cmyk",
}


def decode(stream: BinaryIO, path: Path, kind: str, size: int, sha256: str) -> Picture:
    """Decode a PNG, JPEG or BMP.

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
        Too large, or of a kind that is not read; Pillow's own errors on damaged data pass through.
    """
    image: Image.Image = _READERS[kind](stream)
    check_size(path, *image.size, len(image.getbands()), size, MAX_RASTER_PIXELS)
    if image.mode not in _MODELS:
        raise FileError(path, f"stores its pixels as {image.mode}, which is not read; save it as RGB or grey")
    image.load()
    notes = []
    statements = tuple(_densities(image, kind))
    orientation = image.getexif().get(_ORIENTATION, 1)
    if orientation in range(2, 9):
        image = ImageOps.exif_transpose(image)
        notes.append(f"turned upright as its EXIF orientation {orientation} says")
    if kind == "PNG" and getattr(image, "is_animated", False):
        notes.append("is an animation; its first picture is read")
    transparent, image = _without_alpha(image)
    model = _MODELS[image.mode]
    samples = np.asarray(image)
    bits = {"1": 1, "I": 16, "I;16": 16, "I;16B": 16}.get(image.mode, 8)
    if image.mode == "I":
        samples = samples.astype(
            np.uint16 if samples.size and samples.min() >= 0 and samples.max() < 65536 else np.int32
        )
    return Picture(
        samples=samples.astype(samples.dtype.newbyteorder("="), copy=False),
        model=model,
        bits=bits,
        sha256=sha256,
        palette=_palette(image) if model == "palette" else None,
        transparent=transparent,
        statements=statements,
        lossy=kind == "JPEG",
        warnings=tuple(notes),
    )


def _without_alpha(image: Image.Image) -> tuple[NDArray[np.bool_] | None, Image.Image]:
    """Split off the pixels that show nothing; partly transparent ones keep their stored colour."""
    if image.mode in ("LA", "RGBA", "PA"):
        alpha = np.asarray(image.getchannel("A"))
        return alpha == 0, image.convert(image.mode[:-1])
    key = image.info.get("transparency")
    if isinstance(key, bytes) and image.mode == "P":
        table = np.full(256, 255, np.uint8)
        table[: len(key)] = np.frombuffer(key[:256], np.uint8)
        return table[np.asarray(image)] == 0, image
    return None, image


def _palette(image: Image.Image) -> NDArray[np.uint8]:
    """Return 256 colours, black where the file names fewer."""
    colours = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)[:256]
    table = np.zeros((256, 3), np.uint8)
    table[: len(colours)] = colours
    return table


def _densities(image: Image.Image, kind: str) -> list[ScaleStatement]:
    """Read the resolution of the picture, which is a scale only if it is no screen density."""
    if kind == "JPEG":
        unit = {1: _INCH_UM, 2: _CENTIMETRE_UM}.get(image.info.get("jfif_unit", 0))
        if unit is not None:
            x, y = image.info["jfif_density"]
            return [density_statement("JPEG density", float(x), float(y), unit)]
        exif = image.getexif()
        if 282 in exif:
            unit = _CENTIMETRE_UM if exif.get(296, 2) == 3 else _INCH_UM
            return [
                density_statement("EXIF resolution", float(exif[282]), float(exif.get(283, exif[282])), unit)
            ]
        return []
    if "dpi" in image.info:
        x, y = image.info["dpi"]
        name = "PNG pHYs" if kind == "PNG" else "BMP resolution"
        return [density_statement(name, float(x), float(y), _INCH_UM)]
    return []
