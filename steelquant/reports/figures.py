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

if TYPE_CHECKING:
    from steelquant.stereology.measurement import FieldResult

_EXCLUDED_COLOUR = (128, 128, 128)
_QUALITY = 82


def thumbnail(field: FieldResult, size_px: tuple[int, int]) -> tuple[bytes, str]:
    """Return a small JPEG of a field's overlay, or of its mask where no overlay shows it as it is.

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
        return _shrink(_open(source.overlay_path), size_px), "overlay"
    mask = read_field_mask(source)
    colours = np.zeros((256, 3), dtype=np.uint8)
    colours[EXCLUDED] = _EXCLUDED_COLOUR
    for phase in mask.classes:
        colours[phase.label] = phase.colour
    return _shrink(Image.fromarray(colours[mask.labels]), size_px), "mask"


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path) as picture:
            return picture.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise FileError(path, f"cannot be shown in the report: {error}") from None


def _shrink(picture: Image.Image, size_px: tuple[int, int]) -> bytes:
    picture.thumbnail(size_px, Image.Resampling.LANCZOS, reducing_gap=3.0)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()
