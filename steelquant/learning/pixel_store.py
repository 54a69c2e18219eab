"""A set's pixels, decoded once into one flat file that all data-loading processes map into memory.

Decoding a 2080×1542 TIFF costs as much as many crops, and every worker would do it again. Mapped pages are
shared by all processes of a machine, on Windows (whose workers inherit nothing) as on Linux.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from steelquant.errors import FileError
from steelquant.learning.labelled import LabelledImage, read_labelled
from steelquant.micrograph.files import atomic_write

if TYPE_CHECKING:
    from steelquant.learning.dataset import Crop

_LAYOUT = "steelquant pixels 1"


class PixelStore:
    """Images and labels in one flat file of bytes, each image followed by its labels.

    Pickles as its path and its shapes and maps the file anew in every process.

    Parameters
    ----------
    path
        The file.
    shapes
        ``(height, width)`` of each image, in the order of the file.
    """

    def __init__(self, path: Path, shapes: Sequence[tuple[int, int]]) -> None:
        self.path = path
        self.shapes = tuple(shapes)
        sizes = [4 * height * width for height, width in self.shapes]
        self._starts = tuple(int(start) for start in np.cumsum([0, *sizes]))
        self._bytes: np.memmap[Any, np.dtype[np.uint8]] | None = None

    def __len__(self) -> int:
        return len(self.shapes)

    def __reduce__(self) -> tuple[type[PixelStore], tuple[Path, tuple[tuple[int, int], ...]]]:
        return PixelStore, (self.path, self.shapes)

    @property
    def size_bytes(self) -> int:
        """Size that the file must have."""
        return self._starts[-1]

    def image(self, index: int) -> NDArray[np.uint8]:
        """Return ``(height, width, 3)`` RGB of an image: a read-only view into the file."""
        height, width = self.shapes[index]
        return self._part(self._starts[index], 3 * height * width).reshape(height, width, 3)

    def labels(self, index: int) -> NDArray[np.uint8]:
        """Return ``(height, width)`` labels of an image: a read-only view into the file."""
        height, width = self.shapes[index]
        start = self._starts[index] + 3 * height * width
        return self._part(start, height * width).reshape(height, width)

    def crop(self, crop: Crop, crop_px: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return pixels and labels of a crop, turned and contiguous, copied out of the file."""
        window = slice(crop.y, crop.y + crop_px), slice(crop.x, crop.x + crop_px)
        pixels = np.rot90(self.image(crop.image)[window], crop.quarter_turns)
        labels = np.rot90(self.labels(crop.image)[window], crop.quarter_turns)
        return np.ascontiguousarray(pixels), np.ascontiguousarray(labels)

    def _part(self, start: int, count: int) -> NDArray[np.uint8]:
        if self._bytes is None:
            self._bytes = np.memmap(self.path, np.uint8, mode="r")
        return self._bytes[start : start + count]


def decode_to_store(
    images: Sequence[LabelledImage],
    cache_dir: Path,
    *,
    on_decoded: Callable[[LabelledImage], None] | None = None,
) -> PixelStore:
    """Decode every image and mask once into one file, or take the file that is already there.

    Parameters
    ----------
    images
        The labelled images, as a dataset holds them.
    cache_dir
        Folder of the file; its name is a hash of all inputs, so that several sets can lie side by side.
    on_decoded
        Called after each image, for a progress bar.

    Raises
    ------
    FileError
        If an image or mask cannot be read, or is not the one that the dataset was prepared from.
    """
    inputs = [
        (i.image_sha256, i.mask_sha256, i.table.to_json() if i.table is not None else None) for i in images
    ]
    name = hashlib.sha256(json.dumps([_LAYOUT, inputs], sort_keys=True).encode()).hexdigest()[:32]
    store = PixelStore(cache_dir / f"{name}.pixels", [(i.height_px, i.width_px) for i in images])
    if _is_complete(store):
        return store
    try:
        with atomic_write(store.path) as temporary, temporary.open("wb") as stream:
            for expected in images:
                labelled, pixels, labels = read_labelled(expected.image, expected.mask, expected.table)
                for path, now, then in (
                    (expected.image, labelled.image_sha256, expected.image_sha256),
                    (expected.mask, labelled.mask_sha256, expected.mask_sha256),
                ):
                    if now != then:
                        raise FileError(path, "has changed since the dataset was prepared; prepare it again")
                stream.write(np.ascontiguousarray(pixels).data)
                stream.write(np.ascontiguousarray(labels).data)
                if on_decoded is not None:
                    on_decoded(labelled)
    except FileError as error:
        # On Windows a file that another process of the same run has finished and mapped cannot be replaced.
        if error.path != store.path or not _is_complete(store):
            raise
    return store


def _is_complete(store: PixelStore) -> bool:
    return store.path.is_file() and store.path.stat().st_size == store.size_bytes
