"""How one field's pearlite and ferrite look, drawn from the recipe."""

from __future__ import annotations

import numpy as np

from steelquant.learning.synthetic.draw import Draw
from steelquant.learning.synthetic.ferrite import FerritePlan
from steelquant.learning.synthetic.pearlite import PearlitePlan
from steelquant.learning.synthetic.recipe import Recipe
from steelquant.learning.synthetic.structure import StructurePlan


def draw_pearlite(
    draw: Draw, recipe: Recipe, structure: StructurePlan, rescale: float, faint: bool
) -> PearlitePlan:
    """Draw the look of pearlite; `faint` makes it only a little darker than ferrite."""
    grey = draw.uniform(recipe.faint_pearlite_grey) if faint else draw.log(recipe.pearlite_grey)
    d = structure.grain_diameter_px
    warm, cold = _tints(draw)
    spread = draw.log(recipe.colony_spread)
    # Faint pearlite must not reach ferrite's brightness colony by colony, or no one could tell them apart.
    spread = min(spread, 0.45 * float(-np.log(grey)) + 0.04)
    return PearlitePlan(
        grey=grey,
        grey_spread=spread,
        colony_px=max(8.0, d * draw.log((0.3, 1.6))),
        nodule_ratio=draw.uniform((1.2, 3.5)),
        spacing_px=draw.log(recipe.lamella_spacing_px) / rescale,
        spacing_spread=draw.uniform((0.1, 0.45)),
        # Where all pearlite is light, lamellae as white as ferrite would hide the islands among them.
        lamella_contrast=draw.uniform((0.1, 0.9)) * min(1.0, float(-np.log(grey))),
        bright_share=draw.uniform((0.0, 0.35)),
        curvature=draw.uniform((0.2, 1.3)),
        streak_ratio=draw.log((1.2, 6.0)),
        mottling=draw.uniform((0.3, 1.7)) * min(1.0, float(-np.log(grey))),
        warm=warm,
        cold=cold,
    )


def _tints(draw: Draw) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return the tints of the warmest and the coldest colony: brown-olive, grey, purple or blue."""
    palettes = (
        ((1.22, 1.02, 0.70), (0.95, 1.0, 1.05)),
        ((1.30, 1.00, 0.62), (1.05, 1.02, 0.88)),
        ((1.03, 1.0, 0.96), (0.98, 1.0, 1.02)),
        ((1.15, 0.88, 0.98), (0.95, 0.92, 1.15)),
        ((0.98, 0.92, 1.20), (0.88, 0.82, 1.55)),
        ((1.15, 1.0, 0.82), (0.85, 0.97, 1.20)),
    )
    index = int(draw.rng.choice(len(palettes), p=[0.26, 0.14, 0.24, 0.12, 0.08, 0.16]))
    strength = draw.uniform((0.5, 1.3))

    def stronger(tint: tuple[float, float, float]) -> tuple[float, float, float]:
        red, green, blue = (max(0.3, 1 + (part - 1) * strength) for part in tint)
        return red, green, blue

    return stronger(palettes[index][0]), stronger(palettes[index][1])


def draw_ferrite(
    draw: Draw,
    recipe: Recipe,
    structure: StructurePlan,
    pearlite_grey: float,
    rescale: float,
    overetched: bool,
) -> FerritePlan:
    """Draw the look of ferrite, such that it can still be told from this structure's pearlite."""
    d = structure.grain_diameter_px
    shaded = draw.happens(0.8 if overetched else recipe.shaded)
    depth = draw.uniform(recipe.boundary_depth) if draw.happens(0.7) else draw.log(recipe.boundary_depth)
    width = draw.log(recipe.boundary_width_px) / rescale
    if structure.thinnest_px == 0:
        # Fine threads of pearlite and dark boundaries in one field look alike.
        depth, width, overetched = min(depth, 0.5 * (1 - pearlite_grey)), min(width, 1.0 / rescale), False
    span = 1 - pearlite_grey
    return FerritePlan(
        boundary_depth=max(depth, draw.uniform((0.4, 0.9))) if overetched else depth,
        # In a picture of tiny grains wide boundaries would leave no ferrite to see.
        boundary_px=min(width * draw.uniform((1.0, 2.2)) if overetched else width, 0.05 * d + 0.4),
        boundary_hidden=draw.uniform((0.0, 0.2)) if overetched else draw.uniform(recipe.boundary_hidden),
        interface_depth=draw.uniform((0.0, 0.6)) if draw.happens(0.4) else 0.0,
        shade_spread=min(draw.log((0.005, 0.05)) * (2.0 if overetched else 1.0), 0.12 * span),
        dark_grain_share=draw.uniform((0.03, 0.4)) if shaded else 0.0,
        dark_grain_depth=min(draw.uniform((0.08, 0.4)), 0.5 * span),
        texture=min(draw.log((0.004, 0.05)) * (1.5 if overetched else 1.0), 0.2 * span),
        pit_density=draw.log((0.001, 0.03)) if draw.happens(recipe.stippled) else 0.0,
        pit_depth=draw.uniform((0.15, 0.8)),
        bright_rim=draw.uniform((0.1, 0.7)) if draw.happens(0.12) else 0.0,
        relief=draw.uniform((0.05, 0.5)) if draw.happens(0.15) else 0.0,
    )
