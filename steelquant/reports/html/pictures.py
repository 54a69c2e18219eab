"""The pictures of a field, made small enough for a page that holds them all.

Rule: a field's pictures are at most 1400 px wide and high, and all pictures of a page together take at most
24 MB of it, but for hundreds of fields of very fine structure. Each field has an equal share; where that
is not enough, the micrograph is compressed more, and then all pictures of the field get smaller, down to
360 px, where the pictures of grain sizes and of boundaries are left out in turn. Sizes on hovering are left
out where they would take more than half of the share. Beyond 400 fields the first 400 are shown. Numbers are
never affected: they are measured on the full masks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from steelquant.micrograph.field import Mask
from steelquant.reports.html.micrographs import Found
from steelquant.reports.html.painting import (
    boundary_lines,
    grain_sizes,
    lossless,
    solid_phases,
    tinted_phases,
    webp,
)
from steelquant.reports.html.regions import EncodedRegions, Regions, encode_regions

LARGEST_SIDE_PX = 1400
ALL_PICTURES_BYTES = 24_000_000
MOST_FIELDS = 400

_MOST_FIELD_BYTES = 900_000
_SMALLEST_SIDE_PX = 360
_GOOD_QUALITY, _FAIR_QUALITY = 82, 68
_FAIR_SHRINK = 0.85
"""Where pictures need to lose less than this in width, a lower quality alone may be enough."""

_LEAST_BYTES_PER_PX = 0.12


@dataclass(frozen=True)
class Layer:
    """A picture that can be drawn over the micrograph: its name, what it shows, and a ``data:`` address."""

    name: str
    meaning: str
    address: str


@dataclass(frozen=True)
class FieldPictures:
    """The pictures of a field.

    Attributes
    ----------
    width_px, height_px
        Their size.
    reduction
        Pixels of the field per pixel of theirs, at least 1.
    kind
        What the base shows: ``"micrograph"``, ``"overlay"`` or ``"none"`` (then it is the mask in colours).
    remark
        Why the base is not the micrograph that was segmented; empty where it is.
    base
        ``data:`` address of the picture below.
    layers
        What can be drawn over it; empty where the base is the mask itself.
    regions
        What tells a feature's size under the pointer, or None without.
    left_out
        What took too much room.
    """

    width_px: int
    height_px: int
    reduction: float
    kind: str
    remark: str
    base: str
    layers: tuple[Layer, ...]
    regions: EncodedRegions | None
    left_out: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> int:
        """Room that they take in the page."""
        own = len(self.base) + sum(len(layer.address) for layer in self.layers)
        return own + (0 if self.regions is None else self.regions.size_bytes)


def field_bytes(fields: int) -> int:
    """Return the room in bytes that the pictures of one of so many fields may take."""
    return min(_MOST_FIELD_BYTES, ALL_PICTURES_BYTES // max(1, min(fields, MOST_FIELDS)))


def make_pictures(found: Found, mask: Mask, regions: Sequence[Regions], most_bytes: int) -> FieldPictures:
    """Make the pictures of a field so that they take no more room than they may.

    Parameters
    ----------
    found
        The micrograph or what there is of it.
    mask
        The mask.
    regions
        What to tell under the pointer.
    most_bytes
        Room that they may take; kept to, but for micrograph and phases at 360 px.
    """
    height, width = mask.labels.shape
    # A micrograph never takes less room per pixel than this, so that larger pictures need not be tried.
    fitting = max(height, width) * math.sqrt(most_bytes / (_LEAST_BYTES_PER_PX * height * width))
    side = min(LARGEST_SIDE_PX, max(height, width), max(_SMALLEST_SIDE_PX, int(fitting)))
    quality = _GOOD_QUALITY
    while True:
        pictures = _make(found, mask, regions, side, quality)
        if pictures.regions is not None and pictures.regions.size_bytes > most_bytes / 2:
            pictures = replace(pictures, regions=None, left_out=("sizes on hovering",))
        if side <= _SMALLEST_SIDE_PX:
            return _lightened(pictures, most_bytes)
        if pictures.size_bytes <= most_bytes:
            return pictures
        shrink = max(0.5, 0.95 * math.sqrt(most_bytes / pictures.size_bytes))
        if shrink < _FAIR_SHRINK or quality == _FAIR_QUALITY:
            side = max(_SMALLEST_SIDE_PX, int(side * shrink))
        quality = _FAIR_QUALITY


def _lightened(pictures: FieldPictures, most_bytes: int) -> FieldPictures:
    """Leave out layers until the pictures fit, the last one first; the phases stay."""
    while pictures.size_bytes > most_bytes and len(pictures.layers) > 1:
        *layers, last = pictures.layers
        pictures = replace(pictures, layers=tuple(layers), left_out=(last.name, *pictures.left_out))
    return pictures


def _make(found: Found, mask: Mask, regions: Sequence[Regions], side: int, quality: int) -> FieldPictures:
    height, width = mask.labels.shape
    reduction = max(1.0, max(height, width) / side)
    size = (max(1, round(width / reduction)), max(1, round(height / reduction)))
    rows, columns = (_centres(n, full) for n, full in zip(size[::-1], (height, width), strict=True))
    labels = mask.labels[np.ix_(rows, columns)]
    classes = ", ".join(phase.name for phase in mask.classes)
    layers: tuple[Layer, ...] = ()
    if found.pixels is None:
        base = lossless(solid_phases(labels, mask))
    else:
        small = found.pixels
        if reduction > 1:
            small = np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        base = webp(small, quality=quality)
        draw = solid_phases if found.kind == "overlay" else tinted_phases
        layers = (Layer("phases", f"phases in colour: {classes}", lossless(draw(labels, mask))),)
        for item in regions:
            if item.size_classes is not None:
                layers += _layers_of(item, item.size_classes, item.label_image[np.ix_(rows, columns)])
    return FieldPictures(
        size[0],
        size[1],
        reduction,
        found.kind,
        found.remark,
        base,
        layers,
        encode_regions(regions, labels, mask, rows, columns) if regions else None,
    )


def _layers_of(item: Regions, classes: NDArray[np.uint8], reduced: NDArray[np.int32]) -> tuple[Layer, Layer]:
    """Return the pictures of grains: their boundaries, and their sizes in colour."""
    class_of = np.zeros(int(item.label_image.max(initial=0)) + 1, dtype=np.uint8)
    class_of[item.features.label] = classes
    return (
        Layer("boundaries", f"boundaries between {item.name}s", lossless(boundary_lines(reduced))),
        Layer("grain sizes", f"{item.name}s coloured by size", lossless(grain_sizes(reduced, class_of))),
    )


def _centres(count: int, full: int) -> NDArray[np.int64]:
    """Return the pixels of ``full`` that lie under the centres of ``count`` pixels."""
    return ((np.arange(count) + 0.5) * full / count).astype(np.int64)
