"""What an evaluation is made on: the test side of a dataset, or all of a labelled folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from steelquant.errors import FileError, UsageError
from steelquant.learning.class_table import ClassTable
from steelquant.learning.dataset import MANIFEST, Crop, read_dataset
from steelquant.learning.labelled import LabelledImage, folder_table, labelled_folder, read_labelled
from steelquant.learning.prepare import crop_origins
from steelquant.micrograph.field import EXCLUDED, STEEL_CLASSES, PhaseClass
from steelquant.micrograph.masks import read_mask

CROP_PX = 224
"""Edge of the paper's crops, for folders whose crops nobody has laid down."""


@dataclass(frozen=True)
class Sample:
    """One picture that models are judged by: a whole field or a crop of one.

    Attributes
    ----------
    name
        Of the field; a crop adds its place and its turn.
    image
        Number of the field it comes from.
    field
        The field's files, size and scale.
    pixels, truth
        ``(height, width, 3)`` RGB and ``(height, width)`` labels.
    """

    name: str
    image: int
    field: LabelledImage
    pixels: NDArray[np.uint8]
    truth: NDArray[np.uint8]


@dataclass(frozen=True)
class EvaluationSet:
    """The fields to judge by and where they come from.

    Attributes
    ----------
    source
        The dataset's or the labelled folder.
    split
        How the set was divided: ``"by-image"``, ``"random"``, or ``"none"`` for a folder.
    pairs
        Image and mask of each field.
    groups
        Group of each field.
    expected
        Hashes of image and mask that a dataset's manifest states; None for a folder.
    table
        How the masks spell their classes.
    classes
        The classes, as far as known before the masks are read.
    crop_px
        Edge of crops.
    crops
        By field, the crops to judge by; None to judge whole fields.
    """

    source: Path
    split: str
    pairs: tuple[tuple[Path, Path], ...]
    groups: tuple[str, ...]
    expected: tuple[tuple[str, str], ...] | None
    table: ClassTable | None
    classes: tuple[PhaseClass, ...]
    crop_px: int
    crops: tuple[tuple[Crop, ...], ...] | None

    @property
    def is_folder(self) -> bool:
        """Whether it is a plain folder and not a dataset with a test side."""
        return self.expected is None

    def describe(self) -> str:
        """Say in a few words what is judged, for the head of every table."""
        of = "fields" if self.crops is None else f"crops of {self.crop_px}² px"
        side = "all" if self.is_folder else f"test side, split {self.split},"
        return f"{self.source} ({side} {of})"

    def read(
        self, on_failure: Callable[[FileError], None]
    ) -> Iterator[tuple[int, LabelledImage, list[Sample]]]:
        """Yield each field's number, the field, and its samples; fields that cannot be read are reported."""
        for index, (image, mask) in enumerate(self.pairs):
            try:
                labelled, pixels, truth = read_labelled(image, mask, self.table)
                self._check(index, labelled, truth)
            except FileError as error:
                on_failure(error)
                continue
            yield index, labelled, list(self._samples(index, labelled, pixels, truth))

    def _check(self, index: int, labelled: LabelledImage, truth: NDArray[np.uint8]) -> None:
        if (truth == EXCLUDED).all():
            raise FileError(labelled.mask, "labels no pixel; there is nothing to judge by")
        if len(labelled.classes) != len(self.classes):
            raise FileError(
                labelled.mask, f"has {len(labelled.classes)} classes, the set has {len(self.classes)}"
            )
        if self.expected is not None:
            for path, now, then in zip(
                (labelled.image, labelled.mask),
                (labelled.image_sha256, labelled.mask_sha256),
                self.expected[index],
                strict=True,
            ):
                if now != then:
                    raise FileError(path, "has changed since the dataset was prepared; prepare it again")

    def _samples(
        self, index: int, field: LabelledImage, pixels: NDArray[np.uint8], truth: NDArray[np.uint8]
    ) -> Iterator[Sample]:
        name, edge = field.image.stem, self.crop_px
        if self.crops is None:
            yield Sample(name, index, field, pixels, truth)
            return
        crops = (
            self.crops[index]
            if not self.is_folder
            else grid_crops(index, truth.shape[0], truth.shape[1], edge)
        )
        for crop in crops:
            window = np.s_[crop.y : crop.y + edge, crop.x : crop.x + edge]
            if (truth[window] == EXCLUDED).all():
                continue
            yield Sample(
                f"{name} y{crop.y} x{crop.x} {90 * crop.quarter_turns}°",
                index,
                field,
                np.ascontiguousarray(np.rot90(pixels[window], crop.quarter_turns)),
                np.ascontiguousarray(np.rot90(truth[window], crop.quarter_turns)),
            )


def grid_crops(image: int, height_px: int, width_px: int, crop_px: int) -> tuple[Crop, ...]:
    """Return the whole crops that fit side by side, unturned."""
    return tuple(Crop(image, y, x, 0) for y, x in crop_origins(height_px, width_px, crop_px))


def open_set(data: Path, *, crops: bool, classes: str | Path | None = None) -> EvaluationSet:
    """Find out what a path holds to judge by.

    Parameters
    ----------
    data
        A dataset, of which the test side counts, or a folder with ``images/`` and ``masks/``, all of which
        counts.
    crops
        Judge by the dataset's test crops (of a folder: by crops side by side), not by whole fields.
    classes
        Class table of a folder; a dataset has its own.

    Raises
    ------
    UsageError, FileError
        If there is nothing to judge by, or the options contradict each other.
    """
    if not (data / MANIFEST).is_file() and data.name != MANIFEST:
        return _open_folder(data, crops, classes)
    dataset = read_dataset(data)
    if classes is not None:
        raise UsageError("--classes is for folders; a dataset has the classes it was prepared with")
    if not dataset.crops["test"]:
        raise UsageError(f"{data}: its test side is empty; name a folder with images/ and masks/ instead")
    if dataset.split == "random" and not crops:
        raise UsageError(
            f"{data} is split at random, so every field is partly training; add --crops, "
            "or prepare it with --split by-image"
        )
    chosen = dataset.images_on("test")
    images = [dataset.images[index] for index in chosen]
    by_image = tuple(tuple(c for c in dataset.crops["test"] if c.image == index) for index in chosen)
    return EvaluationSet(
        source=data,
        split=dataset.split,
        pairs=tuple((i.image, i.mask) for i in images),
        groups=tuple(i.group for i in images),
        expected=tuple((i.image_sha256, i.mask_sha256) for i in images),
        table=images[0].table,
        classes=dataset.classes,
        crop_px=dataset.crop_px,
        crops=by_image if crops else None,
    )


def _open_folder(data: Path, crops: bool, classes: str | Path | None) -> EvaluationSet:
    pairs = labelled_folder(data)
    table = folder_table(classes, pairs[0][0].parent, pairs[0][1].parent)
    return EvaluationSet(
        source=data,
        split="none",
        pairs=tuple(pairs),
        groups=tuple(image.stem for image, _ in pairs),
        expected=None,
        table=table,
        classes=table.classes if table is not None else _stated_classes(pairs[0][1]),
        crop_px=CROP_PX,
        crops=((),) * len(pairs) if crops else None,
    )


def _stated_classes(mask: Path) -> tuple[PhaseClass, ...]:
    """Return the classes that a mask of steelquant states; a mask from elsewhere has the usual two."""
    try:
        return read_mask(mask).classes
    except FileError:  # told again, with the other unreadable files, when the fields are read
        return STEEL_CLASSES
