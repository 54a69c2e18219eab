"""Regions drawn by hand, and the label mask that they make.

What each region means is never guessed: its class must be one of the mask's, or ``excluded``; grains, which
are no phase, are passed over. Pixels that no region covers are the matrix. Where regions overlap the smaller
one counts, so that a correction drawn over a larger region takes effect; excluded pixels stay excluded
whatever lies over them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from steelquant.errors import FileError
from steelquant.micrograph.field import EXCLUDED, PhaseClass
from steelquant.micrograph.outlines import Ring, largest_area_px, paint

FRAME = "field"
"""Name of the rectangle over the whole field that tells how large it is."""

EXCLUDED_NAMES = ("excluded", "ignore*")
"""Classes of regions that must not count: ours, and the one that QuPath offers."""

GRAIN = "grain"
"""Class of ferrite grains, which are drawn to look at."""

_LARGEST_SIDE_PX = 100_000
_EXACT_PX = 0.01


@dataclass(frozen=True, eq=False)
class Region:
    """One drawn region.

    Attributes
    ----------
    rings
        Outer rings and holes, filled by the even-odd rule.
    class_name
        What its program says that it is, or an empty text.
    name
        Its own name, or an empty text.
    group
        ImageJ's group, which stands for a label; 0 for none.
    where
        What to call it in messages.
    """

    rings: tuple[Ring, ...]
    class_name: str
    name: str
    group: int
    where: str


def labels_of_regions(
    regions: Sequence[Region],
    classes: tuple[PhaseClass, ...],
    path: Path,
    shape: tuple[int, int] | None = None,
) -> NDArray[np.uint8]:
    """Make the label mask that regions describe.

    Parameters
    ----------
    regions
        As drawn, in any order.
    classes
        What they may be; the first is the matrix.
    path
        Their file, for messages.
    shape
        Height and width of the field in px where they are known; else a rectangle named ``field`` or of the
        matrix' class, from the upper left corner over all other regions, tells them.

    Returns
    -------
    ndarray of uint8, ``(height, width)``
        Labels, 255 where excluded.

    Raises
    ------
    FileError
        A region has no class or one that is not known, or nothing tells the field's size, or all are grains.
    """
    given = len(regions)
    regions = [region for region in regions if not _is_grain(region, classes)]
    if given and not regions:
        raise FileError(path, "holds grains, which are no phases; give the file of the field's features")
    labels = [_label_of(region, classes, path) for region in regions]
    framed = _frame(regions, labels, classes)
    if shape is None:
        if framed is None:
            raise FileError(
                path,
                "does not tell how large the field is; give it together with the folder of its mask, or keep "
                f"a rectangle named {FRAME} over the whole picture",
            )
        shape = framed
    elif framed is not None and framed != shape:
        drawn, there = ("×".join(map(str, size[::-1])) for size in (framed, shape))
        raise FileError(path, f"was drawn on a field of {drawn} px, but the mask of that name has {there} px")
    mask = np.full(shape, classes[0].label, dtype=np.uint8)
    order = sorted(
        range(len(regions)), key=lambda n: (labels[n] == EXCLUDED, -largest_area_px(regions[n].rings))
    )
    paint(mask, [regions[n].rings for n in order], [labels[n] for n in order])
    return mask


def _is_grain(region: Region, classes: tuple[PhaseClass, ...]) -> bool:
    text = region.class_name or region.name
    # "grain 12" is one of those that were written to look at; "grain boundary film" is somebody's own.
    is_written = re.fullmatch(rf"{GRAIN}[\s-]*\d*", text.strip(), re.IGNORECASE) is not None
    return is_written and not any(_names(item.name, text) for item in classes)


def _names(known: str, text: str) -> bool:
    """Tell whether a class or name means a class: ``pearlite-0012`` is pearlite, ``pearlitic`` is not."""
    return re.match(rf"{re.escape(known)}(?![^\W_])", text.strip(), re.IGNORECASE) is not None


def _label_of(region: Region, classes: tuple[PhaseClass, ...], path: Path) -> int:
    known = [(item.name, item.label) for item in classes]
    known += [(name, EXCLUDED) for name in EXCLUDED_NAMES] + [(FRAME, classes[0].label)]
    for text in filter(None, (region.class_name, region.name)):
        for name, label in known:
            if _names(name, text):
                return label
        if text == region.class_name:
            break
    if region.group in (*(item.label for item in classes), EXCLUDED) and region.group > 0:
        return region.group
    names = ", ".join([*(item.name for item in classes), EXCLUDED_NAMES[0]])
    what = f"the class {region.class_name!r}, which is not known" if region.class_name else "no class"
    raise FileError(path, f"{region.where} has {what}; make it one of: {names}")


def _frame(
    regions: Sequence[Region], labels: Sequence[int], classes: tuple[PhaseClass, ...]
) -> tuple[int, int] | None:
    """Return height and width of the rectangle that frames the field, or None."""
    extents = [np.concatenate(region.rings).max(axis=0) for region in regions]
    candidates = [
        extent
        for region, label, extent in zip(regions, labels, extents, strict=True)
        if label == classes[0].label and _is_rectangle_from_origin(region.rings, extent)
    ]
    if not candidates:
        return None
    frame = max(candidates, key=lambda extent: float(extent.prod()))
    if any((extent > frame + 1).any() for extent in extents) or frame.max() > _LARGEST_SIDE_PX:
        return None
    width, height = (round(float(side)) for side in frame)
    return (height, width) if min(width, height) > 0 else None


def _is_rectangle_from_origin(rings: tuple[Ring, ...], extent: NDArray[np.float64]) -> bool:
    if len(rings) != 1:
        return False
    at_start, at_end = np.abs(rings[0]) < _EXACT_PX, np.abs(rings[0] - extent) < _EXACT_PX
    return bool((at_start | at_end).all() and at_start.all(axis=1).any() and at_end.all(axis=1).any())
