"""How a phase lies in a field: along which axis, in bands or not, at random or in clusters.

All lengths are in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steelquant.stereology.arrangement import nearest_neighbours
from steelquant.stereology.banding import DeformationAxis, DirectionalCounts, measure_banding
from steelquant.stereology.bands import Bands, measure_bands
from steelquant.stereology.features import Features

_PIXEL = 1.0


@dataclass(frozen=True)
class BandingMeasures(DirectionalCounts):
    """Banding of one phase in one field (ASTM E1268) by the outlines of its features, in pixels.

    Attributes
    ----------
    across_per_px, along_per_px
        N_⊥ and N_∥: features met per length of lines across and along the axis.
    axis
        What "along" means.
    phase_fraction
        V_V of the phase on the counted area.
    """

    axis: DeformationAxis
    phase_fraction: float

    @property
    def band_spacing_px(self) -> float | None:
        """SB = 1/N_⊥, centre to centre; None where no feature was met."""
        return 1 / self.across_per_px if self.across_per_px else None

    @property
    def mean_free_path_px(self) -> float | None:
        """λ = (1−V_V)/N_⊥, edge to edge; None where no feature was met."""
        return None if self.band_spacing_px is None else (1 - self.phase_fraction) * self.band_spacing_px


@dataclass(frozen=True)
class Neighbours:
    """Nearest neighbours of one phase's features, in pixels; see `nearest_neighbours` in ``arrangement``."""

    mean_distance_px: float | None
    ratio: float | None
    p_value: float | None
    arrangement: str


@dataclass(frozen=True)
class Texture:
    """How one phase lies in one field; `bands` is None where it is absent or fills the field."""

    banding: BandingMeasures
    bands: Bands | None
    neighbours: Neighbours


def measure_texture(
    of_phase: NDArray[np.bool_], features: Features, axis: DeformationAxis, excluded: NDArray[np.bool_]
) -> Texture:
    """Measure banding and arrangement of one phase.

    Parameters
    ----------
    of_phase, excluded
        ``(height, width)`` bool.
    features
        The features of the phase.
    axis
        Along which banding is measured.
    """
    outside = excluded if excluded.any() else None
    counts = measure_banding(of_phase, _PIXEL, axis, excluded=outside)
    across, along = _per_px(counts.across.per_mm), _per_px(counts.along.per_mm)
    height, width = of_phase.shape
    counted_px = of_phase.size - int(np.count_nonzero(excluded))
    centroids = np.column_stack((features.centroid_x_px, features.centroid_y_px))
    near = nearest_neighbours(centroids, float(counted_px), 2.0 * (height + width))
    return Texture(
        BandingMeasures(across, along, axis, counts.phase_fraction),
        measure_bands(of_phase, axis, max(across, along), excluded=outside),
        Neighbours(near.mean_distance_um, near.ratio, near.p_value, near.arrangement),
    )


def _per_px(per_thousand: float | None) -> float:
    """Turn counts per 1000 pixels, which a pixel of 1 µm makes of counts per mm, into counts per pixel."""
    return (per_thousand or 0.0) / 1000
