"""Small pictures of segmented fields for reports."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from steelquant.errors import FileError
from steelquant.micrograph.field import EXCLUDED
from steelquant.stereology.corrections import read_field_mask
from steelquant.stereology.grain_maps import drawn

if TYPE_CHECKING:
    from steelquant.stereology.measurement import FieldResult

_EXCLUDED_COLOUR = (128, 128, 128)
_GRAIN_COLOUR = (166, 0, 112)
_QUALITY = 82


def thumbnail(field: FieldResult, size_px: tuple[int, int]) -> tuple[bytes, str]:
    """Return a small JPEG of a field's overlay, or of its mask where no overlay shows it as it is.

    Boundaries of ferrite grains are drawn into it.

    Parameters
    ----------
    field
        The field.
    size_px
        Greatest width and height.

    Returns
    -------
    picture
        JPEG bytes.
    kind
        ``"overlay"`` or ``"mask"``.

    Raises
    ------
    FileError
        If the picture cannot be read.
    """
    source = field.source
    is_as_segmented = source.mask_sha256 == field.mask_sha256
    if source.overlay_path is not None and is_as_segmented:
        return _encode(_shrunk(_open(source.overlay_path), size_px), field), "overlay"
    mask = read_field_mask(source)
    colours = np.zeros((256, 3), dtype=np.uint8)
    colours[EXCLUDED] = _EXCLUDED_COLOUR
    for phase in mask.classes:
        colours[phase.label] = phase.colour
    return _encode(_shrunk(Image.fromarray(colours[mask.labels]), size_px), field), "mask"


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path) as picture:
            return picture.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise FileError(path, f"cannot be shown in the report: {error}") from None


def _shrunk(picture: Image.Image, size_px: tuple[int, int]) -> Image.Image:
    picture.thumbnail(size_px, Image.Resampling.LANCZOS, reducing_gap=3.0)
    return picture


def _encode(picture: Image.Image, field: FieldResult) -> bytes:
    pixels = np.array(picture.convert("RGB"))
    if field.grains is not None:
        # Drawn at the picture's own size: lines of one pixel would fade when they shrink with it.
        grains = field.grains.labels.unpack()
        places = (
            ((np.arange(small) + 0.5) * full / small).astype(np.int64)
            for small, full in zip(pixels.shape[:2], grains.shape, strict=True)
        )
        pixels[drawn(grains[np.ix_(*places)])] = _GRAIN_COLOUR
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()
