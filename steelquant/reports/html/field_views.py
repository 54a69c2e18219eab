"""One field on the page: its pictures, its numbers, and how far to trust its grain size."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from steelquant.micrograph.field import Mask, PhaseClass
from steelquant.reports.html.grain_colours import SizeScale, unit_of
from steelquant.reports.html.micrographs import find_picture
from steelquant.reports.html.numbers import MISSING, format_number, with_interval
from steelquant.reports.html.pictures import FieldPictures, make_pictures
from steelquant.reports.html.regions import Regions
from steelquant.reports.html.summaries import complement
from steelquant.stereology.corrections import read_field_mask
from steelquant.stereology.features import label_phase
from steelquant.stereology.grain_quantities import (
    CIRCLES,
    ELONGATION,
    GRAIN_INTERCEPT,
    GRAIN_SIZE,
    SALTYKOV,
)
from steelquant.stereology.quantity import label_of
from steelquant.stereology.texture_quantities import (
    SPACING,
    UNBROKEN,
    bands_remark,
    degree_name,
    page_names,
    spacing_name,
)

if TYPE_CHECKING:
    from steelquant.stereology.measurement import FieldResult
    from steelquant.stereology.micrographs import Micrographs
    from steelquant.stereology.quantity import Quantity

GRAIN_REGIONS = "ferrite grain"

_TRUST = {"clear": "pass", "faint": "undecided"}
"""How the page marks a verdict on boundaries; all others are not to be trusted."""


@dataclass(frozen=True)
class Fact:
    """A line of a list: what, its value, and what to know of it."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class FactGroup:
    """Lines that belong together, and what they are about."""

    title: str
    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class GrainNumber:
    """A field's grain size number G with the verdict on its boundaries.

    Attributes
    ----------
    value
        G as it is written, a dash where there is none.
    verdict
        ``"clear"``, ``"faint"``, …; empty where no boundaries were looked for.
    mark
        ``"pass"``, ``"undecided"`` or ``"fail"``: how far to trust it.
    notes
        Why there is no G or why it is left out of the mean, and the warnings of the search.
    """

    value: str
    verdict: str
    mark: str
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class FieldView:
    """A field with its pictures; the scale is None where it is not calibrated."""

    anchor: str
    name: str
    specimen: str
    width_px: int
    height_px: int
    pixel_size_um: float | None
    main: str
    grain_number: GrainNumber | None
    groups: tuple[FactGroup, ...]
    warnings: tuple[str, ...]
    classes: tuple[PhaseClass, ...]
    excluded_px: int
    pictures: FieldPictures
    size_scale: SizeScale | None
    caption: str


def field_view(
    field: FieldResult,
    specimen: str,
    anchor: str,
    quantities: Sequence[Quantity],
    micrographs: Micrographs,
    scales: Mapping[str, SizeScale],
    most_bytes: int,
) -> FieldView:
    """Make what the page shows of a field.

    Parameters
    ----------
    field, specimen
        The field and the name of its specimen.
    anchor
        Its place on the page.
    quantities
        What was measured; the first is the main one.
    micrographs
        Finds its micrograph.
    scales
        Colours of grain sizes by unit, from :func:`steelquant.reports.html.grain_colours.size_scales`.
    most_bytes
        Room that its pictures may take.

    Raises
    ------
    FileError
        The mask cannot be read any more.
    """
    mask = read_field_mask(field.source)
    found_warnings = [] if field.grains is None else list(field.grains.search.warnings)
    warnings = [line for line in field.warnings if line not in found_warnings]
    regions: list[Regions] = []
    scale = scales.get(unit_of(field)[0])
    if mask.sha256 == field.mask_sha256:
        regions = list(_regions(field, mask, scale))
    else:
        warnings.append("the mask has changed since it was measured: the picture shows it as it is now")
    found = find_picture(field.source, mask, micrographs.candidates(field.source))
    pictures = make_pictures(found, mask, regions, most_bytes)
    has_sizes = any(item.size_classes is not None for item in regions)
    return FieldView(
        anchor=anchor,
        name=field.source.name,
        specimen=specimen,
        width_px=field.width_px,
        height_px=field.height_px,
        pixel_size_um=field.pixel_size_um,
        main=_written(quantities[0], field),
        grain_number=_grain_number(field, quantities),
        groups=tuple(_groups(field, quantities)),
        warnings=tuple(warnings),
        classes=mask.classes,
        excluded_px=field.excluded_px,
        pictures=pictures,
        size_scale=scale if has_sizes else None,
        caption=_caption(pictures),
    )


def _regions(field: FieldResult, mask: Mask, scale: SizeScale | None) -> Iterator[Regions]:
    """Yield everything in a field that has a size of its own."""
    labels = {phase.name: phase.label for phase in mask.classes}
    for name, features in field.features.items():
        yield Regions(name, label_phase(mask.labels, labels[name]), features)
    if field.grains is not None and scale is not None:
        grains = field.grains
        classes = scale.classes_of(grains.features, unit_of(field)[1])
        yield Regions(GRAIN_REGIONS, grains.labels.unpack(), grains.features, classes)


def _written(quantity: Quantity, field: FieldResult) -> str:
    """Write a field's number, with the interval that the field itself gives, if any."""
    estimate = None if quantity.single is None else quantity.single(field)
    half_width = None if estimate is None else estimate.ci95
    return with_interval(quantity.value(field), half_width, quantity.number_format)


def _grain_number(field: FieldResult, quantities: Sequence[Quantity]) -> GrainNumber | None:
    quantity = next((item for item in quantities if item.name == GRAIN_SIZE), None)
    if quantity is None:
        return None
    if field.grains is None:
        return GrainNumber(MISSING, "", "", (field.grains_reason,))
    search = field.grains.search
    notes = list(search.warnings)
    if field.pixel_size_um is None:
        notes.insert(0, f"no G: not calibrated: {field.calibration.source}")
    if not field.grains.counts:
        notes.insert(0, "left out of the specimen's mean")
    mark = _TRUST.get(search.verdict, "fail")
    return GrainNumber(_written(quantity, field), search.verdict, mark, tuple(notes))


def _groups(field: FieldResult, quantities: Sequence[Quantity]) -> Iterator[FactGroup]:
    by_name = {quantity.name: quantity for quantity in quantities}
    elsewhere = {GRAIN_SIZE, complement(field), *page_names([field])}
    shown = [item for item in quantities[1:] if item.is_on_page and item.name not in elsewhere]
    facts = [_fact(item, field) for item in shown]
    for phase, measures in field.phases.items():
        if phase in field.features:
            count = f"{measures.feature_count:,}, {measures.cut_count:,} cut"
            facts.append(Fact(f"{label_of(phase)} features (count)", count))
    yield FactGroup("Phases", tuple(facts))
    if field.grains is not None:
        yield FactGroup("Ferrite grains", tuple(_grain_facts(field, by_name)))
    for phase in field.textures:
        yield FactGroup(f"Banding of {phase}", tuple(_banding_facts(field, phase, by_name)))
    if field.spacing is not None and SPACING in by_name:
        note = field.spacing.reason or (
            f"in {100 * field.spacing.resolved_fraction:.0f} % of the pearlite, the rest is likely finer"
        )
        value = format_number(field.spacing.true_spacing_um, by_name[SPACING].number_format)
        yield FactGroup("Lamellae", (Fact(SPACING, value, note),))
    yield FactGroup("Field", tuple(_field_facts(field)))


def _fact(quantity: Quantity, field: FieldResult) -> Fact:
    value = quantity.value(field)
    is_empty = value is None and quantity.needs_scale and field.pixel_size_um is None
    note = "not calibrated" if is_empty else quantity.why_not(field) if value is None else ""
    return Fact(quantity.name, format_number(value, quantity.number_format), note)


def _grain_facts(field: FieldResult, by_name: Mapping[str, Quantity]) -> Iterator[Fact]:
    assert field.grains is not None  # fields without grains have no such group
    grains, search = field.grains, field.grains.search
    yield Fact("Grains (count)", f"{grains.features.count:,}, {int(grains.features.cut.sum()):,} cut")
    for name in (GRAIN_INTERCEPT, CIRCLES, SALTYKOV, ELONGATION):
        if name in by_name:
            yield _fact(by_name[name], field)
    if search.uncertainty is not None:
        yield Fact("G uncertain by boundaries (±)", f"{search.uncertainty:.2f}")
    yield Fact("G falls by odds × 4 (–)", f"{search.sensitivity:.2f}")
    yield Fact("Boundary length closed (%)", f"{100 * search.bridged_fraction:.0f}")
    yield Fact("Longest gap closed (px)", f"{search.longest_gap_px:.0f}")


def _banding_facts(field: FieldResult, phase: str, by_name: Mapping[str, Quantity]) -> Iterator[Fact]:
    texture, axis, size = field.textures[phase], field.axis, field.pixel_size_um
    yield _fact(by_name[degree_name(phase)], field)
    if texture.bands is not None:
        yield _index_fact("AI of bands (–)", texture.bands.anisotropy_index)
        yield _fact(by_name[spacing_name(phase)], field)
        is_shown = texture.bands.are_shown
        contrast = format_number(texture.bands.contrast, "0.0")
        yield Fact("Contrast of bands (–)", contrast, "" if is_shown else bands_remark(field, phase))
        if size is not None:
            yield Fact("Islands passed over below (µm)", f"{texture.bands.smallest_island_px * size:.1f}")
    yield _index_fact("AI of single features (–)", texture.banding.anisotropy_index)
    certainty = "" if axis.certain else "not certain: banding is measured along the likeliest"
    is_given = axis.coherence is None and axis.certain
    angle = with_interval(axis.angle_deg, axis.ci95_deg, "0")
    yield Fact("Deformation axis (°)", f"{angle}, given" if is_given else angle, certainty)


def _index_fact(name: str, index: float | None) -> Fact:
    is_unbroken = index == math.inf
    return Fact(name, "∞" if is_unbroken else format_number(index, "0.00"), UNBROKEN * is_unbroken)


def _field_facts(field: FieldResult) -> Iterator[Fact]:
    size = field.pixel_size_um
    scale = "not calibrated" if size is None else f"{size:.4g} µm/px"
    yield Fact("Scale", scale, field.calibration.source)
    excluded = 100 * field.excluded_px / (field.width_px * field.height_px)
    note = f"{excluded:.2f} % excluded" if field.excluded_px else ""
    yield Fact("Size", f"{field.width_px:,} × {field.height_px:,} px", note)


def _caption(pictures: FieldPictures) -> str:
    """Say what the pictures show and how much they are reduced."""
    what = {
        "micrograph": f"Left the micrograph, right its {_list([x.name for x in pictures.layers], 'or')}.",
        "overlay": "Left the overlay that was made when it was segmented, right the mask.",
        "none": "The mask alone.",
    }[pictures.kind]
    size = f"{pictures.width_px:,} × {pictures.height_px:,} px"
    if pictures.reduction > 1.0005:
        shown = f"Reduced {pictures.reduction:.2f} times for this page, to {size}; measured at full size."
    else:
        shown = f"At full size, {size}; the micrograph is compressed with loss for this page."
    left_out = _list(pictures.left_out, "and").capitalize()
    without = f" {left_out} are left out to keep the file small." if left_out else ""
    remark = f" {pictures.remark[:1].upper()}{pictures.remark[1:]}." if pictures.remark else ""
    return f"{what} {shown}{without}{remark}"


def _list(words: Sequence[str], last: str) -> str:
    """Write words as a list: ``a, b and c``."""
    return f" {last} ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
