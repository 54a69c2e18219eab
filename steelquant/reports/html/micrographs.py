"""The micrograph of each field, found again for the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from steelquant.errors import FileError
from steelquant.micrograph.field import Mask
from steelquant.micrograph.reading import read_micrograph
from steelquant.stereology.micrographs import find_micrograph

if TYPE_CHECKING:
    from steelquant.stereology.sources import FieldSource


@dataclass(frozen=True, eq=False)
class Found:
    """What lies under a field's mask.

    Attributes
    ----------
    pixels
        ``(height, width, 3)`` uint8 RGB of the mask's size, or None.
    kind
        ``"micrograph"``, ``"overlay"`` (the picture that ``segment`` left) or ``"none"``.
    remark
        Why it is not the micrograph that was segmented; empty where it is.
    """

    pixels: NDArray[np.uint8] | None
    kind: str
    remark: str


def find_picture(source: FieldSource, mask: Mask, candidates: Sequence[Path]) -> Found:
    """Return what lies under a mask: the micrograph with the right hash, else the best that there is.

    Parameters
    ----------
    source, mask
        The mask and its history.
    candidates
        Files that may be its micrograph.
    """
    found = find_micrograph(source, (mask.labels.shape[1], mask.labels.shape[0]), candidates)
    if found.micrograph is not None:
        return Found(found.micrograph.pixels, "micrograph", found.remark)
    overlay = _overlay(source, mask)
    return Found(overlay, "none" if overlay is None else "overlay", found.remark)


def _overlay(source: FieldSource, mask: Mask) -> NDArray[np.uint8] | None:
    """Return the overlay that ``segment`` left, if it shows the mask as it is now."""
    if source.overlay_path is None or source.mask_sha256 != mask.sha256:
        return None
    try:
        pixels = read_micrograph(source.overlay_path).pixels
    except FileError:
        return None
    return pixels if pixels.shape[:2] == mask.labels.shape else None
