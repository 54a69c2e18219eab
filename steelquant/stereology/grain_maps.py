"""Grain maps: from basins in the core of a phase to grains over all of it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from steelquant.stereology.basins import Labels, border_pairs, borders


def grown(labels: Labels, ferrite: NDArray[np.bool_]) -> Labels:
    """Let grains grow over the rest of their phase.

    Parameters
    ----------
    labels
        ``(height, width)`` int32, grains from 1 in a part of the phase.
    ferrite
        ``(height, width)`` bool, all of the phase.

    Returns
    -------
    ndarray
        ``(height, width)`` int32. Every pixel of the phase belongs to the nearest grain; an island of the
        phase that holds none is a grain of its own.
    """
    seeds = labels > 0
    nearest = cv2.distanceTransformWithLabels(
        (~seeds).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )[1]
    grain_of = np.zeros(int(nearest.max()) + 1, np.int32)
    grain_of[nearest[seeds]] = labels[seeds]
    grains = grain_of[nearest]
    count, islands = cv2.connectedComponents(ferrite.astype(np.uint8), connectivity=4)
    looked_at = np.zeros(count, dtype=bool)
    looked_at[islands[seeds]] = True
    thin = ferrite & ~looked_at[islands]
    grains[thin] = int(labels.max()) + islands[thin]
    grains[~ferrite] = 0
    return grains


def without_specks(grains: Labels, smallest_px: int) -> Labels:
    """Join grains below a size to the neighbour they touch most, and drop those that touch none.

    Parameters
    ----------
    grains
        ``(height, width)`` int32.
    smallest_px
        Least area of a grain in pixels.

    Returns
    -------
    ndarray
        ``(height, width)`` int32, numbered from 1 without gaps.
    """
    areas = np.bincount(grains.ravel())
    pairs = border_pairs(grains)
    edges = borders(grains, pairs, np.zeros(pairs[0].size, np.float32))
    target = np.arange(areas.size)
    best = np.zeros(areas.size, dtype=np.int64)
    touching = sorted(
        zip(edges.length.tolist(), edges.first.tolist(), edges.second.tolist(), strict=True), reverse=True
    )
    for length, a, b in touching:
        small, large = (a, b) if (areas[a], a) < (areas[b], b) else (b, a)
        if areas[small] < smallest_px and best[small] == 0:
            best[small], target[small] = length, large
    alone = (areas < smallest_px) & (best == 0)
    target[alone] = 0
    target[0] = 0
    for _ in range(areas.size):  # a speck may join a speck that joins a grain
        further = target[target]
        if np.array_equal(further, target):
            break
        target = further
    return np.unique(target[grains], return_inverse=True)[1].reshape(grains.shape).astype(np.int32)


def in_reading_order(grains: Labels) -> Labels:
    """Return ``(height, width)`` int32 grains 1 to n numbered anew, as they are met row by row."""
    flat = grains.ravel()
    first = np.empty(int(flat.max()) + 1, np.int64)
    first[flat[::-1]] = np.arange(flat.size)[::-1]  # of several, the last that is written stays
    first[0] = -1
    number = np.empty(first.size, np.int32)
    number[np.argsort(first)] = np.arange(first.size, dtype=np.int32)
    return np.asarray(number[grains])


def drawn(grains: Labels) -> NDArray[np.bool_]:
    """Return ``(height, width)`` bool: pixels with another grain to their right or below."""
    lines = np.zeros(grains.shape, dtype=bool)
    lines[:, :-1] |= (grains[:, 1:] != grains[:, :-1]) & (grains[:, 1:] > 0) & (grains[:, :-1] > 0)
    lines[:-1] |= (grains[1:] != grains[:-1]) & (grains[1:] > 0) & (grains[:-1] > 0)
    return lines
