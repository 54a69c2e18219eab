"""Labelled sets: pairs of images and masks, and the manifest that cuts them into crops.

A dataset is a folder with ``dataset.json``, a manifest over the originals: no image is copied. It is
written by :mod:`steelquant.learning.prepare` and read by training and evaluation.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from steelquant import __version__
from steelquant.errors import FileError, UsageError
from steelquant.learning.class_table import parse_table
from steelquant.learning.labelled import LabelledImage
from steelquant.micrograph.documents import MALFORMED, parse_json, told
from steelquant.micrograph.field import PhaseClass
from steelquant.micrograph.files import write_bytes

FORMAT = "steelquant dataset 1"
MANIFEST = "dataset.json"
SIDES = ("training", "validation", "test")


class Crop(NamedTuple):
    """A square of an image: number of the image, upper left corner in px, turns by 90° anticlockwise."""

    image: int
    y: int
    x: int
    quarter_turns: int


@dataclass(frozen=True)
class Dataset:
    """A labelled set cut into crops for training, validation and test.

    Attributes
    ----------
    root
        Its folder.
    crop_px
        Edge of the crops.
    split
        ``"by-image"`` or ``"random"``.
    seed
        Seed of the split.
    classes
        In the order of their labels.
    images
        The labelled images that the crops count.
    crops
        Crops by side: ``training``, ``validation``, ``test``.
    sha256
        Hash of the data: contents of the files, classes and crops; not where they lie.
    """

    root: Path
    crop_px: int
    split: str
    seed: int
    classes: tuple[PhaseClass, ...]
    images: tuple[LabelledImage, ...]
    crops: dict[str, tuple[Crop, ...]]
    sha256: str

    def images_on(self, side: str) -> tuple[int, ...]:
        """Return the numbers of the images that have crops on a side of the split."""
        return tuple(sorted({crop.image for crop in self.crops[side]}))


def write_dataset(dataset: Dataset) -> None:
    """Write the manifest of a dataset into its folder, atomically, one line per image and side."""

    def place(path: Path) -> str:
        try:
            return Path(os.path.relpath(path.resolve(), dataset.root.resolve())).as_posix()
        except ValueError:  # another drive of a Windows machine
            return path.resolve().as_posix()

    table = dataset.images[0].table
    values = table.stored if table is not None else (None,) * len(dataset.classes)
    header: dict[str, Any] = {
        "format": FORMAT,
        "version": __version__,
        "crop_px": dataset.crop_px,
        "split": dataset.split,
        "seed": dataset.seed,
        "classes": [
            {"label": c.label, "name": c.name, "colour": c.colour, "value": value}
            for c, value in zip(dataset.classes, values, strict=True)
        ],
        "ignored": table.ignored if table is not None else (),
    }
    images = [
        {
            "image": place(i.image),
            "mask": place(i.mask),
            "image_sha256": i.image_sha256,
            "mask_sha256": i.mask_sha256,
            "height_px": i.height_px,
            "width_px": i.width_px,
            "pixel_size_um": i.pixel_size_um,
            "group": i.group,
        }
        for i in dataset.images
    ]
    parts = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in header.items()]
    lines = ",\n  ".join(json.dumps(image, ensure_ascii=False) for image in images)
    parts.append(f'"images": [\n  {lines}]')
    sides = ",\n  ".join(f"{json.dumps(side)}: {json.dumps(dataset.crops[side])}" for side in SIDES)
    parts.append(f'"crops": {{\n  {sides}}}')
    text = "{" + ",\n ".join(parts) + "}\n"
    write_bytes(dataset.root / MANIFEST, text.encode())


def read_dataset(path: Path) -> Dataset:
    """Read the manifest of a dataset; the images themselves are read later.

    Parameters
    ----------
    path
        The dataset's folder, or its ``dataset.json``.

    Raises
    ------
    UsageError
        If there is no dataset.
    FileError
        If its manifest cannot be understood.
    """
    manifest = path if path.name == MANIFEST else path / MANIFEST
    if not manifest.is_file():
        raise UsageError(f"{path} is no dataset: there is no {manifest}; make one with steelquant prepare")
    try:
        content = parse_json(manifest.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"another format than {FORMAT!r}")
        return _parse(manifest.parent, content)
    except (OSError, *MALFORMED) as error:
        raise FileError(
            manifest, f"cannot be understood ({told(error)}); run steelquant prepare again"
        ) from None


def _parse(root: Path, content: dict[str, Any]) -> Dataset:
    tabled = any(c["value"] is not None for c in content["classes"])
    table = parse_table(content) if tabled else None
    classes = tuple(
        PhaseClass(label, str(c["name"]), tuple(map(int, c["colour"])))  # type: ignore[arg-type]
        for label, c in enumerate(content["classes"])
    )
    images = tuple(
        LabelledImage(
            image=Path(os.path.normpath(root / entry["image"])),
            mask=Path(os.path.normpath(root / entry["mask"])),
            height_px=int(entry["height_px"]),
            width_px=int(entry["width_px"]),
            pixel_size_um=None if entry["pixel_size_um"] is None else float(entry["pixel_size_um"]),
            group=str(entry["group"]),
            image_sha256=str(entry["image_sha256"]),
            mask_sha256=str(entry["mask_sha256"]),
            classes=classes,
            table=table,
        )
        for entry in content["images"]
    )
    crops = {side: tuple(Crop(*map(int, crop)) for crop in content["crops"][side]) for side in SIDES}
    for crop in (crop for side in SIDES for crop in crops[side]):
        size = images[crop.image].height_px, images[crop.image].width_px
        if crop.y + content["crop_px"] > size[0] or crop.x + content["crop_px"] > size[1] or min(crop) < 0:
            raise ValueError(f"{crop} lies outside its image")
    return make_dataset(root, int(content["crop_px"]), content["split"], int(content["seed"]), images, crops)


def make_dataset(
    root: Path,
    crop_px: int,
    split: str,
    seed: int,
    images: tuple[LabelledImage, ...],
    crops: dict[str, tuple[Crop, ...]],
) -> Dataset:
    """Put a dataset together and hash what it holds."""
    table = images[0].table
    what = {
        "crop_px": crop_px,
        "split": split,
        "seed": seed,
        "classes": images[0].classes,
        "table": table.to_json() if table is not None else None,
        "images": [(i.image_sha256, i.mask_sha256, i.group) for i in images],
        "crops": crops,
    }
    sha256 = hashlib.sha256(json.dumps(what, sort_keys=True, default=asdict).encode()).hexdigest()
    return Dataset(root, crop_px, split, seed, images[0].classes, images, crops, sha256)
