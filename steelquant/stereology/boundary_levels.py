"""Grains at any probability of their boundaries: watershed basins, merged step by step.

The basins of the boundaries' probability are the finest grains; merging them across their least likely
borders gives fewer and fewer. A border is judged by its mean probability over its whole length, so that a
stretch that the etch left out is carried by the rest of it, which closes gaps; a line that ends in the
middle of a grain bounds nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from steelquant.stereology.basins import (
    Float,
    Labels,
    basins,
    border_pairs,
    borders,
    merge_shallow,
    merge_weak,
)
from steelquant.stereology.intercepts import heyn

_SMOOTHING_PX = 0.7
DEPTH = 0.3
"""Depth in units of the logit below which a basin is no basin (h-minima)."""


@dataclass(frozen=True)
class Level:
    """Basins merged until every border is as likely as a threshold.

    Attributes
    ----------
    labels
        ``(height, width)`` int32, 0 where nothing was looked for.
    pairs
        Flat indices of the pairs of pixels on a border.
    probability
        ``(n,)`` float32, of each pair.
    intercept_px
        Mean intercept; the field's own size where nothing is left between grains.
    """

    labels: Labels
    pairs: tuple[NDArray[np.int64], NDArray[np.int64]]
    probability: Float
    intercept_px: float

    @property
    def number(self) -> float:
        """The grain size number but for a constant."""
        return -2 * math.log2(self.intercept_px)


def finest_level(logits: Float, core: NDArray[np.bool_]) -> Level:
    """Return the basins of the boundaries' lines, shallow ones merged.

    Parameters
    ----------
    logits
        ``(2, height, width)`` from :func:`steelquant.stereology.boundary_network.boundary_logits`: the first
        is the relief, the second how likely a boundary is.
    core
        ``(height, width)`` bool.
    """
    relief = np.asarray(cv2.GaussianBlur(logits[0], (0, 0), _SMOOTHING_PX), np.float32)
    labels, bottoms = basins(relief, core)
    flat = relief.ravel()
    pairs = border_pairs(labels)
    passes = np.maximum(flat[pairs[0]], flat[pairs[1]])
    labels = merge_shallow(bottoms, borders(labels, pairs, passes), DEPTH)[labels]
    pairs = border_pairs(labels)
    near = logits[1].ravel()
    crest = np.maximum(near[pairs[0]], near[pairs[1]])
    probability = np.asarray(1 / (1 + np.exp(-crest)), np.float32)
    return Level(labels, pairs, probability, _intercept_px(labels))


def merged(level: Level, threshold: float) -> Level:
    """Merge further, up to a higher threshold than the level's own."""
    edges = borders(level.labels, level.pairs, level.probability)
    labels = merge_weak(int(level.labels.max()), edges, threshold)[level.labels]
    flat = labels.ravel()
    kept = flat[level.pairs[0]] != flat[level.pairs[1]]
    pairs = (level.pairs[0][kept], level.pairs[1][kept])
    return Level(labels, pairs, level.probability[kept], _intercept_px(labels))


def _intercept_px(labels: Labels) -> float:
    found = heyn(labels, 1.0).mean_intercept_um
    return found if found is not None else float(max(labels.shape))
