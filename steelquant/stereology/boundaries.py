"""Ferrite's grain boundaries, found in the micrograph inside the ferrite of a mask.

The strength of dark lines is a landscape, and the grains are its basins. There are far too many of them
at first, for noise has crests too; they are merged across their weakest border until every border left is
seen along enough of its length. A border that the etch left out in places is carried by the rest of it,
which closes gaps; a line that ends in the middle of a grain bounds nothing.
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
from steelquant.stereology.boundary_verdict import NOTHING_FOUND, Signs, judge_boundaries
from steelquant.stereology.features import measure_features
from steelquant.stereology.grain_maps import drawn, grown, without_specks
from steelquant.stereology.intercepts import heyn
from steelquant.stereology.levelling import levelled
from steelquant.stereology.lines import dark_lines, line_noise
from steelquant.stereology.pits import fill_pits

_SMOOTHING_PX = 0.8
_DEPTH = 0.5
"""Depth in noise units below which a basin is no basin (h-minima)."""

_SEEN = 0.36
"""Share of a border that must be seen."""
_SHORT_PX = 12.0
"""How much an unseen share of a border counts against short ones."""

_FIRST_THRESHOLD = 1.3
_LEAST_THRESHOLD = 1.8
_FIRST_LOOK = 3.6
_THRESHOLD = 0.48
_STRONG = 16.0
"""The threshold is 0.48·√l with l the mean intercept in pixels, and grows with the root of the
boundaries' strength where its upper quartile is above 16, both from a first look at 3.6: fitted to
synthetic fields whose grains are known. Larger grains leave more room for false lines, and where the true
ones are strong there is no need to believe in weak ones."""

_SMALLEST_SHARE = 0.05
_SMALLEST_PX = 12

_LEAST_PIT = 0.03
_PIT_OF_NOISE = 10.0
"""Pits to be filled are at least 0.03 of the brightness deep and ten times the noise, which is about three
times what makes a line of them pass for a boundary."""

_STEP = 1.25
_Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True)
class GrainBoundaries:
    """Grains found in one field, how, and how far to trust them.

    Attributes
    ----------
    grains
        ``(height, width)`` int32: number of the grain from 1; 0 outside the ferrite.
    boundaries
        ``(height, width)`` bool: pixels with another grain to their right or below.
    threshold
        Strength, in units of the local noise, at which a boundary is half seen.
    threshold_contrast
        The same as a share of the ferrite's brightness, for the field's typical noise.
    noise
        Typical noise of the line filter as a share of the ferrite's brightness.
    strength, contrast
        Median strength in noise units and median darkness, as a share of the ferrite's brightness, of the
        boundaries that were found; None without any.
    bridged_fraction
        Share of the boundaries' length that was not seen but closed.
    longest_gap_px
        Longest stretch closed in one boundary, in pixels.
    depth
        Depth criterion of the watershed, in noise units.
    smallest_grain_px
        Area in pixels below which a grain was joined to its neighbour, or dropped where it had none.
    pits
        Etching pits and specks that were filled before boundaries were looked for.
    sensitivity
        How much the grain size number falls when the threshold goes from 0.8 to 1.25 of its value.
    convexity
        Mean share of its convex hull that a grain fills, weighed by area. Grains are nearly convex, and two
        that a missed boundary leaves joined are not.
    loose_fraction
        Length of the lines that were seen but end within a grain, over the length of the boundaries.
    verdict
        ``"clear"``, ``"faint"`` (the number may be off by more than 0.25), ``"too faint"`` (it cannot be
        trusted) or ``"no ferrite"``.
    warnings
        One sentence each.
    """

    grains: Labels
    boundaries: NDArray[np.bool_]
    threshold: float
    threshold_contrast: float
    noise: float
    strength: float | None
    contrast: float | None
    bridged_fraction: float
    longest_gap_px: float
    depth: float
    smallest_grain_px: int
    pits: int
    sensitivity: float
    convexity: float
    loose_fraction: float
    verdict: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Merged:
    """Basins merged at one threshold: labels, the pairs still on a border, and what follows."""

    labels: Labels
    pairs: _Pairs
    crest: Float
    threshold: float
    intercept_px: float


def find_grains(
    pixels: NDArray[np.uint8], ferrite: NDArray[np.bool_], *, threshold: float | None = None
) -> GrainBoundaries:
    """Find the grains of a bright phase by the dark lines between them.

    Parameters
    ----------
    pixels
        ``(height, width)`` or ``(height, width, 3)`` uint8 micrograph.
    ferrite
        ``(height, width)`` bool, true where the phase is and the field counts.
    threshold
        Strength in noise units to use instead of the field's own, for pictures whose stains or pits
        pass for boundaries (higher) or whose boundaries are lost (lower).

    Returns
    -------
    GrainBoundaries

    Raises
    ------
    ValueError
        If the two arrays differ in size, or the threshold is not greater than 0.
    """
    if pixels.shape[:2] != ferrite.shape:
        raise ValueError(f"the micrograph is {pixels.shape[:2]} and the mask {ferrite.shape}")
    if threshold is not None and not threshold > 0:
        raise ValueError(f"the threshold must be greater than 0, not {threshold}")
    image, core = levelled(pixels, ferrite)
    if not core.any():
        return _unsearched(ferrite)
    filled, pits = fill_pits(image, core, max(_LEAST_PIT, _PIT_OF_NOISE * line_noise(image, core)))
    found = _search(filled, core, threshold)
    return _described(found, ferrite, pits)


@dataclass(frozen=True)
class _Search:
    """What one search for boundaries found."""

    merged: _Merged
    noise: float
    contrast: float | None
    sensitivity: float
    loose: float


def _search(image: Float, core: NDArray[np.bool_], threshold: float | None) -> _Search:
    response = dark_lines(image, core)
    relief = np.asarray(cv2.GaussianBlur(response.strength, (0, 0), _SMOOTHING_PX), np.float32)
    finest = _first_merging(relief, core)
    chosen = threshold if threshold is not None else _suitable(finest)
    # What is merged at a lower threshold is merged at a higher one too.
    lower = _merge(finest, chosen / _STEP)
    merged = _merge(lower, chosen)
    higher = _merge(merged, chosen * _STEP)
    contrast = None
    if merged.crest.size:
        flat = response.contrast.ravel()
        contrast = float(np.median(np.maximum(flat[merged.pairs[0]], flat[merged.pairs[1]])))
    sensitivity = _number(lower) - _number(higher)
    return _Search(merged, response.noise, contrast, sensitivity, _loose(finest, merged))


def _loose(finest: _Merged, merged: _Merged) -> float:
    """Return the length of lines seen within grains over that of the grains' boundaries."""
    flat = merged.labels.ravel()
    within = flat[finest.pairs[0]] == flat[finest.pairs[1]]
    seen = np.count_nonzero(finest.crest[within] > merged.threshold)
    return int(seen) / max(1, merged.crest.size)


def _first_merging(relief: Float, core: NDArray[np.bool_]) -> _Merged:
    labels, bottoms = basins(relief, core)
    flat = relief.ravel()
    pairs = border_pairs(labels)
    passes = np.maximum(flat[pairs[0]], flat[pairs[1]])
    labels = merge_shallow(bottoms, borders(labels, pairs, passes), _DEPTH)[labels]
    pairs = border_pairs(labels)
    crest = (flat[pairs[0]] + flat[pairs[1]]) * np.float32(0.5)
    return _merge(_Merged(labels, pairs, crest, 0.0, 0.0), _FIRST_THRESHOLD)


def _merge(start: _Merged, threshold: float) -> _Merged:
    edges = borders(start.labels, start.pairs, _visibility(start.crest, threshold))
    labels = merge_weak(int(start.labels.max()), edges, _SEEN, _SHORT_PX)[start.labels]
    flat = labels.ravel()
    kept = flat[start.pairs[0]] != flat[start.pairs[1]]
    intercept = heyn(labels, 1.0).mean_intercept_um
    return _Merged(
        labels=labels,
        pairs=(start.pairs[0][kept], start.pairs[1][kept]),
        crest=start.crest[kept],
        threshold=threshold,
        # One grain over the whole field: the field's own size is the least it can be.
        intercept_px=intercept if intercept is not None else float(max(labels.shape)),
    )


def _visibility(crest: Float, threshold: float) -> Float:
    """Return how well each pair of pixels is seen: 0 at half the threshold, 1 at one and a half."""
    return np.clip(crest / np.float32(threshold) - np.float32(0.5), 0, 1)


def _suitable(finest: _Merged) -> float:
    """Return the threshold that suits what a first look finds."""
    look = _merge(finest, _FIRST_LOOK)
    strong = float(np.percentile(look.crest, 75)) if look.crest.size else 0.0
    suits = _THRESHOLD * look.intercept_px**0.5 * max(1.0, strong / _STRONG) ** (1 / 2)
    return max(_LEAST_THRESHOLD, suits)


def _number(merged: _Merged) -> float:
    """Return the grain size number but for a constant."""
    return -2 * math.log2(merged.intercept_px)


def _described(found: _Search, ferrite: NDArray[np.bool_], pits: int) -> GrainBoundaries:
    merged = found.merged
    smallest_px = max(_SMALLEST_PX, round(_SMALLEST_SHARE * 4 / math.pi * merged.intercept_px**2))
    grains = without_specks(grown(merged.labels, ferrite), smallest_px)
    bridged = longest = 0.0
    if merged.crest.size:
        unseen = (_visibility(merged.crest, merged.threshold) < 0.5).astype(np.float32)
        bridged = float(unseen.mean())
        # A line in every direction crosses 4/π pairs of neighbours for every pixel of its length.
        longest = float(borders(merged.labels, merged.pairs, unseen).total.max()) * math.pi / 4
    convexity = _convexity(grains)
    verdict, warnings = NOTHING_FOUND
    if merged.crest.size:
        signs = Signs(found.sensitivity, bridged, found.loose, convexity, merged.intercept_px)
        verdict, warnings = judge_boundaries(signs)
    return GrainBoundaries(
        grains=grains,
        boundaries=drawn(grains),
        threshold=merged.threshold,
        threshold_contrast=merged.threshold * found.noise,
        noise=found.noise,
        strength=float(np.median(merged.crest)) if merged.crest.size else None,
        contrast=found.contrast,
        bridged_fraction=bridged,
        longest_gap_px=longest,
        depth=_DEPTH,
        smallest_grain_px=smallest_px,
        pits=pits,
        sensitivity=found.sensitivity,
        convexity=convexity,
        loose_fraction=found.loose,
        verdict=verdict,
        warnings=warnings,
    )


def _convexity(grains: Labels) -> float:
    features = measure_features(grains)
    if not features.count:
        return 1.0
    return float(np.average(features.solidity, weights=features.area_px))


def _unsearched(ferrite: NDArray[np.bool_]) -> GrainBoundaries:
    """Return what is known where no ferrite is wide enough to look into: its islands are its grains."""
    grains = cv2.connectedComponents(ferrite.astype(np.uint8), connectivity=4)[1].astype(np.int32)
    grains = without_specks(grains, _SMALLEST_PX)
    return GrainBoundaries(
        grains=grains,
        boundaries=np.zeros(ferrite.shape, dtype=bool),
        threshold=_LEAST_THRESHOLD,
        threshold_contrast=0.0,
        noise=0.0,
        strength=None,
        contrast=None,
        bridged_fraction=0.0,
        longest_gap_px=0.0,
        depth=_DEPTH,
        smallest_grain_px=_SMALLEST_PX,
        pits=0,
        sensitivity=0.0,
        convexity=_convexity(grains),
        loose_fraction=0.0,
        verdict="no ferrite" if not grains.any() else "too faint",
        warnings=("no ferrite is wide enough to look for boundaries in it",),
    )
