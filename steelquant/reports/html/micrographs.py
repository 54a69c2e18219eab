"""The micrograph of each field, found again for the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from steelquant.errors import FileError
from steelquant.micrograph.discovery import find_micrographs
from steelquant.micrograph.field import Mask, Micrograph
from steelquant.micrograph.reading import read_micrograph

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


class Micrographs:
    """Finds micrographs where they were segmented, and else by name in a folder.

    Parameters
    ----------
    folder
        Where to look, its sub-folders too, when a micrograph is no longer at its place; or None.

    Raises
    ------
    UsageError
        The folder does not exist or holds no pictures.
    """

    def __init__(self, folder: Path | None) -> None:
        paths: Sequence[Path] = [] if folder is None else find_micrographs([folder], recursive=True)
        self._is_searched = folder is not None
        self._by_name: dict[str, list[Path]] = {}
        self._by_stem: dict[str, list[Path]] = {}
        for path in paths:
            self._by_name.setdefault(path.name.casefold(), []).append(path)
            self._by_stem.setdefault(path.stem.casefold(), []).append(path)

    def find(self, source: FieldSource, mask: Mask) -> Found:
        """Return what lies under a mask: the micrograph with the right hash, else the best that there is."""
        remarks: dict[str, None] = {}
        changed: Micrograph | None = None
        for path in self._candidates(source):
            try:
                micrograph = read_micrograph(path, page=source.image_page)
            except FileError as error:
                remarks[error.problem] = None
                continue
            if micrograph.pixels.shape[:2] != mask.labels.shape:
                remarks["a micrograph of that name has another size than the mask"] = None
            elif source.image_sha256 in (None, micrograph.sha256):
                return Found(micrograph.pixels, "micrograph", "")
            else:
                changed = changed or micrograph
        if changed is not None:
            remark = "the micrograph is not the file that was segmented: its SHA-256 differs"
            return Found(changed.pixels, "micrograph", remark)
        if not remarks:
            advice = "" if self._is_searched else "; name its folder with --images"
            remarks[f"the micrograph was not found{advice}"] = None
        remark = "; ".join(remarks)
        overlay = self._overlay(source, mask)
        return Found(overlay, "none" if overlay is None else "overlay", remark)

    def _candidates(self, source: FieldSource) -> list[Path]:
        if source.image_path is None:
            stems = (source.mask_path.stem.casefold(), source.name.casefold())
            return [path for stem in dict.fromkeys(stems) for path in self._by_stem.get(stem, [])]
        here = [source.image_path] if source.image_path.is_file() else []
        return [*here, *self._by_name.get(source.image_path.name.casefold(), [])]

    @staticmethod
    def _overlay(source: FieldSource, mask: Mask) -> NDArray[np.uint8] | None:
        """Return the overlay that ``segment`` left, if it shows the mask as it is now."""
        if source.overlay_path is None or source.mask_sha256 != mask.sha256:
            return None
        try:
            pixels = read_micrograph(source.overlay_path).pixels
        except FileError:
            return None
        return pixels if pixels.shape[:2] == mask.labels.shape else None
