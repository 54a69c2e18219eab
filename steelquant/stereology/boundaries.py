"""Ferrite's grain boundaries, found in the micrograph inside the ferrite of a mask.

A network says how likely each pixel lies on a boundary (:mod:`boundary_network`). The grains are the basins
of that likelihood, merged until every border between two is more likely one than none
(:mod:`boundary_levels`). How likely those borders are, and how much hangs on it, tells how far the grain
size number may be off (:mod:`boundary_verdict`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from steelquant.stereology.basins import Float, Labels, borders
from steelquant.stereology.boundary_levels import DEPTH, Level, finest_level, merged
from steelquant.stereology.boundary_network import boundary_logits, picture_noise
from steelquant.stereology.boundary_verdict import NOTHING_FOUND, Signs, judge_boundaries, uncertainty
from steelquant.stereology.features import measure_features
from steelquant.stereology.grain_maps import grown, in_reading_order, without_specks
from steelquant.stereology.levelling import levelled, with_thin_lines
from steelquant.stereology.positions import first_position, put, put_back

_SMALLEST_SHARE = 0.05
_SMALLEST_PX = 12

_THRESHOLD = 0.5
_NARROW_PX, _AROUND_PX = 0.7, 4.0


@dataclass(frozen=True)
class GrainBoundaries:
    """Grains found in one field, how, and how far to trust them.

    Attributes
    ----------
    grains
        ``(height, width)`` int32: number of the grain from 1; 0 outside the ferrite.
    threshold
        Mean probability from which a border between basins is a boundary.
    noise
        Noise of the picture from pixel to pixel as a share of the ferrite's brightness.
    probability, contrast
        Mean probability, and median darkness as a share of the ferrite's brightness, of the boundaries that
        were found; None without any.
    bridged_fraction
        Share of the boundaries' length that is less likely than the threshold, and was closed.
    longest_gap_px
        Longest stretch closed in one boundary, in pixels.
    depth
        Depth criterion of the watershed, in units of the probability's logit.
    smallest_grain_px
        Area in pixels below which a grain was joined to its neighbour, or dropped where it had none.
    sensitivity
        How much the grain size number falls when the odds of the threshold go from half to twice theirs:
        from 0.33 to 0.67 for 0.5.
    convexity
        Mean share of its convex hull that a grain fills, weighed by area. Grains are nearly convex, and two
        that a missed boundary leaves joined are not.
    loose_fraction
        Length of the likely lines that end within a grain, over the length of the boundaries.
    uncertainty
        Half-width of the 95 % interval of the grain size number for boundaries that were missed or are
        none; None without boundaries.
    verdict
        ``"clear"``, ``"faint"`` (the number may be off by more than 0.25), ``"too faint"`` (it cannot be
        trusted) or ``"no ferrite"``.
    warnings
        One sentence each.
    """

    grains: Labels
    threshold: float
    noise: float
    probability: float | None
    contrast: float | None
    bridged_fraction: float
    longest_gap_px: float
    depth: float
    smallest_grain_px: int
    sensitivity: float
    convexity: float
    loose_fraction: float
    uncertainty: float | None
    verdict: str
    warnings: tuple[str, ...]


def find_grains(
    pixels: NDArray[np.uint8], ferrite: NDArray[np.bool_], *, threshold: float | None = None
) -> GrainBoundaries:
    """Find the grains of a bright phase by the dark lines between them.

    A field is looked at in the first of its eight positions (:func:`first_position`), so that turned or
    mirrored it has the same grains to the pixel.

    Parameters
    ----------
    pixels
        ``(height, width)`` or ``(height, width, 3)`` uint8 micrograph.
    ferrite
        ``(height, width)`` bool, true where the phase is and the field counts.
    threshold
        Probability from which a border is a boundary, instead of 0.5: higher for pictures whose stains or
        pits pass for boundaries, lower where boundaries are lost.

    Returns
    -------
    GrainBoundaries

    Raises
    ------
    ValueError
        If the two arrays differ in size, or the threshold is not between 0 and 1.
    """
    if pixels.shape[:2] != ferrite.shape:
        raise ValueError(f"the micrograph is {pixels.shape[:2]} and the mask {ferrite.shape}")
    if threshold is not None and not 0 < threshold < 1:
        raise ValueError(f"the threshold must be between 0 and 1, not {threshold}")
    position = first_position(pixels, ferrite)
    found = _found(
        np.ascontiguousarray(put(pixels, position)), np.ascontiguousarray(put(ferrite, position)), threshold
    )
    return replace(found, grains=in_reading_order(put_back(found.grains, position)))


def _found(pixels: NDArray[np.uint8], ferrite: NDArray[np.bool_], threshold: float | None) -> GrainBoundaries:
    image, core = levelled(pixels, with_thin_lines(ferrite))
    if not core.any():
        return _unsearched(ferrite)
    noise = picture_noise(image, core)
    finest = finest_level(boundary_logits(image, core, noise), core)
    return _described(image, noise, finest, ferrite, threshold)


def _described(
    image: Float, noise: float, finest: Level, ferrite: NDArray[np.bool_], threshold: float | None
) -> GrainBoundaries:
    chosen = _THRESHOLD if threshold is None else threshold
    odds = chosen / (1 - chosen)
    # What is merged at a lower threshold is merged at a higher one too.
    lower = merged(finest, odds / (2 + odds))
    level = merged(lower, chosen)
    sensitivity = lower.number - merged(level, 2 * odds / (1 + 2 * odds)).number
    grains = settled(level, ferrite)
    convexity = _convexity(grains)
    probability = contrast = uncertain = None
    bridged = longest = 0.0
    verdict, warnings = NOTHING_FOUND
    if level.probability.size:
        probability = float(level.probability.mean())
        contrast = _contrast(image, level)
        unlikely = (level.probability < chosen).astype(np.float32)
        bridged = float(unlikely.mean())
        # A line in every direction crosses 4/π pairs of neighbours for every pixel of its length.
        longest = float(borders(level.labels, level.pairs, unlikely).total.max()) * math.pi / 4
        uncertain = uncertainty(Signs(sensitivity, probability, convexity))
        verdict, warnings = judge_boundaries(uncertain, level.intercept_px)
    return GrainBoundaries(
        grains=grains,
        threshold=chosen,
        noise=noise,
        probability=probability,
        contrast=contrast,
        bridged_fraction=bridged,
        longest_gap_px=longest,
        depth=DEPTH,
        smallest_grain_px=_smallest_px(level),
        sensitivity=sensitivity,
        convexity=convexity,
        loose_fraction=_loose(finest, level),
        uncertainty=uncertain,
        verdict=verdict,
        warnings=warnings,
    )


def settled(level: Level, ferrite: NDArray[np.bool_]) -> Labels:
    """Return a level's grains grown over all of the phase, without specks."""
    return without_specks(grown(level.labels, ferrite), _smallest_px(level))


def _smallest_px(level: Level) -> int:
    return max(_SMALLEST_PX, round(_SMALLEST_SHARE * 4 / math.pi * level.intercept_px**2))


def _contrast(image: Float, level: Level) -> float:
    """Return how much darker than their surroundings the boundaries are, half of them at least."""
    around = cv2.GaussianBlur(image, (0, 0), _AROUND_PX).ravel()
    here = cv2.GaussianBlur(image, (0, 0), _NARROW_PX).ravel()
    first, second = level.pairs
    return float(np.median(around[first] - np.minimum(here[first], here[second])))


def _loose(finest: Level, level: Level) -> float:
    """Return the length of likely lines within grains over that of the grains' boundaries."""
    flat = level.labels.ravel()
    within = flat[finest.pairs[0]] == flat[finest.pairs[1]]
    likely = np.count_nonzero(finest.probability[within] > 0.5)
    return int(likely) / max(1, level.probability.size)


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
        threshold=_THRESHOLD,
        noise=0.0,
        probability=None,
        contrast=None,
        bridged_fraction=0.0,
        longest_gap_px=0.0,
        depth=DEPTH,
        smallest_grain_px=_SMALLEST_PX,
        sensitivity=0.0,
        convexity=_convexity(grains),
        loose_fraction=0.0,
        uncertainty=None,
        verdict="no ferrite" if not grains.any() else "too faint",
        warnings=("no ferrite is wide enough to look for boundaries in it",),
    )
