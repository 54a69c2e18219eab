"""One field's parameters, drawn from the recipe: most fields good, the ugly ones ugly on purpose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from steelquant.learning.synthetic.camera import CameraPlan
from steelquant.learning.synthetic.ferrite import FerritePlan
from steelquant.learning.synthetic.optics import OpticsPlan, resolution_sigma_um
from steelquant.learning.synthetic.pearlite import PearlitePlan
from steelquant.learning.synthetic.recipe import Range, Recipe
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
    resin_grey: float
    eyepiece_radius: float
    crack_px: float
    info_bar: bool
    scale_bar: bool


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


class _Draw:
    """Draws from ranges with one generator."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def uniform(self, span: Range) -> float:
        return float(self.rng.uniform(*span))

    def log(self, span: Range) -> float:
        return float(np.exp(self.rng.uniform(np.log(max(span[0], 1e-4)), np.log(max(span[1], 1e-4)))))

    def happens(self, share: float) -> bool:
        return bool(self.rng.random() < share)


def sample_plan(rng: np.random.Generator, recipe: Recipe, height: int, width: int) -> FieldPlan:
    """Draw one field's parameters for a finished picture of the given size."""
    draw = _Draw(rng)
    ugly: tuple[str, ...] = ()
    if draw.happens(recipe.degraded):
        count = int(rng.choice([1, 2, 3, 4], p=[0.38, 0.32, 0.2, 0.1]))
        weights = np.array([2.0] + [1.0] * (len(DEGRADATIONS) - 1))
        groups = rng.choice(len(DEGRADATIONS), count, replace=False, p=weights / weights.sum())
        ugly = tuple(sorted(str(rng.choice(DEGRADATIONS[group])) for group in groups))
    rescale = draw.log(recipe.rescale) if "rescaled" in ugly else 1.0
    pixel_size = draw.log(recipe.pixel_size_um)
    structure = _structure(draw, recipe, rescale)
    pearlite = _pearlite(draw, recipe, structure, rescale, "faint" in ugly)
    surroundings = _surroundings(draw, recipe, height)
    return FieldPlan(
        rescale=rescale,
        pixel_size_um=pixel_size,
        degradations=ugly,
        structure=structure,
        pearlite=pearlite,
        ferrite=_ferrite(draw, recipe, structure.grain_diameter_px, rescale, "overetched" in ugly),
        preparation=_preparation(draw, recipe, structure, height * width, ugly),
        surroundings=surroundings,
        optics=_optics(draw, recipe, pixel_size * rescale, ugly),
        camera=_camera(draw, recipe, pearlite.grey, ugly),
    )


def _structure(draw: _Draw, recipe: Recipe, rescale: float) -> StructurePlan:
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
        film_px=max(1.2, draw.log((0.03, 0.3)) * d) if films else 0.0,
        plate_density=draw.log((0.2, 2.0)) if draw.happens(recipe.plates) and fraction > 0.25 else 0.0,
        island_density=draw.log((0.1, 2.0)) if draw.happens(recipe.islands) else 0.0,
    )


def _pearlite(
    draw: _Draw, recipe: Recipe, structure: StructurePlan, rescale: float, faint: bool
) -> PearlitePlan:
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
        lamella_contrast=draw.uniform((0.1, 0.9)) * (0.5 if faint else 1.0),
        bright_share=draw.uniform((0.0, 0.35)),
        curvature=draw.uniform((0.2, 1.3)),
        streak_ratio=draw.log((1.2, 6.0)),
        mottling=draw.uniform((0.3, 1.7)) * min(1.0, float(-np.log(grey))),
        warm=warm,
        cold=cold,
    )


def _tints(draw: _Draw) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
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


def _ferrite(draw: _Draw, recipe: Recipe, d: float, rescale: float, overetched: bool) -> FerritePlan:
    shaded = draw.happens(0.8 if overetched else recipe.shaded)
    depth = draw.uniform(recipe.boundary_depth) if draw.happens(0.7) else draw.log(recipe.boundary_depth)
    width = draw.log(recipe.boundary_width_px) / rescale
    return FerritePlan(
        boundary_depth=max(depth, draw.uniform((0.4, 0.9))) if overetched else depth,
        # In a picture of tiny grains wide boundaries would leave no ferrite to see.
        boundary_px=min(width * draw.uniform((1.0, 2.2)) if overetched else width, 0.05 * d + 0.4),
        boundary_hidden=draw.uniform((0.0, 0.2)) if overetched else draw.uniform((0.05, 0.75)),
        interface_depth=draw.uniform((0.0, 0.6)) if draw.happens(0.4) else 0.0,
        shade_spread=draw.log((0.005, 0.05)) * (2.0 if overetched else 1.0),
        dark_grain_share=draw.uniform((0.03, 0.4)) if shaded else 0.0,
        dark_grain_depth=draw.uniform((0.08, 0.35)),
        texture=draw.log((0.004, 0.05)) * (1.5 if overetched else 1.0),
        pit_density=draw.log((0.001, 0.03)) if draw.happens(recipe.stippled) else 0.0,
        pit_depth=draw.uniform((0.15, 0.8)),
        bright_rim=draw.uniform((0.1, 0.7)) if draw.happens(0.12) else 0.0,
        relief=draw.uniform((0.05, 0.5)) if draw.happens(0.15) else 0.0,
    )


def _preparation(
    draw: _Draw, recipe: Recipe, structure: StructurePlan, area_px: int, ugly: tuple[str, ...]
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


def _surroundings(draw: _Draw, recipe: Recipe, height: int) -> SurroundingsPlan:
    edge = draw.happens(recipe.mounted_edge)
    info, scale = draw.happens(recipe.info_bar), draw.happens(recipe.scale_bar)
    return SurroundingsPlan(
        resin_share=draw.uniform((0.08, 0.5)) if edge else 0.0,
        decarburised_px=draw.uniform((0.08, 0.4)) * height
        if edge and draw.happens(recipe.decarburised)
        else 0.0,
        resin_grey=draw.uniform((0.04, 0.3)),
        eyepiece_radius=draw.uniform((0.4, 0.62)) if draw.happens(recipe.eyepiece) else 0.0,
        crack_px=max(4.0, draw.log((0.008, 0.04)) * height) if draw.happens(recipe.wide_crack) else 0.0,
        info_bar=info,
        scale_bar=scale and not info,
    )


def _optics(draw: _Draw, recipe: Recipe, pixel_size_um: float, ugly: tuple[str, ...]) -> OpticsPlan:
    # Objectives that make sense at this pixel size, from low to high power.
    aperture = float(np.clip(0.2 / pixel_size_um, 0.12, 0.95)) * draw.uniform((0.6, 1.0))
    psf = float(np.clip(resolution_sigma_um(aperture) / pixel_size_um, 0.4, 1.4))
    mild = draw.happens(0.4)
    return OpticsPlan(
        psf_px=psf,
        defocus_px=draw.log(recipe.defocus_px)
        if "defocus" in ugly
        else (draw.uniform((0, 0.9)) if mild else 0.0),
        focus_tilt=draw.uniform((0, 1)) if draw.happens(0.3) else 0.0,
        chromatic_px=draw.log((0.05, 1.5)) if draw.happens(0.3) else 0.0,
        gradient=draw.uniform(recipe.gradient) if "gradient" in ugly else draw.uniform((0, 0.12)),
        gradient_angle_deg=draw.uniform((0, 360)),
        vignette=draw.uniform(recipe.vignette) if "vignette" in ugly else draw.uniform((0, 0.12)),
        vignette_x=float(draw.rng.normal(0, 0.2)),
        vignette_y=float(draw.rng.normal(0, 0.2)),
        flare=draw.uniform((0.05, 0.35)) if "flare" in ugly else draw.uniform((0, 0.04)),
        hot_spot=draw.uniform((0.1, 0.5)) if "flare" in ugly and mild else 0.0,
    )


def _camera(draw: _Draw, recipe: Recipe, pearlite_grey: float, ugly: tuple[str, ...]) -> CameraPlan:
    rng = draw.rng
    exposure = draw.uniform(recipe.exposure)
    if "overexposed" in ugly:
        exposure = draw.uniform((1.25, 1.8))
    elif "underexposed" in ugly:
        exposure = draw.uniform((0.22, 0.5))
    contrast = draw.uniform((0.25, 0.65)) if "low_contrast" in ugly else draw.uniform((0.85, 1.0))
    cast = draw.log((0.01, 0.22)) if draw.happens(0.6) else 0.02
    red, green, blue = np.exp(cast * rng.normal(0, 1, 3) * (1, 0.5, 1)).tolist()
    brightest = max(red, green, blue) if exposure < 1 else 1.0
    noise = draw.log(recipe.noise) if "noise" in ugly else draw.log((0.3, 6.0))
    # More noise than the phases differ by would hide them from anyone.
    noise = min(noise, 0.7 * 255 * contrast * (min(1.0, exposure) - min(1.0, exposure * pearlite_grey)))
    shot = draw.uniform((0, 1))
    sharpened = draw.happens(0.35)
    compressed = "jpeg" in ugly or draw.happens(0.5)
    return CameraPlan(
        exposure=exposure,
        balance=(red / brightest, green / brightest, blue / brightest),
        gamma=draw.log(recipe.gamma) if "gamma" in ugly else draw.log((0.85, 1.2)),
        contrast=contrast,
        black=draw.uniform((0, 1 - contrast))
        if "low_contrast" in ugly
        else draw.uniform((0, 1 - contrast)) * 0.5,
        shot_noise=noise * shot,
        read_noise=noise * float(np.sqrt(1 - shot**2)),
        noise_grain_px=draw.uniform((1.3, 2.5)) if draw.happens(0.2) else 1.0,
        bayer=draw.happens(0.5),
        sharpening=draw.log((0.2, 2.5)) * min(1.0, 6 / (noise + 1)) if sharpened else 0.0,
        sharpening_px=draw.uniform((0.7, 3.0)),
        grey=not draw.happens(recipe.colour),
        jpeg_quality=round(draw.log(recipe.jpeg_quality))
        if "jpeg" in ugly
        else int(rng.integers(75, 97)) * compressed,
    )
