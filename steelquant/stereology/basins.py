"""Watershed basins of a relief, the borders between them, and their merging.

Water that falls on a pixel runs to the lowest of its eight neighbours and on to a minimum; the pixels
that drain to one minimum are its basin. Two basins share a border of pixel pairs, and the borders with
their lengths and sums make a graph on which basins are merged: whole-image work is done in arrays,
merging on a few thousand basins.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import minimum_spanning_tree

Float = NDArray[np.float32]
Labels = NDArray[np.int32]
_Border = tuple[int, float]
"""Length and summed strength."""


@dataclass(frozen=True)
class Borders:
    """All borders between basins, one entry each.

    Attributes
    ----------
    first, second
        ``(n,)`` labels, the smaller first.
    length
        ``(n,)`` number of pixel pairs on the border.
    total
        ``(n,)`` sum of the value over the pairs.
    lowest
        ``(n,)`` its least value.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    length: NDArray[np.int64]
    total: NDArray[np.float64]
    lowest: NDArray[np.float64]


def basins(relief: Float, inside: NDArray[np.bool_]) -> tuple[Labels, NDArray[np.float64]]:
    """Label the basins of a relief.

    Parameters
    ----------
    relief
        ``(height, width)`` float32.
    inside
        ``(height, width)`` bool; nothing drains out of or through the rest.

    Returns
    -------
    labels
        ``(height, width)`` int32 from 1, 0 outside.
    bottoms
        ``(n + 1,)`` the relief at each basin's minimum, by label; entry 0 is unused.
    """
    height, width = relief.shape
    high = np.float32(1e9)
    own = np.where(inside, relief, high)
    around = cv2.copyMakeBorder(own, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=float(high))
    steepest = np.zeros(relief.shape, np.float32)
    runs_to = np.arange(height * width, dtype=np.int32).reshape(relief.shape)
    here = runs_to.copy()
    for row in (-1, 0, 1):
        for column in (-1, 0, 1):
            if row == column == 0:
                continue
            drop = own - around[1 + row : 1 + row + height, 1 + column : 1 + column + width]
            if row and column:
                drop = drop * np.float32(0.70710678)
            steeper = drop > steepest
            np.copyto(steepest, drop, where=steeper)
            np.copyto(runs_to, here + np.int32(row * width + column), where=steeper)
    ends = runs_to.ravel()
    while True:
        further = ends[ends]
        if np.array_equal(further, ends):
            break
        ends = further
    minima = np.flatnonzero((ends == here.ravel()) & inside.ravel())
    number = np.zeros(height * width, np.int32)
    number[minima] = np.arange(1, minima.size + 1, dtype=np.int32)
    labels = number[ends].reshape(relief.shape)
    labels[~inside] = 0
    return labels, np.concatenate(([0.0], relief.ravel()[minima].astype(float)))


def border_pairs(labels: Labels) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the flat indices of all pairs of neighbours (of four) that lie in different basins."""
    width = labels.shape[1]
    sides = labels[:, 1:] != labels[:, :-1]
    sides &= (labels[:, 1:] > 0) & (labels[:, :-1] > 0)
    rows, columns = np.nonzero(sides)
    left = rows * width + columns
    tops = labels[1:] != labels[:-1]
    tops &= (labels[1:] > 0) & (labels[:-1] > 0)
    rows, columns = np.nonzero(tops)
    upper = rows * width + columns
    return np.concatenate((left, upper)), np.concatenate((left + 1, upper + width))


def borders(labels: Labels, pairs: tuple[NDArray[np.int64], NDArray[np.int64]], values: Float) -> Borders:
    """Gather pixel pairs into borders.

    Parameters
    ----------
    labels
        ``(height, width)`` int32.
    pairs
        From :func:`border_pairs` of the same labels, or of finer ones.
    values
        One number per pair.
    """
    flat = labels.ravel()
    a, b = flat[pairs[0]].astype(np.int64), flat[pairs[1]].astype(np.int64)
    apart = a != b
    a, b, values = a[apart], b[apart], values[apart]
    if a.size == 0:
        none = np.zeros(0, np.int64)
        return Borders(none, none, none, none.astype(float), none.astype(float))
    key = np.minimum(a, b) * (int(flat.max()) + 1) + np.maximum(a, b)
    order = np.argsort(key, kind="stable")
    a, b, key, values = a[order], b[order], key[order], values[order].astype(float)
    starts = np.flatnonzero(np.diff(key, prepend=-1))
    return Borders(
        first=np.minimum(a, b)[starts],
        second=np.maximum(a, b)[starts],
        length=np.diff(starts, append=key.size),
        total=np.add.reduceat(values, starts),
        lowest=np.minimum.reduceat(values, starts),
    )


def merge_shallow(bottoms: NDArray[np.float64], edges: Borders, depth: float) -> Labels:
    """Merge basins that are less deep than a depth below their lowest pass (h-minima).

    Parameters
    ----------
    bottoms
        From :func:`basins`.
    edges
        The basins' borders, their ``lowest`` being the height of the pass.
    depth
        Least depth of a basin that stays.

    Returns
    -------
    ndarray
        ``(n + 1,)`` int32, new label of each old one, 0 staying 0.
    """
    count = bottoms.size
    parent = list(range(count))
    bottom = bottoms.tolist()
    # Passes off the spanning tree of lowest passes join what is joined already.
    offset = float(edges.lowest.min()) - 1.0 if edges.lowest.size else 0.0
    pairs = edges.first.astype(np.int32), edges.second.astype(np.int32)  # older SciPys want no others
    graph = coo_array((edges.lowest - offset, pairs), shape=(count, count))
    tree = minimum_spanning_tree(graph.tocsr()).tocoo()
    order = np.argsort(tree.data, kind="stable")
    passes = (tree.data[order] + offset).tolist()
    for a, b, height in zip(tree.row[order].tolist(), tree.col[order].tolist(), passes, strict=True):
        lower, upper = sorted((_root(parent, a), _root(parent, b)), key=bottom.__getitem__)
        if height - bottom[upper] < depth:
            parent[upper] = lower
    return _renumbered(parent)


def merge_weak(count: int, edges: Borders, least: float) -> Labels:
    """Merge neighbours across their weakest border until every border is strong enough.

    After each merging the borders that have become one are taken together, so that a border is judged
    by its mean over its whole length and a gap in it is carried by the rest.

    Parameters
    ----------
    count
        Largest label.
    edges
        The borders, ``total`` being the sum of a strength over the pixel pairs.
    least
        Mean strength, ``total / length``, below which a border goes.

    Returns
    -------
    ndarray
        ``(count + 1,)`` int32, new label of each old one, 0 staying 0.

    References
    ----------
    Arbeláez, P. et al. (2011). IEEE Trans. PAMI 33, 898–916: merging by mean boundary strength.
    """
    around: list[dict[int, _Border]] = [{} for _ in range(count + 1)]
    heap = []
    parts = (edges.first, edges.second, edges.length, edges.total)
    for a, b, length, total in zip(*(part.tolist() for part in parts), strict=True):
        around[a][b] = around[b][a] = (length, total)
        heap.append((total / length, a, b))
    heapq.heapify(heap)
    parent = list(range(count + 1))
    while heap and heap[0][0] < least:
        weakest, a, b = heapq.heappop(heap)
        border = around[a].get(b)
        if border is None or border[1] / border[0] != weakest:
            continue  # one of the two is gone, or their border has grown since
        if len(around[a]) < len(around[b]):
            a, b = b, a
        parent[b] = a
        del around[a][b]
        for c, part in around[b].items():
            if c == a:
                continue
            del around[c][b]
            other = around[a].get(c, (0, 0.0))
            length, total = part[0] + other[0], part[1] + other[1]
            around[a][c] = around[c][a] = (length, total)
            heapq.heappush(heap, (total / length, a, c))
        around[b] = {}
    return _renumbered(parent)


def _root(parent: list[int], label: int) -> int:
    while parent[label] != label:
        parent[label] = parent[parent[label]]
        label = parent[label]
    return label


def _renumbered(parent: list[int]) -> Labels:
    roots = np.array([_root(parent, label) for label in range(len(parent))])
    return np.unique(roots, return_inverse=True)[1].astype(np.int32)
