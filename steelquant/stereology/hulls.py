"""Convex hulls of all features of a field at once: convex area and Feret diameters.

A pixel at column x and row y stands for the four mid-points of its sides, (x ± ½, y) and (x, y ± ½), as
in scikit-image's ``convex_hull_image``. Coordinates are doubled, so that all of them are whole numbers
and every test of orientation and every count of pixels is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RowExtents:
    """The outermost pixels of every feature in every row that it reaches, sorted by feature, then row.

    Attributes
    ----------
    feature
        ``(r,)`` zero-based index of the feature; each of 0 … n−1 occurs.
    row, left, right
        ``(r,)`` row, first column and last column (inclusive), in px.
    """

    feature: IntArray
    row: IntArray
    left: IntArray
    right: IntArray


@dataclass(frozen=True, eq=False)
class Hulls:
    """What the convex hulls give, one value per feature.

    Attributes
    ----------
    convex_area_px
        ``(n,)`` pixels whose centre lies in or on the hull.
    feret_max_px, feret_min_px
        ``(n,)`` greatest and smallest distance between two parallel lines that touch the hull, in px.
    """

    convex_area_px: IntArray
    feret_max_px: FloatArray
    feret_min_px: FloatArray


def convex_hulls(extents: RowExtents, count: int) -> Hulls:
    """Return convex area and Feret diameters of ``count`` features.

    Each feature's left and right outline is a chain of points, one per half row. All chains of the field
    lose their inward points together, pass by pass, until every chain is convex: an inward point lies on
    or inside the chord of two other points of the set, so it is no vertex of the hull.

    Parameters
    ----------
    extents
        Outermost pixels of each feature in each row.
    count
        Number of features n.
    """
    feature, y, left, right = _outline(extents)
    chain = np.concatenate([feature, feature + count])
    x, y, chain = _drop_inward_points(np.concatenate([left, -right]), np.concatenate([y, y]), chain)
    ends = np.searchsorted(extents.feature, np.arange(count + 1))
    rows = extents.row[ends[1:] - 1] - extents.row[ends[:-1]] + 1
    inset = _first_columns(x, y, chain, count)
    area = rows - inset[:count] - inset[count:]
    feret_max, feret_min = _feret(x, y, chain, count)
    return Hulls(area.astype(np.int64), feret_max, feret_min)


def _outline(extents: RowExtents) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Return feature, y, left and right of the outermost side mid-points, doubled, for each half row."""
    feature, row, left, right = extents.feature, extents.row, extents.left, extents.right
    follows = np.zeros(feature.size, dtype=bool)
    follows[1:] = (feature[1:] == feature[:-1]) & (row[1:] == row[:-1] + 1)
    # Every row gives its centre line and its lower edge; its upper edge is the lower one of the row above.
    size = 2 + ~follows
    end = np.cumsum(size)
    upper, centre, lower = (end - 3)[~follows], end - 2, end - 1
    total = int(end[-1]) if end.size else 0
    out = [np.empty(total, dtype=np.int64) for _ in range(4)]
    next_follows = np.append(follows[1:], False)
    next_left = np.where(next_follows, np.append(left[1:], 0), left)
    next_right = np.where(next_follows, np.append(right[1:], 0), right)
    for place, values in (
        (upper, (feature[~follows], 2 * row[~follows] - 1, 2 * left[~follows], 2 * right[~follows])),
        (centre, (feature, 2 * row, 2 * left - 1, 2 * right + 1)),
        (lower, (feature, 2 * row + 1, 2 * np.minimum(left, next_left), 2 * np.maximum(right, next_right))),
    ):
        for array, value in zip(out, values, strict=True):
            array[place] = value
    return out[0], out[1], out[2], out[3]


def _drop_inward_points(x: IntArray, y: IntArray, chain: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Return the points of each chain's convex hull on the side of small x; y rises along each chain."""
    while x.size > 2:
        same = chain[2:] == chain[:-2]
        to_next = (x[2:] - x[:-2]) * (y[1:-1] - y[:-2])
        inward = same & ((x[1:-1] - x[:-2]) * (y[2:] - y[:-2]) >= to_next)
        if not inward.any():
            break
        keep = np.ones(x.size, dtype=bool)
        keep[1:-1] = ~inward
        x, y, chain = x[keep], y[keep], chain[keep]
    return x, y, chain


def _first_columns(x: IntArray, y: IntArray, chain: IntArray, count: int) -> IntArray:
    """Return, per chain, the sum over its pixel rows of the first column on or right of the chain."""
    edge = np.flatnonzero(chain[1:] == chain[:-1])
    first_row, last_row = -(-y[edge] // 2), -(-y[edge + 1] // 2)
    rows = last_row - first_row
    of_row = np.repeat(edge, rows)
    within = np.arange(of_row.size) - np.repeat(np.cumsum(rows) - rows, rows)
    height = y[of_row + 1] - y[of_row]
    down = 2 * (np.repeat(first_row, rows) + within) - y[of_row]
    numerator = x[of_row] * height + (x[of_row + 1] - x[of_row]) * down
    column = -(-numerator // (2 * height))
    # Columns are far below 2⁵³ in sum, so the float sums of bincount are exact.
    return np.bincount(chain[of_row], weights=column, minlength=2 * count).astype(np.int64)


def _feret(x: IntArray, y: IntArray, chain: IntArray, count: int) -> tuple[FloatArray, FloatArray]:
    """Return the greatest and smallest width of each hull, by rotating callipers on all hulls at once."""
    right = chain >= count
    feature = chain - count * right
    # Around each hull: down its left chain, then up its right chain, whose x was negated.
    lefts = int(np.count_nonzero(~right))
    sizes = np.bincount(chain, minlength=2 * count)
    start = np.append(0, np.cumsum(sizes[:count] + sizes[count:]))
    first = np.append(0, np.cumsum(sizes))[chain]
    within = np.arange(x.size) - first
    within[lefts:] = (sizes[:count] + sizes[count:])[feature[lefts:]] - 1 - within[lefts:]
    place = start[feature] + within
    order = np.empty_like(place)
    order[place] = np.arange(place.size)
    feature, y, right = feature[order], y[order], right[order]
    x = np.where(right, -x[order], x[order])
    following = np.arange(1, x.size + 1)
    following[start[1:] - 1] = start[:-1]
    dx, dy = x[following] - x, y[following] - y
    # Turning angle of each edge, from 0 on the top edge; the top edge closes the polygon, so it counts 2π.
    angle = np.arctan2(dy, -dx)
    angle = np.where(angle <= 0, angle + 2 * np.pi, angle)
    distinct = (dx != 0) | (dy != 0)
    angle[~distinct] = np.where(right, 2 * np.pi, np.pi)[~distinct]
    # The vertex farthest from an edge is where the edges have turned by half a circle.
    turn, full = 8.0, np.where(angle > np.pi, angle - np.pi, angle + np.pi)
    far = np.searchsorted(feature * turn + angle, feature * turn + full)
    far = np.where(far == start[feature + 1], start[feature], far)
    width = np.full(x.size, np.inf)
    across = np.abs(dx * (y[far] - y) - dy * (x[far] - x))
    np.divide(across, np.hypot(dx, dy), out=width, where=distinct)
    # Where the far edge is parallel, rounding chose one of its ends; its diagonals need the other as well.
    preceding = np.empty_like(following)
    preceding[following] = np.arange(x.size)
    widest = np.zeros(x.size, dtype=np.int64)
    for near, vertex in ((None, far), (following, far), (following, following[far]), (None, preceding[far])):
        a, b = (x, y) if near is None else (x[near], y[near])
        np.maximum(widest, (x[vertex] - a) ** 2 + (y[vertex] - b) ** 2, out=widest)
    longest = np.sqrt(np.maximum.reduceat(widest, start[:-1]))
    return longest / 2, np.minimum.reduceat(width, start[:-1]) / 2
