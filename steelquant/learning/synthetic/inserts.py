"""Ferrite of other shapes than grains: films, Widmanstätten side plates, islands in pearlite."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from steelquant.learning.synthetic.growth import Tessellation
from steelquant.learning.synthetic.noise import pair_values, smooth_noise


def films(
    rng: np.random.Generator, austenite: Tessellation, thickness_px: float, grain_diameter_px: float
) -> NDArray[np.bool_]:
    """Return where allotriomorphic films of uneven thickness lie on the prior-austenite boundaries."""
    height, width = austenite.gap.shape
    strength = rng.lognormal(0, 0.45, 4096).astype(np.float32)
    strength[rng.random(4096) < 0.12] = 0
    per_segment = strength[pair_values(austenite.first, austenite.second, 7)]
    uneven = np.exp(np.float32(0.45) * smooth_noise(rng, height, width, max(0.5 * grain_diameter_px, 4)))
    film: NDArray[np.bool_] = austenite.gap < np.float32(thickness_px) * per_segment * uneven
    return film


def paint_plates(
    rng: np.random.Generator,
    inserts: NDArray[np.int32],
    austenite: Tessellation,
    density: float,
    grain_diameter_px: float,
) -> None:
    """Paint Widmanstätten side plates: sheaves of needles that start at prior-austenite boundaries.

    Parameters
    ----------
    inserts
        ``(height, width)``; each needle gets the next number.
    density
        Sheaves per area of six squared grain diameters.
    """
    d = grain_diameter_px
    height, width = inserts.shape
    rows, columns = np.nonzero(austenite.gap < max(1.5, 0.1 * d))
    if not len(rows):
        return
    sheaves = int(rng.poisson(density * height * width / (d * d * 6))) + 1
    habit = rng.uniform(0, np.pi, 256)
    number = int(inserts.max())
    for start in rng.integers(0, len(rows), min(sheaves, 1500)):
        x, y = float(columns[start]), float(rows[start])
        family = habit[austenite.first[rows[start], columns[start]] % 256]
        angle = family + rng.choice([0.0, np.pi / 3, 2 * np.pi / 3]) + rng.choice([0.0, np.pi])
        along = np.array([np.cos(angle), np.sin(angle)])
        across = np.array([-along[1], along[0]])
        length = d * rng.uniform(0.8, 3.0)
        thick = max(1.6, length * rng.uniform(0.03, 0.09))
        place = 0.0
        for _ in range(int(rng.integers(2, 8))):
            number += 1
            place += thick * rng.uniform(1.1, 3.0)
            width_here = thick * rng.uniform(0.5, 1.3)
            tilted = along + across * rng.normal(0, 0.04)
            root = np.array([x, y]) + across * place - tilted * length * rng.uniform(0, 0.15)
            reach = length * rng.uniform(0.3, 1.1)
            middle = root + tilted * reach * rng.uniform(0.4, 0.7) + across * reach * rng.normal(0, 0.025)
            outline = [
                root - across * width_here * 0.5,
                middle - across * width_here * rng.uniform(0.2, 0.4),
                root + tilted * reach,
                middle + across * width_here * rng.uniform(0.2, 0.4),
                root + across * width_here * 0.5,
            ]
            cv2.fillPoly(inserts, [np.round(np.array(outline) * 8).astype(np.int32)], number, shift=3)


def paint_islands(
    rng: np.random.Generator, inserts: NDArray[np.int32], density: float, grain_diameter_px: float
) -> None:
    """Paint small, angular ferrite grains; those that fall into pearlite remain as islands.

    Parameters
    ----------
    inserts
        ``(height, width)``; each island gets the next number.
    density
        Islands per squared grain diameter.
    """
    d = grain_diameter_px
    height, width = inserts.shape
    count = min(int(rng.poisson(density * height * width / (d * d))), 4000)
    first = int(inserts.max()) + 1
    radius = np.maximum(1.2, 0.5 * d * np.exp(rng.normal(-1.5, 0.5, count)))[:, None]
    used = rng.integers(5, 10, count)
    corner = rng.uniform(0, 2 * np.pi, (count, 9))
    corner[np.arange(9) >= used[:, None]] = np.inf
    corner.sort(axis=1)
    angle = np.where(np.isinf(corner), 0, corner)
    reach = radius * rng.uniform(0.6, 1.3, (count, 9))
    squeeze = np.exp(np.abs(rng.normal(0, 0.4, (count, 1))))
    turn = rng.uniform(0, np.pi, (count, 1))
    u, v = reach * np.cos(angle) * squeeze, reach * np.sin(angle) / squeeze
    x = rng.uniform(0, width, (count, 1)) + u * np.cos(turn) - v * np.sin(turn)
    y = rng.uniform(0, height, (count, 1)) + u * np.sin(turn) + v * np.cos(turn)
    outlines = np.round(np.stack([x, y], -1) * 8).astype(np.int32)
    for number, (outline, corners) in enumerate(zip(outlines, used.tolist(), strict=True), first):
        cv2.fillPoly(inserts, [outline[:corners]], number, shift=3)
