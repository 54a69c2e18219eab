"""Grains counted by area, with the standards' rules for those that the edge of the field cuts.

A grain map is an integer image: 0 where there is no grain of the phase, one positive number per grain
elsewhere, neighbouring grains touching without a gap. Everything is measured in the manner of the
standards that are named; nothing here is certified to them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from steelquant.stereology.grain_size import iso_number, need_positive, number_from_density


@dataclass(frozen=True)
class PlanimetricCount:
    """Grains counted on an area of one field.

    Attributes
    ----------
    method
        Standard and rule at the edge, in words for the report.
    inside, cut, corner
        Grains wholly inside, cut by the edge, and holding a corner of a rectangle (the last are among
        neither of the first two; always 0 for a circle).
    grains
        The count with the weights of the rule.
    area_um2
        Area of the phase that was counted on.
    """

    method: str
    inside: int
    cut: int
    corner: int
    grains: float
    area_um2: float

    @property
    def grains_per_mm2(self) -> float | None:
        """N_A on the area of the phase; None without grains."""
        return 1e6 * self.grains / self.area_um2 if self.grains > 0 else None

    @property
    def mean_area_um2(self) -> float | None:
        """Mean grain section; None without grains."""
        return self.area_um2 / self.grains if self.grains > 0 else None

    @property
    def number(self) -> float | None:
        """ASTM grain size number G; None without grains."""
        return None if self.grains_per_mm2 is None else number_from_density(self.grains_per_mm2)

    @property
    def iso_number(self) -> float | None:
        """Grain size number of ISO 643; None without grains."""
        return None if self.grains_per_mm2 is None else iso_number(self.grains_per_mm2)


@dataclass(frozen=True)
class Planimetry:
    """The same field counted by the four rules."""

    jeffries_circle: PlanimetricCount
    jeffries_rectangle: PlanimetricCount
    saltykov_rectangle: PlanimetricCount
    whole_grains: PlanimetricCount


def planimetry(
    grains: NDArray[np.integer],
    pixel_size_um: float,
    *,
    excluded: NDArray[np.bool_] | None = None,
) -> Planimetry:
    """Count the grains of one field by area.

    The area is that of the phase alone, so that in a ferrite–pearlite steel the numbers are those of
    the ferrite (ASTM E112 §17); a border with another phase ends a grain and does not cut it.

    Parameters
    ----------
    grains
        ``(height, width)`` grain map.
    pixel_size_um
        Edge of a pixel in µm.
    excluded
        ``(height, width)`` bool; grains that touch an excluded pixel count as cut by the edge.

    Returns
    -------
    Planimetry
        Jeffries' count (inside + cut/2) in the largest circle about the field's centre and in the
        whole rectangle, Saltykov's rectangle (corner grains ¼), all ASTM E112, and ASTM E1382's rule
        that leaves out every grain at the edge, together with its area. The last favours small
        grains, which the edge cuts less often: it is for the list of grains rather than for the mean.

    Raises
    ------
    ValueError
        If ``pixel_size_um`` is not greater than 0 or the map is not two-dimensional.
    """
    need_positive(pixel_size_um, "the pixel size")
    if grains.ndim != 2:
        raise ValueError(f"a grain map has two dimensions, not {grains.ndim}")
    areas = np.bincount(grains.ravel(), minlength=1)
    areas[0] = 0
    present = areas > 0
    at_edge = edge_grains(grains, excluded)[: areas.size] & present
    corners = np.zeros(areas.size, dtype=int)
    np.add.at(corners, grains[[0, 0, -1, -1], [0, -1, 0, -1]], 1)
    corners[0] = 0
    in_corner = corners > 0

    inside = int((present & ~at_edge).sum())
    cut = int((at_edge & ~in_corner).sum())
    corner = int(in_corner.sum())
    pixel_um2 = pixel_size_um**2
    whole = PlanimetricCount(
        method="ASTM E112, Jeffries rectangle: inside + cut/2",
        inside=inside,
        cut=cut,
        corner=corner,
        grains=inside + (cut + corner) / 2,
        area_um2=float(areas.sum()) * pixel_um2,
    )
    return Planimetry(
        jeffries_circle=_jeffries_circle(grains, areas, at_edge, pixel_um2),
        jeffries_rectangle=whole,
        saltykov_rectangle=replace(
            whole,
            method="ASTM E112, Saltykov rectangle: inside + cut/2 + corner/4",
            grains=inside + cut / 2 + float(corners.sum()) / 4,
        ),
        whole_grains=replace(
            whole,
            method="ASTM E1382: grains at the edge left out",
            grains=float(inside),
            area_um2=float(areas[present & ~at_edge].sum()) * pixel_um2,
        ),
    )


def _jeffries_circle(
    grains: NDArray[np.integer], areas: NDArray[np.integer], at_edge: NDArray[np.bool_], pixel_um2: float
) -> PlanimetricCount:
    height, width = grains.shape
    rows = (np.arange(height) - (height - 1) / 2)[:, None]
    columns = (np.arange(width) - (width - 1) / 2)[None, :]
    disc = rows**2 + columns**2 <= (min(height, width) / 2) ** 2
    within = np.bincount(grains[disc], minlength=areas.size)
    within[0] = 0
    touched = within > 0
    entire = touched & (within == areas) & ~at_edge
    inside, cut = int(entire.sum()), int((touched & ~entire).sum())
    return PlanimetricCount(
        method="ASTM E112, Jeffries circle: inside + cut/2",
        inside=inside,
        cut=cut,
        corner=0,
        grains=inside + cut / 2,
        area_um2=float(within.sum()) * pixel_um2,
    )


def edge_grains(grains: NDArray[np.integer], excluded: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
    """Tell which grains touch the field's frame or an excluded pixel.

    Parameters
    ----------
    grains
        ``(height, width)`` grain map.
    excluded
        ``(height, width)`` bool, true where nothing counts.

    Returns
    -------
    ndarray
        ``(largest label + 1,)`` bool, by label; entry 0, which is no grain, is False.
    """
    touching = np.zeros(int(grains.max(initial=0)) + 1, dtype=bool)
    for side in (grains[0], grains[-1], grains[:, 0], grains[:, -1]):
        touching[side] = True
    if excluded is not None and excluded.any():
        touching[grains[:-1][excluded[1:]]] = True
        touching[grains[1:][excluded[:-1]]] = True
        touching[grains[:, :-1][excluded[:, 1:]]] = True
        touching[grains[:, 1:][excluded[:, :-1]]] = True
    touching[0] = False
    return touching
