"""Pairs of an image and its mask: found by name, read, and seen to belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from steelquant.errors import FileError, UsageError
from steelquant.learning.class_table import ClassTable, find_table
from steelquant.micrograph.discovery import find_micrographs
from steelquant.micrograph.field import EXCLUDED, STEEL_CLASSES, Mask, PhaseClass
from steelquant.micrograph.files import sha256_of
from steelquant.micrograph.masks import find_masks, read_mask
from steelquant.micrograph.reading import read_micrograph


@dataclass(frozen=True)
class LabelledImage:
    """One image with its mask.

    Attributes
    ----------
    image, mask
        The two files.
    height_px, width_px
        Their common size.
    pixel_size_um
        Edge of a pixel in µm; None where nothing states it.
    group
        Specimen (or whatever must not stand on two sides of a split) that the image belongs to.
    image_sha256, mask_sha256
        Hashes of the files' bytes.
    classes
        The classes that the mask may hold.
    table
        How the mask spells them; None for the usual conventions.
    """

    image: Path
    mask: Path
    height_px: int
    width_px: int
    pixel_size_um: float | None
    group: str
    image_sha256: str
    mask_sha256: str
    classes: tuple[PhaseClass, ...] = STEEL_CLASSES
    table: ClassTable | None = None


def read_labelled(
    image: Path, mask: Path, table: ClassTable | None = None
) -> tuple[LabelledImage, NDArray[np.uint8], NDArray[np.uint8]]:
    """Read an image and its mask and see that they belong together.

    Returns
    -------
    labelled, pixels, labels
        The pair (its group is the image's name), ``(height, width, 3)`` RGB and ``(height, width)`` labels,
        255 where the mask or the image excludes a pixel.

    Raises
    ------
    FileError
        If one cannot be read, the sizes differ, or the mask holds an unknown class.
    """
    micrograph = read_micrograph(image)
    pixel_size = micrograph.calibration.pixel_size_um
    if table is None:
        read = _read_conventional(mask)
        labels, mask_sha256, classes = read.labels, read.sha256, read.classes
        pixel_size = read.calibration.pixel_size_um if pixel_size is None else pixel_size
    else:
        labels, mask_sha256, classes = table.labels_of(mask), sha256_of(mask), table.classes
    height, width = micrograph.pixels.shape[:2]
    if labels.shape != (height, width):
        raise FileError(
            mask,
            f"is {labels.shape[1]}×{labels.shape[0]} px, but its image {image.name} is {width}×{height} px; "
            "export the mask at the size of the image",
        )
    if micrograph.excluded is not None:
        labels = np.where(micrograph.excluded, np.uint8(EXCLUDED), labels)
    labelled = LabelledImage(
        image, mask, height, width, pixel_size, image.stem, micrograph.sha256, mask_sha256, classes, table
    )
    return labelled, micrograph.pixels, labels


def _read_conventional(mask: Path) -> Mask:
    try:
        return read_mask(mask)
    except FileError as error:
        if "unknown" not in error.problem:
            raise
        raise FileError(mask, f"{error.problem}; state other classes with --classes") from None


def find_pairs(images_dir: Path, masks_dir: Path) -> list[tuple[Path, Path]]:
    """Pair the images of a folder with the masks of another by their names without the ending.

    Raises
    ------
    UsageError
        If a folder is missing or empty, two files share a name, or a file lacks its partner; all are listed.
    """
    for folder in (images_dir, masks_dir):
        if not folder.is_dir():
            raise UsageError(f"there is no folder {folder}")
    images = _by_name(find_micrographs([images_dir]))
    masks = _by_name(find_masks([masks_dir]))
    lonely = [f"{images[n].name} has no mask" for n in images if n not in masks]
    lonely += [f"{masks[n].name} has no image" for n in masks if n not in images]
    if lonely:
        more = f" and {len(lonely) - 10} more" if len(lonely) > 10 else ""
        raise UsageError(
            f"images and masks pair by name (A.tif with A.png); in {images_dir} and {masks_dir} "
            f"{', '.join(lonely[:10])}{more}"
        )
    return [(path, masks[name]) for name, path in images.items()]


def _by_name(paths: Sequence[Path]) -> dict[str, Path]:
    named: dict[str, Path] = {}
    for path in paths:
        if path.stem in named:
            raise UsageError(
                f"{named[path.stem].name} and {path.name} in {path.parent} share a name; keep one"
            )
        named[path.stem] = path
    return named


def labelled_folder(path: Path) -> list[tuple[Path, Path]]:
    """Return the pairs of a folder with ``images/`` and ``masks/`` (or ``labels/``).

    Raises
    ------
    UsageError
        As :func:`find_pairs`, or if the folder has another inside.
    """
    masks = path / "masks" if (path / "masks").is_dir() else path / "labels"
    if not (path / "images").is_dir() or not masks.is_dir():
        raise UsageError(
            f"{path} is neither a dataset (no dataset.json) nor a folder with images/ and masks/"
        )
    return find_pairs(path / "images", masks)


def folder_table(stated: str | Path | None, images_dir: Path, masks_dir: Path) -> ClassTable | None:
    """Return the class table of a labelled folder: the stated one, or one that lies beside its masks."""
    return find_table(stated, (masks_dir, masks_dir.parent, images_dir.parent))
