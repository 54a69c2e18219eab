"""The two tables at the top of the page: phases by specimen, and ferrite's grains with the banding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from steelquant.reports.html.axes import Axis
from steelquant.reports.html.field_charts import Range, ranges
from steelquant.stereology.grain_quantities import CIRCLES, GRAIN_INTERCEPT, GRAIN_SIZE, SALTYKOV
from steelquant.stereology.quantity import label_of
from steelquant.stereology.texture_quantities import page_names

if TYPE_CHECKING:
    from steelquant.stereology.measurement import FieldResult
    from steelquant.stereology.quantify import Quantification
    from steelquant.stereology.quantity import Quantity
    from steelquant.stereology.summary import SpecimenResult


@dataclass(frozen=True, eq=False)
class SummaryRow:
    """A specimen, its leading mean on the table's scale, and what to know of it."""

    specimen: SpecimenResult
    range: Range | None
    details: tuple[tuple[str, str], ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class SummaryTable:
    """A table by specimen.

    Attributes
    ----------
    anchor, title
        Its place and heading on the page; the first table needs no heading.
    lead
        The quantity given in full: mean, interval, s, %RA and n.
    spread_format
        Number format of its s.
    accuracy
        What its %RA is that of, where that is not the mean.
    scale
        Of the drawings of its means; None without any.
    others
        Quantities of which mean and interval are given.
    has_verdicts
        Whether it has the verdicts against limits.
    rows
        One per specimen.
    """

    anchor: str
    title: str
    lead: Quantity
    spread_format: str
    accuracy: str
    scale: Axis | None
    others: tuple[Quantity, ...]
    has_verdicts: bool
    rows: tuple[SummaryRow, ...]


def summary_tables(result: Quantification) -> list[SummaryTable]:
    """Return the table of phases, and that of grains where fields have any."""
    by_name = {quantity.name: quantity for quantity in result.quantities}
    bands = page_names(result.fields)
    has_grains = any(specimen.grains is not None for specimen in result.specimens)
    elsewhere = {GRAIN_SIZE, complement(result.fields[0]), *(bands if has_grains else ())}
    main = result.quantities[0]
    others = [item for item in result.quantities[1:] if item.is_on_page and item.name not in elsewhere]
    tables = [_table(result, "specimens", "", main, others)]
    if has_grains:
        names = (GRAIN_INTERCEPT, CIRCLES, SALTYKOV, *sorted(bands))
        tables.append(
            _table(
                result,
                "grain-size",
                "Ferrite grain size and banding",
                by_name[GRAIN_SIZE],
                [by_name[name] for name in names if name in by_name],
            )
        )
    return tables


def no_grain_size(result: Quantification) -> str:
    """Say why no specimen has a grain size; empty where one has, or where it was not asked for."""
    if not result.settings.finds_grains or any(specimen.grains is not None for specimen in result.specimens):
        return ""
    return "; ".join(dict.fromkeys(field.grains_reason for field in result.fields if field.grains_reason))


def complement(field: FieldResult) -> str:
    """Return the fraction that follows from the main one where there are two phases; empty otherwise."""
    return f"{label_of(field.classes[0].name)} (%)" if len(field.classes) == 2 else ""


def _table(
    result: Quantification, anchor: str, title: str, lead: Quantity, others: list[Quantity]
) -> SummaryTable:
    is_main = lead is result.quantities[0]
    drawn, scale = ranges(result.specimens, lead.name)
    rows = []
    for specimen, drawing in zip(result.specimens, drawn, strict=True):
        remarks = list(specimen.remarks) if is_main else []
        if not is_main and specimen.grains is not None:
            remarks += specimen.grains.remarks
        reason = specimen.estimates[lead.name].reason
        if reason and (is_main or specimen.grains is None):
            remarks.append(reason)
        details = specimen.details if is_main else tuple(_counts(specimen))
        rows.append(SummaryRow(specimen, drawing, details, tuple(dict.fromkeys(remarks))))
    return SummaryTable(
        anchor=anchor,
        title=title,
        lead=lead,
        spread_format=lead.number_format if is_main else "0.00",
        accuracy="" if is_main else "of intercept",
        scale=scale if any(drawn) else None,
        others=tuple(others),
        has_verdicts=is_main and any(specimen.verdict is not None for specimen in result.specimens),
        rows=tuple(rows),
    )


def _counts(specimen: SpecimenResult) -> Iterator[tuple[str, str]]:
    """Yield how many grains there are, on which area, and how their boundaries were judged."""
    grains = specimen.grains
    if grains is None:
        return
    on = "" if grains.area_mm2 is None else f" on {grains.area_mm2:.3g} mm² of ferrite"
    yield "Grains counted", f"{grains.grains:,}{on}"
    yield "Boundaries", ", ".join(f"{verdict} in {count:,}" for verdict, count in grains.verdicts.items())
