"""Size, shape and place of every feature of a phase, from whole-image reductions in one pass.

A feature is a connected set of pixels of one phase; pixels that share a side or a corner are connected
(8-connectivity). Nothing here loops over features: their pixels are taken as runs along the rows, and each
property is a sum over runs (``bincount``), over border pixels, or over hull vertices of all features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from steelquant.micrograph.field import EXCLUDED
from steelquant.stereology.hulls import RowExtents, convex_hulls

CONNECTIVITY = 8
"""Pixels of a feature share a side or a corner."""

_OUTSIDE = -1
"""Marks excluded pixels in a label image."""

_PERIMETER_KERNEL = np.array([[10, 2, 10], [2, 1, 2], [10, 2, 10]], dtype=np.float32)
_PERIMETER_WEIGHTS = np.zeros(50)
_PERIMETER_WEIGHTS[[5, 7, 15, 17, 25, 27]] = 1
_PERIMETER_WEIGHTS[[21, 33]] = np.sqrt(2)
_PERIMETER_WEIGHTS[[13, 23]] = (1 + np.sqrt(2)) / 2


@dataclass(frozen=True, eq=False)
class Features:
    """All features of one phase in one field; each attribute is ``(n,)``, in raster order of first pixels.

    Lengths are in px: multiply by the field's µm/px. Definitions are those of scikit-image's
    ``regionprops``, pixel centres at whole coordinates, except where said.

    Attributes
    ----------
    label
        Value of the feature in the label image.
    area_px
        Number of pixels.
    centroid_x_px, centroid_y_px
        Mean column and row.
    left_px, top_px, right_px, bottom_px
        Bounding box, right and bottom exclusive.
    perimeter_px
        Border length after Benkrid and Crookes, the border being the pixels with a foreign side-neighbour.
    axis_major_px, axis_minor_px
        Full axes of the ellipse with the same second central moments.
    eccentricity
        Of that ellipse: 0 for a circle, towards 1 for a line.
    orientation_deg
        Angle from the image's horizontal to the major axis, counter-clockwise, 0 ≤ angle < 180.
    convex_area_px, solidity
        Pixels in the convex hull, and area divided by it.
    feret_max_px, feret_min_px
        Greatest and smallest calliper width of the hull of the pixels' side mid-points.
    touches_edge
        The feature reaches the frame of the field.
    touches_excluded
        The feature shares a pixel side with an excluded pixel.
    """

    label: NDArray[np.int64]
    area_px: NDArray[np.int64]
    centroid_x_px: NDArray[np.float64]
    centroid_y_px: NDArray[np.float64]
    left_px: NDArray[np.int64]
    top_px: NDArray[np.int64]
    right_px: NDArray[np.int64]
    bottom_px: NDArray[np.int64]
    perimeter_px: NDArray[np.float64]
    axis_major_px: NDArray[np.float64]
    axis_minor_px: NDArray[np.float64]
    eccentricity: NDArray[np.float64]
    orientation_deg: NDArray[np.float64]
    convex_area_px: NDArray[np.int64]
    solidity: NDArray[np.float64]
    feret_max_px: NDArray[np.float64]
    feret_min_px: NDArray[np.float64]
    touches_edge: NDArray[np.bool_]
    touches_excluded: NDArray[np.bool_]

    @property
    def count(self) -> int:
        """Number of features."""
        return int(self.label.size)

    @property
    def equivalent_diameter_px(self) -> NDArray[np.float64]:
        """Diameter of the circle of the same area, √(4A/π)."""
        return np.sqrt(4 * self.area_px / np.pi)

    @property
    def aspect_ratio(self) -> NDArray[np.float64]:
        """Feret max over Feret min, from 1."""
        return self.feret_max_px / self.feret_min_px

    @property
    def roundness(self) -> NDArray[np.float64]:
        """Area over that of the circle about the longest diameter, 4A/(π·Feret max²) (ISO 9276-6)."""
        return 4 * self.area_px / (np.pi * self.feret_max_px**2)

    @property
    def cut(self) -> NDArray[np.bool_]:
        """Whether the frame or an excluded region cuts the feature, so that its full size is unknown."""
        return self.touches_edge | self.touches_excluded


def label_phase(labels: NDArray[np.uint8], phase: int) -> NDArray[np.int32]:
    """Give each feature of one phase its number.

    Parameters
    ----------
    labels
        ``(height, width)`` mask, 255 excluded.
    phase
        Label of the phase.

    Returns
    -------
    ndarray
        ``(height, width)`` int32: 1, 2, … in raster order of each feature's first pixel, 0 for other
        phases, −1 for excluded pixels. Connectivity 8.
    """
    numbered = _connected(labels == phase)
    result: NDArray[np.int32] = _raster_ranks(_runs(numbered).value).astype(np.int32)[numbered]
    result[labels == EXCLUDED] = _OUTSIDE
    return result


def measure_phase(labels: NDArray[np.uint8], phase: int, *, smallest_px: int = 1) -> Features:
    """Measure all features of one phase; the same as measuring the image of :func:`label_phase`, faster.

    Parameters
    ----------
    labels
        ``(height, width)`` mask, 255 excluded.
    phase
        Label of the phase.
    smallest_px
        Features of fewer pixels are left out.
    """
    of_phase = labels == phase
    numbered = _connected(of_phase)
    runs = _runs(numbered)
    rank = _raster_ranks(runs.value)
    perimeter, excluded = np.empty(rank.size), np.empty(rank.size, dtype=bool)
    perimeter[rank], excluded[rank] = _phase_borders(of_phase, labels == EXCLUDED, numbered, rank.size)
    runs = _Runs(rank[runs.value], runs.row, runs.start, runs.stop)
    return _measure(runs, labels.shape, perimeter, excluded, smallest_px)


def measure_features(label_image: NDArray[np.int32], *, smallest_px: int = 1) -> Features:
    """Measure every feature of a label image; features may touch each other, as grains do.

    Parameters
    ----------
    label_image
        ``(height, width)`` integers: the positive ones name features, 0 is none, −1 is excluded.
    smallest_px
        Features of fewer pixels are left out.

    Returns
    -------
    Features
        In rising order of label. Labels without any pixel do not occur.
    """
    runs = _runs(label_image)
    size = int(runs.value.max(initial=0)) + 1
    return _measure(runs, label_image.shape, *_label_borders(label_image, size), smallest_px)


def _measure(
    runs: _Runs,
    shape: tuple[int, ...],
    perimeter: NDArray[np.float64],
    excluded: NDArray[np.bool_],
    smallest_px: int,
) -> Features:
    """Reduce runs to properties; ``perimeter`` and ``excluded`` are indexed by the runs' values."""
    height, width = shape
    pixels = np.bincount(runs.value, weights=runs.stop - runs.start, minlength=1).astype(np.int64)
    wanted = pixels >= max(1, smallest_px)
    label = np.flatnonzero(wanted)
    index = np.cumsum(wanted) - 1
    order = np.argsort(runs.value, kind="stable")
    order = order[wanted[runs.value[order]]]
    feature, row = index[runs.value[order]], runs.row[order]
    start, stop = runs.start[order], runs.stop[order]
    length = stop - start
    count, area = label.size, pixels[label]

    def total(weights: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.float64]:
        return np.bincount(feature, weights=weights, minlength=count).astype(np.float64, copy=False)

    middle = (start + stop - 1) / 2
    x, y = total(length * middle) / area, total(length * row) / area
    dx, dy = middle - x[feature], row - y[feature]
    # A run of k pixels adds (k³ − k)/12 about its own middle.
    own = (length.astype(np.float64) ** 2 - 1) / 12
    mu_xx, mu_yy = total(length * (dx * dx + own)) / area, total(length * dy * dy) / area
    mu_xy = total(length * dx * dy) / area
    spread, mean = np.hypot((mu_xx - mu_yy) / 2, mu_xy), (mu_xx + mu_yy) / 2
    greater, lesser = mean + spread, np.maximum(mean - spread, 0)

    first = np.searchsorted(feature, np.arange(count))
    left, right = _reduce(np.minimum, start, first), _reduce(np.maximum, stop, first)
    top, bottom = _reduce(np.minimum, row, first), _reduce(np.maximum, row, first) + 1
    hulls = convex_hulls(_row_extents(feature, row, start, stop), count)
    return Features(
        label=label,
        area_px=area,
        centroid_x_px=x,
        centroid_y_px=y,
        left_px=left,
        top_px=top,
        right_px=right,
        bottom_px=bottom,
        perimeter_px=perimeter[label],
        axis_major_px=4 * np.sqrt(greater),
        axis_minor_px=4 * np.sqrt(lesser),
        eccentricity=np.sqrt(1 - np.divide(lesser, greater, out=np.ones(count), where=greater > 0)),
        # Rows count downwards, so the sign of the mixed moment turns for a counter-clockwise angle.
        orientation_deg=np.degrees(np.arctan2(-2 * mu_xy, mu_xx - mu_yy)) / 2 % 180,
        convex_area_px=hulls.convex_area_px,
        solidity=area / hulls.convex_area_px,
        feret_max_px=hulls.feret_max_px,
        feret_min_px=hulls.feret_min_px,
        touches_edge=(left == 0) | (top == 0) | (right == width) | (bottom == height),
        touches_excluded=excluded[label],
    )


def _reduce(function: np.ufunc, values: NDArray[np.int64], first: NDArray[np.int64]) -> NDArray[np.int64]:
    """Reduce consecutive groups; a field without features has none."""
    result: NDArray[np.int64] = function.reduceat(values, first) if first.size else first
    return result


class _Runs(NamedTuple):
    """Runs of one label along a row, in raster order: value, row, first column, column after the last."""

    value: NDArray[np.int64]
    row: NDArray[np.int64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]


def _connected(of_phase: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Give connected sets of pixels the numbers from 1, in no particular order."""
    pixels = of_phase.view(np.uint8)
    numbered = cv2.connectedComponents(pixels, connectivity=CONNECTIVITY, ltype=cv2.CV_32S)[1]
    return np.asarray(numbered, dtype=np.int32)


def _raster_ranks(value: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return, indexed by the numbers of runs in raster order, each number's place by first occurrence."""
    count = int(value.max(initial=0)) + 1
    first = np.full(count, -1, dtype=np.int64)
    first[value[::-1]] = np.arange(value.size)[::-1]  # of repeated places the last assignment stays
    rank = np.empty(count, dtype=np.int64)
    rank[np.argsort(first)] = np.arange(count)
    return rank


def _runs(label_image: NDArray[np.int32]) -> _Runs:
    height, width = label_image.shape
    padded = np.zeros((height, width + 1), dtype=np.int32)  # the extra column ends each row's last run
    padded[:, :width] = label_image
    flat = padded.ravel()
    start = np.flatnonzero(np.append(True, flat[1:] != flat[:-1]))
    stop = np.append(start[1:], flat.size)
    value = flat[start]
    positive = value > 0
    start, stop = start[positive], stop[positive]
    row, column = np.divmod(start, width + 1)
    return _Runs(value[positive].astype(np.int64), row, column, column + stop - start)


def _row_extents(
    feature: NDArray[np.int64], row: NDArray[np.int64], start: NDArray[np.int64], stop: NDArray[np.int64]
) -> RowExtents:
    """Return each feature's outermost pixels per row from its runs, which are sorted by feature and row."""
    new = np.ones(feature.size, dtype=bool)
    new[1:] = (feature[1:] != feature[:-1]) | (row[1:] != row[:-1])
    last = np.append(new[1:], True)[: feature.size]
    return RowExtents(feature[new], row[new], start[new], stop[last] - 1)


def _phase_borders(
    of_phase: NDArray[np.bool_], excluded: NDArray[np.bool_], numbered: NDArray[np.int32], size: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return perimeter and contact with excluded pixels, indexed by number below ``size``.

    Each border pixel is weighted by how many of its side- and corner-neighbours are border pixels too
    (Benkrid and Crookes, Design and FPGA implementation of a perimeter estimator). Two features of one
    phase never neighbour each other, so the whole image is filtered at once.
    """
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    pixels = of_phase.view(np.uint8)
    border = pixels - cv2.erode(pixels, cross, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    code = cv2.filter2D(border, cv2.CV_8U, _PERIMETER_KERNEL, borderType=cv2.BORDER_CONSTANT)
    at = np.flatnonzero(border)
    weights = _PERIMETER_WEIGHTS[code.ravel()[at]]
    perimeter = np.bincount(numbered.ravel()[at], weights=weights, minlength=size).astype(np.float64)
    touched = np.zeros(size, dtype=bool)
    if excluded.any():
        beside = cv2.dilate(excluded.view(np.uint8), cross, borderType=cv2.BORDER_CONSTANT, borderValue=0)
        touched[numbered[of_phase & (beside > 0)]] = True
    return perimeter, touched


def _label_borders(
    label_image: NDArray[np.int32], size: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the same as :func:`_phase_borders` for features that may neighbour each other."""
    height, width = label_image.shape
    stride = width + 1  # the column of zeros between rows is the neighbour on either side
    padded = np.zeros((height + 2, stride), dtype=np.int32)
    padded[1:-1, :width] = label_image
    flat = np.append(padded.ravel(), np.int32(0))
    inner = flat[stride:-stride]
    same = np.ones(inner.size, dtype=bool)
    for step in (-stride, -1, 1, stride):
        same &= flat[stride + step : flat.size - stride + step] == inner
    at = np.flatnonzero((inner > 0) & ~same) + stride
    border = np.zeros_like(flat)
    border[at] = flat[at]
    label = flat[at]
    code = np.ones(at.size, dtype=np.int64)
    excluded = np.zeros(at.size, dtype=bool)
    for step in (-stride, -1, 1, stride):
        code += 2 * (border[at + step] == label)
        excluded |= flat[at + step] == _OUTSIDE
    for step in (-stride - 1, -stride + 1, stride - 1, stride + 1):
        code += 10 * (border[at + step] == label)
    perimeter = np.bincount(label, weights=_PERIMETER_WEIGHTS[code], minlength=size).astype(np.float64)
    touched = np.zeros(size, dtype=bool)
    touched[label[excluded]] = True
    return perimeter, touched
