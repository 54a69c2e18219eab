"""From masks on disk to the numbers of a report: fields, specimens, limits and comparisons."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from steelquant.errors import FileError, UsageError
from steelquant.micrograph.field import PhaseClass
from steelquant.micrograph.masks import find_masks
from steelquant.micrograph.provenance import machine
from steelquant.micrograph.scale_table import read_pixel_sizes
from steelquant.processes import worker_processes
from steelquant.stereology.corrections import find_corrected_sources
from steelquant.stereology.measurement import FieldResult, FieldSettings, measure_field
from steelquant.stereology.micrographs import Micrographs
from steelquant.stereology.quantities import quantities_of
from steelquant.stereology.quantity import Quantity
from steelquant.stereology.sources import FieldSource, Run
from steelquant.stereology.specimens import Comparison, FieldName, read_grouping, read_limits
from steelquant.stereology.summary import (
    SpecimenResult,
    compare_specimens,
    idle_limits,
    name_limits,
    summarise,
)

_WORTH_PROCESSES_S = 4.0
"""Remaining work from which worker processes pay, which take a second or two to start."""

_PROCESS_GIB = 1.0
"""Memory that a process is reckoned with; one that looks for grains in 3.2 megapixels takes 0.8 of it."""

_Task = tuple[FieldSource, tuple[Path, ...]]
"""A mask and the files that may be its micrograph."""


@dataclass(frozen=True, eq=False)
class Quantification:
    """All results of one call.

    Attributes
    ----------
    specimens
        In order of first occurrence.
    fields
        All fields in the order of the masks.
    quantities
        What was measured of each.
    comparisons
        Between each two specimens.
    failures
        Masks that could not be measured.
    runs
        The segmentations that masks come from.
    settings, grouping, limits
        How it was measured.
    warnings
        What concerns no single field, one sentence each.
    """

    specimens: tuple[SpecimenResult, ...]
    fields: tuple[FieldResult, ...]
    quantities: tuple[Quantity, ...]
    comparisons: tuple[Comparison, ...]
    failures: tuple[FileError, ...]
    runs: tuple[Run, ...]
    settings: FieldSettings
    grouping: str
    limits: Path | None
    warnings: tuple[str, ...]


def quantify(
    masks: str | Path | Sequence[str | Path] = "segmented",
    *,
    output: str | Path | None = "report.xlsx",
    html: str | Path | None = None,
    images: str | Path | None = None,
    rois: str | Path | None = None,
    pixel_size_um: float | str | Path | None = None,
    specimen: str = "folder",
    limits: str | Path | None = None,
    smallest_feature_px: int = 1,
    axis_deg: float | None = None,
    finds_grains: bool = True,
    boundary_threshold: float | None = None,
    workers: int = 1,
    on_field: Callable[[int, int], None] | None = None,
) -> Quantification:
    """Measure masks and write the report; what the command ``steelquant quantify`` does.

    Parameters
    ----------
    masks
        Mask files and folders of masks, from ``segment`` or made elsewhere; also GeoJSON files of QuPath
        and ROI files of Fiji, which take the place of the masks of their names.
    output
        The Excel report; CSV and JSON files go beside it. None writes nothing, and nothing is written
        either when no mask could be measured.
    html
        The report for the browser, one file, with every field's pictures.
    images
        Folder where micrographs are looked for, in its sub-folders too, that are no longer where they were
        segmented, and those of masks made elsewhere. Grains and lamellae are measured in them, and the
        browser's report shows them.
    rois
        Folder for every field's features and grains as GeoJSON for QuPath and as ROIs for Fiji; a file of
        features that were corrected there is a mask like any other.
    pixel_size_um
        Scale in µm/px that wins over what files state, or a table of it by folder or file; see
        :func:`steelquant.micrograph.scale_table.read_scale_table`.
    specimen
        ``folder``, a pattern on the name, or a CSV; see
        :func:`steelquant.stereology.specimens.read_grouping`.
    limits
        CSV of limits; see :func:`steelquant.stereology.specimens.read_limits`.
    smallest_feature_px
        Features of fewer pixels are not counted as features; fractions always count every pixel.
    axis_deg
        Deformation axis, counter-clockwise from the horizontal; None estimates each field's own.
    finds_grains
        Whether ferrite grains and lamellae are looked for in the micrographs, which takes most of the time.
    boundary_threshold
        Mean probability from which a border is a grain boundary, instead of 0.5: higher where stains pass
        for boundaries, lower where boundaries are lost.
    workers
        Processes to measure in; 0 takes all cores where the work is worth it and memory allows. Other than
        1, a script needs the usual ``if __name__ == "__main__":`` guard.
    on_field
        Called with the number of fields done and of all fields after each.

    Raises
    ------
    UsageError
        If there are no masks or an option makes no sense.
    FileError
        If a table cannot be read or the report cannot be written. A mask that cannot be measured is
        no error here: it stands in ``failures`` and the rest goes on.
    """
    if smallest_feature_px < 1:
        raise UsageError(f"the smallest feature must have at least 1 px, not {smallest_feature_px}")
    if output is not None and Path(output).suffix.lower() != ".xlsx":
        raise UsageError(f"{output}: the report is an Excel file; let its name end in .xlsx")
    if html is not None and Path(html).suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"{html}: the report for the browser is an HTML file; let its name end in .html")
    if images is not None and not Path(images).is_dir():
        raise UsageError(f"{images}: no such folder of micrographs")
    if boundary_threshold is not None and not 0 < boundary_threshold < 1:
        raise UsageError(
            f"the boundary threshold is a probability between 0 and 1, not {boundary_threshold:g}"
        )
    if axis_deg is not None and not math.isfinite(axis_deg):
        raise UsageError(f"the deformation axis must be an angle in degrees, not {axis_deg}")
    sizes = read_pixel_sizes(pixel_size_um)
    given = [masks] if isinstance(masks, str | Path) else masks
    grouping = read_grouping(specimen)
    wanted = read_limits(Path(limits)) if limits is not None else ()
    sources, runs, warnings = find_corrected_sources(find_masks([Path(mask) for mask in given]))
    settings = FieldSettings(sizes, smallest_feature_px, axis_deg, finds_grains, boundary_threshold)
    micrographs = Micrographs(None if images is None else Path(images))
    tasks = [(source, micrographs.candidates(source)) for source in sources]
    fields: list[FieldResult] = []
    failures: list[FileError] = []
    for done, measured in enumerate(_measure_all(tasks, settings, workers), start=1):
        if isinstance(measured, FileError):
            failures.append(measured)
        else:
            fields.append(measured)
        if on_field is not None:
            on_field(done, len(sources))
    quantities = quantities_of(_all_classes(fields, warnings), with_grains=finds_grains) if fields else ()
    named = name_limits(wanted, quantities, Path(limits)) if limits is not None and fields else ()
    assignments, unfitting = grouping.assign([_field_name(field.source) for field in fields])
    specimens = summarise(fields, assignments, quantities, named)
    idle = idle_limits(specimens, named)
    if idle:
        unfitting.append(f"{limits} has limits for specimens without fields: {', '.join(idle)}")
    result = Quantification(
        specimens=specimens,
        fields=tuple(fields),
        quantities=quantities,
        comparisons=compare_specimens(specimens, quantities),
        failures=tuple(failures),
        runs=tuple(runs),
        settings=settings,
        grouping=grouping.source,
        limits=None if limits is None else Path(limits),
        warnings=(*warnings, *unfitting),
    )
    if output is not None and fields:
        # What the reports show is made here, so they import this room; only this one call goes back.
        from steelquant.reports import write_report

        write_report(result, Path(output))
    if html is not None and fields:
        from steelquant.reports.html import write_html

        write_html(result, Path(html), images=None if images is None else Path(images))
    if rois is not None and fields:
        from steelquant.reports.rois import write_rois

        write_rois(result, Path(rois))
    return result


def _measure_all(
    tasks: Sequence[_Task], settings: FieldSettings, workers: int
) -> Iterator[FieldResult | FileError]:
    """Measure in order; with ``workers`` 0 the first field's time decides whether processes pay."""
    rest = list(tasks)
    count = workers or _fitting_processes()
    if not workers and count > 1:
        start = time.perf_counter()
        yield _measure_or_fail(rest.pop(0), settings)
        if (time.perf_counter() - start) * len(rest) < _WORTH_PROCESSES_S:
            count = 1
    count = min(count, len(rest))
    if count <= 1:
        for task in rest:
            yield _measure_or_fail(task, settings)
        return
    with worker_processes(count) as pool:
        yield from pool.map(_measure_or_fail, rest, [settings] * len(rest))


def _fitting_processes() -> int:
    """Return how many processes the machine has cores and memory for."""
    facts = machine()
    memory_gib = facts["memory_gib"]
    most = facts["cores"] if memory_gib is None else int(memory_gib / _PROCESS_GIB)
    return max(1, min(facts["cores"], most))


def _measure_or_fail(task: _Task, settings: FieldSettings) -> FieldResult | FileError:
    source, micrographs = task
    try:
        return measure_field(source, settings, micrographs)
    except FileError as error:
        return error


def _field_name(source: FieldSource) -> FieldName:
    return FieldName(source.name, (source.image_path or source.mask_path).name, source.folder)


def _all_classes(fields: Sequence[FieldResult], warnings: list[str]) -> tuple[PhaseClass, ...]:
    classes: dict[str, PhaseClass] = {}
    for field in fields:
        classes |= {phase.name: phase for phase in field.classes if phase.name not in classes}
    if any(len(field.classes) != len(classes) for field in fields):
        warnings.append(f"the masks do not all have the same classes; together: {', '.join(classes)}")
    return tuple(classes.values())
