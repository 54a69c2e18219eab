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
    bright_rim
        How much lighter pearlite's own rim is.
    relief
        Light and shade on the step between the phases, as in oblique light.
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
    bright_rim: float
    relief: float


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
    shade = np.maximum(shade, np.float32(-0.6))
    own = shade[base.first]
    rough = 0.6 * smooth_noise(rng, height, width, 1.6) + 0.5 * smooth_noise(rng, height, width, 9)
    # What the etch darkens it also roughens.
    grey = 1 + own + (np.float32(plan.texture) + np.float32(0.35) * np.maximum(-own, 0)) * rough
    if plan.pit_density > 0:
        density = plan.pit_density * np.where(rng.random(count) < 0.35, rng.uniform(0.3, 2.0, count), 0.04)
        grey -= pits(rng, density.astype(np.float32)[base.first], plan.pit_depth)
    grey -= _boundaries(rng, base, inserts, plan)
    return np.maximum(grey, np.float32(0.03))


def pits(rng: np.random.Generator, density: Float, depth: float) -> Float:
    """Return the darkening by small round pits scattered with the given density per pixel."""
    height, width = density.shape
    chance = rng.random((height, width), dtype=np.float32)
    total = np.zeros((height, width), np.float32)
    for share, sigma in ((1.0, 0.5), (0.4, 0.8), (0.1, 1.4)):
        hit = chance < density * np.float32(share)
        seeds = np.zeros((height, width), np.float32)
        # The peak of the blurred seed is its depth; few pits are deep.
        seeds[hit] = depth * 2 * np.pi * sigma**2 * rng.random(int(hit.sum()), dtype=np.float32) ** 1.5
        total += cv2.GaussianBlur(seeds, (0, 0), sigma)
        chance = (chance + np.float32(0.37)) % 1
    return np.minimum(total, np.float32(1.3 * depth))


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


def apply_interface(
    rng: np.random.Generator, scene: Float, pearlite: NDArray[np.bool_], plan: FerritePlan
) -> None:
    """Darken ferrite's rim, lighten pearlite's and shade the step between them, in place."""
    height, width = pearlite.shape
    if plan.interface_depth > 0 or plan.bright_rim > 0:
        soft = np.asarray(cv2.GaussianBlur(pearlite.astype(np.float32), (0, 0), 1.2), np.float32)
        rim = 4 * soft * (1 - soft) * np.clip(0.5 + 0.5 * smooth_noise(rng, height, width, 15), 0, 1.3)
        dark = 1 - np.minimum(np.float32(plan.interface_depth) * rim, np.float32(0.9))
        light = 1 + np.float32(plan.bright_rim) * rim
        scene *= np.where(pearlite, light, dark)[..., None]
    if plan.relief != 0:
        angle = rng.uniform(0, 2 * np.pi)
        shift = np.array([[1, 0, 1.5 * np.cos(angle)], [0, 1, 1.5 * np.sin(angle)]])
        height_map = np.asarray(cv2.GaussianBlur(pearlite.astype(np.float32), (0, 0), 1.5), np.float32)
        moved = cv2.warpAffine(height_map, shift, (width, height), borderMode=cv2.BORDER_REPLICATE)
        scene *= (1 + np.float32(plan.relief) * (height_map - moved))[..., None]
