"""One field's parameters, drawn from the recipe: most fields good, the ugly ones ugly on purpose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from steelquant.learning.synthetic.camera import CameraPlan
from steelquant.learning.synthetic.draw import Draw
from steelquant.learning.synthetic.ferrite import FerritePlan
from steelquant.learning.synthetic.imaging_plans import draw_camera, draw_optics
from steelquant.learning.synthetic.look_plans import draw_ferrite, draw_pearlite
from steelquant.learning.synthetic.optics import OpticsPlan
from steelquant.learning.synthetic.pearlite import PearlitePlan
from steelquant.learning.synthetic.recipe import Recipe
from steelquant.learning.synthetic.structure import StructurePlan

DEGRADATIONS = (
    ("faint", "low_contrast", "underexposed", "flare"),
    ("overexposed", "overetched"),
    ("gradient",), ("vignette",), ("defocus",), ("noise",), ("jpeg",), ("gamma",), ("rescaled",),
    ("scratches",), ("stains",), ("inclusions",),
)  # fmt: skip
"""One of each group at most, so that no field loses its contrast twice; the first comes doubly often."""


@dataclass(frozen=True)
class PreparationPlan:
    """Inclusions, scratches, stains and etch of one field; counts are of the whole field.

    `etch_unevenness` is the share of contrast that is lost where the etch worked least.
    """

    inclusion_count: int
    inclusion_px: float
    stringers: float
    scratch_count: int
    scratch_strength: float
    fine_scratches: bool
    stain_count: int
    stain_strength: float
    etch_unevenness: float


@dataclass(frozen=True)
class SurroundingsPlan:
    """What beside steel is in the picture; shares are 0 where there is nothing of the kind."""

    resin_share: float
    decarburised_px: float
    columns: float
    resin_grey: float
    eyepiece_radius: float
    crack_px: float
    info_bar: bool
    scale_bar: bool
    letter: bool


@dataclass(frozen=True)
class FieldPlan:
    """All that is sampled for one field; lengths in pixels of the rendered field, before `rescale`."""

    rescale: float
    pixel_size_um: float
    degradations: tuple[str, ...]
    structure: StructurePlan
    pearlite: PearlitePlan
    ferrite: FerritePlan
    preparation: PreparationPlan
    surroundings: SurroundingsPlan
    optics: OpticsPlan
    camera: CameraPlan


def sample_plan(rng: np.random.Generator, recipe: Recipe, height: int, width: int) -> FieldPlan:
    """Draw one field's parameters for a finished picture of the given size."""
    draw = Draw(rng)
    ugly: tuple[str, ...] = ()
    if draw.happens(recipe.degraded):
        count = int(rng.choice([1, 2, 3, 4], p=[0.38, 0.32, 0.2, 0.1]))
        weights = np.array([2.0] + [1.0] * (len(DEGRADATIONS) - 1))
        groups = rng.choice(len(DEGRADATIONS), count, replace=False, p=weights / weights.sum())
        ugly = tuple(sorted(str(rng.choice(DEGRADATIONS[group])) for group in groups))
    rescale = draw.log(recipe.rescale) if "rescaled" in ugly else 1.0
    pixel_size = draw.log(recipe.pixel_size_um)
    structure = _structure(draw, recipe, rescale)
    pearlite = draw_pearlite(draw, recipe, structure, rescale, "faint" in ugly)
    surroundings = _surroundings(draw, recipe, height)
    return FieldPlan(
        rescale=rescale,
        pixel_size_um=pixel_size,
        degradations=ugly,
        structure=structure,
        pearlite=pearlite,
        ferrite=draw_ferrite(draw, recipe, structure, pearlite.grey, rescale, "overetched" in ugly),
        preparation=_preparation(draw, recipe, structure, height * width, ugly),
        surroundings=surroundings,
        optics=draw_optics(draw, recipe, pixel_size * rescale, ugly),
        camera=draw_camera(draw, recipe, pearlite.grey, ugly),
    )


def _structure(draw: Draw, recipe: Recipe, rescale: float) -> StructurePlan:
    rng = draw.rng
    kinds = ("random", "clustered", "banded", "network")
    weights = np.array([getattr(recipe, kind) for kind in kinds])
    kind = str(rng.choice(kinds, p=weights / weights.sum()))
    fraction = draw.uniform(recipe.pearlite_fraction)
    if kind == "network":
        fraction = max(fraction, min(draw.uniform((0.4, 0.97)), recipe.pearlite_fraction[1]))
    if draw.happens(recipe.pure_ferrite):
        fraction = 0.0
    elif draw.happens(recipe.pure_pearlite):
        fraction = 1.0
    d = draw.log(recipe.grain_diameter_px) / rescale
    films = draw.happens(0.9 if kind == "network" else recipe.films) and fraction > 0.35
    return StructurePlan(
        arrangement=kind,
        pearlite_fraction=fraction,
        grain_diameter_px=d,
        saturation=draw.uniform(recipe.saturation) if draw.happens(0.6) else recipe.saturation[1],
        regularity=draw.uniform((0.0, 0.8)) if draw.happens(0.5) else 0.0,
        irregularity=draw.uniform((0.4, 1.5)),
        facets=draw.uniform((0.1, 0.8)),
        aspect=draw.uniform(recipe.aspect) if draw.happens(0.35) else recipe.aspect[0],
        rolling_angle_deg=float(rng.choice([0, 0, 0, 90]) + rng.normal(0, 3))
        if draw.happens(0.8)
        else draw.uniform((0, 180)),
        waviness=draw.uniform((0.3, 1.6)),
        raggedness=draw.uniform((0.0, 1.2)) if draw.happens(0.6) else 0.0,
        grain_wise=float(rng.choice([0.0, 1.0, 1.0, 1.0])) if draw.happens(0.5) else draw.uniform((0.2, 1)),
        unevenness=draw.uniform((0.35, 1.6)),
        band_width=draw.log((0.6, 5.0)),
        austenite_ratio=draw.log((1.5, 7.0)),
        thinnest_px=0.0 if draw.happens(0.15) else max(2.0, draw.uniform((0.04, 0.09)) * d),
        film_px=max(1.2, draw.log((0.03, 0.3)) * d) if films else 0.0,
        plate_density=draw.log((0.2, 2.0)) if draw.happens(recipe.plates) and fraction > 0.25 else 0.0,
        island_density=draw.log((0.1, 2.0)) if draw.happens(recipe.islands) else 0.0,
    )


def _preparation(
    draw: Draw, recipe: Recipe, structure: StructurePlan, area_px: int, ugly: tuple[str, ...]
) -> PreparationPlan:
    scratched, stained = "scratches" in ugly, "stains" in ugly
    area = area_px / 262_144
    many = "inclusions" in ugly
    return PreparationPlan(
        inclusion_count=int(draw.log((20, 250) if many else (0.3, 30)) * area**0.8),
        # Spots as large as the pearlite between tiny grains could not be told from it.
        inclusion_px=min(
            draw.log((0.8, 5.0)) if many else draw.log((0.7, 2.5)), 0.5 + 0.05 * structure.grain_diameter_px
        ),
        stringers=draw.uniform((0, 0.5)) if draw.happens(0.3) else 0.0,
        scratch_count=round(draw.log(recipe.scratch_count)) if scratched else int(draw.log((0.2, 8))),
        scratch_strength=draw.log((0.1, 0.7)) if scratched else draw.log((0.02, 0.2)),
        fine_scratches=draw.happens(0.4),
        stain_count=round(draw.log(recipe.stain_count)) if stained else int(draw.happens(0.1)),
        stain_strength=draw.uniform(recipe.stain_strength) if stained else draw.uniform((0.03, 0.2)),
        etch_unevenness=draw.uniform((0.1, 0.6)) if draw.happens(0.2) else 0.0,
    )


def _surroundings(draw: Draw, recipe: Recipe, height: int) -> SurroundingsPlan:
    edge = draw.happens(recipe.mounted_edge)
    info, scale = draw.happens(recipe.info_bar), draw.happens(recipe.scale_bar)
    return SurroundingsPlan(
        resin_share=draw.uniform((0.08, 0.5)) if edge else 0.0,
        decarburised_px=draw.uniform((0.08, 0.4)) * height
        if edge and draw.happens(recipe.decarburised)
        else 0.0,
        columns=draw.uniform((0.4, 0.75)) if draw.happens(0.5) else 0.0,
        resin_grey=draw.uniform((0.04, 0.3)),
        eyepiece_radius=draw.uniform((0.4, 0.62)) if draw.happens(recipe.eyepiece) else 0.0,
        crack_px=max(4.0, draw.log((0.008, 0.04)) * height) if draw.happens(recipe.wide_crack) else 0.0,
        info_bar=info,
        scale_bar=scale and not info,
        letter=draw.happens(recipe.letter),
    )
