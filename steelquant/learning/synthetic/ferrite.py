"""What etched ferrite looks like: boundaries of every strength, shaded grains, pits and spots."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from steelquant.learning.synthetic.growth import Tessellation
from steelquant.learning.synthetic.noise import Float, pair_values, smooth_noise


@dataclass(frozen=True)
class FerritePlan:
    """How one field's ferrite looks; depths are shares of its brightness.

    Attributes
    ----------
    boundary_depth, boundary_px
        Darkness and width of the typical etched boundary.
    boundary_hidden
        Share of boundary segments that the etch left nearly invisible.
    interface_depth
        Darkness of the line between ferrite and pearlite.
    shade_spread
        Spread of brightness from grain to grain.
    dark_grain_share, dark_grain_depth
        Grains that the etch attacked as a whole.
    texture
        Fine roughness.
    pit_density, pit_depth
        Etching pits per pixel of the stippled grains.
    """

    boundary_depth: float
    boundary_px: float
    boundary_hidden: float
    interface_depth: float
    shade_spread: float
    dark_grain_share: float
    dark_grain_depth: float
    texture: float
    pit_density: float
    pit_depth: float


def render_ferrite(
    rng: np.random.Generator,
    base: Tessellation,
    inserts: NDArray[np.int32],
    count: int,
    plan: FerritePlan,
) -> Float:
    """Return the grey of ferrite everywhere, ``(height, width)``, 1 for a clean, bright grain."""
    height, width = base.time.shape
    shade = (plan.shade_spread * rng.normal(0, 1, count)).astype(np.float32)
    attacked = rng.random(count) < plan.dark_grain_share
    shade[attacked] -= (plan.dark_grain_depth * rng.uniform(0.3, 1, count)[attacked]).astype(np.float32)
    grey: Float = 1 + shade[base.first]
    grey *= 1 + np.float32(plan.texture) * (
        0.6 * smooth_noise(rng, height, width, 1.8) + 0.5 * smooth_noise(rng, height, width, 7)
    )
    if plan.pit_density > 0:
        density = plan.pit_density * np.where(rng.random(count) < 0.35, rng.uniform(0.3, 2.0, count), 0.04)
        grey -= pits(rng, density.astype(np.float32)[base.first], plan.pit_depth)
    grey -= _boundaries(rng, base, inserts, plan)
    return np.maximum(grey, np.float32(0.03))


def pits(rng: np.random.Generator, density: Float, depth: float) -> Float:
    """Return the darkening by small round pits scattered with the given density per pixel."""
    height, width = density.shape
    chance = rng.random((height, width), dtype=np.float32)
    seeds = (chance < density).astype(np.float32)
    seeds *= np.float32(depth)
    small = cv2.GaussianBlur(seeds, (0, 0), 0.7) * np.float32(2 * np.pi * 0.7**2)
    large = (chance < density * np.float32(0.15)).astype(np.float32) * np.float32(depth)
    wide = cv2.GaussianBlur(large, (0, 0), 1.5) * np.float32(2 * np.pi * 1.5**2)
    result: Float = np.minimum(small + wide, np.float32(1.3 * depth))
    return result


def _boundaries(
    rng: np.random.Generator, base: Tessellation, inserts: NDArray[np.int32], plan: FerritePlan
) -> Float:
    height, width = base.gap.shape
    strength = rng.lognormal(0, 0.35, 4096)
    faint = rng.random(4096) < plan.boundary_hidden
    strength[faint] *= rng.uniform(0, 0.25, 4096)[faint]
    near = base.gap < np.float32(5 * plan.boundary_px)
    rows, columns = np.nonzero(near)
    depth = np.zeros((height, width), np.float32)
    pair = pair_values(base.first[rows, columns], base.second[rows, columns], 11)
    uneven = 0.75 + 0.3 * smooth_noise(rng, height, width, 6)
    # The gap grows by two for every pixel away from the boundary.
    profile = np.exp(-((base.gap[rows, columns] / np.float32(2 * plan.boundary_px)) ** 2))
    depth[rows, columns] = (plan.boundary_depth * strength[pair]).astype(np.float32) * profile
    depth *= np.clip(uneven, 0.1, 1.4)
    depth[inserts > 0] = 0
    return np.minimum(depth, np.float32(0.92))


def interface_line(rng: np.random.Generator, pearlite: NDArray[np.bool_], depth: float) -> Float:
    """Return the darkening of the rim of ferrite where it meets pearlite."""
    height, width = pearlite.shape
    soft = cv2.GaussianBlur(pearlite.astype(np.float32), (0, 0), 1.0)
    uneven = np.clip(0.5 + 0.5 * smooth_noise(rng, height, width, 15), 0, 1.3)
    rim: Float = np.float32(4 * depth) * soft * (1 - soft) * uneven
    return rim
