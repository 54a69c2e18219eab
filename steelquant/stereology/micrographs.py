"""The micrograph of each mask, found again where it was segmented or by its name in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from steelquant.errors import FileError
from steelquant.micrograph.discovery import find_micrographs
from steelquant.micrograph.field import Micrograph
from steelquant.micrograph.reading import read_micrograph
from steelquant.stereology.sources import FieldSource


class Micrographs:
    """Knows which files may be a field's micrograph.

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
        self._by_name: dict[str, list[Path]] = {}
        self._by_stem: dict[str, list[Path]] = {}
        for path in paths:
            self._by_name.setdefault(path.name.casefold(), []).append(path)
            self._by_stem.setdefault(path.stem.casefold(), []).append(path)

    def candidates(self, source: FieldSource) -> tuple[Path, ...]:
        """Return the files that may be a field's micrograph, the most likely first."""
        if source.image_path is None:
            stems = dict.fromkeys((source.mask_path.stem.casefold(), source.name.casefold()))
            named = [path for stem in stems for path in self._by_stem.get(stem, [])]
            masks = {path.absolute() for path in (source.mask_path, source.original_path) if path is not None}
            return tuple(path for path in named if path.absolute() not in masks)
        here = [source.image_path] if source.image_path.is_file() else []
        return (*here, *self._by_name.get(source.image_path.name.casefold(), []))


@dataclass(frozen=True, eq=False)
class FoundMicrograph:
    """A field's micrograph, or None, and why it may not be measured in; the remark is empty where it may."""

    micrograph: Micrograph | None
    remark: str


def find_micrograph(
    source: FieldSource, size_px: tuple[int, int], candidates: Sequence[Path]
) -> FoundMicrograph:
    """Read the micrograph that a mask was made from.

    Parameters
    ----------
    source
        The mask's history.
    size_px
        Width and height of the mask.
    candidates
        From :meth:`Micrographs.candidates`.

    Returns
    -------
    FoundMicrograph
        The file with the hash that was segmented. Where the hash is not known, the only file of that name
        and size. Anything else of the right size is returned too, but with a remark: to look at, not to
        measure in.
    """
    remarks: dict[str, None] = {}
    others: list[Micrograph] = []
    for path in dict.fromkeys(candidates):
        try:
            micrograph = read_micrograph(path, page=source.image_page)
        except FileError as error:
            remarks[error.problem] = None
            continue
        if micrograph.pixels.shape[1::-1] != size_px:
            remarks["a micrograph of that name has another size than the mask"] = None
        elif source.image_sha256 == micrograph.sha256:
            return FoundMicrograph(micrograph, "")
        else:
            others.append(micrograph)
    if not others:
        remarks = remarks or {"the micrograph was not found (--images names a folder to look in)": None}
        return FoundMicrograph(None, "; ".join(remarks))
    if source.image_sha256 is not None:
        remark = "the micrograph is not the file that was segmented: its SHA-256 differs"
        return FoundMicrograph(others[0], remark)
    if len({micrograph.sha256 for micrograph in others}) > 1:
        both = " and ".join(str(micrograph.path) for micrograph in others[:2])
        return FoundMicrograph(others[0], f"two micrographs could be meant: {both}")
    return FoundMicrograph(others[0], "")
