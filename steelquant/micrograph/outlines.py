"""Pixels to polygons and back without loss: outlines along pixel sides, areas filled by pixel centres.

The corner above and to the left of the pixel in column x and row y is the point (x, y), as in QuPath and
ImageJ, so the pixel's centre is (x + ½, y + ½). An outline that is filled gives back the same pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

Ring = NDArray[np.float64]
"""``(n, 2)`` corners x, y in px of a closed line, the first not repeated at the end."""

_STEPS = ((0, 1), (-1, 0), (0, -1), (1, 0))
"""(row, column) of a step east, north, west, south; each is a left turn from the one before."""

_LEFT_PIXEL = ((-1, 0), (-1, -1), (0, -1), (0, 0))
"""Pixel to the left of a step, relative to the corner where the step begins; the one to the right is the
next lower entry: west of north lies the pixel that is to the left of a step north, and so on."""


@dataclass(frozen=True, eq=False)
class Outline:
    """The outlines of one feature.

    Attributes
    ----------
    label
        Value of the feature in the label image.
    polygons
        One per part whose pixels are connected by their sides; of each the outer ring and its holes.
        Rings are simple and touch each other at single corners at most, which makes valid geometry.
    """

    label: int
    polygons: tuple[tuple[Ring, ...], ...]


def trace_outlines(label_image: NDArray[np.int32]) -> list[Outline]:
    """Trace the outlines of all features of a label image.

    Parameters
    ----------
    label_image
        ``(height, width)`` int32; positive values name features, which may touch each other.

    Returns
    -------
    list of Outline
        In rising order of label; only corners where the outline turns.
    """
    parts = _parts(label_image)
    label_of_part = np.zeros(int(parts.max(initial=0)) + 1, dtype=np.int64)
    label_of_part[parts.ravel()] = label_image.ravel()
    owners, points, bounds = _rings(parts)
    polygons: dict[int, list[Ring]] = {}
    for part, (start, stop), area in zip(owners, pairwise(bounds), _areas(points, bounds), strict=True):
        rings = polygons.setdefault(part, [])
        # The part lies to the left of its rings, and y counts downwards: outer rings have negative area.
        rings.insert(0 if area < 0 else len(rings), points[start:stop])
    outlines: dict[int, list[tuple[Ring, ...]]] = {}
    for part, rings in sorted(polygons.items()):
        outlines.setdefault(int(label_of_part[part]), []).append(tuple(rings))
    return [Outline(label, tuple(outlines[label])) for label in sorted(outlines)]


def paint(canvas: NDArray[np.uint8], regions: Sequence[Sequence[Ring]], values: Sequence[int]) -> None:
    """Paint regions one over the other, in their order.

    Parameters
    ----------
    canvas
        ``(height, width)`` uint8, changed in place.
    regions
        Outer rings and holes of each region in any order, filled by the even-odd rule: a pixel belongs
        when its centre lies inside. What lies outside the canvas is cut off.
    values
        What to paint each region with.
    """
    if not regions:
        return
    height, width = canvas.shape
    rings = [np.asarray(ring, dtype=np.float64) for region in regions for ring in region]
    sizes = np.array([len(ring) for ring in rings])
    region_of_ring = np.repeat(np.arange(len(regions)), [len(region) for region in regions])
    begin, end = _sides(np.concatenate(rings), np.append(0, np.cumsum(sizes)))
    # A side crosses the rows whose centres lie at or below its upper end and above its lower end.
    first = np.clip(np.ceil(np.minimum(begin[:, 1], end[:, 1]) - 0.5), 0, height).astype(np.int64)
    stop = np.clip(np.ceil(np.maximum(begin[:, 1], end[:, 1]) - 0.5), 0, height).astype(np.int64)
    count = stop - first
    side = np.repeat(np.arange(count.size), count)
    row = np.arange(side.size) - np.repeat(np.cumsum(count) - count, count) + first[side]
    (x0, y0), (x1, y1) = begin[side].T, end[side].T
    crossing = x0 + (row + 0.5 - y0) * (x1 - x0) / (y1 - y0)
    column = np.clip(np.ceil(crossing - 0.5), 0, width).astype(np.int64)
    region = np.repeat(region_of_ring, sizes)[side]
    order = np.lexsort((column, row, region))
    # Every row crosses a closed line an even number of times: pairs of crossings bound what is inside.
    place = row[order] * width + column[order]
    flat = canvas.reshape(-1)
    painted = np.asarray(values)[region[order[::2]]]
    for left, right, value in zip(place[::2].tolist(), place[1::2].tolist(), painted.tolist(), strict=True):
        flat[left:right] = value


def largest_area_px(rings: Sequence[Ring]) -> float:
    """Return the area within the largest of some rings, whatever lies in it."""
    points = np.concatenate([np.asarray(ring, dtype=np.float64) for ring in rings])
    return float(np.abs(_areas(points, np.cumsum([0, *(len(ring) for ring in rings)]))).max())


def _sides(points: Ring, bounds: NDArray[np.int64]) -> tuple[Ring, Ring]:
    """Return both ends of every side of rings that lie one after the other in ``points``."""
    following = np.arange(1, len(points) + 1)
    following[bounds[1:] - 1] = bounds[:-1]
    return points, points[following]


def _areas(points: Ring, bounds: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each ring's signed area."""
    (x0, y0), (x1, y1) = (ends.T for ends in _sides(points, bounds))
    return np.add.reduceat(x0 * y1 - x1 * y0, bounds[:-1]) / 2


def _parts(label_image: NDArray[np.int32]) -> NDArray[np.int32]:
    """Give a number to each set of pixels of one label connected by their sides."""
    height, width = label_image.shape
    # Doubled, with a gap between pixels of different labels, one call numbers all labels at once.
    spread = np.zeros((2 * height - 1, 2 * width - 1), dtype=np.uint8)
    spread[::2, ::2] = label_image > 0
    spread[::2, 1::2] = (label_image[:, 1:] > 0) & (label_image[:, 1:] == label_image[:, :-1])
    spread[1::2, ::2] = (label_image[1:] > 0) & (label_image[1:] == label_image[:-1])
    numbered = cv2.connectedComponents(spread, connectivity=4, ltype=cv2.CV_32S)[1]
    return np.ascontiguousarray(numbered[::2, ::2], dtype=np.int32)


def _rings(parts: NDArray[np.int32]) -> tuple[list[int], Ring, NDArray[np.int64]]:
    """Follow the sides between parts and what is beside them, each part to the left.

    Returns
    -------
    owners
        The part of each ring.
    points, bounds
        The corners of all rings, and where each begins and ends in them.
    """
    height, width = parts.shape
    padded = np.zeros((height + 2, width + 2), dtype=np.int32)
    padded[1:-1, 1:-1] = parts
    rows, columns = height + 1, width + 1

    def pixel(corner: NDArray[np.int64], direction: int) -> NDArray[np.int32]:
        """Return the pixel to the left of a step from a corner."""
        down, right = _LEFT_PIXEL[direction % 4]
        row, column = np.divmod(corner, columns)
        return np.asarray(padded[row + 1 + down, column + 1 + right])

    keys, owners = [], []
    for direction in range(4):
        (down, right), (other_down, other_right) = _LEFT_PIXEL[direction], _LEFT_PIXEL[direction - 1]
        left = padded[1 + down :, 1 + right :][:rows, :columns]
        beside = padded[1 + other_down :, 1 + other_right :][:rows, :columns]
        corner = np.flatnonzero((left > 0) & (left != beside))
        keys.append(direction * rows * columns + corner)
        owners.append(left.ravel()[corner])
    key, owner = np.concatenate(keys), np.concatenate(owners)
    direction_of, begin = np.divmod(key, rows * columns)
    successor = np.empty_like(key)
    turns = np.empty(key.size, dtype=np.bool_)
    end = np.empty_like(key)
    for direction, (down, right) in enumerate(_STEPS):
        here = direction_of == direction
        end[here] = corner = begin[here] + down * columns + right
        ahead_left = pixel(corner, direction) == owner[here]
        ahead_right = pixel(corner, direction - 1) == owner[here]
        # Turning right wherever it can, a ring keeps to one region beside the part, so that it never meets
        # itself where two pixels of the part share only a corner.
        turn = np.where(ahead_right, -1, np.where(ahead_left, 0, 1))
        turns[here] = turn != 0
        successor[here] = np.searchsorted(key, (direction + turn) % 4 * rows * columns + corner)
    first, corners, bounds = _walk(successor.tolist(), turns.tolist())
    y, x = np.divmod(end[corners], columns)
    return owner[first].tolist(), np.column_stack([x, y]).astype(np.float64), np.array(bounds)


def _walk(successor: list[int], turns: list[bool]) -> tuple[list[int], list[int], list[int]]:
    """Collect one side of each closed walk, the sides after which it turns, and where each begins in them."""
    seen = bytearray(len(successor))
    first_sides: list[int] = []
    corners: list[int] = []
    bounds = [0]
    for first in range(len(successor)):
        if seen[first]:
            continue
        side = first
        while not seen[side]:
            seen[side] = 1
            if turns[side]:
                corners.append(side)
            side = successor[side]
        first_sides.append(first)
        bounds.append(len(corners))
    return first_sides, corners, bounds
