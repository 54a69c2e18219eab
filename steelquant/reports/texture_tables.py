"""The tables of banding by field, and of directions by specimen."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from steelquant.reports.table import SPECIMEN, Cell, Column, Row, Table, text_column
from steelquant.stereology.texture_quantities import UNBROKEN, bands_remark

if TYPE_CHECKING:
    from steelquant.stereology.measurement import FieldResult
    from steelquant.stereology.quantify import Quantification

_WIDTH = 9.0
"""Of the many columns of numbers, so that the sheet can be read in print."""


def banding_table(result: Quantification) -> Table:
    """Return one row per field and phase: axis, counts along and across it, and what follows (E1268).

    First at the scale of bands, beside it by the outlines of single features.
    """

    def rows() -> Iterator[Row]:
        for specimen in result.specimens:
            for field in specimen.fields:
                for phase in field.textures:
                    yield specimen.name, field.source.name, phase, *_banding(field, phase)

    columns = (
        text_column("Specimen", 16),
        text_column("Field", 18),
        text_column("Phase", 9),
        *(
            Column(name, number_format, _WIDTH)
            for name, number_format in (
                ("Deformation axis (°)", "0.0"),
                ("Axis 95 % CI ± (°)", "0.0"),
                ("Coherence (–)", "0.000"),
                ("Bands N_⊥ (1/mm)", "0.00"),
                ("Bands N_∥ (1/mm)", "0.00"),
                ("Bands AI (–)", "0.00"),
                ("Bands Ω12 (–)", "0.000"),
                ("Bands SB (µm)", "0.0"),
                ("Bands contrast (–)", "0.0"),
                ("Smoothing σ (px)", "0.0"),
                ("Features passed over below (µm)", "0.0"),
                ("Islands passed over below (µm)", "0.0"),
            )
        ),
        text_column("Bands", 18, is_wrapped=True),
        *(
            Column(name, number_format, _WIDTH)
            for name, number_format in (
                ("N_⊥ (1/mm)", "0.00"),
                ("N_∥ (1/mm)", "0.00"),
                ("AI (–)", "0.00"),
                ("Ω12 (–)", "0.000"),
                ("SB (µm)", "0.00"),
                ("λ (µm)", "0.00"),
                ("V_V (%)", "0.00"),
            )
        ),
        text_column("Axis from", 26, is_wrapped=True),
        text_column("Remark", 14, is_wrapped=True),
    )
    return Table("Banding", columns, rows, row_height=37.0)


def _banding(field: FieldResult, phase: str) -> Iterator[Cell]:
    bands, size = field.textures[phase].banding, field.pixel_size_um
    axis, index = bands.axis, bands.anisotropy_index
    yield from (axis.angle_deg, axis.ci95_deg, axis.coherence)
    yield from _bands(field, phase)
    yield from (None if size is None else 1e3 * n / size for n in (bands.across_per_px, bands.along_per_px))
    yield from (None if index == math.inf else index, bands.degree_of_orientation)
    for length in (bands.band_spacing_px, bands.mean_free_path_px):
        yield None if size is None or length is None else length * size
    yield from (100 * bands.phase_fraction, axis.source)
    yield UNBROKEN if index == math.inf else ""


def _bands(field: FieldResult, phase: str) -> Iterator[Cell]:
    bands, size = field.textures[phase].bands, field.pixel_size_um
    remark = bands_remark(field, phase)
    if bands is None:
        yield from (*(None,) * 9, remark)
        return
    yield from (None if size is None else 1e3 * n / size for n in (bands.across_per_px, bands.along_per_px))
    index = bands.anisotropy_index
    yield from (None if index == math.inf else index, bands.degree_of_orientation)
    yield None if size is None or bands.spacing_px is None else bands.spacing_px * size
    yield from (bands.contrast, bands.smoothing_px)
    for length in (bands.smallest_feature_px, bands.smallest_island_px):
        yield None if size is None else length * size
    yield remark or "banded or drawn out beyond chance"


def orientation_table(result: Quantification) -> Table:
    """Return one row per specimen, kind and sector of directions: the rose, by area."""

    def rows() -> Iterator[Row]:
        for specimen in result.specimens:
            for population in specimen.populations:
                rose = population.rose
                sectors = zip(rose.edges_deg[:-1], rose.edges_deg[1:], rose.shares, strict=True)
                for low, high, share in sectors:
                    yield specimen.name, population.kind, f"{low:g}–{high:g}", low, high, 100 * share

    columns = (
        SPECIMEN,
        text_column("Kind", 18),
        text_column("Sector (°)", 12),
        Column("From (°)", "0"),
        Column("To (°)", "0"),
        Column("Area (%)", "0.0"),
    )
    return Table("Orientation", columns, rows)
