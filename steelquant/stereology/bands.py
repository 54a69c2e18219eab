"""Bands as the eye sees them: the counts of ASTM E1268 at the scale of bands in place of single grains.

On the outlines of pixels every island of ferrite in a pearlitic band and every nodule beside it is a
feature; where grains are finer than bands they are most of what test lines meet, so that N_⊥ ≈ N_∥ however
plain the bands. Here the mask is first smoothed, islands of a stated size vanish, and what is counted are the
regions that are richer in the phase than the field. The smoothing has no direction, so a structure without
one keeps AI = 1. All lengths are in pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from steelquant.stereology.banding import DeformationAxis, DirectionalCounts, measure_banding

BEYOND_CHANCE = 2.5
"""Contrast from which a phase is banded or drawn out beyond chance. Of 115 simulated fields without
direction, of grains of three sizes and fractions from 10 to 60 %, none reached 1.9 (tests/stereology)."""

_FINEST = 0.5
_STEP = math.sqrt(2)
_COARSEST_SHARE = 1 / 24
"""Smoothings tried: from half a mean intercept of the scarcer phase, each √2 times the last, to this share of
the field's shorter side, above which a field holds too few bands."""

_LEAST_PX = 1.0
_SIGMAS_PER_PIXEL = 4.0


@dataclass(frozen=True)
class Bands(DirectionalCounts):
    """Bands of one phase in one field, in pixels.

    Attributes
    ----------
    across_per_px, along_per_px
        N_⊥ and N_∥: regions richer in the phase than the field, met per length of lines.
    smoothing_px
        Standard deviation σ of the Gaussian.
    contrast
        (N_⊥ − N_∥)·√(A/(σ·(N_⊥ + N_∥))) with the counted area A: the difference in units of about 1.3 times
        its scatter between fields without bands.
    smallest_feature_px, smallest_island_px
        Diameters below which a lone disc of the phase, and one of everything else within the phase, do not
        count: 2σ·√(−2·ln(1 − V_V)) and 2σ·√(−2·ln V_V).
    """

    smoothing_px: float
    contrast: float
    smallest_feature_px: float
    smallest_island_px: float

    @property
    def are_shown(self) -> bool:
        """Whether the phase is banded, or drawn out, along the axis beyond chance."""
        return self.contrast >= BEYOND_CHANCE

    @property
    def spacing_px(self) -> float | None:
        """SB = 1/N_⊥, centre to centre; None where there are no bands beyond chance."""
        return 1 / self.across_per_px if self.are_shown else None


def measure_bands(
    of_phase: NDArray[np.bool_],
    axis: DeformationAxis,
    finest_per_px: float,
    *,
    excluded: NDArray[np.bool_] | None = None,
) -> Bands | None:
    """Measure the bands of a phase.

    Parameters
    ----------
    of_phase
        ``(height, width)`` bool, the features: pearlite.
    axis
        Along which bands are looked for.
    finest_per_px
        Features met per px of lines on the plain mask, across or along, whichever are more: it gives the size
        of grains from which smoothing begins.
    excluded
        ``(height, width)`` bool; it neither smooths into the rest nor counts.

    Returns
    -------
    Bands or None
        At the smoothing where across and along differ most beyond the scatter of counts. None where the
        phase is absent or fills the field.

    Notes
    -----
    A smoothed mask is the local fraction of the phase over a window about 2σ wide; its regions above the
    field's own fraction are what E1268 calls bands, in the manner of agglomerated features. N_⊥ of unbroken
    bands of one period stays one a period, whatever their width. Where the field has no bands the choice of
    the smoothing favours neither sign, so that AI scatters about 1. Features that are drawn out themselves
    count too, as E1268 means it; smoothed, they are less so than by their outlines, while bands are more so.
    """
    counted_px = of_phase.size if excluded is None else int(np.count_nonzero(~excluded))
    present = of_phase if excluded is None else of_phase & ~excluded
    fraction = np.count_nonzero(present) / counted_px if counted_px else 0.0
    if fraction in (0.0, 1.0) or finest_per_px <= 0:
        return None
    grain_px = min(fraction, 1 - fraction) / finest_per_px
    coarsest_px = _COARSEST_SHARE * min(of_phase.shape)
    sigma_px = min(max(_LEAST_PX, _FINEST * grain_px), coarsest_px)
    best: Bands | None = None
    while sigma_px <= coarsest_px:
        found = _at(present, axis, sigma_px, fraction, counted_px, excluded)
        if best is None or abs(found.contrast) > abs(best.contrast):
            best = found
        sigma_px *= _STEP
    return best


def _at(
    present: NDArray[np.bool_],
    axis: DeformationAxis,
    sigma_px: float,
    fraction: float,
    counted_px: int,
    excluded: NDArray[np.bool_] | None,
) -> Bands:
    """Count across and along after one smoothing."""
    # What is smoothed anyway need not be looked at pixel by pixel.
    shrink = max(1, int(sigma_px / _SIGMAS_PER_PIXEL))
    local = _smooth(present, shrink, sigma_px)
    outside = None
    if excluded is not None:
        known = _smooth(~excluded, shrink, sigma_px)
        outside = _shrunk(excluded, shrink) > 0
        local = np.divide(local, known, out=np.zeros_like(local), where=known > 0)
    rich = local > fraction
    counts = measure_banding(rich, 1.0, axis, excluded=outside)
    across, along = ((count.per_mm or 0.0) / (1e3 * shrink) for count in (counts.across, counts.along))
    total = sigma_px * (across + along)
    return Bands(
        smoothing_px=sigma_px,
        across_per_px=across,
        along_per_px=along,
        contrast=(across - along) * math.sqrt(counted_px / total) if total > 0 else 0.0,
        smallest_feature_px=2 * sigma_px * math.sqrt(-2 * math.log(1 - fraction)),
        smallest_island_px=2 * sigma_px * math.sqrt(-2 * math.log(fraction)),
    )


def _smooth(pixels: NDArray[np.bool_], shrink: int, sigma_px: float) -> NDArray[np.float32]:
    small = _shrunk(pixels, shrink)
    smoothed = cv2.GaussianBlur(small, (0, 0), sigma_px / shrink, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(smoothed, np.float32)


def _shrunk(pixels: NDArray[np.bool_], shrink: int) -> NDArray[np.float32]:
    whole = pixels.astype(np.float32)
    if shrink == 1:
        return whole
    size = (max(1, pixels.shape[1] // shrink), max(1, pixels.shape[0] // shrink))
    return np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), np.float32)
