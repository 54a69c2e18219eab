"""How the numbers of a report were made, in words and values; nothing here depends on the time of day."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from steelquant import __version__
from steelquant.stereology.carbon import ASSUMPTIONS
from steelquant.stereology.features import CONNECTIVITY
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
    yield Parameter("pixel size (µm/px)", settings.pixel_size_um, "given scale; empty: as the files state")
    yield Parameter("specimen", result.grouping, "how fields became specimens")
    yield Parameter("limits", None if result.limits is None else str(result.limits), "table of limits")
    smallest = settings.smallest_feature_px
    yield Parameter("smallest feature (px)", smallest, "features of fewer pixels are not counted as features")


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
    yield Parameter("limit verdicts", "pass, fail, undecided", "undecided: a limit lies inside the interval")
    yield Parameter("comparison", "Welch's t, p-values adjusted by Holm", "all pairs of specimens")


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
