"""Synthetic micrographs of known ferrite grains, and masks of them as wrong as a segmentation's."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from steelquant.learning.synthetic import Recipe, SyntheticField, synthesize_field

Mask = NDArray[np.bool_]

PIXEL_SIZES_UM = {6: (0.2, 0.35), 9: (0.25, 0.5), 14: (0.3, 0.6), 20: (0.3, 0.7), 30: (0.4, 0.8)}
"""By mean grain diameter in µm, the pixel sizes at which one would photograph it."""

DEPTHS = {"strong": (0.5, 0.8), "medium": (0.25, 0.5), "faint": (0.08, 0.25)}
"""Darkness of the boundaries."""

ETCHES = {"even": (0.0, 0.2), "uneven": (0.2, 0.75)}
"""What share of the boundaries the etch left out, or nearly so."""

_KNOWN = Recipe(
    pearlite_fraction=(0.05, 0.5),
    pure_ferrite=0.15,
    pure_pearlite=0,
    boundary_width_px=(0.5, 1.8),
    stippled=0.15,
    random=0.5,
    clustered=0.2,
    banded=0.3,
    network=0,
    films=0,
    plates=0,
    islands=0,
    degraded=0.3,
    defocus_px=(0.6, 1.5),
    noise=(4, 15),
    gradient=(0.15, 0.4),
    vignette=(0.2, 0.5),
    scratch_count=(3, 20),
    stain_count=(1, 4),
    stain_strength=(0.15, 0.4),
    jpeg_quality=(50, 90),
    rescale=(0.7, 1.5),
    mounted_edge=0,
    info_bar=0,
    scale_bar=0,
    letter=0,
    eyepiece=0,
    wide_crack=0,
)
"""A third of the fields are degraded, within what a laboratory would still hand in."""


def known_field(
    seed: int,
    diameter_um: int,
    depth: tuple[float, float],
    left_out: tuple[float, float],
    shape: tuple[int, int] = (771, 1040),
) -> SyntheticField:
    """Draw a field of one mean grain diameter, with boundaries of a range of darkness and completeness.

    Parameters
    ----------
    seed
        One field each.
    diameter_um
        A key of `PIXEL_SIZES_UM`.
    depth
        A value of `DEPTHS` or another range.
    left_out
        A value of `ETCHES` or another range.
    shape
        Height and width in pixels.
    """
    low, high = PIXEL_SIZES_UM[diameter_um]
    pixel_um = math.exp(np.random.default_rng(seed).uniform(math.log(low), math.log(high)))
    diameter_px = diameter_um / pixel_um
    recipe = dataclasses.replace(
        _KNOWN,
        grain_diameter_px=(diameter_px, diameter_px),
        pixel_size_um=(pixel_um, pixel_um),
        boundary_depth=depth,
        boundary_hidden=left_out,
    )
    return synthesize_field(recipe, (77, seed), *shape)


def known_fields(start: int, each: int, etch: str) -> Iterator[tuple[int, int, str, SyntheticField]]:
    """Yield seed, mean diameter, contrast and field for all sizes and contrasts, `each` of them."""
    seed = start
    for contrast, depth in DEPTHS.items():
        for diameter_um in PIXEL_SIZES_UM:
            for _ in range(each):
                yield seed, diameter_um, contrast, known_field(seed, diameter_um, depth, ETCHES[etch])
                seed += 1


def any_field(seed: int) -> SyntheticField:
    """Draw a field of any grain size and contrast, wider lines and more dirt among them."""
    rng = np.random.default_rng((9, seed))
    diameter_px = math.exp(rng.uniform(math.log(11), math.log(120)))
    depths = (*DEPTHS.values(), (0.03, 0.85))
    recipe = dataclasses.replace(
        _KNOWN,
        pearlite_fraction=(0.03, 0.6),
        pure_ferrite=0.2,
        grain_diameter_px=(diameter_px, diameter_px),
        pixel_size_um=(0.3, 0.6),
        boundary_depth=depths[rng.integers(len(depths))],
        boundary_width_px=(0.5, 1.8) if rng.random() < 0.7 else (1.2, 3.0),
        boundary_hidden=ETCHES["even" if rng.random() < 0.5 else "uneven"],
        stippled=0.25,
        network=0.05,
        films=0.05,
        plates=0.02,
        islands=0.1,
        degraded=0.4,
        scratch_count=(3, 30),
        stain_count=(1, 6),
        stain_strength=(0.15, 0.5),
    )
    field = synthesize_field(recipe, (99, seed), 576, 704)
    return _with_streaks(rng, field) if rng.random() < 0.35 else field


def _with_streaks(rng: np.random.Generator, field: SyntheticField) -> SyntheticField:
    """Darken rough spots and streaks that all run one way, as stringers, rows of pits and stains do."""
    shape = field.labels.shape
    angle, length, width = rng.uniform(0, math.pi), rng.uniform(1.5, 8), rng.uniform(1, 3)
    long = _filtered(rng, shape, angle, length * width, width)
    where = _filtered(rng, shape, 0, 20, 20) * rng.uniform(0.3, 1.2)
    spots = np.clip(long + where - rng.uniform(0.8, 2.2), 0, 1.5) * rng.uniform(0.1, 0.5)
    rough = np.clip(1 + rng.uniform(0, 1) * _filtered(rng, shape, 0, 1.2, 1.2), 0, 2)
    left = 1 - np.clip(cv2.GaussianBlur(spots * rough, (0, 0), 0.7), 0, 0.75)
    pixels = np.clip(field.pixels * left[..., None] + 0.5, 0, 255).astype(np.uint8)
    return dataclasses.replace(field, pixels=pixels)


def _filtered(
    rng: np.random.Generator, shape: tuple[int, ...], angle: float, along_px: float, across_px: float
) -> NDArray[np.float32]:
    """Return noise of unit variance, smoothed along one direction and across it."""
    reach = math.ceil(2.5 * max(along_px, across_px))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    u, v = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    kernel = np.exp(-((u / along_px) ** 2 + (v / across_px) ** 2) / 2)
    noise = rng.standard_normal(shape, dtype=np.float32)
    return np.asarray(cv2.filter2D(noise, -1, kernel / np.sqrt((kernel**2).sum())), np.float32)


def plain_threshold(pixels: NDArray[np.uint8]) -> Mask:
    """Return the ferrite of Otsu's threshold after a 1-px blur: a mask as wrong as a segmentation."""
    grey = cv2.GaussianBlur(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), (0, 0), 1)
    return np.asarray(cv2.threshold(grey, 0, 255, cv2.THRESH_OTSU)[1] > 0)


def perturbed_mask(rng: np.random.Generator, field: SyntheticField) -> Mask:
    """Return the true ferrite, or that of a threshold, or the true one a little too small or too large."""
    ferrite = field.labels == 0
    kind = rng.random()
    if kind < 0.17:
        return plain_threshold(field.pixels) if np.mean(field.labels == 1) > 0.03 else ferrite
    if kind < 0.37:
        change = cv2.erode if rng.random() < 0.5 else cv2.dilate
        side = 3 if rng.random() < 0.6 else 5
        return np.asarray(change(ferrite.astype(np.uint8), np.ones((side, side), np.uint8)) > 0)
    return ferrite
