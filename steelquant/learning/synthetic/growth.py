"""Nucleation and growth: the Johnson–Mehl–Avrami–Kolmogorov tessellation of a plane.

Nuclei appear at places and times, grow at a constant rate and stop where they meet. If all are there
at once (site saturation) the boundaries are straight and the transformed fraction is
``1 - exp(-π n v² t²)``; if they appear at a constant rate the boundaries are curved and the fraction is
``1 - exp(-π/3 I v² t³)`` (Avrami, J. Chem. Phys. 7 (1939) 1103 and 8 (1940) 212, in two dimensions).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from steelquant.learning.synthetic.noise import Float

JOHNSON_MEHL_DENSITY = 0.8960
"""Grains per area of a 2-D Johnson–Mehl structure, in units of ``(I / v)^(2/3)`` (Meijering 1953)."""


@dataclass(frozen=True)
class Nuclei:
    """Where, when and how grains start to grow; N of them.

    Attributes
    ----------
    x_px, y_px
        ``(N,)`` places; they reach beyond the field so that its rim is like its middle.
    time
        ``(N,)`` birth, in the time that a front needs for one pixel.
    frame
        ``(N, 4)`` matrix ``a, b, c, d`` of each grain's own axes: ``u = a dx + b dy``, ``v = c dx + d dy``.
    facets
        Shape of the growth front in these axes, from 0, an ellipse, to 1, a hexagon.
    """

    x_px: Float
    y_px: Float
    time: Float
    frame: Float
    facets: float = 0.0

    def __len__(self) -> int:
        return len(self.x_px)


@dataclass(frozen=True)
class Tessellation:
    """The grown structure on the pixels of a field.

    Attributes
    ----------
    first
        ``(height, width)`` index of the nucleus that reached the pixel first.
    second
        The one that would have come next: the neighbour across the nearest boundary.
    time
        When the first arrived.
    gap
        How much later the second would have come: about twice the distance to the boundary in pixels.
    """

    first: NDArray[np.int32]
    second: NDArray[np.int32]
    time: Float
    gap: Float


def sample_nuclei(
    rng: np.random.Generator,
    height: int,
    width: int,
    diameter_px: float,
    *,
    saturation: float = 1.0,
    regularity: float = 0.0,
    aspect: float = 1.0,
    angle_deg: float = 0.0,
    irregularity: float = 0.0,
    facets: float = 0.0,
) -> Nuclei:
    """Scatter nuclei whose grains have, on average, the area of a circle of `diameter_px`.

    Parameters
    ----------
    saturation
        Share of the grains that are there from the start; the others appear at a constant rate.
    regularity
        0 scatters the first ones at random (Poisson), 1 sets them on a jittered grid: more even grains.
    aspect, angle_deg
        All grains are drawn out by this ratio in this direction, as after rolling.
    irregularity
        Spread of the grains' own elongations and rates; 0 gives equal, isotropic growth.
    facets
        See `Nuclei`.
    """
    density = 4 / (np.pi * diameter_px**2)
    margin = 2.5 * diameter_px * np.sqrt(aspect)
    size = np.array([width + 2 * margin, height + 2 * margin])
    area = float(size.prod())
    starts = _scatter(rng, size, saturation * density, regularity)
    places, times = [starts], [np.zeros(len(starts))]
    if saturation < 1:
        rate = ((1 - saturation) * density / JOHNSON_MEHL_DENSITY) ** 1.5
        # By this time all but e^-7 of an otherwise empty plane has transformed.
        last = (21 / (np.pi * rate)) ** (1 / 3)
        count = rng.poisson(rate * area * last)
        places.append(rng.random((count, 2)) * size)
        times.append(rng.random(count) * last)
    place = np.concatenate(places) - margin
    time = np.concatenate(times)
    if saturation < 1:
        kept = ~_swallowed(place, time)
        place, time = place[kept], time[kept]
    if len(place) < 2:
        place = np.array([[-margin, height / 2], [width + margin, height / 2]])
        time = np.zeros(2)
    return Nuclei(
        place[:, 0].astype(np.float32),
        place[:, 1].astype(np.float32),
        time.astype(np.float32),
        _frames(rng, len(place), aspect, angle_deg, irregularity),
        facets,
    )


def _scatter(
    rng: np.random.Generator, size: NDArray[np.float64], density: float, regularity: float
) -> NDArray[np.float64]:
    if regularity <= 0 or density <= 0:
        return rng.random((rng.poisson(density * float(size.prod())), 2)) * size
    pitch = 1 / np.sqrt(density)
    columns, rows = int(size[0] / pitch) + 1, int(size[1] / pitch) + 1
    grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).astype(np.float64)
    grid[1::2, :, 0] += 0.5
    jitter = rng.uniform(-1, 1, grid.shape) * (1.2 - 0.8 * regularity)
    return ((grid + 0.5 + jitter) * pitch).reshape(-1, 2)


def _swallowed(place: NDArray[np.float64], time: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which nuclei would appear where another grain has already grown (Avrami's phantoms)."""
    near = min(21, len(place))
    if near < 2:
        return np.zeros(len(place), bool)
    distance, index = cKDTree(place).query(place, k=near)
    swallowed: NDArray[np.bool_] = (time[index[:, 1:]] + distance[:, 1:] < time[:, None]).any(axis=1)
    return swallowed


def _frames(
    rng: np.random.Generator, count: int, aspect: float, angle_deg: float, irregularity: float
) -> Float:
    def metric(
        along: NDArray[np.float64], across: NDArray[np.float64], angle: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        c, s = np.cos(angle), np.sin(angle)
        root = np.empty((count, 2, 2))
        root[:, 0, 0], root[:, 0, 1] = along * c, along * s
        root[:, 1, 0], root[:, 1, 1] = -across * s, across * c
        return root

    ones = np.ones(count)
    whole = metric(ones / np.sqrt(aspect), ones * np.sqrt(aspect), ones * np.deg2rad(angle_deg))
    own_aspect = np.exp(np.abs(rng.normal(0, 1, count)) * irregularity * 0.7)
    rate = np.exp(rng.normal(0, 0.25, count) * irregularity)
    own = metric(1 / np.sqrt(own_aspect) / rate, np.sqrt(own_aspect) / rate, rng.uniform(0, np.pi, count))
    root = own @ whole
    frames: Float = root.reshape(count, 4).astype(np.float32)
    return frames


def grow(
    nuclei: Nuclei, x_px: Float, y_px: Float, diameter_px: float, *, neighbours: int = 12, candidates: int = 6
) -> Tessellation:
    """Let the grains grow until they meet, and read the result at given places.

    The nearest nuclei are looked up on a coarse grid (`neighbours` of them, of which the `candidates` that
    arrive first are kept); every pixel is then decided exactly among the candidates of its cell.

    Parameters
    ----------
    x_px, y_px
        ``(height, width)`` places at which the pixels lie: bending these bends all boundaries.
    diameter_px
        Mean grain diameter, which sets the pitch of the coarse grid.
    """
    height, width = x_px.shape
    cell = int(np.clip(diameter_px / 2.5, 2, 24))
    rows, columns = -(-height // cell), -(-width // cell)
    padding = ((0, rows * cell - height), (0, columns * cell - width))
    x_pad, y_pad = np.pad(x_px, padding, mode="edge"), np.pad(y_px, padding, mode="edge")
    middle = cell // 2
    chosen = _candidates(nuclei, x_pad[middle::cell, middle::cell], y_pad[middle::cell, middle::cell],
                         neighbours, candidates)  # fmt: skip
    first = np.empty(x_pad.shape, np.int32)
    second = np.empty(x_pad.shape, np.int32)
    time = np.empty(x_pad.shape, np.float32)
    gap = np.empty(x_pad.shape, np.float32)
    # Strips that stay in the processor's cache are several times faster than whole fields.
    step = max(1, 20_000 // (cell * cell * columns))
    for top in range(0, rows, step):
        rows_here = slice(top * cell, min(top + step, rows) * cell)
        block = _decide(nuclei, chosen[top : top + step], x_pad[rows_here], y_pad[rows_here], cell)
        first[rows_here], second[rows_here], time[rows_here], gap[rows_here] = block
    field = (slice(height), slice(width))
    return Tessellation(first[field], second[field], time[field], gap[field])


def grow_coarsely(
    nuclei: Nuclei, x_px: Float, y_px: Float, diameter_px: float, step: int, *, neighbours: int = 8
) -> Tessellation:
    """Let the grains grow as `grow` does but decide only every `step`-th pixel in each direction.

    For structures whose boundaries need no more precision than that, in a fraction of the time.
    """
    if step == 1:
        return grow(nuclei, x_px, y_px, diameter_px, neighbours=neighbours)
    height, width = x_px.shape
    x_px, y_px = (np.ascontiguousarray(place[::step, ::step]) for place in (x_px, y_px))
    grown = grow(nuclei, x_px, y_px, diameter_px / step, neighbours=neighbours, candidates=5)
    first, second = (
        np.repeat(np.repeat(part, step, 0), step, 1)[:height, :width] for part in (grown.first, grown.second)
    )
    size = (grown.time.shape[1] * step, grown.time.shape[0] * step)
    time, gap = (
        np.ascontiguousarray(
            cv2.resize(part, size, interpolation=cv2.INTER_LINEAR)[:height, :width], np.float32
        )
        for part in (grown.time, grown.gap)
    )
    return Tessellation(np.ascontiguousarray(first), np.ascontiguousarray(second), time, gap)


def _candidates(nuclei: Nuclei, x: Float, y: Float, neighbours: int, candidates: int) -> NDArray[np.int32]:
    count = min(neighbours, len(nuclei))
    tree = cKDTree(np.stack([nuclei.x_px, nuclei.y_px], -1))
    _, index = tree.query(np.stack([x.ravel(), y.ravel()], -1), k=np.arange(1, count + 1))
    arrival = _arrival(nuclei, index, x.reshape(-1, 1), y.reshape(-1, 1))
    kept = min(candidates, count)
    if kept < count:
        best = np.argpartition(arrival, kept - 1, axis=1)[:, :kept]
        index = np.take_along_axis(index, best, axis=1)
    return index.reshape(*x.shape, kept).astype(np.int32)


def _arrival(nuclei: Nuclei, index: NDArray[np.int32], x: Float, y: Float) -> Float:
    dx, dy = x - nuclei.x_px[index], y - nuclei.y_px[index]
    a, b, c, d = (nuclei.frame[index, term] for term in range(4))
    u, v = a * dx, c * dx
    u += b * dy
    v += d * dy
    travel: Float = np.sqrt(u * u + v * v)
    if nuclei.facets > 0:
        np.abs(u, out=u)
        v = np.abs(v, out=v) * np.float32(0.866)
        v += np.float32(0.5) * u
        np.maximum(u, v, out=u)
        travel *= np.float32(1 - nuclei.facets)
        travel += np.float32(1.05 * nuclei.facets) * u
    travel += nuclei.time[index]
    return travel


def _decide(
    nuclei: Nuclei, chosen: NDArray[np.int32], x: Float, y: Float, cell: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], Float, Float]:
    rows, columns, count = chosen.shape
    blocks = (rows, cell, columns, cell)
    x, y = x.reshape(blocks), y.reshape(blocks)
    best = np.full(blocks, np.inf, np.float32)
    next_best = np.full(blocks, np.inf, np.float32)
    slot = np.zeros(blocks, np.uint8)
    next_slot = np.zeros(blocks, np.uint8)
    for candidate in range(count):
        index = chosen[:, :, candidate].reshape(rows, 1, columns, 1)
        arrival = _arrival(nuclei, index, x, y)
        sooner = arrival < best
        second = ~sooner & (arrival < next_best)
        np.copyto(next_best, best, where=sooner)
        np.copyto(next_slot, slot, where=sooner)
        np.copyto(best, arrival, where=sooner)
        slot[sooner] = candidate
        np.copyto(next_best, arrival, where=second)
        next_slot[second] = candidate
    row = np.arange(rows).reshape(rows, 1, 1, 1)
    column = np.arange(columns).reshape(1, 1, columns, 1)
    shape = (rows * cell, columns * cell)
    return (
        chosen[row, column, slot].reshape(shape),
        chosen[row, column, next_slot].reshape(shape),
        best.reshape(shape),
        (next_best - best).reshape(shape),
    )
