"""What pearlite looks like: colonies of lamellae, each with its own grey, direction and spacing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steelquant.learning.synthetic.growth import Nuclei, grow, sample_nuclei
from steelquant.learning.synthetic.noise import Float, fractal_noise, smooth_noise, soft_step


@dataclass(frozen=True)
class PearlitePlan:
    """How one field's pearlite looks; greys are shares of the ferrite's brightness.

    Attributes
    ----------
    grey, grey_spread
        Mean grey and its spread (natural log) from colony to colony.
    colony_px
        Diameter of a colony; nodules, whose greys are alike, are about `nodule_ratio` as large.
    spacing_px, spacing_spread
        True lamellar spacing and its spread (natural log); oblique sections show wider ones.
    lamella_contrast
        How far the lamellae reach from the colony's grey to ferrite's, 0–1.
    bright_share
        Share of colonies whose lamellae are as bright as ferrite.
    mottling
        Strength of the blotches inside colonies.
    warm, cold
        Tints ``(red, green, blue)`` between which the colonies lie.
    """

    grey: float
    grey_spread: float
    colony_px: float
    nodule_ratio: float
    spacing_px: float
    spacing_spread: float
    lamella_contrast: float
    bright_share: float
    curvature: float
    mottling: float
    warm: tuple[float, float, float]
    cold: tuple[float, float, float]


def render_pearlite(
    rng: np.random.Generator, height: int, width: int, plan: PearlitePlan
) -> tuple[Float, Float]:
    """Return the grey of pearlite everywhere, ``(height, width)``, and its tint, ``(height, width, 3)``."""
    d = plan.colony_px
    y, x = np.mgrid[:height, :width].astype(np.float32)
    bend_x, bend_y = smooth_noise(rng, height, width, d * 0.5), smooth_noise(rng, height, width, d * 0.5)
    nuclei = sample_nuclei(rng, height, width, d, irregularity=0.8, facets=0.6)
    fray = np.float32(0.03 * d)
    places = (
        x + np.float32(0.12 * d) * bend_x + fray * smooth_noise(rng, height, width, max(0.1 * d, 2)),
        y + np.float32(0.12 * d) * bend_y + fray * smooth_noise(rng, height, width, max(0.1 * d, 2)),
    )
    colony, gap = _colonies(nuclei, *places, d)
    count = len(nuclei)

    nodule = smooth_noise(rng, height, width, d * plan.nodule_ratio)
    column = np.clip(nuclei.x_px, 0, width - 1).astype(int)
    row = np.clip(nuclei.y_px, 0, height - 1).astype(int)
    own = 0.6 * nodule[row, column] + 0.8 * rng.normal(0, 1, count)
    grey = plan.grey * np.exp(plan.grey_spread * own)
    # A random plane cuts lamellae at an angle: apparent spacing = true spacing / sin(angle).
    obliquity = np.sqrt(1 - rng.random(count) ** 2)
    spacing = (
        plan.spacing_px * np.exp(plan.spacing_spread * rng.normal(0, 1, count)) / np.maximum(obliquity, 0.2)
    )
    visible = soft_step(spacing.astype(np.float32), 1.7, 3.2)
    bright = rng.random(count) < plan.bright_share
    swing = plan.lamella_contrast * visible * np.where(bright, 1.0, rng.uniform(0.05, 0.55, count))
    lamellae = _lamellae(rng, x, y, colony, spacing, plan)

    mottle = fractal_noise(rng, height, width, max(0.35 * d, 3), 3)
    fine = smooth_noise(rng, height, width, 1.6)
    grey_map = grey.astype(np.float32)[colony]
    swing_map = swing.astype(np.float32)[colony]
    swing_map *= soft_step(
        mottle + 0.5 * smooth_noise(rng, height, width, max(1.2 * plan.spacing_px, 2)), -1.6, 0.4
    )
    grey_map *= np.exp(np.float32(plan.mottling) * (0.3 * mottle + 0.2 * fine))
    grey_map += swing_map * (1 - grey_map) * lamellae
    # Colony borders show as fine dark or bright seams in places.
    seam = np.exp(-((gap / np.float32(1.6)) ** 2)) * np.float32(rng.uniform(-0.35, 0.15))
    grey_map *= 1 + seam
    np.clip(grey_map, 0.02, 1.15, out=grey_map)

    warmth = soft_step((0.5 * own + rng.normal(0, 0.7, count)).astype(np.float32), -1.2, 1.2)[colony]
    warmth = np.clip(warmth + np.float32(0.15) * mottle, 0, 1)
    warm, cold = (np.array(tint, np.float32) for tint in (plan.warm, plan.cold))
    tint = cold + warmth[..., None] * (warm - cold)
    # Bright lamellae are ferrite and have its colour.
    fading = np.clip(1.25 - grey_map, 0.25, 1)[..., None]
    return grey_map, 1 + (tint - 1) * fading


def _colonies(nuclei: Nuclei, x: Float, y: Float, diameter_px: float) -> tuple[NDArray[np.int32], Float]:
    """Return each pixel's colony and its gap, decided in steps of two pixels unless colonies are tiny."""
    step = 2 if diameter_px >= 14 else 1
    grown = grow(nuclei, x[::step, ::step], y[::step, ::step], diameter_px, neighbours=8, candidates=4)
    if step == 1:
        return grown.first, grown.gap
    height, width = x.shape
    colony, gap = (
        np.repeat(np.repeat(part, 2, 0), 2, 1)[:height, :width] for part in (grown.first, grown.gap)
    )
    return colony.astype(np.int32), gap.astype(np.float32)


def _lamellae(
    rng: np.random.Generator,
    x: Float,
    y: Float,
    colony: NDArray[np.int32],
    spacing: NDArray[np.float64],
    plan: PearlitePlan,
) -> Float:
    """Return lamellae as a profile from -0.3 to 1, curved, uneven and broken."""
    height, width = x.shape
    count = len(spacing)
    mean = plan.spacing_px
    sway = np.float32(plan.curvature * mean)
    u = x + sway * 2.2 * smooth_noise(rng, height, width, max(14 * mean, 12))
    v = y + sway * 2.2 * smooth_noise(rng, height, width, max(14 * mean, 12))
    wobble = smooth_noise(rng, height, width, max(4 * mean, 5)) * np.float32(0.25 * plan.curvature)
    angle = rng.uniform(0, np.pi, count)
    turns = 2 * np.pi / spacing
    along_x = (np.cos(angle) * turns).astype(np.float32)[colony]
    along_y = (np.sin(angle) * turns).astype(np.float32)[colony]
    wave = 0.5 + 0.5 * np.sin(along_x * u + along_y * v + 2 * np.pi * wobble)
    sharpness = rng.uniform(0.7, 2.2, count).astype(np.float32)[colony]
    profile: Float = np.power(np.maximum(wave, 0), sharpness, dtype=np.float32) * np.float32(
        1.3
    ) - np.float32(0.3)
    return profile
