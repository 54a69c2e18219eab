"""Ferrite's grains in one field: found in the micrograph, counted by the rules of ASTM E112 and E1382.

All counts and lengths are in pixels, so that a scale that turns out wrong can be mended without measuring
again, and so that the same grains at twice the µm/px are exactly 2 grain size numbers coarser.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from steelquant.stereology.boundaries import GrainBoundaries, find_grains
from steelquant.stereology.features import Features, measure_features
from steelquant.stereology.grain_interval import (
    InterceptInterval,
    circles_interval,
    density_interval,
    intercept_interval,
    with_boundaries,
)
from steelquant.stereology.intercepts import Intercepts, heyn
from steelquant.stereology.patterns import abrams, elongation
from steelquant.stereology.planimetry import PlanimetricCount, planimetry

_PIXEL = 1.0
"""Lengths from here on are in pixels."""

TOO_FAINT, NO_FERRITE = "too faint", "no ferrite"
"""Verdicts on boundaries with which a field does not enter its specimen's average."""


@dataclass(frozen=True)
class PackedLabels:
    """A label image compressed to about a hundredth, so that those of all fields can be kept.

    Attributes
    ----------
    shape
        Height and width.
    data
        zlib of the differences from row to row, 32-bit little-endian.
    """

    shape: tuple[int, int]
    data: bytes

    @classmethod
    def pack(cls, labels: NDArray[np.int32]) -> PackedLabels:
        """Compress a ``(height, width)`` label image."""
        steps = np.diff(labels.astype("<i4"), axis=0, prepend=np.int32(0))
        return cls((labels.shape[0], labels.shape[1]), zlib.compress(steps.tobytes(), 6))

    def unpack(self) -> NDArray[np.int32]:
        """Return the ``(height, width)`` label image."""
        steps = np.frombuffer(zlib.decompress(self.data), dtype="<i4").reshape(self.shape)
        return np.cumsum(steps, axis=0, dtype=np.int32)


@dataclass(frozen=True)
class BoundarySearch:
    """How the boundaries were found; see :class:`steelquant.stereology.boundaries.GrainBoundaries`."""

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

    @classmethod
    def of(cls, found: GrainBoundaries) -> BoundarySearch:
        """Return what is known of a search but its pictures."""
        return cls(**{field.name: getattr(found, field.name) for field in fields(cls)})


@dataclass(frozen=True)
class InterceptCount:
    """Grains that test lines met.

    Attributes
    ----------
    method
        Standard and rule, in words for the report.
    interceptions
        Grains met.
    mean_intercept_px
        Matrix intercept l̄ = V_V/N_L (ASTM E112 §17); None where no line met a grain's boundary.
    """

    method: str
    interceptions: float
    mean_intercept_px: float | None


@dataclass(frozen=True)
class AreaCount:
    """Grains counted on an area of the phase by one rule at the edge; the count may end in ½ or ¼."""

    method: str
    grains: float
    area_px: float

    @property
    def per_px2(self) -> float | None:
        """N_A on the area of the phase; None without grains."""
        return self.grains / self.area_px if self.grains > 0 else None

    @property
    def mean_area_px2(self) -> float | None:
        """Mean grain section; None without grains."""
        return self.area_px / self.grains if self.grains > 0 else None


@dataclass(frozen=True, eq=False)
class GrainMeasures:
    """The ferrite grains of one field.

    Attributes
    ----------
    search
        How their boundaries were found, and how far to trust them.
    features
        Size, shape and place of every grain; labels are those of `labels`.
    labels
        The grain map: 1, 2, … for grains, 0 elsewhere.
    lines
        Heyn's lines: every row, column and diagonal of pixels.
    interval
        How far the lines' mean intercept may lie from that of the structure the field shows, for chance and
        for boundaries missed or mistaken.
    density_interval
        The same for the grains per area.
    circles
        Abrams' three circles.
    circles_interval
        As `interval`, of theirs.
    jeffries, saltykov, whole
        Counts by area: inside + cut/2; the same with corners ¼; only grains that nothing cuts (E1382).
    anisotropy_index
        AI = l̄_∥/l̄_⊥ along and across `axis_deg`; None where either met no grain.
    axis_deg
        Axis of the elongation, counter-clockwise from the horizontal.
    """

    search: BoundarySearch
    features: Features
    labels: PackedLabels
    lines: InterceptCount
    interval: InterceptInterval
    density_interval: InterceptInterval
    circles: InterceptCount
    circles_interval: InterceptInterval
    jeffries: AreaCount
    saltykov: AreaCount
    whole: AreaCount
    anisotropy_index: float | None
    axis_deg: float

    @property
    def counts(self) -> bool:
        """Whether the field enters its specimen's average: its boundaries are not too faint."""
        return self.search.verdict not in (TOO_FAINT, NO_FERRITE)


def measure_grains(
    pixels: NDArray[np.uint8],
    ferrite: NDArray[np.bool_],
    *,
    excluded: NDArray[np.bool_],
    axis_deg: float,
    threshold: float | None = None,
) -> GrainMeasures:
    """Find the ferrite grains of a field and count them.

    Parameters
    ----------
    pixels
        ``(height, width, 3)`` uint8 micrograph.
    ferrite, excluded
        ``(height, width)`` bool.
    axis_deg
        Axis of the elongation, counter-clockwise from the horizontal.
    threshold
        Probability from which a border is a boundary, instead of the field's own.
    """
    found = find_grains(pixels, ferrite, threshold=threshold)
    grains = found.grains
    outside = excluded if excluded.any() else None
    marked = grains
    if outside is not None:
        marked = grains.copy()
        marked[outside] = -1
    circles = abrams(grains, _PIXEL, excluded=outside)
    by_area = planimetry(grains, _PIXEL, excluded=outside)
    return GrainMeasures(
        search=BoundarySearch.of(found),
        features=measure_features(marked),
        labels=PackedLabels.pack(grains),
        lines=_intercepts(heyn(grains, _PIXEL, excluded=outside)),
        interval=with_boundaries(intercept_interval(grains, excluded=outside), found.uncertainty),
        density_interval=with_boundaries(
            density_interval(grains, excluded=outside), found.uncertainty, power=2
        ),
        circles=_intercepts(circles),
        circles_interval=with_boundaries(circles_interval(circles.sectors), found.uncertainty),
        jeffries=_count(by_area.jeffries_rectangle),
        saltykov=_count(by_area.saltykov_rectangle),
        whole=_count(by_area.whole_grains),
        anisotropy_index=elongation(grains, _PIXEL, axis_deg, excluded=outside).anisotropy_index,
        axis_deg=axis_deg,
    )


def _intercepts(found: Intercepts) -> InterceptCount:
    return InterceptCount(found.method, found.interceptions, found.mean_intercept_um)


def _count(found: PlanimetricCount) -> AreaCount:
    return AreaCount(found.method, found.grains, found.area_um2)
