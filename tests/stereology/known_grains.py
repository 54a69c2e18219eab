"""Synthetic micrographs of known ferrite grains, 6 to 30 µm, and how near the grains found come to them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from steelquant.learning.synthetic.field import SyntheticField, synthesize_field
from steelquant.learning.synthetic.recipe import Recipe
from steelquant.stereology.boundaries import GrainBoundaries, find_grains
from steelquant.stereology.intercepts import heyn

PIXEL_SIZES_UM = {6: (0.2, 0.35), 9: (0.25, 0.5), 14: (0.3, 0.6), 20: (0.3, 0.7), 30: (0.4, 0.8)}
"""By mean grain diameter in µm, the pixel sizes at which one would photograph it."""


def known_field(
    seed: int, diameter_um: int, depth: tuple[float, float], shape: tuple[int, int] = (771, 1040)
) -> SyntheticField:
    """Draw one field; a third are degraded, within what a laboratory would still hand in.

    ``depth`` is the range of the boundaries' darkness. What share of them the etch left out is drawn too,
    from 5 to 75 %.
    """
    low, high = PIXEL_SIZES_UM[diameter_um]
    pixel_um = math.exp(np.random.default_rng(seed).uniform(math.log(low), math.log(high)))
    diameter_px = diameter_um / pixel_um
    recipe = Recipe(
        pearlite_fraction=(0.05, 0.5),
        pure_ferrite=0.15,
        pure_pearlite=0,
        grain_diameter_px=(diameter_px, diameter_px),
        pixel_size_um=(pixel_um, pixel_um),
        boundary_depth=depth,
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
    return synthesize_field(recipe, (77, seed), *shape)


@dataclass(frozen=True)
class Comparison:
    """Grains found in one field against the true ones, both counted along Heyn's lines."""

    seed: int
    diameter_um: int
    boundary_depth: float
    left_out: float
    error: float
    verdict: str
    found: GrainBoundaries


def compare(seed: int, diameter_um: int, field: SyntheticField, ferrite: np.ndarray) -> Comparison:
    """Find the grains in ``ferrite``; the error is G found less G true, so that missed boundaries are < 0."""
    found = find_grains(field.pixels, ferrite)
    lengths = [heyn(grains, 1.0).mean_intercept_um for grains in (field.grains, found.grains)]
    error = math.nan if None in lengths else 2 * math.log2(lengths[0] / lengths[1])
    look = field.parameters["ferrite"]
    left_out = look["boundary_hidden"]
    return Comparison(seed, diameter_um, look["boundary_depth"], left_out, error, found.verdict, found)
