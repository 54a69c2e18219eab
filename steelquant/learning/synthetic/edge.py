"""The rim of a mounted specimen: resin beyond it, and steel that has lost its carbon below it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steelquant.learning.synthetic.noise import (
    Float,
    fractal_noise,
    smooth_noise,
    soft_step,
    stretched_noise,
    white_noise,
)


@dataclass(frozen=True)
class Edge:
    """The rim of a mounted specimen.

    Attributes
    ----------
    depth
        ``(height, width)`` distance below the specimen's surface in pixels; negative in the resin.
    inward
        Unit vector ``(x, y)`` from the surface into the steel.
    """

    depth: Float
    inward: tuple[float, float]

    @property
    def resin(self) -> NDArray[np.bool_]:
        """``(height, width)`` bool, true in the resin."""
        return self.depth < 0


@dataclass(frozen=True)
class Decarburised:
    """What the furnace did to the steel below an edge.

    Attributes
    ----------
    loss
        ``(height, width)``, 1 where all carbon has left, 0 in the sound steel.
    shift_x_px, shift_y_px
        By how much the places of grain growth are moved: grains there grew inward, as columns.
    """

    loss: Float
    shift_x_px: Float
    shift_y_px: Float


def specimen_edge(rng: np.random.Generator, height: int, width: int, share: float) -> Edge:
    """Lay the rim of the specimen across the field so that about `share` of it is resin."""
    side = int(rng.integers(0, 4))
    tilt = rng.normal(0, 0.06)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    across, along, size = ((y, x, height), (height - y, x, height), (x, y, width), (width - x, y, width))[
        side
    ]
    rough = 0.004 * size * fractal_noise(rng, height, width, max(size * 0.08, 6), 3)
    depth: Float = across - np.float32(share * size) + np.float32(tilt) * (along - along.mean()) + rough
    return Edge(depth, ((0.0, 1.0), (0.0, -1.0), (1.0, 0.0), (-1.0, 0.0))[side])


def decarburise(edge: Edge, reach_px: float, columns: float) -> Decarburised:
    """Take the carbon from the steel below an edge.

    Parameters
    ----------
    reach_px
        Depth at which about half of the carbon is back.
    columns
        How far the ferrite grains are drawn out inward, from 0, not, to 1, without end.
    """
    loss = 1 - soft_step(edge.depth, 0.4 * reach_px, 1.5 * reach_px)
    squeezed = np.float32(-columns) * np.clip(edge.depth, 0, np.float32(reach_px))
    return Decarburised(loss, squeezed * np.float32(edge.inward[0]), squeezed * np.float32(edge.inward[1]))


def render_resin(rng: np.random.Generator, edge: Edge, grey: float) -> Float:
    """Return the resin's brightness: a dark gap at the specimen, then mottled plastic with specks."""
    height, width = edge.depth.shape
    gap = float(rng.uniform(0, 0.25)) * min(height, width)
    mottle = 0.25 * fractal_noise(rng, height, width, float(rng.uniform(6, 40)), 3)
    mottle += 0.1 * white_noise(rng, height, width)
    # Grinding smears the plastic.
    smear = float(rng.uniform(0.05, 0.4))
    mottle += smear * stretched_noise(
        rng, height, width, 60, float(rng.uniform(2, 9)), float(rng.uniform(0, 180))
    )
    plastic = grey * np.maximum(1 + mottle, 0.1)
    plastic[smooth_noise(rng, height, width, float(rng.uniform(2, 6))) > 2.6] *= 2.2
    away = soft_step(-edge.depth, gap * 0.9, gap * 1.1 + 2)
    dark = np.float32(grey * 0.4) * (1 + np.float32(0.2) * mottle)
    result: Float = (dark + (plastic - dark) * away).astype(np.float32)
    return result
