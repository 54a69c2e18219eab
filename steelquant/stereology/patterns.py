"""Test lines laid over a field as a metallographer does: circles, and straight lines at any angle.

A path is a chain of points about half a pixel apart. What a point lies in is put to the vote of the pixels
around it, weighted by nearness, so that a boundary is met where it runs and not at the steps of its
pixels, which a line at a small angle to it would cross over and over. Where the vote is nearly even, the
point is on the boundary itself, and the stretch is one hit by the rules of ASTM E112 §13: a line that
only touches a boundary counts 1, one through the meeting of three grains 1½ on straight lines and 2 on
circles, a line's end on a boundary ½.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steelquant.stereology.grain_size import need_positive
from steelquant.stereology.intercepts import Intercepts, LineCount, count_lines

ABRAMS_DIAMETERS = (79.58, 53.05, 26.53)
"""Diameters in mm of the three circles of ASTM E112 §14.3, 500 mm of line in all."""

SECTORS = 12
"""Into which circles are cut, so that one field's count has an interval; a quarter turn keeps them."""

_LARGEST_CIRCLE = 0.95
"""Diameter of the largest circle over the shorter side of the field."""

_STEP_PX = 0.5
_LINE_SPACING_PX = 16.0

_REACH_PX = 0.8
"""Standard deviation of the weights of the vote: smooths the steps of pixels and nothing larger."""

_RIM = 2
_TIE = 0.7
"""Lead below which a vote is even: about ±0.8 px from the boundary between two grains, as far as a
digital boundary strays from the true one."""
_HEARD = 0.2
"""Vote from which a third grain at a boundary is met: a third of it at a junction of even angles, a
quarter where one grain's side runs straight on."""


def abrams(
    grains: NDArray[np.integer],
    pixel_size_um: float,
    *,
    excluded: NDArray[np.bool_] | None = None,
) -> Intercepts:
    """Measure the mean intercept along Abrams' three concentric circles (ASTM E112 §14.3).

    Parameters
    ----------
    grains
        ``(height, width)`` grain map; 0 (another phase) ends a grain's intercept and is left out of
        its length (matrix intercept, ASTM E112 §17).
    pixel_size_um
        Edge of a pixel in µm.
    excluded
        ``(height, width)`` bool, true where nothing counts.

    Returns
    -------
    Intercepts
        The circles stand about the field's centre, the largest 0.95 of the shorter side, in the
        standard's ratio 3 : 2 : 1.
    """
    need_positive(pixel_size_um, "the pixel size")
    labels = _marked(grains, excluded)
    height, width = grains.shape
    scale = _LARGEST_CIRCLE * min(height, width) / max(ABRAMS_DIAMETERS)
    centre = ((height - 1) / 2, (width - 1) / 2)
    walks = [_walk(labels, circle(centre, d * scale / 2), closed=True) for d in ABRAMS_DIAMETERS]
    arcs = [walk.parts(SECTORS, pixel_size_um) for walk in walks]
    sectors = tuple(_together(math.nan, parts) for parts in zip(*arcs, strict=True))
    whole = _together(math.nan, sectors)
    return Intercepts(
        method="ASTM E112, Abrams three circles, triple junctions counted 2",
        phase_fraction=whole.phase_length_um / whole.length_um if whole.length_um else 0.0,
        interceptions=whole.interceptions,
        per_mm=1e3 * whole.interceptions / whole.length_um if whole.length_um else 0.0,
        sectors=sectors,
    )


@dataclass(frozen=True)
class Elongation:
    """Mean intercepts along and across an axis; ``anisotropy_index`` is along/across (ASTM E112 §16)."""

    axis_deg: float
    along: LineCount
    across: LineCount

    @property
    def anisotropy_index(self) -> float | None:
        """AI = l̄_∥/l̄_⊥; None where either direction met no grain."""
        along, across = self.along.mean_intercept_um, self.across.mean_intercept_um
        return None if along is None or across is None else along / across


def elongation(
    grains: NDArray[np.integer],
    pixel_size_um: float,
    axis_deg: float,
    *,
    excluded: NDArray[np.bool_] | None = None,
) -> Elongation:
    """Measure the grains' intercepts along and across an axis.

    Parameters
    ----------
    grains, pixel_size_um, excluded
        As for :func:`abrams`.
    axis_deg
        Deformation axis, counter-clockwise from the horizontal as one sees the picture. Multiples of
        45° use every line of pixels; other axes lines 16 px apart.
    """
    return Elongation(
        axis_deg=axis_deg,
        along=lines_at(grains, pixel_size_um, axis_deg, excluded=excluded),
        across=lines_at(grains, pixel_size_um, axis_deg + 90, excluded=excluded),
    )


def lines_at(
    labels: NDArray[np.integer] | NDArray[np.bool_],
    pixel_size_um: float,
    angle_deg: float,
    *,
    excluded: NDArray[np.bool_] | None = None,
) -> LineCount:
    """Count interceptions along parallel lines at any angle over the whole field.

    Parameters
    ----------
    labels, pixel_size_um, excluded
        As for :func:`steelquant.stereology.intercepts.count_lines`.
    angle_deg
        Counter-clockwise from the horizontal as one sees the picture.
    """
    angle_deg %= 180
    if angle_deg % 45 == 0:
        return count_lines(labels, pixel_size_um, int(angle_deg), excluded=excluded)
    marked = _marked(labels, excluded)
    counts = [count_path(marked, path, pixel_size_um) for path in _parallels(labels.shape, angle_deg)]
    return _together(angle_deg, counts)


def _together(angle_deg: float, counts: Sequence[LineCount]) -> LineCount:
    return LineCount(
        angle_deg=angle_deg,
        length_um=math.fsum(count.length_um for count in counts),
        phase_length_um=math.fsum(count.phase_length_um for count in counts),
        interceptions=math.fsum(count.interceptions for count in counts),
    )


def circle(centre: tuple[float, float], radius_px: float) -> NDArray[np.float64]:
    """Return ``(n, 2)`` points (row, column) half a pixel apart, or a little less, on a circle.

    Turned by a quarter or mirrored they are the same points, and none lies on the centre's row or column,
    which between two rows of pixels would be nearest to the one or the other by chance.
    """
    n = SECTORS * math.ceil(2 * math.pi * radius_px / _STEP_PX / SECTORS)
    turn = (np.arange(n) + 0.5) * (2 * math.pi / n)
    return np.column_stack((centre[0] - radius_px * np.sin(turn), centre[1] + radius_px * np.cos(turn)))


def _parallels(shape: tuple[int, ...], angle_deg: float) -> Iterator[NDArray[np.float64]]:
    height, width = shape
    along = np.array([-math.sin(math.radians(angle_deg)), math.cos(math.radians(angle_deg))])
    across = np.array([along[1], -along[0]])
    centre = np.array([(height - 1) / 2, (width - 1) / 2])
    reach = math.hypot(height, width) / 2
    steps = np.arange(-reach, reach, _STEP_PX)[:, None]
    for offset in np.arange(-reach + _LINE_SPACING_PX / 2, reach, _LINE_SPACING_PX):
        path = centre + offset * across + steps * along
        on_field = ((path > -0.5) & (path < np.array([height, width]) - 0.5)).all(axis=1)
        if np.count_nonzero(on_field) > 1:
            yield path[on_field]


def _marked(
    labels: NDArray[np.integer] | NDArray[np.bool_], excluded: NDArray[np.bool_] | None
) -> NDArray[np.int32]:
    """Return the labels within a rim of their own edge values, −1 where nothing counts."""
    marked = labels.astype(np.int32)
    if excluded is not None:
        marked[excluded] = -1
    return np.pad(marked, _RIM, mode="edge")


def count_path(
    marked: NDArray[np.int32], path: NDArray[np.float64], pixel_size_um: float, *, closed: bool = False
) -> LineCount:
    """Count interceptions along one path by the rules of ASTM E112.

    Parameters
    ----------
    marked
        ``(height + 4, width + 4)`` labels with a rim of two pixels; −1 where nothing counts, 0 for
        what is no grain.
    path
        ``(n, 2)`` row and column in the field without its rim, evenly spaced, about half a pixel apart.
    pixel_size_um
        Edge of a pixel in µm.
    closed
        Whether the last point meets the first: the path is then a circle, and a junction counts 2.

    Returns
    -------
    LineCount
        ``angle_deg`` is NaN: a path has no one direction. Between a grain and another phase lies half
        an interception, between two grains a whole one.
    """
    return _walk(marked, path, closed=closed).parts(1, pixel_size_um)[0]


@dataclass(frozen=True)
class _Walk:
    """What a path lies in, ``(n,)``, the interceptions at each point, ``(n,)``, and the points' distance."""

    here: NDArray[np.int32]
    hits: NDArray[np.float64]
    step_px: float

    def parts(self, count: int, pixel_size_um: float) -> list[LineCount]:
        """Cut the path into parts of equal length, the first from its first point on."""
        step_um = self.step_px * pixel_size_um
        return [
            LineCount(
                angle_deg=math.nan,
                length_um=int(np.count_nonzero(here >= 0)) * step_um,
                phase_length_um=int(np.count_nonzero(here > 0)) * step_um,
                interceptions=math.fsum(hits),
            )
            for here, hits in zip(
                np.array_split(self.here, count), np.array_split(self.hits, count), strict=True
            )
        ]


def _walk(marked: NDArray[np.int32], path: NDArray[np.float64], *, closed: bool) -> _Walk:
    around, votes = _votes(marked, path)
    leader = votes.argmax(axis=1)
    here = around[np.arange(len(path)), leader]
    rival = np.where(around != here[:, None], votes, 0).max(axis=1)
    on_boundary = rival > votes.max(axis=1) - _TIE
    start = 0
    if closed and on_boundary.any() and not on_boundary.all():
        start = -int(np.flatnonzero(~on_boundary)[0])
        around, votes = np.roll(around, start, axis=0), np.roll(votes, start, axis=0)
        on_boundary, here = np.roll(on_boundary, start), np.roll(here, start)
    # Two grains may also meet between two points, without either of them being on the boundary.
    changes = ~on_boundary[1:] & ~on_boundary[:-1] & (here[1:] != here[:-1])
    hits = np.zeros(here.size)
    for i in np.flatnonzero(changes):
        hits[i] += _crossing(int(here[i]), int(here[i + 1]))
    flips = np.flatnonzero(np.diff(on_boundary.astype(np.int8), prepend=0, append=0))
    for begin, end in zip(flips[::2], flips[1::2], strict=True):
        before = int(here[begin - 1]) if begin > 0 else None
        after = int(here[end]) if end < here.size else (int(here[0]) if closed else None)
        met = around[begin:end][votes[begin:end] > _HEARD]
        hits[(begin + end) // 2] += _score(before, after, met, circle=closed)
    return _Walk(np.roll(here, -start), np.roll(hits, -start), math.dist(path[0], path[1]))


def _votes(
    marked: NDArray[np.int32], path: NDArray[np.float64]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the labels around each point and the votes that each of them has, both ``(n, 25)``."""
    nearest = np.rint(path).astype(np.intp)
    offsets = np.array([(r, c) for r in range(-_RIM, _RIM + 1) for c in range(-_RIM, _RIM + 1)])
    around = marked[nearest[:, :1] + _RIM + offsets[None, :, 0], nearest[:, 1:] + _RIM + offsets[None, :, 1]]
    votes = np.ones(around.shape, dtype=np.float32)
    mixed = np.flatnonzero(around.max(axis=1) != around.min(axis=1))
    away = offsets[None] - (path - nearest)[mixed, None]
    weights = np.exp(-0.5 * (away**2).sum(axis=2) / _REACH_PX**2)
    weights /= weights.sum(axis=1, keepdims=True)
    same = around[mixed, :, None] == around[mixed, None, :]
    votes[mixed] = np.matmul(same.astype(np.float32), weights[:, :, None].astype(np.float32))[:, :, 0]
    return around, votes


def _score(before: int | None, after: int | None, met: NDArray[np.int32], *, circle: bool) -> float:
    in_order: list[int] = list(dict.fromkeys(met.tolist()))
    if before is None or after is None:
        # The path ends on the boundary: half of what it would have crossed.
        known = before if before is not None else after
        others = [label for label in in_order if label != known]
        start = known if known is not None else in_order[0]
        return max((_crossing(start, other) for other in others), default=0.0) / 2
    between = [label for label in in_order if label not in (before, after)]
    if before == after and not between:
        return 0.0
    detour = [before, *between, after]
    long_way = sum(_crossing(a, b) for a, b in itertools.pairwise(detour))
    if circle and before != after:
        return long_way
    return (_crossing(before, after) + long_way) / 2


def _crossing(first: int, second: int) -> float:
    if first == second or first < 0 or second < 0:
        return 0.0
    return ((first > 0) + (second > 0)) / 2
