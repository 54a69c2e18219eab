"""The ferrite grains of a specimen: what its fields count together, and what one mean does not tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steelquant.stereology.duplex import Duplex, LargestGrain, as_large_as, duplex
from steelquant.stereology.grain_measurement import NO_FERRITE, TOO_FAINT, GrainMeasures
from steelquant.stereology.grain_size import shortfalls
from steelquant.stereology.measurement import FieldResult
from steelquant.stereology.statistics import Estimate


@dataclass(frozen=True)
class SpecimenGrains:
    """Grains of one specimen.

    Attributes
    ----------
    verdicts
        How many fields have boundaries that are ``clear``, ``faint``, ``too faint``, or ``no ferrite``.
    fields_counted
        Fields that enter the averages: clear and faint ones, calibrated or not.
    grains
        Grains in these.
    area_mm2
        Area of ferrite that they were counted on; None where a field is not calibrated.
    largest
        As large as … (ASTM E930); None without grains or scale.
    duplex
        Whether one mean describes the grains (ASTM E1181); None for fewer than 50 grains or without scale.
    remarks
        What to know of the grain size, one sentence each.
    """

    verdicts: dict[str, int]
    fields_counted: int
    grains: int
    area_mm2: float | None
    largest: LargestGrain | None
    duplex: Duplex | None
    remarks: tuple[str, ...]


def specimen_grains(fields: Sequence[FieldResult], number: Estimate) -> SpecimenGrains | None:
    """Put the grains of a specimen's fields together.

    Parameters
    ----------
    fields
        Its fields.
    number
        Its grain size number.

    Returns
    -------
    SpecimenGrains or None
        None where no field has grains.
    """
    found = [(field, field.grains) for field in fields if field.grains is not None]
    if not found:
        return None
    counted = [(field, grains) for field, grains in found if grains.counts]
    areas = _areas_um2(counted)
    largest = None if areas is None else as_large_as(areas)
    kind = None if areas is None else duplex(areas)
    ferrite_mm2 = [
        None if field.pixel_size_um is None else grains.saltykov.area_px * (field.pixel_size_um / 1000) ** 2
        for field, grains in counted
    ]
    known = [area for area in ferrite_mm2 if area is not None]
    return SpecimenGrains(
        verdicts=dict(Counter(grains.search.verdict for _, grains in found)),
        fields_counted=len(counted),
        grains=sum(grains.features.count for _, grains in counted),
        area_mm2=sum(known) if known and len(known) == len(ferrite_mm2) else None,
        largest=largest,
        duplex=kind,
        remarks=tuple(_remarks(fields, counted, number, largest, kind)),
    )


def _areas_um2(counted: Sequence[tuple[FieldResult, GrainMeasures]]) -> NDArray[np.float64] | None:
    """Return the sections of all grains, the cut ones too, or None without any or without a scale."""
    parts = [
        grains.features.area_px * field.pixel_size_um**2
        for field, grains in counted
        if field.pixel_size_um is not None
    ]
    return np.concatenate(parts) if parts else None


def _remarks(
    fields: Sequence[FieldResult],
    counted: Sequence[tuple[FieldResult, GrainMeasures]],
    number: Estimate,
    largest: LargestGrain | None,
    kind: Duplex | None,
) -> Iterator[str]:
    verdicts = [field.grains.search.verdict for field in fields if field.grains is not None]
    for verdict, what in ((TOO_FAINT, "boundaries too faint"), (NO_FERRITE, "no ferrite")):
        if verdict in verdicts:
            yield f"{what} in {verdicts.count(verdict)} of {_count_of(fields)}, left out of the mean"
    unseen = dict.fromkeys(field.grains_reason for field in fields if field.grains is None)
    if unseen:
        count = sum(field.grains is None for field in fields)
        yield f"no grains in {count} of {_count_of(fields)}: {'; '.join(unseen)}"
    faint = sum(grains.search.verdict == "faint" for _, grains in counted)
    if faint:
        yield f"boundaries faint in {faint} of {_count_of(fields)}: G may be off by more than 0.25"
    if counted:
        yield from shortfalls([grains.features.count for _, grains in counted], number)
    if largest is not None and largest.applies:
        outliers = "1 grain" if largest.outliers == 1 else f"{largest.outliers} grains"
        share = f"{100 * largest.outlier_area_fraction:.1f} % of the area"
        yield f"as large as G {largest.number:.1f} (E930): {outliers} far coarser than the rest, {share}"
    isolated = largest is not None and largest.applies  # what E1181 calls so is what E930 has said
    if kind is not None and kind.kind != "none" and not isolated:
        yield f"duplex grain size (E1181), {duplex_text(kind)}: one mean does not describe it"


def _count_of(fields: Sequence[FieldResult]) -> str:
    """Return a number of fields in words."""
    return "1 field" if len(fields) == 1 else f"{len(fields)} fields"


def duplex_text(found: Duplex) -> str:
    """Return the kind of a duplex structure and its populations in words."""
    parts = [
        f"{100 * population.area_fraction:.0f} % of the area at G {population.number:.1f}"
        for population in found.populations
    ]
    return f"{found.kind}: {' and '.join(parts)}" if parts else found.kind
