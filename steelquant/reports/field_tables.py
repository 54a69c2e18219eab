"""The tables by field and feature, and where each field comes from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from steelquant.reports.table import FIELD, SPECIMEN, Cell, Column, Row, Table, text_column
from steelquant.stereology.phases import THRESHOLDS
from steelquant.stereology.quantity import label_of

if TYPE_CHECKING:
    from steelquant.stereology.measurement import FieldResult
    from steelquant.stereology.quantify import Quantification


def fields_table(result: Quantification) -> Table:
    """Return one row per field: every quantity, counts, sizes and what to know of the field."""
    names = {field.source.name: specimen.name for specimen in result.specimens for field in specimen.fields}
    phases = _feature_phases(result)
    has_sensitivity = any(field.sensitivity is not None for field in result.fields)
    main = phases[0] if phases else ""
    quantities = result.quantities

    def rows() -> Iterator[Row]:
        for field in result.fields:
            interval = field.intervals.get(main)
            ci95 = None if interval is None or interval.ci95 is None else 100 * interval.ci95
            row: list[Cell] = [names[field.source.name], field.source.name]
            row += [quantities[0].value(field), ci95]
            row += [quantity.value(field) for quantity in quantities[1:]]
            row += [field.pixel_size_um, field.calibration.source, field.counted_area_mm2]
            for phase in phases:
                measures = field.phases.get(phase)
                row += [None, None] if measures is None else [measures.feature_count, measures.cut_count]
            row += [
                field.width_px,
                field.height_px,
                100 * field.excluded_px / (field.width_px * field.height_px),
            ]
            if has_sensitivity:
                row += [
                    None if v is None else 100 * v for v in field.sensitivity or (None,) * len(THRESHOLDS)
                ]
            for phase in phases:
                row += _in_pixels(field, phase)
            yield [*row, "; ".join(field.warnings)]

    columns = [SPECIMEN, FIELD]
    columns.append(Column(quantities[0].name, quantities[0].number_format))
    columns.append(Column(f"{label_of(main)} 95 % CI ± (%)", "0.00"))
    columns += [Column(quantity.name, quantity.number_format) for quantity in quantities[1:]]
    columns += [
        Column("Scale (µm/px)", "0.0000"),
        text_column("Scale from", 28),
        Column("Counted area (mm²)", "0.0000"),
    ]
    printed = len(columns) - 2
    for phase in phases:
        columns += [Column(f"{label_of(phase)} features (count)", "#,##0")]
        columns += [Column(f"{label_of(phase)} features cut (count)", "#,##0")]
    columns += [Column("Width (px)", "#,##0"), Column("Height (px)", "#,##0"), Column("Excluded (%)", "0.00")]
    if has_sensitivity:
        columns += [Column(f"Pearlite at probability {limit:g} (%)", "0.00") for limit in THRESHOLDS]
    for phase in phases:
        label = label_of(phase)
        columns += [Column(f"{label} {what}", "#,##0.0") for what in _PIXEL_MEASURES]
    return Table("Fields", (*columns, text_column("Warnings", 80)), rows, printed_columns=printed)


_PIXEL_MEASURES = ("mean intercept (px)", "mean free path (px)", "mean area (px²)")


def _in_pixels(field: FieldResult, phase: str) -> list[Cell]:
    found = field.phases.get(phase)
    if found is None:
        return [None] * len(_PIXEL_MEASURES)
    return [found.mean_intercept_px, found.mean_free_path_px, found.mean_area_px2]


def _feature_phases(result: Quantification) -> list[str]:
    return list(dict.fromkeys(name for field in result.fields for name in field.features))


def features_table(result: Quantification) -> Table:
    """Return one row per feature of every field."""

    def rows() -> Iterator[Row]:
        for specimen in result.specimens:
            for field in specimen.fields:
                for phase in field.features:
                    yield from _feature_rows(specimen.name, field, phase)

    columns = (
        SPECIMEN,
        FIELD,
        text_column("Phase", 10),
        Column("Feature (number)", "0"),
        Column("Area (µm²)", "#,##0.00"),
        Column("Equivalent diameter (µm)", "0.00"),
        Column("Perimeter (µm)", "0.00"),
        Column("Major axis (µm)", "0.00"),
        Column("Minor axis (µm)", "0.00"),
        Column("Feret max (µm)", "0.00"),
        Column("Feret min (µm)", "0.00"),
        Column("Eccentricity (–)", "0.000"),
        Column("Solidity (–)", "0.000"),
        Column("Orientation (°)", "0.0"),
        Column("Area (px)", "#,##0"),
        Column("Centroid x (px)", "0.0"),
        Column("Centroid y (px)", "0.0"),
        text_column("Cut by frame", 10),
        text_column("Cut by excluded", 10),
    )
    return Table("Features", columns, rows, most_sheet_rows=200_000)


def _feature_rows(specimen: str, field: FieldResult, phase: str) -> Iterator[Row]:
    found, size = field.features[phase], field.pixel_size_um
    if size is None:
        lengths = [[None] * found.count] * 7
    else:
        in_pixels = (
            found.equivalent_diameter_px,
            found.perimeter_px,
            found.axis_major_px,
            found.axis_minor_px,
            found.feret_max_px,
            found.feret_min_px,
        )
        lengths = [(found.area_px * size**2).tolist(), *((values * size).tolist() for values in in_pixels)]
    pixels = (found.eccentricity, found.solidity, found.orientation_deg, found.area_px)
    places = (found.centroid_x_px, found.centroid_y_px)
    cut = (np.where(flags, "yes", "no").tolist() for flags in (found.touches_edge, found.touches_excluded))
    for values in zip(
        found.label.tolist(), *lengths, *(v.tolist() for v in (*pixels, *places)), *cut, strict=True
    ):
        yield (specimen, field.source.name, phase, *values)


def files_table(result: Quantification) -> Table:
    """Return one row per field: micrograph, mask and weights with their hashes, and the scale's source."""

    def rows() -> Iterator[Row]:
        for field in result.fields:
            source = field.source
            changed = source.mask_sha256 is not None and source.mask_sha256 != field.mask_sha256
            yield (
                source.name,
                str(source.image_path or ""),
                None if source.image_path is None else source.image_page + 1,
                source.image_sha256 or "",
                str(source.mask_path),
                field.mask_sha256,
                "changed since segment"
                if changed
                else "as segmented"
                if source.mask_sha256
                else "made elsewhere",
                source.model or "",
                source.weights_sha256 or "",
                field.pixel_size_um,
                field.calibration.source,
                "; ".join(field.calibration.warnings),
            )

    columns = (
        FIELD,
        text_column("Micrograph", 28, is_wrapped=True),
        Column("Page (number)", "0", 9),
        text_column("Micrograph SHA-256", 25, is_wrapped=True),
        text_column("Mask", 28, is_wrapped=True),
        text_column("Mask SHA-256", 25, is_wrapped=True),
        text_column("Mask state", 13, is_wrapped=True),
        text_column("Model", 13),
        text_column("Weights SHA-256", 25, is_wrapped=True),
        Column("Scale (µm/px)", "0.0000##", 10),
        text_column("Scale from", 18, is_wrapped=True),
        text_column("Scale conflicts", 30, is_wrapped=True),
    )
    return Table("Provenance", columns, rows, frozen_columns=1, row_height=37.0)
