"""The quantities of how a phase lies in a field: bands, shape, neighbours, lamellae."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np

from steelquant.stereology.bands import BEYOND_CHANCE, Bands
from steelquant.stereology.features import Features
from steelquant.stereology.measurement import FieldResult
from steelquant.stereology.quantity import Quantity, label_of
from steelquant.stereology.texture import Texture

SPACING = "Pearlite lamellar spacing (µm)"
UNBROKEN = "unbroken bands: AI is infinite"


ONE_PHASE = "no bands: the phase is absent or fills the field"
NO_BANDS = "no bands beyond chance"


def degree_name(phase: str) -> str:
    """Return the name of the degree of orientation of a phase's bands."""
    return f"{label_of(phase)} bands Ω12 (–)"


def spacing_name(phase: str) -> str:
    """Return the name of the spacing of a phase's bands."""
    return f"{label_of(phase)} bands SB (µm)"


def page_names(fields: Iterable[FieldResult]) -> set[str]:
    """Return the names of what is told of bands where room is short."""
    phases = {phase for field in fields for phase in field.textures}
    return {name(phase) for phase in phases for name in (degree_name, spacing_name)}


def bands_remark(field: FieldResult, phase: str) -> str:
    """Say why a phase has no band spacing, or an infinite index; empty where neither holds."""
    texture = field.textures.get(phase)
    if texture is None:
        return ""
    if texture.bands is None:
        return ONE_PHASE
    if not texture.bands.are_shown:
        return NO_BANDS
    return UNBROKEN if texture.bands.anisotropy_index == math.inf else ""


def texture_quantities(phase: str) -> list[Quantity]:
    """Return the quantities of banding, shape and arrangement of one phase."""
    label = label_of(phase)

    def of_texture(
        measure: Callable[[Texture], float | None], power: int = 0, factor: float = 1.0
    ) -> Callable[[FieldResult], float | None]:
        def value(field: FieldResult) -> float | None:
            texture, size = field.textures.get(phase), field.pixel_size_um
            measured = None if texture is None else measure(texture)
            if measured is None or not math.isfinite(measured):
                return None
            if power == 0:
                return measured
            return None if size is None else measured * size**power * factor

        return value

    def of_bands(
        measure: Callable[[Bands], float | None], power: int = 0
    ) -> Callable[[FieldResult], float | None]:
        return of_texture(lambda texture: None if texture.bands is None else measure(texture.bands), power)

    def no_bands(*harmless: str) -> Callable[[FieldResult], str]:
        def reason(field: FieldResult) -> str:
            remark = bands_remark(field, phase)
            return "" if remark in harmless else remark

        return reason

    def unbroken(field: FieldResult) -> str:
        texture = field.textures.get(phase)
        return UNBROKEN if texture is not None and texture.banding.anisotropy_index == math.inf else ""

    def of_shape(measure: Callable[[Features], np.ndarray]) -> Callable[[FieldResult], float | None]:
        def value(field: FieldResult) -> float | None:
            found = field.features.get(phase)
            if found is None or found.cut.all():
                return None
            return float(np.average(measure(found)[~found.cut], weights=found.area_px[~found.cut]))

        return value

    mean = f"of the features of {phase} that nothing cuts, weighted by area"
    return [
        Quantity(
            degree_name(phase),
            "0.000",
            f"Degree of orientation of bands of {phase}, Ω12 = (N_⊥ − N_∥)/(N_⊥ + 0.571·N_∥) of the regions "
            "richer in it than the field, the mask smoothed at the scale of its bands: 0 without "
            "direction to 1 (in the manner of E1268).",
            of_bands(lambda bands: bands.degree_of_orientation),
            reason=no_bands(UNBROKEN, NO_BANDS),
            is_compared=True,
            is_on_page=True,
        ),
        Quantity(
            f"{label} bands AI (–)",
            "0.00",
            f"Anisotropy index of bands of {phase}, AI = N_⊥/N_∥ of the same regions.",
            of_bands(lambda bands: bands.anisotropy_index),
            reason=no_bands(NO_BANDS),
        ),
        Quantity(
            spacing_name(phase),
            "0.0",
            f"Mean spacing of bands of {phase} from centre to centre, SB = 1/N_⊥ of the same regions; only "
            f"where their contrast is at least {BEYOND_CHANCE:g}.",
            of_bands(lambda bands: bands.spacing_px, 1),
            reason=no_bands(UNBROKEN),
            needs_scale=True,
            is_compared=True,
            is_on_page=True,
        ),
        Quantity(
            f"{label} bands contrast (–)",
            "0.0",
            f"Evidence for bands of {phase} along the axis, (N_⊥ − N_∥)·√(A/(σ·(N_⊥ + N_∥))) with the "
            f"smoothing σ and the area A: below {BEYOND_CHANCE:g} there may be none.",
            of_bands(lambda bands: bands.contrast),
            reason=no_bands(UNBROKEN, NO_BANDS),
        ),
        Quantity(
            f"{label} banding Ω12 (–)",
            "0.000",
            f"Ω12 of single features of {phase} by their outlines, every island counted (E1268).",
            of_texture(lambda texture: texture.banding.degree_of_orientation),
        ),
        Quantity(
            f"{label} banding AI (–)",
            "0.00",
            f"Anisotropy index of single features of {phase} by their outlines, AI = N_⊥/N_∥ (E1268).",
            of_texture(lambda texture: texture.banding.anisotropy_index),
            reason=unbroken,
        ),
        Quantity(
            f"{label} N_⊥ (1/mm)",
            "0.00",
            f"Features of {phase} met per length of lines across the deformation axis (E1268).",
            of_texture(lambda texture: texture.banding.across_per_px, -1, 1e3),
            needs_scale=True,
        ),
        Quantity(
            f"{label} N_∥ (1/mm)",
            "0.00",
            f"Features of {phase} met per length of lines along the deformation axis (E1268).",
            of_texture(lambda texture: texture.banding.along_per_px, -1, 1e3),
            needs_scale=True,
        ),
        Quantity(
            f"{label} banding SB (µm)",
            "0.00",
            f"Mean spacing of single features of {phase} across the axis, SB = 1/N_⊥ (E1268).",
            of_texture(lambda texture: texture.banding.band_spacing_px, 1),
            needs_scale=True,
        ),
        Quantity(
            f"{label} banding λ (µm)",
            "0.00",
            f"Mean distance between single features of {phase} across the axis, λ = (1 − V_V)/N_⊥ (E1268).",
            of_texture(lambda texture: texture.banding.mean_free_path_px, 1),
            needs_scale=True,
        ),
        Quantity(
            f"{label} aspect ratio (–)",
            "0.00",
            f"Mean of Feret max over Feret min {mean}.",
            of_shape(lambda found: found.aspect_ratio),
        ),
        Quantity(
            f"{label} roundness (–)",
            "0.000",
            f"Mean of 4A/(π·Feret max²) {mean}: 1 for a circle (ISO 9276-6).",
            of_shape(lambda found: found.roundness),
        ),
        Quantity(
            f"{label} solidity (–)",
            "0.000",
            f"Mean of area over area of the convex hull {mean}: 1 without hollows (ISO 9276-6).",
            of_shape(lambda found: found.solidity),
        ),
        Quantity(
            f"{label} neighbour distance (µm)",
            "0.00",
            f"Mean distance from the centre of a feature of {phase} to the next one's.",
            of_texture(lambda texture: texture.neighbours.mean_distance_px, 1),
            needs_scale=True,
        ),
        Quantity(
            f"{label} neighbour ratio (–)",
            "0.00",
            "That distance over what points thrown at random would have: below 1 clustered, above 1 "
            "regular; tested field by field (Clark and Evans, edge by Donnelly).",
            of_texture(lambda texture: texture.neighbours.ratio),
        ),
    ]


def spacing_quantities() -> list[Quantity]:
    """Return the quantities of pearlite's lamellae."""

    def spacing(field: FieldResult) -> float | None:
        return None if field.spacing is None else field.spacing.true_spacing_um

    def resolved(field: FieldResult) -> float | None:
        return None if field.spacing is None else 100 * field.spacing.resolved_fraction

    def reason(field: FieldResult) -> str:
        return field.grains_reason if field.spacing is None else field.spacing.reason

    return [
        Quantity(
            SPACING,
            "0.000",
            "Mean true interlamellar spacing σ_r/2 from circle intercepts σ_r = π·d_c/n, where lamellae are "
            "at least 4 px apart (Vander Voort and Roósz).",
            spacing,
            reason=reason,
            needs_scale=True,
            is_compared=True,
        ),
        Quantity(
            "Pearlite lamellae resolved (%)",
            "0.0",
            "Share of the examined pearlite in which lamellae at least 4 px apart were seen.",
            resolved,
            needs_scale=True,
        ),
    ]
