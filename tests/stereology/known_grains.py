"""How near the grains found in synthetic micrographs come to the true ones."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from steelquant.learning.synthetic import SyntheticField
from steelquant.stereology.boundaries import GrainBoundaries, find_grains
from steelquant.stereology.intercepts import heyn


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
    return Comparison(
        seed, diameter_um, look["boundary_depth"], look["boundary_hidden"], error, found.verdict, found
    )
