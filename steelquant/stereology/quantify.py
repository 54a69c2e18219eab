"""From masks on disk to the numbers of a report: fields, specimens, limits and comparisons."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from steelquant.errors import FileError, UsageError
from steelquant.micrograph.field import PhaseClass
from steelquant.micrograph.masks import find_masks
from steelquant.micrograph.provenance import machine
from steelquant.stereology.corrections import find_corrected_sources
from steelquant.stereology.measurement import FieldResult, FieldSettings, measure_field
from steelquant.stereology.quantities import Quantity, quantities_of
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
    pixel_size_um: float | None = None,
    specimen: str = "folder",
    limits: str | Path | None = None,
    smallest_feature_px: int = 1,
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
        Folder where the browser's report looks for micrographs, in its sub-folders too, that are no longer
        where they were segmented.
    rois
        Folder for every field's features as GeoJSON for QuPath and as ROIs for Fiji; corrected there, such
        a file is a mask like any other.
    pixel_size_um
        Scale in µm/px that wins over what files state.
    specimen
        ``folder``, a pattern on the name, or a CSV; see
        :func:`steelquant.stereology.specimens.read_grouping`.
    limits
        CSV of limits; see :func:`steelquant.stereology.specimens.read_limits`.
    smallest_feature_px
        Features of fewer pixels are not counted as features; fractions always count every pixel.
    workers
        Processes to measure in; 0 takes all cores where the work is worth it. Other than 1, a script
        needs the usual ``if __name__ == "__main__":`` guard.
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
    given = [masks] if isinstance(masks, str | Path) else masks
    grouping = read_grouping(specimen)
    wanted = read_limits(Path(limits)) if limits is not None else ()
    sources, runs, warnings = find_corrected_sources(find_masks([Path(mask) for mask in given]))
    settings = FieldSettings(pixel_size_um, smallest_feature_px)
    fields: list[FieldResult] = []
    failures: list[FileError] = []
    for done, measured in enumerate(_measure_all(sources, settings, workers), start=1):
        if isinstance(measured, FileError):
            failures.append(measured)
        else:
            fields.append(measured)
        if on_field is not None:
            on_field(done, len(sources))
    quantities = quantities_of(_all_classes(fields, warnings)) if fields else ()
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
    sources: Sequence[FieldSource], settings: FieldSettings, workers: int
) -> Iterator[FieldResult | FileError]:
    """Measure in order; with ``workers`` 0 the first field's time decides whether processes pay."""
    rest = list(sources)
    count = workers or machine()["cores"]
    if not workers and count > 1:
        start = time.perf_counter()
        yield _measure_or_fail(rest.pop(0), settings)
        if (time.perf_counter() - start) * len(rest) < _WORTH_PROCESSES_S:
            count = 1
    count = min(count, len(rest))
    if count <= 1:
        for source in rest:
            yield _measure_or_fail(source, settings)
        return
    context = multiprocessing.get_context("spawn")  # the same on all systems, and safe beside threads
    with ProcessPoolExecutor(count, mp_context=context, initializer=_use_one_thread) as pool:
        yield from pool.map(_measure_or_fail, rest, [settings] * len(rest))


def _measure_or_fail(source: FieldSource, settings: FieldSettings) -> FieldResult | FileError:
    try:
        return measure_field(source, settings)
    except FileError as error:
        return error


def _use_one_thread() -> None:
    """Keep the worker processes from each starting a thread per core."""
    import cv2

    cv2.setNumThreads(1)


def _field_name(source: FieldSource) -> FieldName:
    return FieldName(source.name, (source.image_path or source.mask_path).name, source.folder)


def _all_classes(fields: Sequence[FieldResult], warnings: list[str]) -> tuple[PhaseClass, ...]:
    classes: dict[str, PhaseClass] = {}
    for field in fields:
        classes |= {phase.name: phase for phase in field.classes if phase.name not in classes}
    if any(len(field.classes) != len(classes) for field in fields):
        warnings.append(f"the masks do not all have the same classes; together: {', '.join(classes)}")
    return tuple(classes.values())
