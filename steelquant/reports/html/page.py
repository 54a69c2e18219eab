"""What stands on the page, from the results alone: nothing here depends on the time of day."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from steelquant import __version__
from steelquant.micrograph.field import PhaseClass
from steelquant.micrograph.provenance import machine, versions
from steelquant.reports.html.charts import fields_chart, ranges, sizes_charts
from steelquant.reports.html.micrographs import find_picture
from steelquant.reports.html.numbers import format_number, with_interval
from steelquant.reports.html.pictures import MOST_FIELDS, FieldPictures, field_bytes, make_pictures
from steelquant.reports.html.regions import regions_of
from steelquant.reports.html.tables import PageTable, fields_page_table, page_table
from steelquant.reports.parameters import METHOD, parameters
from steelquant.reports.tables import tables_of
from steelquant.stereology.carbon import ASSUMPTIONS
from steelquant.stereology.corrections import read_field_mask
from steelquant.stereology.phases import EDGE_RULE
from steelquant.stereology.quantities import CARBON
from steelquant.stereology.quantity import label_of
from steelquant.stereology.specimens import Verdict

if TYPE_CHECKING:
    from steelquant.stereology.measurement import FieldResult
    from steelquant.stereology.micrographs import Micrographs
    from steelquant.stereology.quantify import Quantification
    from steelquant.stereology.quantity import Quantity
    from steelquant.stereology.sources import Run
    from steelquant.stereology.summary import SpecimenResult

NOT_CERTIFIED = (
    "Measured in the manner of the standards named; the report is no certificate of conformity with them."
)

_MOST_THREADS = 4
"""Each holds a field in memory."""

_OUTCOMES = (
    (Verdict.FAIL, "outside limits"),
    (Verdict.UNDECIDED, "undecided"),
    (Verdict.PASS, "within limits"),
)


@dataclass(frozen=True)
class Fact:
    """A line of a list: what, its value, and what to know of it."""

    name: str
    value: str
    note: str = ""


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
    facts: tuple[Fact, ...]
    warnings: tuple[str, ...]
    classes: tuple[PhaseClass, ...]
    excluded_px: int
    pictures: FieldPictures
    caption: str


def page_content(result: Quantification, micrographs: Micrographs) -> dict[str, Any]:
    """Return everything that the page's templates name.

    Parameters
    ----------
    result
        What was measured, of at least one field.
    micrographs
        Finds the micrographs of the fields.

    Raises
    ------
    FileError
        A mask cannot be read any more; raised when ``fields`` is gone through.
    """
    shown = _in_order(result)[:MOST_FIELDS]
    anchors = {field.source.name: f"field-{number}" for number, (_, field) in enumerate(shown, start=1)}
    tables = {table.title: table for table in tables_of(result)}
    main = result.quantities[0]
    found_ranges, scale = ranges(result.specimens, main.name)
    return {
        "version": __version__,
        "title": "Quantitative metallography",
        "facts": list(_facts(result)),
        "overall": _overall(result),
        "main": main,
        "others": _others(result),
        "specimens": list(zip(result.specimens, found_ranges, strict=True)),
        "range_scale": scale,
        "has_verdicts": any(specimen.verdict is not None for specimen in result.specimens),
        "missed": list(_missed(result)),
        "method": list(_method(result)),
        "failures": [str(error) for error in result.failures],
        "warnings": list(result.warnings),
        "fields_chart": fields_chart(result, anchors),
        "sizes_charts": sizes_charts(tables["Distributions"].rows()),
        "no_sizes": _no_sizes(result),
        "fields_table": fields_page_table(tables["Fields"], result, anchors),
        "tables": list(_tables(tables)),
        "files_table": page_table(tables["Provenance"]),
        "fields": _fields(result, shown, anchors, micrographs),
        "fields_shown": len(shown),
        "fields_in_all": len(result.fields),
        "parameters": parameters(result),
        "runs": [_run_facts(run) for run in result.runs],
        "versions": versions(),
        "format_number": format_number,
        "with_interval": with_interval,
    }


def _others(result: Quantification) -> list[Quantity]:
    """Return what the summary shows besides the main quantity; of two phases one fraction is enough."""
    classes = result.fields[0].classes
    complement = f"{label_of(classes[0].name)} (%)" if len(classes) == 2 else ""
    return [item for item in result.quantities[1:] if item.is_on_page and item.name != complement]


def _in_order(result: Quantification) -> list[tuple[SpecimenResult, FieldResult]]:
    return [(specimen, field) for specimen in result.specimens for field in specimen.fields]


def _tables(tables: dict[str, Any]) -> Iterator[PageTable]:
    """Yield the tables below the pictures; features and grains, too many for it, stand in Excel and CSV."""
    elsewhere = ("Fields", "Features", "Grains", "Provenance")
    for title, table in tables.items():
        if title not in elsewhere:
            found = page_table(table)
            if found.rows:
                yield found


def _facts(result: Quantification) -> Iterator[Fact]:
    areas = [area for field in result.fields if (area := field.counted_area_mm2) is not None]
    yield Fact("Fields", f"{len(result.fields):,}")
    yield Fact("Specimens", f"{len(result.specimens):,}")
    without = len(result.fields) - len(areas)
    note = f"{without:,} of {len(result.fields):,} fields are not calibrated" if without else ""
    yield Fact("Area measured", f"{sum(areas):.3g} mm²" if areas else "unknown", note)
    sizes = sorted({size for field in result.fields if (size := field.pixel_size_um) is not None})
    spread = f"{sizes[0]:.4g} µm/px" if sizes else "not calibrated"
    yield Fact("Scale", spread if len(sizes) < 2 else f"{sizes[0]:.4g} to {sizes[-1]:.4g} µm/px")
    models = dict.fromkeys(field.source.model or "made elsewhere" for field in result.fields)
    yield Fact("Masks by", ", ".join(models))


def _overall(result: Quantification) -> dict[str, str]:
    """Return the worst verdict and how many specimens have which."""
    verdicts = [specimen.verdict for specimen in result.specimens if specimen.verdict is not None]
    if not verdicts:
        return {"verdict": "none", "word": "No verdict", "text": "no limits were given"}
    counts = [
        (verdict, verdicts.count(verdict), words) for verdict, words in _OUTCOMES if verdict in verdicts
    ]
    text = ", ".join(f"{count:,} {words}" for _, count, words in counts)
    noun = "specimen" if len(verdicts) == 1 else "specimens"
    worst = str(counts[0][0])
    return {"verdict": worst, "word": worst.capitalize(), "text": f"{len(verdicts):,} {noun}: {text}"}


def _missed(result: Quantification) -> Iterator[str]:
    for verdict, _ in _OUTCOMES[:2]:
        for specimen in result.specimens:
            for judgement in specimen.judgements:
                if judgement.verdict is verdict:
                    limit = judgement.limit
                    yield (
                        f"{specimen.name}: {limit.quantity} should be {limit.text}; "
                        f"{verdict}: {judgement.reason}"
                    )


def _method(result: Quantification) -> Iterator[str]:
    yield METHOD
    yield EDGE_RULE
    if any(quantity.name == CARBON for quantity in result.quantities):
        yield ASSUMPTIONS
    yield NOT_CERTIFIED


def _no_sizes(result: Quantification) -> str:
    reasons = dict.fromkeys(f.calibration.source for f in result.fields if f.pixel_size_um is None)
    if len(reasons) and all(field.pixel_size_um is None for field in result.fields):
        return f"not calibrated: {'; '.join(reasons)}"
    return "no feature lies wholly within a field"


def _fields(
    result: Quantification,
    shown: Sequence[tuple[SpecimenResult, FieldResult]],
    anchors: dict[str, str],
    micrographs: Micrographs,
) -> Iterator[FieldView]:
    """Yield the fields with their pictures, several made at a time: decoders and encoders run in parallel."""
    most_bytes = field_bytes(len(shown))

    def make(pair: tuple[SpecimenResult, FieldResult]) -> FieldView:
        return _field(result, *pair, anchors[pair[1].source.name], micrographs, most_bytes)

    with ThreadPoolExecutor(min(machine()["cores"], _MOST_THREADS)) as pool:
        yield from pool.map(make, shown)


def _field(
    result: Quantification,
    specimen: SpecimenResult,
    field: FieldResult,
    anchor: str,
    micrographs: Micrographs,
    most_bytes: int,
) -> FieldView:
    mask = read_field_mask(field.source)
    warnings = list(field.warnings)
    if mask.sha256 != field.mask_sha256:
        warnings.append("the mask has changed since it was measured: the picture shows it as it is now")
    found = find_picture(field.source, mask, micrographs.candidates(field.source))
    pictures = make_pictures(found, mask, regions_of(field, mask), most_bytes)
    main = result.quantities[0]
    estimate = main.single(field) if main.single is not None else None
    half_width = None if estimate is None else estimate.ci95
    return FieldView(
        anchor=anchor,
        name=field.source.name,
        specimen=specimen.name,
        width_px=field.width_px,
        height_px=field.height_px,
        pixel_size_um=field.pixel_size_um,
        main=with_interval(main.value(field), half_width, main.number_format),
        facts=tuple(_field_facts(field, result.quantities)),
        warnings=tuple(warnings),
        classes=mask.classes,
        excluded_px=field.excluded_px,
        pictures=pictures,
        caption=_caption(pictures),
    )


def _field_facts(field: FieldResult, quantities: Sequence[Quantity]) -> Iterator[Fact]:
    for quantity in quantities[1:]:
        if quantity.is_on_page:
            value = quantity.value(field)
            is_empty = value is None and quantity.needs_scale and field.pixel_size_um is None
            note = "not calibrated" if is_empty else ""
            yield Fact(quantity.name, format_number(value, quantity.number_format), note)
    for phase, measures in field.phases.items():
        if phase in field.features:
            cut = f"{measures.cut_count:,} cut by the frame or an excluded region"
            yield Fact(f"{label_of(phase)} features", f"{measures.feature_count:,}", cut)
    size = field.pixel_size_um
    scale = "not calibrated" if size is None else f"{size:.4g} µm/px"
    yield Fact("Scale", scale, field.calibration.source)
    excluded = 100 * field.excluded_px / (field.width_px * field.height_px)
    note = f"{excluded:.2f} % excluded" if field.excluded_px else ""
    yield Fact("Field", f"{field.width_px:,} × {field.height_px:,} px", note)


def _caption(pictures: FieldPictures) -> str:
    """Say what the pictures show and how much they are reduced."""
    layers = " and ".join(layer.name for layer in pictures.layers)
    what = {
        "micrograph": f"Left the micrograph, right its {layers}.",
        "overlay": "Left the overlay that was made when it was segmented, right the mask.",
        "none": "The mask alone.",
    }[pictures.kind]
    size = f"{pictures.width_px:,} × {pictures.height_px:,} px"
    if pictures.reduction > 1.0005:
        shown = f"Reduced {pictures.reduction:.2f} times for this page, to {size}; measured at full size."
    else:
        shown = f"At full size, {size}; the micrograph is compressed with loss for this page."
    without = "" if pictures.regions else " Sizes on hovering are left out to keep the file small."
    remark = f" {pictures.remark[:1].upper()}{pictures.remark[1:]}." if pictures.remark else ""
    return f"{what} {shown}{without}{remark}"


def _run_facts(run: Run) -> list[Fact]:
    content, weights = run.content, run.content.get("weights") or {}
    used = ", ".join(f"{name} {version}" for name, version in (content.get("versions") or {}).items())
    machine = ", ".join(str(value) for value in (content.get("machine") or {}).values() if value is not None)
    return [
        Fact("Record", str(run.path)),
        Fact("Started", str(content.get("started_utc") or "")),
        Fact("Finished", str(content.get("finished_utc") or "")),
        Fact("Weights", f"{weights.get('model')}  {weights.get('file')}"),
        Fact("Weights SHA-256", str(weights.get("sha256"))),
        Fact("Versions", used),
        Fact("Machine", machine),
    ]
