"""The quantities that a report gives for each field and averages over each specimen.

One list drives the sheets Fields and Summary, the CSV and JSON files, the limits and the comparisons. What a
later part of the package measures per field becomes a column everywhere by one more :class:`Quantity`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from steelquant.micrograph.field import PhaseClass
from steelquant.stereology.carbon import carbon_from_pearlite, estimate_carbon
from steelquant.stereology.measurement import FieldResult
from steelquant.stereology.statistics import Estimate, estimate

CARBON = "Carbon (wt%)"


@dataclass(frozen=True)
class Quantity:
    """One number per field.

    Attributes
    ----------
    name
        Its header in every output, with the unit in parentheses.
    number_format
        Excel's number format for it.
    meaning
        Definition for the report, one sentence.
    value
        The number of a field, or None where the field has none.
    single
        Estimate from one field alone, for specimens of one field; None where there is no such interval.
    needs_scale
        Whether it is empty in fields that are not calibrated.
    is_compared
        Whether specimens are compared in it.
    is_on_page
        Whether its mean stands on the printed page of the Summary.
    """

    name: str
    number_format: str
    meaning: str
    value: Callable[[FieldResult], float | None]
    single: Callable[[FieldResult], Estimate] | None = None
    needs_scale: bool = False
    is_compared: bool = False
    is_on_page: bool = False


def quantities_of(classes: Sequence[PhaseClass]) -> tuple[Quantity, ...]:
    """Return the quantities for masks of these classes, the matrix (ferrite) first."""
    found = []
    for phase in (*classes[1:], classes[0]):
        found.append(_fraction(phase.name, is_compared=phase is not classes[0]))
    for phase in classes[1:]:
        found += _fineness(phase.name)
    if {phase.name for phase in classes} == {"ferrite", "pearlite"}:
        found.append(_carbon())
    return tuple(found)


def label_of(phase: str) -> str:
    """Return a class name as headers write it."""
    return phase[:1].upper() + phase[1:]


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


def estimate_over(quantity: Quantity, fields: Sequence[FieldResult]) -> Estimate:
    """Average a quantity over the fields of a specimen.

    A specimen of one field gets the interval that the field itself gives, where there is one; what is
    missing says why.
    """
    result = estimate([quantity.value(field) for field in fields])
    if len(fields) == 1 and result.n == 1 and quantity.single is not None:
        return quantity.single(fields[0])
    if result.n == 0 and quantity.needs_scale:
        reasons = dict.fromkeys(f.calibration.source for f in fields if f.pixel_size_um is None)
        if reasons:
            return replace(result, reason=f"not calibrated: {'; '.join(reasons)}")
    return result


def find_quantity(text: str, quantities: Iterable[Quantity]) -> Quantity | None:
    """Return the quantity that a user means by ``text``: its name with or without unit, in any case."""
    wanted = _plain(text)
    for quantity in quantities:
        if wanted in (_plain(quantity.name), _plain(quantity.name.split(" (")[0])):
            return quantity
    return None


def _plain(name: str) -> str:
    # NFKC makes one of the two characters for µ and of ² and 2.
    text = unicodedata.normalize("NFKC", name).casefold().replace("_", " ").replace("percent", "%")
    return re.sub(r"[\s()]+", "", text)
