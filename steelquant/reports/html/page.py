"""What stands on the page, from the results alone: nothing here depends on the time of day."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from steelquant import __version__
from steelquant.micrograph.provenance import machine, versions
from steelquant.reports.grain_tables import grain_method
from steelquant.reports.html.field_charts import FieldsChart, fields_chart
from steelquant.reports.html.field_views import Fact, FieldView, field_view
from steelquant.reports.html.grain_colours import COLOURS, CUT_COLOUR, size_scales
from steelquant.reports.html.numbers import format_number, with_interval
from steelquant.reports.html.painting import GRAIN_BOUNDARY_COLOUR
from steelquant.reports.html.pictures import MOST_FIELDS, field_bytes
from steelquant.reports.html.roses import MOST_ROSES, rose_charts
from steelquant.reports.html.size_charts import sizes_charts
from steelquant.reports.html.summaries import no_grain_size, summary_tables
from steelquant.reports.html.tables import PageTable, fields_page_table, page_table
from steelquant.reports.parameters import METHOD, parameters
from steelquant.reports.tables import tables_of
from steelquant.stereology.carbon import ASSUMPTIONS
from steelquant.stereology.grain_quantities import GRAIN_SIZE
from steelquant.stereology.phases import EDGE_RULE
from steelquant.stereology.quantities import CARBON
from steelquant.stereology.specimens import Verdict

if TYPE_CHECKING:
    from steelquant.stereology.measurement import FieldResult
    from steelquant.stereology.micrographs import Micrographs
    from steelquant.stereology.quantify import Quantification
    from steelquant.stereology.sources import Run
    from steelquant.stereology.summary import SpecimenResult

NOT_CERTIFIED = (
    "Measured in the manner of the standards named; the report is no certificate of conformity with them."
)

_MOST_THREADS = 4
"""Each holds a field in memory."""

_BY_CLASS = ("Distributions", "Spheres", "Orientation")
"""Tables with a row per class of sizes or sector: on paper their charts are enough."""

_OUTCOMES = (
    (Verdict.FAIL, "outside limits"),
    (Verdict.UNDECIDED, "undecided"),
    (Verdict.PASS, "within limits"),
)


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
    return {
        "version": __version__,
        "title": "Quantitative metallography",
        "facts": list(_facts(result)),
        "overall": _overall(result),
        "main": result.quantities[0],
        "summaries": summary_tables(result),
        "no_grain_size": no_grain_size(result),
        "missed": list(_missed(result)),
        "method": list(_method(result)),
        "failures": [str(error) for error in result.failures],
        "warnings": list(result.warnings),
        "fields_charts": list(_fields_charts(result, anchors)),
        "sizes_charts": sizes_charts(result),
        "no_sizes": _no_sizes(result),
        "roses": rose_charts(result),
        "most_roses": MOST_ROSES,
        "fields_table": fields_page_table(tables["Fields"], result, anchors),
        "tables": list(_tables(tables)),
        "tables_by_class": _BY_CLASS,
        "files_table": page_table(tables["Provenance"]),
        "fields": _fields(result, shown, anchors, micrographs),
        "cut_colour": CUT_COLOUR,
        "size_colours": COLOURS,
        "boundary_colour": GRAIN_BOUNDARY_COLOUR,
        "fields_shown": len(shown),
        "fields_in_all": len(result.fields),
        "parameters": parameters(result),
        "runs": [_run_facts(run) for run in result.runs],
        "versions": versions(),
        "format_number": format_number,
        "with_interval": with_interval,
    }


def _in_order(result: Quantification) -> list[tuple[SpecimenResult, FieldResult]]:
    return [(specimen, field) for specimen in result.specimens for field in specimen.fields]


def _fields_charts(result: Quantification, anchors: dict[str, str]) -> Iterator[FieldsChart]:
    """Yield the charts by field: the main quantity, and the grain size where fields have one."""
    for quantity in result.quantities:
        if quantity is result.quantities[0] or quantity.name == GRAIN_SIZE:
            chart = fields_chart(result, quantity, anchors)
            if chart is not None:
                yield chart


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
    if method := grain_method(result):
        yield method
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
    scales = size_scales(field for _, field in shown)

    def make(pair: tuple[SpecimenResult, FieldResult]) -> FieldView:
        specimen, field = pair
        anchor = anchors[field.source.name]
        return field_view(field, specimen.name, anchor, result.quantities, micrographs, scales, most_bytes)

    with ThreadPoolExecutor(min(machine()["cores"], _MOST_THREADS)) as pool:
        yield from pool.map(make, shown)


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
