"""``steelquant quantify``: masks to numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from steelquant.cli.console import console, print_error


def quantify(
    masks: Annotated[
        list[Path] | None,
        typer.Argument(metavar="MASKS", help="Masks or folders of them.", show_default="segmented"),
    ] = None,
    output: Annotated[
        Path, typer.Option(help="The Excel report; CSV and JSON files with its tables go beside it.")
    ] = Path("report.xlsx"),
    html: Annotated[
        Path | None,
        typer.Option(help="Also a report for the browser, one file with every field's pictures."),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where micrographs are looked for that are no longer at their place, and those of masks "
            "made elsewhere; without its micrograph a mask has no grain size.",
        ),
    ] = None,
    rois: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Also every field's features and grains as GeoJSON for QuPath and ROIs for Fiji; features "
            "corrected there, given beside the masks, take the place of their field's mask.",
        ),
    ] = None,
    pixel_size: Annotated[
        str | None,
        typer.Option(
            metavar="UM|CSV",
            help="Scale of all fields in µm/px, or a table with the columns path (a folder, file or pattern) "
            "and pixel_size_um.",
            show_default="what the files state",
        ),
    ] = None,
    specimen: Annotated[
        str,
        typer.Option(
            metavar="folder|PATTERN|CSV",
            help="What makes fields one specimen: their folder; a pattern on their names, such as '{}_*' or "
            "'^(.+)_\\d+$'; or a table with the columns field and specimen.",
        ),
    ] = "folder",
    limits: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV", help="Table with the columns specimen (or *), quantity, minimum, maximum."
        ),
    ] = None,
    smallest_feature: Annotated[
        int, typer.Option(metavar="PX", help="Features of fewer pixels are not counted as features.")
    ] = 1,
    axis: Annotated[
        float | None,
        typer.Option(
            metavar="DEGREES",
            help="Deformation axis for banding and elongation, counter-clockwise from the horizontal.",
            show_default="estimated in each field",
        ),
    ] = None,
    grains: Annotated[
        bool,
        typer.Option(
            help="Look for ferrite grains and lamellae in the micrographs; without, masks alone are "
            "measured, in a tenth of the time."
        ),
    ] = True,
    boundary_threshold: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            help="Probability, between 0 and 1, from which a line bounds a grain: higher where stains pass "
            "for boundaries, lower where boundaries are lost.",
            show_default="0.5",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(help="Processes to measure in; 0: all cores where it is worth it.")
    ] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document instead of the table.")
    ] = False,
) -> None:
    """Measure phases, grain size, banding and features, with uncertainty, and write a report."""
    from steelquant.cli.quantify_view import progress_bar, show_results
    from steelquant.stereology import quantify as run_quantify

    with progress_bar(is_shown=not as_json and console(stderr=True).is_terminal) as on_field:
        result = run_quantify(
            masks or [Path("segmented")],
            output=output,
            html=html,
            images=images,
            rois=rois,
            pixel_size_um=pixel_size,
            specimen=specimen,
            limits=limits,
            smallest_feature_px=smallest_feature,
            axis_deg=axis,
            finds_grains=grains,
            boundary_threshold=boundary_threshold,
            workers=workers,
            on_field=on_field,
        )
    for error in result.failures:
        print_error(str(error))
    show_results(result, output, [path for path in (html, rois) if path is not None], as_json=as_json)
    if result.failures:
        raise typer.Exit(1)
