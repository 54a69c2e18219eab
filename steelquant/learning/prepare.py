"""Cut a labelled set into crops and split them, by the paper's protocol or without its optimism.

Muñoz-Rodenas et al. 2024: crops of 224² px from the upper left corner without overlap, each turned by 0, 90,
180 and 270°, shuffled, 70/20/10 %. Turned twins and neighbours of one crop then stand on both sides
(``random``). ``by-image`` keeps every image, and every group of images, on one side.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from steelquant.errors import FileError, UsageError
from steelquant.learning.dataset import (
    MANIFEST,
    SIDES,
    Crop,
    Dataset,
    make_dataset,
    read_dataset,
    write_dataset,
)
from steelquant.learning.labelled import LabelledImage, find_pairs, folder_table, read_labelled
from steelquant.micrograph.field import EXCLUDED
from steelquant.micrograph.files import atomic_write, write_bytes
from steelquant.micrograph.masks import write_mask

SPLITS = ("by-image", "random")
PAPER_FRACTIONS = (70.0, 20.0, 10.0)


@dataclass(frozen=True)
class Prepared:
    """A dataset just written, and what was left out of it."""

    dataset: Dataset
    unlabelled_crops: int
    """Crop positions without one labelled pixel; nothing could be learned from them."""


def prepare(
    images_dir: Path,
    masks_dir: Path,
    output: Path,
    *,
    split: str = "by-image",
    group: str | None = None,
    seed: int = 0,
    crop_px: int = 224,
    fractions: tuple[float, float, float] = PAPER_FRACTIONS,
    classes: str | Path | None = None,
    export: bool = False,
    overwrite: bool = False,
    on_read: Callable[[int, int], None] | None = None,
) -> Prepared:
    """Write the dataset of a folder of images and a folder of masks.

    Parameters
    ----------
    images_dir, masks_dir
        Files pair by their names without the ending.
    output
        Folder of the dataset.
    split
        ``"by-image"`` or ``"random"``.
    group
        Regular expression searched in each image's name; images whose match (its first group, if it has
        one) is equal belong together and stand on one side. None: each image is its own group.
    seed
        Of the shuffling.
    crop_px
        Edge of the crops.
    fractions
        Shares of training, validation and test in percent.
    classes
        Class table, see :func:`steelquant.learning.class_table.find_table`.
    export
        Write the crops as files too, in ``crops/SIDE/images`` and ``crops/SIDE/masks``.
    overwrite
        Replace another dataset in the same folder.
    on_read
        Called with the images read and their total.

    Raises
    ------
    UsageError, FileError
        If the folders, the options or a file cannot be used.
    """
    _check(split, crop_px, fractions)
    pairs = find_pairs(images_dir, masks_dir)
    table = folder_table(classes, images_dir, masks_dir)
    groups = [image_group(image, group) for image, _ in pairs]
    images: list[LabelledImage] = []
    places: list[list[tuple[int, int]]] = []
    unlabelled = 0
    for index, (image, mask) in enumerate(pairs):
        labelled, _, labels = read_labelled(image, mask, table)
        if images and labelled.classes != images[0].classes:
            raise FileError(mask, f"has other classes than {images[0].mask.name}; one dataset has one table")
        whole = crop_origins(labelled.height_px, labelled.width_px, crop_px)
        if not whole:
            raise FileError(
                image,
                f"{labelled.width_px}×{labelled.height_px} px hold no crop of {crop_px} px; "
                "leave it out or choose a smaller --crop",
            )
        useful = [(y, x) for y, x in whole if (labels[y : y + crop_px, x : x + crop_px] != EXCLUDED).any()]
        unlabelled += len(whole) - len(useful)
        images.append(replace(labelled, group=groups[index]))
        places.append(useful)
        if on_read is not None:
            on_read(index + 1, len(pairs))
    crops = split_crops(places, groups, split=split, seed=seed, fractions=fractions)
    dataset = make_dataset(output, crop_px, split, seed, tuple(images), crops)
    if (output / MANIFEST).exists() and not overwrite and read_dataset(output).sha256 != dataset.sha256:
        raise UsageError(f"{output} already holds another dataset; choose another --output, or --overwrite")
    if export:
        export_crops(dataset)
    write_dataset(dataset)
    return Prepared(dataset, unlabelled)


def _check(split: str, crop_px: int, fractions: Sequence[float]) -> None:
    if split not in SPLITS:
        raise UsageError(f"--split {split!r}: choose one of {', '.join(SPLITS)}")
    if crop_px < 32:
        raise UsageError(f"--crop {crop_px}: a network needs crops of at least 32 px")
    if min(fractions) < 0 or fractions[0] <= 0 or abs(sum(fractions) - 100) > 1e-6:
        raise UsageError("--fractions must be three percentages of sum 100 (70/20/10), training above 0")


def image_group(image: Path, pattern: str | None) -> str:
    """Return the group of an image: what the pattern finds in its name, or the name itself."""
    if pattern is None:
        return image.stem
    try:
        match = re.search(pattern, image.stem)
    except re.error as error:
        raise UsageError(f"--group {pattern!r} is no regular expression ({error})") from None
    if match is None:
        raise UsageError(f"--group {pattern!r} finds nothing in the name of {image.name}")
    return str(match.group(1) if match.re.groups else match.group())


def crop_origins(height_px: int, width_px: int, crop_px: int) -> list[tuple[int, int]]:
    """Return ``(y, x)`` of the whole crops that fit side by side from the upper left corner."""
    return [
        (row * crop_px, column * crop_px)
        for row in range(height_px // crop_px)
        for column in range(width_px // crop_px)
    ]


def split_crops(
    places: Sequence[Sequence[tuple[int, int]]],
    groups: Sequence[str],
    *,
    split: str,
    seed: int,
    fractions: Sequence[float] = PAPER_FRACTIONS,
) -> dict[str, tuple[Crop, ...]]:
    """Turn each crop four ways and share them out.

    Parameters
    ----------
    places
        For each image the ``(y, x)`` of its crops.
    groups
        For each image its group.
    split, seed, fractions
        As :func:`prepare`.

    Returns
    -------
    dict
        Crops of ``training``, ``validation`` and ``test``, in the order of the images.
    """
    crops = [
        Crop(image, y, x, turns) for image, here in enumerate(places) for y, x in here for turns in range(4)
    ]
    shuffle = np.random.default_rng(seed)
    if split == "random":
        order = shuffle.permutation(len(crops))
        ends = np.cumsum([0, *apportion(len(crops), fractions)])
        return {
            side: tuple(crops[i] for i in np.sort(order[ends[n] : ends[n + 1]]))
            for n, side in enumerate(SIDES)
        }
    side_of = _sides_of_groups(crops, groups, shuffle, fractions)
    return {side: tuple(c for c in crops if side_of[groups[c.image]] == n) for n, side in enumerate(SIDES)}


def apportion(total: int, fractions: Sequence[float]) -> list[int]:
    """Share a whole number out by percentages; the largest remainders are rounded up."""
    exact = [total * fraction / 100 for fraction in fractions]
    counts = [int(value) for value in exact]
    by_remainder = sorted(range(len(exact)), key=lambda n: round(counts[n] - exact[n], 9))
    for n in by_remainder[: total - sum(counts)]:
        counts[n] += 1
    return counts


def _sides_of_groups(
    crops: Sequence[Crop], groups: Sequence[str], shuffle: np.random.Generator, fractions: Sequence[float]
) -> dict[str, int]:
    """Give every group a side: largest first, each to the side that lacks most, none left empty."""
    names = sorted(set(groups))
    wanted = [n for n, fraction in enumerate(fractions) if fraction > 0]
    if len(names) < len(wanted):
        raise UsageError(
            f"--split by-image needs at least {len(wanted)} images (or groups), there are {len(names)}; "
            "add fields, or take --split random and read its test figures as optimistic"
        )
    sizes = dict.fromkeys(names, 0)
    for crop in crops:
        sizes[groups[crop.image]] += 1
    shuffled = [names[i] for i in shuffle.permutation(len(names))]
    shuffled.sort(key=lambda name: -sizes[name])
    have = dict.fromkeys(wanted, 0)
    members = dict.fromkeys(wanted, 0)
    side_of: dict[str, int] = {}
    for position, name in enumerate(shuffled):
        empty = [n for n in wanted if not members[n]]
        open_sides = empty if len(shuffled) - position <= len(empty) else wanted
        side = max(open_sides, key=lambda n: len(crops) * fractions[n] / 100 - have[n])
        side_of[name] = side
        have[side] += sizes[name]
        members[side] += 1
    return side_of


_OWNER = ".dataset"
"""Stands among crops with their data set's hash: a killed run, and one made again, write the same."""


def export_crops(dataset: Dataset) -> None:
    """Write every crop as an image (PNG) and a mask (TIFF), one image of the set in memory at a time."""
    wanted: dict[int, list[tuple[str, Crop]]] = {}
    for side in SIDES:
        for crop in dataset.crops[side]:
            wanted.setdefault(crop.image, []).append((side, crop))
    folder = dataset.root / "crops"
    owner = folder / _OWNER
    mark = f"{dataset.sha256}\n".encode()
    if folder.exists() and not (owner.is_file() and owner.read_bytes() == mark):
        raise UsageError(f"{folder} is there already; remove it, or choose another --output")
    write_bytes(owner, mark)
    for index, crops in wanted.items():
        source = dataset.images[index]
        _, pixels, labels = read_labelled(source.image, source.mask, source.table)
        for side, crop in crops:
            window = np.s_[crop.y : crop.y + dataset.crop_px, crop.x : crop.x + dataset.crop_px]
            name = f"{source.image.stem}_y{crop.y:04d}_x{crop.x:04d}_r{90 * crop.quarter_turns:03d}"
            place = folder / side
            _write_png(place / "images" / f"{name}.png", np.rot90(pixels[window], crop.quarter_turns))
            turned = np.ascontiguousarray(np.rot90(labels[window], crop.quarter_turns))
            write_mask(
                place / "masks" / f"{name}.tif",
                turned,
                pixel_size_um=source.pixel_size_um,
                classes=dataset.classes,
            )


def _write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    from PIL import Image

    with atomic_write(path) as temporary:
        Image.fromarray(np.ascontiguousarray(pixels)).save(temporary, "PNG")
