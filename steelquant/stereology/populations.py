"""The features of one kind in all fields of a specimen together: sizes, shapes and directions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from steelquant.stereology.arrangement import Rose, orientation_rose
from steelquant.stereology.distributions import (
    SizeDistribution,
    Spheres,
    equivalent_diameter_um,
    frame_weights,
    size_distribution,
    unfold_spheres,
)
from steelquant.stereology.features import Features
from steelquant.stereology.measurement import FieldResult

GRAINS = "ferrite grains"


def features_kind(phase: str) -> str:
    """Return how reports call the features of a phase."""
    return f"{phase} features"


@dataclass(frozen=True, eq=False)
class Population:
    """Features of one kind that nothing cuts, of all calibrated fields of a specimen.

    Attributes
    ----------
    kind
        ``"pearlite features"``, ``"ferrite grains"``.
    sizes
        Distribution of the equivalent diameter, each feature standing for those that the frame cut
        (Miles and Lantuéjoul).
    spheres
        Saltykov's unfolding.
    cut
        Features left out because the frame or an excluded region cuts them.
    aspect_ratio, roundness, solidity
        Means by number.
    rose
        Directions of the major axes, by area.
    """

    kind: str
    sizes: SizeDistribution
    spheres: Spheres
    cut: int
    aspect_ratio: float
    roundness: float
    solidity: float
    rose: Rose


def populations_of(fields: Sequence[FieldResult]) -> tuple[Population, ...]:
    """Gather the features of a specimen by kind; kinds without a whole feature do not occur."""
    phases = dict.fromkeys(phase for field in fields for phase in field.features)
    found = [_population(features_kind(phase), _features_of(fields, phase)) for phase in phases]
    found.append(_population(GRAINS, _grains_of(fields)))
    return tuple(population for population in found if population is not None)


Part = tuple[FieldResult, Features, float]
"""A field, its features and its µm/px."""


def _features_of(fields: Sequence[FieldResult], phase: str) -> Iterator[Part]:
    for field in fields:
        if phase in field.features and field.pixel_size_um is not None:
            yield field, field.features[phase], field.pixel_size_um


def _grains_of(fields: Sequence[FieldResult]) -> Iterator[Part]:
    """Yield the grains of the fields that enter the grain size."""
    for field in fields:
        if field.grains is not None and field.grains.counts and field.pixel_size_um is not None:
            yield field, field.grains.features, field.pixel_size_um


def _population(kind: str, parts: Iterator[Part]) -> Population | None:
    areas, weights, shapes, angles = [], [], [], []
    cut, area_um2 = 0, 0.0
    for field, features, size_um in parts:
        whole = ~features.cut
        cut += int(np.count_nonzero(features.cut))
        area_um2 += field.counted_px * size_um**2
        areas.append(features.area_px[whole] * size_um**2)
        widths, heights = features.right_px - features.left_px, features.bottom_px - features.top_px
        weights.append(frame_weights(widths[whole], heights[whole], field.width_px, field.height_px))
        shape = np.stack((features.aspect_ratio, features.roundness, features.solidity))
        shapes.append(shape[:, whole])
        angles.append(features.orientation_deg[whole])
    if not areas:
        return None
    all_areas, all_weights = np.concatenate(areas), np.concatenate(weights)
    sizes = size_distribution(all_areas, all_weights)
    spheres = unfold_spheres(equivalent_diameter_um(all_areas), area_um2, weights=all_weights)
    if sizes is None or spheres is None:
        return None
    aspect, roundness, solidity = np.concatenate(shapes, axis=1).mean(axis=1).tolist()
    rose = orientation_rose(np.concatenate(angles), all_areas)
    return Population(kind, sizes, spheres, cut, aspect, roundness, solidity, rose)
