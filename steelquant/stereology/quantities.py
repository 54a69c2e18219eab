"""The quantities that a report gives for each field and averages over each specimen.

One list drives the sheets Fields and Summary, the CSV and JSON files, the limits and the comparisons. What a
later part of the package measures per field becomes a column everywhere by one more :class:`Quantity`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from steelquant.micrograph.field import FERRITE, PEARLITE, PhaseClass
from steelquant.stereology.carbon import carbon_from_pearlite, estimate_carbon
from steelquant.stereology.grain_quantities import grain_quantities
from steelquant.stereology.measurement import FieldResult
from steelquant.stereology.quantity import Quantity, label_of
from steelquant.stereology.statistics import Estimate
from steelquant.stereology.texture_quantities import spacing_quantities, texture_quantities

CARBON = "Carbon (wt%)"


def quantities_of(classes: Sequence[PhaseClass], *, with_grains: bool = True) -> tuple[Quantity, ...]:
    """Return the quantities for masks of these classes, the matrix (ferrite) first.

    Parameters
    ----------
    classes
        All classes that the masks may name.
    with_grains
        Whether grains and lamellae were looked for in micrographs.
    """
    names = {phase.name for phase in classes}
    matrix, features = classes[0], classes[1:]
    found = [_fraction(phase.name, is_compared=True) for phase in features]
    found.append(_fraction(matrix.name, is_compared=False))
    for phase in features:
        found += _fineness(phase.name)
    if names == {FERRITE.name, PEARLITE.name}:
        found.append(_carbon())
    if with_grains and FERRITE.name in names:
        found += grain_quantities()
    for phase in features:
        found += texture_quantities(phase.name)
    if with_grains and {FERRITE.name, PEARLITE.name} <= names:
        found += spacing_quantities()
    return tuple(found)


def _fraction(phase: str, *, is_compared: bool) -> Quantity:
    def value(field: FieldResult) -> float | None:
        return 100 * field.phases[phase].area_fraction if phase in field.phases else None

    return Quantity(
        f"{label_of(phase)} (%)",
        "0.00",
        f"Areal fraction of {phase}, 100·A_i/A_T over counted pixels (ASTM E562, E1245).",
        value,
        lambda field: field.intervals[phase].as_estimate().scaled(100),
        is_compared=is_compared,
        is_on_page=True,
    )


def _fineness(phase: str) -> list[Quantity]:
    label = label_of(phase)

    def points(field: FieldResult) -> float | None:
        fraction = field.phases[phase].point_count.fraction if phase in field.phases else None
        return None if fraction is None else 100 * fraction

    def scaled(name: str, power: int, factor: float = 1.0) -> Callable[[FieldResult], float | None]:
        def value(field: FieldResult) -> float | None:
            size = field.pixel_size_um
            if size is None or phase not in field.phases:
                return None
            in_pixels: float | None = getattr(field.phases[phase], name)
            return None if in_pixels is None else in_pixels * size**power * factor

        return value

    def diameter(field: FieldResult) -> float | None:
        size = field.pixel_size_um
        found = field.features.get(phase)
        if size is None or found is None or found.cut.all():
            return None
        return float(found.equivalent_diameter_px[~found.cut].mean()) * size

    return [
        Quantity(
            f"{label} points (%)",
            "0.0",
            f"Point count of {phase}, 100·P_i/P_T on a square grid, a boundary point counting ½ (E562).",
            points,
        ),
        Quantity(
            f"{label} N_A (1/mm²)",
            "#,##0.0",
            f"Features of {phase} per area, a cut one counting ½ (E1245).",
            scaled("features_per_px2", -2, 1e6),
            needs_scale=True,
        ),
        Quantity(
            f"{label} N_L (1/mm)",
            "0.00",
            f"Features of {phase} met per length of the test lines, all rows and columns (E1245).",
            scaled("interceptions_per_px", -1, 1e3),
            needs_scale=True,
        ),
        Quantity(
            f"{label} mean intercept (µm)",
            "0.00",
            f"Mean intercept of {phase}, l̄ = A_A/N_L (E1245).",
            scaled("mean_intercept_px", 1),
            needs_scale=True,
            is_compared=True,
            is_on_page=True,
        ),
        Quantity(
            f"{label} mean free path (µm)",
            "0.00",
            f"Mean distance between features of {phase}, λ = (1 − A_A)/N_L (E1245).",
            scaled("mean_free_path_px", 1),
            needs_scale=True,
            is_on_page=True,
        ),
        Quantity(
            f"{label} mean area (µm²)",
            "#,##0.0",
            f"Mean area of a feature of {phase}, A_A/N_A (E1245).",
            scaled("mean_area_px2", 2),
            needs_scale=True,
        ),
        Quantity(
            f"{label} mean diameter (µm)",
            "0.00",
            f"Mean equivalent diameter √(4A/π) of the features of {phase} that nothing cuts.",
            diameter,
            needs_scale=True,
        ),
    ]


def _carbon() -> Quantity:
    def value(field: FieldResult) -> float | None:
        known = "pearlite" in field.phases
        return carbon_from_pearlite(field.phases["pearlite"].area_fraction) if known else None

    def single(field: FieldResult) -> Estimate:
        return estimate_carbon(field.intervals["pearlite"].as_estimate()).carbon_wt_percent

    meaning = "Carbon by the lever rule, f·(0.76 − 0.022) + 0.022; see the assumptions."
    return Quantity(CARBON, "0.000", meaning, value, single, is_on_page=True)
