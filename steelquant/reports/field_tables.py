"""The table by field, and where each field comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from steelquant.reports.table import FIELD, SPECIMEN, Cell, Column, Row, Table, text_column
from steelquant.stereology.phases import THRESHOLDS
from steelquant.stereology.quantity import label_of

if TYPE_CHECKING:
    from steelquant.stereology.measurement import FieldResult
    from steelquant.stereology.quantify import Quantification
    from steelquant.stereology.quantity import Quantity


Cells = Callable[["FieldResult"], Sequence[Cell]]
"""What a field has in a group of columns."""


def fields_table(result: Quantification) -> Table:
    """Return one row per field: what the Summary shows, every other quantity, and how it was measured."""
    names = {field.source.name: specimen.name for specimen in result.specimens for field in specimen.fields}
    phases = _feature_phases(result)
    main, *others = result.quantities
    shown = [_main(main, phases[0] if phases else ""), *(_one(item) for item in others if item.is_on_page)]
    shown.append(_SCALE)
    if result.settings.finds_grains:
        shown.append(_BOUNDARIES)
    hidden = [_one(item) for item in others if not item.is_on_page]
    hidden += [_counts(phase) for phase in phases] + [_SIZE]
    if any(field.sensitivity is not None for field in result.fields):
        hidden.append(_SENSITIVITY)
    hidden += [_in_pixels(phase) for phase in phases] + [_neighbours(phase) for phase in phases]
    if result.settings.finds_grains:
        hidden += [_BOUNDARY_SEARCH, _LAMELLAE]
    groups = [*shown, *hidden]

    def rows() -> Iterator[Row]:
        for field in result.fields:
            cells = [cell for _, of_field in groups for cell in of_field(field)]
            yield [names[field.source.name], field.source.name, *cells, "; ".join(field.warnings)]

    columns = [column for group, _ in groups for column in group]
    return Table(
        "Fields",
        (SPECIMEN, FIELD, *columns, text_column("Warnings", 80)),
        rows,
        printed_columns=2 + sum(len(group) for group, _ in shown),
    )


Group = tuple[list[Column], Cells]


def _main(quantity: Quantity, phase: str) -> Group:
    def cells(field: FieldResult) -> Sequence[Cell]:
        interval = field.intervals.get(phase)
        ci95 = None if interval is None or interval.ci95 is None else 100 * interval.ci95
        return quantity.value(field), ci95

    return [
        Column(quantity.name, quantity.number_format),
        Column(f"{label_of(phase)} 95 % CI ± (%)", "0.00"),
    ], cells


def _one(quantity: Quantity) -> Group:
    return [Column(quantity.name, quantity.number_format)], lambda field: (quantity.value(field),)


_SCALE: Group = (
    [
        Column("Scale (µm/px)", "0.0000"),
        text_column("Scale from", 28),
        Column("Counted area (mm²)", "0.0000"),
    ],
    lambda field: (field.pixel_size_um, field.calibration.source, field.counted_area_mm2),
)


def _boundaries(field: FieldResult) -> str:
    """Say how grain boundaries were judged, or why there are none."""
    if field.grains is None:
        return field.grains_reason
    verdict = field.grains.search.verdict
    return verdict if field.grains.counts else f"{verdict}: left out of the mean"


_BOUNDARIES: Group = ([text_column("Grain boundaries", 30)], lambda field: (_boundaries(field),))


def _counts(phase: str) -> Group:
    label = label_of(phase)

    def cells(field: FieldResult) -> Sequence[Cell]:
        found = field.phases.get(phase)
        return (None, None) if found is None else (found.feature_count, found.cut_count)

    return [
        Column(f"{label} features (count)", "#,##0"),
        Column(f"{label} features cut (count)", "#,##0"),
    ], cells


_SIZE: Group = (
    [Column("Width (px)", "#,##0"), Column("Height (px)", "#,##0"), Column("Excluded (%)", "0.00")],
    lambda field: (
        field.width_px,
        field.height_px,
        100 * field.excluded_px / (field.width_px * field.height_px),
    ),
)

_SENSITIVITY: Group = (
    [Column(f"Pearlite at probability {limit:g} (%)", "0.00") for limit in THRESHOLDS],
    lambda field: [None if v is None else 100 * v for v in field.sensitivity or (None,) * len(THRESHOLDS)],
)


def _in_pixels(phase: str) -> Group:
    def cells(field: FieldResult) -> Sequence[Cell]:
        found = field.phases.get(phase)
        if found is None:
            return (None,) * 3
        return found.mean_intercept_px, found.mean_free_path_px, found.mean_area_px2

    label = label_of(phase)
    return [
        Column(f"{label} mean intercept (px)", "#,##0.0"),
        Column(f"{label} mean free path (px)", "#,##0.0"),
        Column(f"{label} mean area (px²)", "#,##0.0"),
    ], cells


def _neighbours(phase: str) -> Group:
    def cells(field: FieldResult) -> Sequence[Cell]:
        texture = field.textures.get(phase)
        return (None, "") if texture is None else (texture.neighbours.p_value, texture.neighbours.arrangement)

    label = label_of(phase)
    return [Column(f"{label} neighbour p (–)", "0.0000"), text_column(f"{label} arrangement", 16)], cells


def _boundary_search(field: FieldResult) -> Sequence[Cell]:
    if field.grains is None:
        return (None,) * len(_BOUNDARY_SEARCH[0])
    found, size = field.grains.search, field.pixel_size_um
    return (
        found.threshold,
        found.probability,
        found.uncertainty,
        None if found.contrast is None else 100 * found.contrast,
        100 * found.noise,
        100 * found.bridged_fraction,
        found.longest_gap_px,
        None if size is None else found.longest_gap_px * size,
        found.smallest_grain_px,
        found.sensitivity,
        found.convexity,
        found.loose_fraction,
    )


_BOUNDARY_SEARCH: Group = (
    [
        Column("Boundary threshold (probability)", "0.00"),
        Column("Boundary mean probability (–)", "0.00"),
        Column("G uncertain by boundaries (±)", "0.00"),
        Column("Boundary contrast (% of brightness)", "0.0"),
        Column("Picture noise (% of brightness)", "0.0"),
        Column("Boundary length closed (%)", "0.0"),
        Column("Longest gap closed (px)", "0.0"),
        Column("Longest gap closed (µm)", "0.00"),
        Column("Smallest grain (px)", "#,##0"),
        Column("G falls by odds × 4 (–)", "0.00"),
        Column("Grain convexity (–)", "0.000"),
        Column("Loose lines over boundaries (–)", "0.00"),
    ],
    _boundary_search,
)


def _lamellae(field: FieldResult) -> str:
    if field.spacing is None:
        return field.grains_reason or ("" if field.pixel_size_um is not None else "not calibrated")
    return field.spacing.reason or f"resolved, {field.spacing.circles} circles"


_LAMELLAE: Group = ([text_column("Lamellae", 40)], lambda field: (_lamellae(field),))


def _feature_phases(result: Quantification) -> list[str]:
    return list(dict.fromkeys(name for field in result.fields for name in field.features))


def files_table(result: Quantification) -> Table:
    """Return one row per field: micrograph, mask and weights with their hashes, and the scale's source."""

    def rows() -> Iterator[Row]:
        for field in result.fields:
            source = field.source
            micrograph = field.micrograph_path or source.image_path
            changed = source.mask_sha256 is not None and source.mask_sha256 != field.mask_sha256
            yield (
                source.name,
                str(micrograph or ""),
                None if micrograph is None else source.image_page + 1,
                field.micrograph_sha256 or source.image_sha256 or "",
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
