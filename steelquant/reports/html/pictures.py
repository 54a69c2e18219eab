"""The pictures of a field, made small enough for a page that holds them all.

Rule: a field's pictures are at most 1400 px wide and high, and all pictures of a page together take at most
24 MB of it. Each field has an equal share of that; where it is not enough, the micrograph is compressed more,
and then all pictures of the field get smaller, down to 360 px; sizes on hovering are left out where they
would take more than half of the share. Beyond 400 fields the first 400 are shown. Numbers are never
affected: they are measured on the full masks.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from steelquant.micrograph.field import EXCLUDED, Mask
from steelquant.micrograph.overlay import BOUNDARY_COLOUR
from steelquant.reports.html.micrographs import Found
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
_MATRIX_ALPHA, _PHASE_ALPHA = 46, 112
_EXCLUDED_ALPHA = 150
_EXCLUDED_COLOUR = (96, 96, 96)
_HATCH_COLOUR = (255, 255, 255)
_HATCH_PERIOD, _HATCH_WIDTH = 16, 2
_GRAIN_COLOUR = (166, 0, 112)
_LINE, _HATCH = 253, 254
"""Palette entries for boundaries and for the hatching of excluded pixels."""


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
        What tells a feature's size under the pointer, or None where it would take too much room.
    """

    width_px: int
    height_px: int
    reduction: float
    kind: str
    remark: str
    base: str
    layers: tuple[Layer, ...]
    regions: EncodedRegions | None

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
        Room that they may take; kept to, but for pictures of 360 px.
    """
    height, width = mask.labels.shape
    # A micrograph never takes less room per pixel than this, so that larger pictures need not be tried.
    fitting = max(height, width) * math.sqrt(most_bytes / (_LEAST_BYTES_PER_PX * height * width))
    side = min(LARGEST_SIDE_PX, max(height, width), max(_SMALLEST_SIDE_PX, int(fitting)))
    quality = _GOOD_QUALITY
    while True:
        pictures = _make(found, mask, regions, side, quality)
        if pictures.regions is not None and pictures.regions.size_bytes > most_bytes / 2:
            pictures = replace(pictures, regions=None)
        if pictures.size_bytes <= most_bytes or side <= _SMALLEST_SIDE_PX:
            return pictures
        shrink = max(0.5, 0.95 * math.sqrt(most_bytes / pictures.size_bytes))
        if shrink < _FAIR_SHRINK or quality == _FAIR_QUALITY:
            side = max(_SMALLEST_SIDE_PX, int(side * shrink))
        quality = _FAIR_QUALITY


def _make(found: Found, mask: Mask, regions: Sequence[Regions], side: int, quality: int) -> FieldPictures:
    height, width = mask.labels.shape
    reduction = max(1.0, max(height, width) / side)
    size = (max(1, round(width / reduction)), max(1, round(height / reduction)))
    rows, columns = (_centres(n, full) for n, full in zip(size[::-1], (height, width), strict=True))
    labels = mask.labels[np.ix_(rows, columns)]
    classes = ", ".join(phase.name for phase in mask.classes)
    layers: tuple[Layer, ...] = ()
    if found.pixels is None:
        base = _lossless(*_solid(labels, mask))
    else:
        small = found.pixels
        if reduction > 1:
            small = np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        base = _webp(small, quality=quality)
        draw = _solid if found.kind == "overlay" else _tinted
        layers = (Layer("phases", f"phases in colour: {classes}", _lossless(*draw(labels, mask))),)
        layers += tuple(
            Layer(
                f"{item.name} boundaries",
                f"boundaries of every {item.name}",
                _lossless(*_boundaries(reduced)),
            )
            for item in regions
            if item.has_boundaries and (reduced := item.label_image[np.ix_(rows, columns)]).any()
        )
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


def _centres(count: int, full: int) -> NDArray[np.int64]:
    """Return the pixels of ``full`` that lie under the centres of ``count`` pixels."""
    return ((np.arange(count) + 0.5) * full / count).astype(np.int64)


def _tinted(labels: NDArray[np.uint8], mask: Mask) -> tuple[NDArray[np.uint8], NDArray[np.uint8], bytes]:
    """Return indices, palette and opacities of a layer that lets the micrograph shine through."""
    return _paint(labels, mask, _MATRIX_ALPHA, _PHASE_ALPHA, _EXCLUDED_ALPHA)


def _solid(labels: NDArray[np.uint8], mask: Mask) -> tuple[NDArray[np.uint8], NDArray[np.uint8], bytes]:
    """Return indices, palette and opacities of the mask alone."""
    return _paint(labels, mask, 255, 255, 255)


def _paint(
    labels: NDArray[np.uint8], mask: Mask, matrix_alpha: int, phase_alpha: int, excluded_alpha: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], bytes]:
    palette, alpha = np.zeros((256, 3), dtype=np.uint8), np.full(256, 255, dtype=np.uint8)
    for phase in mask.classes:
        palette[phase.label] = phase.colour
        alpha[phase.label] = matrix_alpha if phase is mask.classes[0] else phase_alpha
    palette[EXCLUDED], alpha[EXCLUDED] = _EXCLUDED_COLOUR, excluded_alpha
    palette[_LINE], palette[_HATCH] = BOUNDARY_COLOUR, _HATCH_COLOUR
    alpha[_HATCH] = excluded_alpha
    indices = labels.copy()
    rows, columns = np.ogrid[: labels.shape[0], : labels.shape[1]]
    indices[(labels == EXCLUDED) & ((rows + columns) % _HATCH_PERIOD < _HATCH_WIDTH)] = _HATCH
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    indices[labels != cv2.erode(labels, cross)] = _LINE
    return indices, palette, alpha.tobytes()


def _boundaries(label_image: NDArray[np.int32]) -> tuple[NDArray[np.uint8], NDArray[np.uint8], bytes]:
    """Return indices, palette and opacities of lines where regions meet."""
    lines = np.zeros(label_image.shape, dtype=np.uint8)
    for first, second in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        meets = (
            (label_image[first] != label_image[second]) & (label_image[first] > 0) & (label_image[second] > 0)
        )
        lines[first] |= meets
    return lines, np.array([(0, 0, 0), _GRAIN_COLOUR], dtype=np.uint8), bytes((0, 255))


def _lossless(indices: NDArray[np.uint8], palette: NDArray[np.uint8], alpha: bytes) -> str:
    colours = np.concatenate([palette, np.frombuffer(alpha, dtype=np.uint8)[:, None]], axis=1)
    return _webp(colours[indices], lossless=True, exact=True, quality=50)


def _webp(pixels: NDArray[np.uint8], **options: Any) -> str:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "WEBP", method=4, **options)
    return f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
