"""What pearlite looks like: colonies of lamellae, each with its own grey, direction and spacing."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from steelquant.learning.synthetic.growth import Nuclei, grow, sample_nuclei
from steelquant.learning.synthetic.noise import Float, smooth_noise, soft_step


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
    curvature, streak_ratio
        How far lamellae bend, and how much longer than wide the streaks of the unresolved ones are.
    mottling
        Strength of the streaks and blotches inside colonies.
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
    streak_ratio: float
    mottling: float
    warm: tuple[float, float, float]
    cold: tuple[float, float, float]


def render_pearlite(
    rng: np.random.Generator, pearlite: NDArray[np.bool_], plan: PearlitePlan
) -> tuple[Float, Float]:
    """Return what pearlite looks like where it is, for the N true pixels of a ``(height, width)`` mask.

    Returns
    -------
    grey
        ``(N,)`` brightness against clean ferrite.
    tint
        ``(N, 3)`` factors on red, green and blue.
    """
    height, width = pearlite.shape
    d = plan.colony_px
    at = np.flatnonzero(pearlite)

    def noise(scale_px: float) -> Float:
        return smooth_noise(rng, height, width, scale_px).ravel()[at]

    nuclei = sample_nuclei(rng, height, width, d, irregularity=0.8, facets=0.6)
    colony, gap = _colonies(rng, nuclei, pearlite.shape, at, d)
    looks = _looks(rng, nuclei, height, width, plan)

    reach = max(14 * plan.spacing_px, 0.3 * d, 10)
    sway = np.float32(0.16 * plan.curvature * reach)
    u = (at % width).astype(np.float32) + sway * noise(reach)
    v = (at // width).astype(np.float32) + sway * noise(reach)
    cosine, sine = np.cos(looks.angle)[colony], np.sin(looks.angle)[colony]
    p, q = cosine * u + sine * v, cosine * v - sine * u
    streaks = _streaks(rng, p, q, max(2.2, 2.2 * plan.spacing_px), plan.streak_ratio)
    fibres = _streaks(rng, p, q, max(1.1, 0.7 * plan.spacing_px), plan.streak_ratio)
    mottle = np.float32(0.86) * noise(max(0.5 * d, 4)) + np.float32(0.51) * noise(max(0.25 * d, 2))
    blotch = noise(max(1.5 * plan.spacing_px, 2.5))
    grain = rng.standard_normal(len(at), dtype=np.float32)
    texture = 0.16 * mottle + 0.2 * streaks + 0.16 * fibres + 0.16 * blotch + 0.1 * grain

    wave = 0.5 + 0.5 * np.sin(looks.turns[colony] * p + np.float32(1.3) * fibres)
    lamellae = wave + looks.shape[colony] * wave * (wave - 1)
    swing = looks.swing[colony] * soft_step(mottle + streaks, -1.8, 0.6)
    grey = looks.grey[colony] * np.exp(np.float32(plan.mottling) * texture)
    grey += swing * (1.05 - grey) * (lamellae - 0.3)
    # Colony borders show as fine dark or bright seams in places.
    grey *= 1 + np.exp(-((gap / np.float32(1.6)) ** 2)) * np.float32(rng.uniform(-0.35, 0.15))
    np.clip(grey, 0.02, 1.15, out=grey)

    warmth = np.clip(looks.warmth[colony] + np.float32(0.15) * mottle, 0, 1)
    # Bright lamellae are ferrite and have its colour.
    fading = np.clip(1.25 - grey, 0.25, 1)
    tint = np.empty((len(at), 3), np.float32)
    for channel, (warm, cold) in enumerate(zip(plan.warm, plan.cold, strict=True)):
        tint[:, channel] = 1 + fading * (np.float32(cold - 1) + warmth * np.float32(warm - cold))
    return grey, tint


@dataclass(frozen=True)
class _Looks:
    """What the colonies look like, one value each: see `PearlitePlan`."""

    grey: Float
    angle: Float
    turns: Float
    swing: Float
    shape: Float
    warmth: Float


def _looks(rng: np.random.Generator, nuclei: Nuclei, height: int, width: int, plan: PearlitePlan) -> _Looks:
    count = len(nuclei)
    nodule = smooth_noise(rng, height, width, plan.colony_px * plan.nodule_ratio)
    column = np.clip(nuclei.x_px, 0, width - 1).astype(int)
    row = np.clip(nuclei.y_px, 0, height - 1).astype(int)
    own = 0.6 * nodule[row, column] + 0.8 * rng.normal(0, 1, count)
    bright = rng.random(count) < plan.bright_share
    # A random plane cuts lamellae at an angle: apparent spacing = true spacing / sin(angle).
    sine = np.maximum(np.sqrt(1 - rng.random(count) ** 2), 0.2)
    spacing = plan.spacing_px * np.exp(plan.spacing_spread * rng.normal(0, 1, count)) / sine
    spacing *= np.where(bright, rng.uniform(1.2, 2.2, count), 1.0)
    visible = soft_step(spacing.astype(np.float32), 1.7, 3.2)
    swing = plan.lamella_contrast * visible * np.where(bright, 1.0, rng.uniform(0.05, 0.6, count))
    return _Looks(
        grey=(plan.grey * np.exp(plan.grey_spread * own)).astype(np.float32),
        angle=rng.uniform(0, np.pi, count).astype(np.float32),
        turns=(2 * np.pi / spacing).astype(np.float32),
        swing=swing.astype(np.float32),
        shape=rng.uniform(-0.8, 0.9, count).astype(np.float32),
        warmth=soft_step((0.5 * own + rng.normal(0, 0.7, count)).astype(np.float32), -1.2, 1.2),
    )


def _colonies(
    rng: np.random.Generator,
    nuclei: Nuclei,
    shape: tuple[int, ...],
    at: NDArray[np.intp],
    diameter_px: float,
) -> tuple[NDArray[np.int32], Float]:
    """Return the colony of the pixels `at` and their gap; both are decided in steps of two pixels."""
    rows, columns = (-(-size // 2) for size in shape)
    places: list[Float] = []
    for place in np.ix_(2 * np.arange(rows, dtype=np.float32), 2 * np.arange(columns, dtype=np.float32)):
        bend = np.float32(0.12 * diameter_px) * smooth_noise(rng, rows, columns, diameter_px * 0.25)
        fray = np.float32(0.03 * diameter_px) * smooth_noise(rng, rows, columns, max(0.05 * diameter_px, 1))
        places.append(place + bend + fray)
    y, x = places
    grown = grow(nuclei, x, y, diameter_px / 2, neighbours=8, candidates=5)
    coarse = at // shape[1] // 2 * columns + at % shape[1] // 2
    return grown.first.ravel()[coarse], grown.gap.ravel()[coarse]


def _streaks(rng: np.random.Generator, p: Float, q: Float, across_px: float, ratio: float) -> Float:
    """Return noise of about unit standard deviation drawn out along the lamellae, at N places."""
    texture = rng.standard_normal((256, 256), dtype=np.float32) * np.float32(1.45)
    scale = np.float32(1 / across_px)
    # OpenCV takes no side above 32,767.
    sheet = (-(-len(p) // 4096), 4096)
    maps = (np.resize(p * scale, sheet), np.resize(q * (scale / np.float32(ratio)), sheet))
    drawn = cv2.remap(texture, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return np.asarray(drawn, np.float32).ravel()[: len(p)]
