"""How the numbers of a report were made, in words and values; nothing here depends on the time of day."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from steelquant import __version__
from steelquant.micrograph.scale_table import ScaleTable
from steelquant.reports.grain_tables import grain_method, span
from steelquant.stereology.bands import BEYOND_CHANCE
from steelquant.stereology.boundary_network import network_sha256
from steelquant.stereology.boundary_verdict import CLEAR, FAINT
from steelquant.stereology.carbon import ASSUMPTIONS
from steelquant.stereology.duplex import AREA_OF_OUTLIERS, BIMODAL_APART, COARSER_BY, WIDE_RANGE
from steelquant.stereology.features import CONNECTIVITY
from steelquant.stereology.grain_size import GRAINS_IN_ALL, GRAINS_PER_FIELD
from steelquant.stereology.phases import EDGE_RULE, GRID_POINTS_PER_SIDE, THRESHOLDS
from steelquant.stereology.quantities import CARBON
from steelquant.stereology.statistics import CONFIDENCE
from steelquant.stereology.summary import WANTED_ACCURACY_PERCENT, WANTED_FIELDS

if TYPE_CHECKING:
    from steelquant.stereology.quantify import Quantification

METHOD = (
    "Measured in the manner of ASTM E562 and E1245 on segmented micrographs, every pixel counted. "
    "Mean, s (n − 1), 95 % CI = t(0.975, n−1)·s/√n and %RA = 100·CI/mean over the fields of a specimen."
)


@dataclass(frozen=True)
class Parameter:
    """One line: what, its value, and what it means."""

    name: str
    value: str | int | float | None
    meaning: str = ""


def parameters(result: Quantification) -> list[Parameter]:
    """Return every parameter of the report: options, rules, definitions, and those of the segmentations."""
    return [*_options(result), *_rules(), *_definitions(result), *_segmentations(result)]


def _options(result: Quantification) -> Iterator[Parameter]:
    settings = result.settings
    yield Parameter("steelquant", __version__, "version that measured")
    sizes = settings.pixel_size_um
    if isinstance(sizes, ScaleTable):
        meaning = f"table of scales, SHA-256 {sizes.sha256}; each field's row stands on the sheet Provenance"
        yield Parameter("pixel size (µm/px)", str(sizes.path), meaning)
    else:
        yield Parameter("pixel size (µm/px)", sizes, "given scale; empty: as the files state")
    yield Parameter("specimen", result.grouping, "how fields became specimens")
    yield Parameter("limits", None if result.limits is None else str(result.limits), "table of limits")
    smallest = settings.smallest_feature_px
    yield Parameter("smallest feature (px)", smallest, "features of fewer pixels are not counted as features")
    axis = settings.axis_deg
    yield Parameter(
        "deformation axis (°)", axis, "given, counter-clockwise from the horizontal; empty: estimated"
    )
    yield from _grains(result)


def _grains(result: Quantification) -> Iterator[Parameter]:
    """Yield how grain boundaries were found; each field's own values stand on the sheet Fields."""
    if not result.settings.finds_grains:
        yield Parameter("grains", "not looked for", "--no-grains")
        return
    given = result.settings.boundary_threshold
    meaning = "mean probability from which a border is a boundary; empty: 0.5"
    yield Parameter("boundary threshold given (probability)", given, meaning)
    yield Parameter("boundary network", network_sha256(), "SHA-256 of the weights that find boundaries")
    if method := grain_method(result):
        yield Parameter("grain size method", method)
    found = [(field, field.grains.search) for field in result.fields if field.grains is not None]
    for name, digits, meaning, values in (
        (
            "boundary threshold (probability)",
            2,
            "mean probability from which a border is a boundary",
            [search.threshold for _, search in found],
        ),
        (
            "G uncertain by boundaries (±)",
            2,
            f"95 % interval for boundaries missed or mistaken; clear to {CLEAR:g}, too faint above {FAINT:g}",
            [search.uncertainty for _, search in found if search.uncertainty is not None],
        ),
        (
            "longest gap closed (px)",
            0,
            "longest stretch of a boundary less likely than the threshold",
            [search.longest_gap_px for _, search in found],
        ),
        (
            "boundary length closed (%)",
            0,
            "share of the boundaries less likely than the threshold",
            [100 * search.bridged_fraction for _, search in found],
        ),
        (
            "smallest grain (px)",
            0,
            "smaller ones are joined to the neighbour they touch most",
            [float(search.smallest_grain_px) for _, search in found],
        ),
        (
            "watershed depth (logit)",
            2,
            "shallower basins are none",
            [search.depth for _, search in found],
        ),
    ):
        if values:
            yield Parameter(name, span(values, digits), f"{meaning}; each field's own on the sheet Fields")


def _rules() -> Iterator[Parameter]:
    yield Parameter("method", METHOD)
    yield Parameter("edge rule", EDGE_RULE)
    yield Parameter("connectivity", CONNECTIVITY, "pixels of one feature share a side or a corner")
    yield Parameter("confidence level (%)", 100 * CONFIDENCE, "two-sided, Student's t")
    yield Parameter(
        "one field alone",
        "blocks of the field as replicates",
        "at least three correlation lengths wide; says how well the field stands for the structure around "
        "it, not how the specimen differs elsewhere",
    )
    yield Parameter("point grid (points)", GRID_POINTS_PER_SIDE, "along the shorter side, square (E562)")
    yield Parameter("sensitivity", ", ".join(f"{limit:g}" for limit in THRESHOLDS), "probability thresholds")
    yield Parameter("wanted %RA (%)", WANTED_ACCURACY_PERCENT, "aim of the standards")
    yield Parameter("wanted fields (count)", WANTED_FIELDS, "fewest fields of a specimen")
    yield Parameter(
        "limit verdicts",
        "pass, fail, undecided",
        "undecided: a limit lies inside the interval, or there is one field only",
    )
    yield Parameter("comparison", "Welch's t, p-values adjusted by Holm", "all pairs of specimens")
    yield Parameter(
        "grains wanted (count)",
        f"{GRAINS_PER_FIELD} a field, {GRAINS_IN_ALL} in all",
        "aims of E112 and E1382; what misses them is remarked",
    )
    yield Parameter(
        "faint boundaries",
        "clear, faint, too faint",
        "faint: G may be off by more than 0.25; too faint: the field's G is shown, but left out of the mean",
    )
    yield Parameter(
        "as large as (E930)",
        f"{COARSER_BY:g} numbers coarser, on at most {100 * AREA_OF_OUTLIERS:g} % of the area",
        "what counts as an outlier among grains",
    )
    yield Parameter(
        "duplex (E1181)",
        f"means {BIMODAL_APART:g} numbers apart, a valley between; or 90 % of the area over {WIDE_RANGE:g}",
        "the standard's types by these limits, which are this program's",
    )
    yield Parameter(
        "size classes",
        "powers of √2 µm of the equivalent diameter",
        "features that nothing cuts, each standing for those that the frame cut (Miles and Lantuéjoul)",
    )
    yield Parameter("spheres", "Saltykov's unfolding, 12 classes", "solved together, none negative")
    yield Parameter(
        "deformation axis",
        "structure tensor of features' outlines or of bands' borders, whichever is more significant",
        "certain: p < 0.01 against no direction and known within 15°, from 64 blocks of the field",
    )
    yield Parameter(
        "bands",
        "regions richer in the phase than the field, after smoothing without direction",
        "smoothed where across and along differ most, from half a grain to 1/24 of the field; the smoothing "
        "and the islands passed over stand on the sheet Banding, beside the counts of single features",
    )
    yield Parameter(
        "bands shown (–)",
        BEYOND_CHANCE,
        "least contrast of what is banded or drawn out; fields without direction stay below 1.9",
    )


def _definitions(result: Quantification) -> Iterator[Parameter]:
    for quantity in result.quantities:
        yield Parameter(quantity.name, quantity.meaning)
        if quantity.name == CARBON:
            yield Parameter("carbon assumptions", ASSUMPTIONS)


def _segmentations(result: Quantification) -> Iterator[Parameter]:
    for number, run in enumerate(result.runs, start=1):
        start = f"segmentation {number}: "
        yield Parameter(f"{start}file", str(run.path))
        weights = run.content.get("weights") or {}
        for key in ("model", "file", "sha256"):
            yield Parameter(f"{start}weights {key}", _plain(weights.get(key)))
        for key, value in (run.content.get("parameters") or {}).items():
            yield Parameter(f"{start}{key}", _plain(value))


def _plain(value: Any) -> str | int | float | None:
    if value is None or (isinstance(value, str | int | float) and not isinstance(value, bool)):
        return value
    return json.dumps(value, ensure_ascii=False)
