"""The tables of sizes by specimen and kind of feature: classes, their fit, means, shapes and spheres."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from scipy import special

from steelquant.reports.table import ANY_UNIT, SPECIMEN, Cell, Column, Row, Table, text_column

if TYPE_CHECKING:
    from steelquant.stereology.distributions import Lognormal, Shares, SizeDistribution
    from steelquant.stereology.populations import Population
    from steelquant.stereology.quantify import Quantification

KIND = text_column("Kind", 18)


def distributions_table(result: Quantification) -> Table:
    """Return one row per specimen, kind and size class: features, share by number and by area, the fits.

    Classes of the equivalent diameter grow by √2, the same for all specimens; only what nothing cuts, in
    calibrated fields, each feature standing for those that the frame cut.
    """

    def rows() -> Iterator[Row]:
        for kind in _kinds(result):
            of_kind = {
                specimen.name: population
                for specimen in result.specimens
                for population in specimen.populations
                if population.kind == kind
            }
            spans = [_span(population.sizes) for population in of_kind.values()]
            classes = range(min(low for low, _ in spans), max(high for _, high in spans))
            for name, population in of_kind.items():
                yield from _class_rows(name, population, classes)

    columns = (
        SPECIMEN,
        KIND,
        text_column("Class (µm)", 16),
        Column("From diameter (µm)", "0.00"),
        Column("To diameter (µm)", "0.00"),
        Column("Features (count)", "#,##0"),
        Column("Number (%)", "0.0"),
        Column("Area (%)", "0.0"),
        Column("Lognormal number (%)", "0.0"),
        Column("Lognormal area (%)", "0.0"),
    )
    return Table("Distributions", columns, rows)


def _kinds(result: Quantification) -> list[str]:
    return list(
        dict.fromkeys(population.kind for specimen in result.specimens for population in specimen.populations)
    )


def _span(sizes: SizeDistribution) -> tuple[int, int]:
    """Return k of the first class, from 2^(k/2) µm, and one past the last."""
    last = round(2 * math.log2(sizes.edges_um[-1]))
    return last - len(sizes.counts), last


def _class_rows(specimen: str, population: Population, classes: range) -> Iterator[Row]:
    sizes = population.sizes
    first, end = _span(sizes)
    for k in classes:
        low, high = math.sqrt(2) ** k, math.sqrt(2) ** (k + 1)
        shares: list[Cell] = [0, 0.0, 0.0]
        if first <= k < end:
            place = k - first
            by_number, by_area = sizes.by_number.fractions[place], sizes.by_area.fractions[place]
            shares = [sizes.counts[place], 100 * by_number, 100 * by_area]
        fits = (_fitted(weighed.lognormal, low, high) for weighed in (sizes.by_number, sizes.by_area))
        yield (specimen, population.kind, f"{low:.3g} – {high:.3g}", low, high, *shares, *fits)


def _fitted(fit: Lognormal | None, low: float, high: float) -> float | None:
    """Return the share in % that a lognormal has in a class."""
    if fit is None:
        return None
    spread = math.log(fit.geometric_deviation)
    scores = [math.log(edge / fit.median_um) / spread for edge in (low, high)]
    return 100 * float(special.ndtr(scores[1]) - special.ndtr(scores[0]))


def sizes_table(result: Quantification) -> Table:
    """Return two rows per specimen and kind, by number and by area: mean, spread, percentiles and the fit."""

    def rows() -> Iterator[Row]:
        for specimen in result.specimens:
            for population in specimen.populations:
                sizes = population.sizes
                counts = (sizes.count, population.cut)
                yield specimen.name, population.kind, "number", *counts, *_weighed(sizes.by_number)
                yield specimen.name, population.kind, "area", *counts, *_weighed(sizes.by_area)

    columns = (
        SPECIMEN,
        KIND,
        text_column("Weighed by", 12),
        Column("Whole (count)", "#,##0"),
        Column("Cut (count)", "#,##0"),
        Column("Mean diameter (µm)", "0.00"),
        Column("s (µm)", "0.00"),
        Column("d10 (µm)", "0.00"),
        Column("d50 (µm)", "0.00"),
        Column("d90 (µm)", "0.00"),
        Column("Lognormal median (µm)", "0.00"),
        Column("Lognormal deviation (factor)", "0.000"),
        Column("Distance D from fit (–)", "0.000"),
    )
    return Table("Sizes", columns, rows)


def _weighed(found: Shares) -> Iterator[Cell]:
    yield from (found.mean_um, found.standard_deviation_um, found.d10_um, found.d50_um, found.d90_um)
    fit = found.lognormal
    yield from (None,) * 3 if fit is None else (fit.median_um, fit.geometric_deviation, fit.distance)


def shapes_table(result: Quantification) -> Table:
    """Return one row per specimen and kind: means of shape by number, direction of the axes by area."""

    def rows() -> Iterator[Row]:
        for specimen in result.specimens:
            for found in specimen.populations:
                shapes = (found.aspect_ratio, found.roundness, found.solidity)
                rose = (found.rose.mean_deg, found.rose.resultant, found.rose.p_value)
                yield specimen.name, found.kind, found.sizes.count, *shapes, *rose

    columns = (
        SPECIMEN,
        KIND,
        Column("Whole (count)", "#,##0"),
        Column("Aspect ratio (–)", "0.00"),
        Column("Roundness (–)", "0.000", 12),
        Column("Solidity (–)", "0.000"),
        Column("Mean direction (°)", "0.0"),
        Column("Resultant (–)", "0.000", 12),
        Column("Rayleigh p (–)", "0.0000", 12),
    )
    return Table("Shapes", columns, rows)


def spheres_table(result: Quantification) -> Table:
    """Return one row per specimen, kind and class of sphere diameters: Saltykov's unfolding."""

    def rows() -> Iterator[Row]:
        for specimen in result.specimens:
            for population in specimen.populations:
                found = population.spheres
                edges = zip(found.edges_um[:-1], found.edges_um[1:], found.per_mm3, strict=True)
                for low, high, per_mm3 in edges:
                    share = 100 * per_mm3 / found.number_per_mm3
                    text = f"{low:.3g} – {high:.3g}"
                    whole = (found.mean_diameter_um, 100 * found.misfit)
                    yield specimen.name, population.kind, text, low, high, per_mm3, share, *whole

    columns = (
        SPECIMEN,
        KIND,
        text_column("Class (µm)", 16),
        Column("From diameter (µm)", "0.00"),
        Column("To diameter (µm)", "0.00"),
        Column("N_V (1/mm³)", ANY_UNIT, 14),
        Column("Number (%)", "0.0"),
        Column("Mean of all (µm)", "0.00"),
        Column("Misfit of all (%)", "0.0"),
    )
    return Table("Spheres", columns, rows)
