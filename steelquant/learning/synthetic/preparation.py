"""What polishing and etching leave on a specimen: inclusions, pull-outs, scratches, stains, cracks.

None of these is a phase: inclusions and pull-outs keep the label of the phase in which they lie.
"""

from __future__ import annotations

import itertools

import cv2
import numpy as np
from numpy.typing import NDArray

from steelquant.learning.synthetic.noise import Float, fractal_noise, smooth_noise, soft_step


def inclusions(
    rng: np.random.Generator,
    height: int,
    width: int,
    count: int,
    radius_px: float,
    stringers: float,
    angle_deg: float,
) -> Float:
    """Return the coverage, 0–1, by small dark spots; some are drawn out into stringers.

    Parameters
    ----------
    radius_px
        Median radius.
    stringers
        Share of the spots that lie in rows along the rolling direction.
    """
    cover = np.zeros((height, width), np.uint8)
    angle = np.deg2rad(angle_deg)
    for _ in range(count):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        row = int(rng.integers(2, 7)) if rng.random() < stringers else 1
        for _ in range(row):
            radius = max(0.5, radius_px * float(np.exp(rng.normal(0, 0.5))))
            long = radius * float(np.exp(abs(rng.normal(0, 0.4 if row == 1 else 0.9))))
            tilt = angle_deg if row > 1 else float(rng.uniform(0, 180))
            centre = (int(x * 16), int(y * 16))
            axes = (int(long * 16), int(radius * 16))
            cv2.ellipse(cover, centre, axes, tilt, 0, 360, int(rng.integers(150, 256)), -1, cv2.LINE_AA, 4)
            step = rng.uniform(2, 6) * radius
            x, y = x + step * np.cos(angle), y + step * np.sin(angle)
    return cover.astype(np.float32) / np.float32(255)


def scratches(
    rng: np.random.Generator, height: int, width: int, count: int, strength: float, *, fine: bool
) -> Float:
    """Return brightness factors less one along polishing scratches, dark or bright, straight or bent.

    Parameters
    ----------
    fine
        Many hair-fine, nearly parallel scratches, as a worn polishing cloth leaves them.
    """
    layer = np.zeros((height, width), np.float32)
    diagonal = float(np.hypot(height, width))
    main = rng.uniform(0, np.pi)
    for _ in range(count):
        angle = main + rng.normal(0, 0.05) if fine or rng.random() < 0.3 else rng.uniform(0, np.pi)
        along = np.array([np.cos(angle), np.sin(angle)])
        across = np.array([-along[1], along[0]])
        middle = rng.random(2) * (width, height)
        reach = diagonal * (rng.uniform(0.03, 0.3) if rng.random() < 0.5 else rng.uniform(0.3, 1.2))
        t = np.linspace(-0.5, 0.5, 24)[:, None]
        bend = rng.normal(0, 0.02) * reach * (4 * t * t - 1) + rng.normal(0, 0.01) * reach * np.sin(
            5 * t + rng.uniform(0, 6)
        )
        line = middle + t * reach * along + bend * across
        depth = strength * float(rng.lognormal(-0.2, 0.5)) * (-1 if rng.random() < 0.75 else 0.6)
        thick = 1 if fine else int(rng.choice([1, 1, 1, 2, 2, 3, 4]))
        stroke = np.zeros_like(layer) if thick > 2 else layer
        cv2.polylines(stroke, [np.round(line * 8).astype(np.int32)], False, depth, thick, cv2.LINE_AA, 3)
        if stroke is not layer:
            layer += cv2.GaussianBlur(stroke, (0, 0), 0.8)
    if count:
        layer = np.asarray(cv2.GaussianBlur(layer, (0, 0), 0.5), np.float32)
        layer *= np.clip(0.8 + 0.5 * smooth_noise(rng, height, width, 40), 0, 1.3)
    return np.clip(layer, -0.9, 0.6)


def stains(
    rng: np.random.Generator, height: int, width: int, count: int, strength: float
) -> tuple[Float, Float]:
    """Return the thickness of drying and etching stains, 0–1, and how brown they are, 0–1.

    Round to ragged blots with soft edges, some with the dark rim of a dried drop.
    """
    layer = np.zeros((height, width), np.float32)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    wobble = fractal_noise(rng, height, width, max(0.1 * min(height, width), 8), 3)
    for _ in range(count):
        radius = min(height, width) * float(np.exp(rng.uniform(np.log(0.04), np.log(0.5))))
        cx, cy = rng.uniform(0, width), rng.uniform(0, height)
        reach = int(radius * 2.2) + 2
        box = (
            slice(max(0, int(cy) - reach), min(height, int(cy) + reach)),
            slice(max(0, int(cx) - reach), min(width, int(cx) + reach)),
        )
        squeeze = np.exp(rng.normal(0, 0.3))
        distance = np.hypot((x[box] - cx) * squeeze, (y[box] - cy) / squeeze) / np.float32(radius)
        rimmed = rng.random() < 0.35
        distance += np.float32(rng.uniform(0.02, 0.08) if rimmed else rng.uniform(0.05, 0.3)) * wobble[box]
        soft = float(rng.uniform(0.08, 0.9))
        body = 1 - soft_step(distance.astype(np.float32), 1 - soft, 1 + 0.2 * soft)
        if rimmed:
            rim = np.exp(-(((distance - 1) / np.float32(rng.uniform(0.03, 0.1))) ** 2))
            body = np.float32(rng.uniform(0.0, 0.6)) * body + rim
        layer[box] = np.maximum(layer[box], np.float32(rng.uniform(0.4, 1) * strength) * body)
    brown = np.clip(0.5 + 0.5 * smooth_noise(rng, height, width, 0.4 * min(height, width) + 2), 0, 1)
    return np.minimum(layer, 1), brown


def uneven_etch(rng: np.random.Generator, height: int, width: int, amount: float) -> Float:
    """Return how much of its contrast the etch gave to each place: 1 where full, less where too short."""
    scale = float(rng.uniform(0.2, 1.0)) * min(height, width) + 2
    patches = soft_step(smooth_noise(rng, height, width, scale), -1.5, 1.0)
    return 1 - np.float32(amount) * (1 - patches)


def crack(rng: np.random.Generator, height: int, width: int, thickness_px: float) -> NDArray[np.bool_]:
    """Return the gap of one wide crack that wanders across the field."""
    diagonal = float(np.hypot(height, width))
    angle = rng.uniform(0, np.pi)
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    steps = np.linspace(-0.6, 0.6, 90)
    wander = np.cumsum(rng.normal(0, 1, 90)) * diagonal * 0.006
    line = rng.random(2) * (width, height) + steps[:, None] * diagonal * along + wander[:, None] * across
    gap = np.zeros((height, width), np.uint8)
    for first, last in itertools.pairwise(line):
        thick = max(1, round(thickness_px * float(np.exp(rng.normal(0, 0.4)))))
        ends = [tuple(np.round(point * 8).astype(int).tolist()) for point in (first, last)]
        cv2.line(gap, ends[0], ends[1], 255, thick, cv2.LINE_AA, 3)
    return gap > 127
