"""Roses of directions: which way the long axes of features and grains lie, by specimen and kind."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from steelquant.reports.html.numbers import format_number

if TYPE_CHECKING:
    from steelquant.stereology.arrangement import Rose
    from steelquant.stereology.quantify import Quantification

MOST_ROSES = 12
"""More would be a wall of pictures; the table of orientation has all."""

_RADIUS = 92.0
_CENTRE_X, _CENTRE_Y = 120.0, 108.0
_WIDTH, _HEIGHT = 240.0, 128.0
_SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Sector:
    """A sector as a path, and its share in words."""

    path: str
    text: str


@dataclass(frozen=True)
class RoseChart:
    """A half rose of 180°: sectors whose areas are the shares of the features' area.

    Attributes
    ----------
    specimen, kind
        Whose directions.
    width, height, x, y
        Size of the drawing and the rose's centre.
    radius
        Of the frame.
    even_radius
        What all sectors would reach without any direction.
    sectors
        From 0°, counter-clockwise.
    mean
        Ends of the line of the mean direction; None where directions do not differ from chance.
    direction, strength
        Mean direction, and resultant and significance, in words.
    """

    specimen: str
    kind: str
    width: float
    height: float
    x: float
    y: float
    radius: float
    even_radius: float
    sectors: tuple[Sector, ...]
    mean: tuple[float, float, float, float] | None
    direction: str
    strength: str


def rose_charts(result: Quantification) -> dict[str, list[RoseChart]]:
    """Return the first roses of each kind, one per specimen; those of one kind have the same scale."""
    by_kind: dict[str, list[tuple[str, Rose]]] = {}
    for specimen in result.specimens:
        for population in specimen.populations:
            by_kind.setdefault(population.kind, []).append((specimen.name, population.rose))
    charts = {}
    for kind, roses in by_kind.items():
        most = max(max(rose.shares) for _, rose in roses)
        charts[kind] = [_chart(name, kind, rose, most) for name, rose in roses[:MOST_ROSES]]
    return charts


def _chart(specimen: str, kind: str, rose: Rose, most: float) -> RoseChart:
    def reach(share: float) -> float:
        # The area of a sector, not its length, is its share: lengths would flatter the long ones.
        return round(_RADIUS * math.sqrt(share / most), 2)

    sectors = []
    for low, high, share in zip(rose.edges_deg[:-1], rose.edges_deg[1:], rose.shares, strict=True):
        radius = reach(share)
        (x1, y1), (x2, y2) = _at(low, radius), _at(high, radius)
        path = f"M{_CENTRE_X:g} {_CENTRE_Y:g}L{x1} {y1}A{radius} {radius} 0 0 0 {x2} {y2}Z"
        sectors.append(Sector(path, f"{low:g}–{high:g}°: {format_number(100 * share, '0.0')} % of the area"))
    has_direction = rose.mean_deg is not None and rose.p_value is not None and rose.p_value < _SIGNIFICANT
    return RoseChart(
        specimen=specimen,
        kind=kind,
        width=_WIDTH,
        height=_HEIGHT,
        x=_CENTRE_X,
        y=_CENTRE_Y,
        radius=_RADIUS,
        even_radius=reach(1 / len(rose.shares)),
        sectors=tuple(sectors),
        mean=(*_at(rose.mean_deg, _RADIUS), *_at(rose.mean_deg, -12.0))
        if has_direction and rose.mean_deg is not None
        else None,
        direction=f"mean {format_number(rose.mean_deg, '0')}°"
        if has_direction
        else "no direction beyond chance",
        strength=_strength(rose),
    )


def _at(angle_deg: float, radius: float) -> tuple[float, float]:
    """Return where a direction, counter-clockwise from the horizontal, ends in the drawing."""
    angle = math.radians(angle_deg)
    return round(_CENTRE_X + radius * math.cos(angle), 2), round(_CENTRE_Y - radius * math.sin(angle), 2)


def _strength(rose: Rose) -> str:
    if rose.p_value is None:
        return "no features"
    p = "< 0.0001" if rose.p_value < 1e-4 else f"= {rose.p_value:.2g}"
    return f"resultant {format_number(rose.resultant, '0.00')}, p {p}"
