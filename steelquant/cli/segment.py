"""``steelquant segment``: micrographs to masks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from steelquant.cli.console import console

if TYPE_CHECKING:
    from steelquant.micrograph.exclusion import Exclusion


def segment(
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT...", help="Micrographs or folders of them.")],
    model: Annotated[
        str | None,
        typer.Option(
            help="unet, segnet, resnet50, resnet18, mobilenetv2 or smp:ARCHITECTURE:ENCODER.",
            show_default="mobilenetv2",
        ),
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder for masks, overlays and segmentation.json.")] = Path(
        "segmented"
    ),
    weights: Annotated[
        Path | None, typer.Option(help="Weight file, or a folder of them.", show_default="the shipped ones")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N, mps, gpu (Intel) or npu.")] = "auto",
    engine: Annotated[
        str, typer.Option(help="auto (the fastest on the device), torch or openvino.")
    ] = "auto",
    tile: Annotated[str, typer.Option(help="Largest side of a tile in px, or auto.")] = "auto",
    overlap: Annotated[
        str, typer.Option(help="Least overlap of tiles as a fraction of a tile, or auto.")
    ] = "auto",
    scale: Annotated[
        float,
        typer.Option(help="The network sees the field resampled by this; the mask keeps the field's size."),
    ] = 1.0,
    pixel_size: Annotated[
        float | None,
        typer.Option(metavar="UM", help="Scale of all fields in µm/px.", show_default="what the files state"),
    ] = None,
    recursive: Annotated[bool, typer.Option("--recursive", help="Search sub-folders too.")] = False,
    crop_bottom: Annotated[
        int, typer.Option(metavar="PX", help="Height of an info bar at the bottom that must not count.")
    ] = 0,
    exclude: Annotated[
        Path | None,
        typer.Option(metavar="MASK", help="Picture of the field's size; what is not black must not count."),
    ] = None,
    rectangle: Annotated[
        list[str] | None,
        typer.Option(metavar="X,Y,W,H", help="Rectangle in px that must not count; can be repeated."),
    ] = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Also write the probability of pearlite (uint8 TIFF).")
    ] = False,
    ensemble: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C",
            help="Networks whose mean probability decides, in place of --model.",
            show_default="none",
        ),
    ] = None,
    tta: Annotated[
        bool,
        typer.Option("--tta", help="Average over the eight symmetries of each tile; eight times the time."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Do fields anew that are done already.")
    ] = False,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Dask scheduler whose workers do the fields, such as tls://host:8786.",
            show_default="this process",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document instead of the table.")
    ] = False,
) -> None:
    """Segment micrographs into ferrite and pearlite.

    Over an existing output folder the run goes on where an earlier one stopped.
    """
    from steelquant.cli.segment_view import progress_bar, show_run
    from steelquant.segmentation import SegmentationInterrupted
    from steelquant.segmentation import segment as run_segment

    interrupted = False
    with progress_bar(is_shown=not as_json and console(stderr=True).is_terminal) as progress:
        try:
            run = run_segment(
                inputs,
                model=model,
                output=output,
                weights=weights,
                device=device,
                engine=engine,
                tile=tile,
                overlap=overlap,
                scale=scale,
                pixel_size_um=pixel_size,
                recursive=recursive,
                exclusion=_exclusion(crop_bottom, exclude, rectangle or []),
                probabilities=probabilities,
                ensemble=[name.strip() for name in (ensemble or "").split(",") if name.strip()],
                symmetries=tta,
                overwrite=overwrite,
                scheduler=scheduler,
                progress=progress,
            )
        except SegmentationInterrupted as interruption:
            run, interrupted = interruption.run, True
    show_run(run, as_json=as_json, is_interrupted=interrupted)
    if interrupted:
        raise typer.Exit(130)
    if run.failed:
        raise typer.Exit(1)


def _exclusion(crop_bottom_px: int, mask: Path | None, rectangles: list[str]) -> Exclusion | None:
    from steelquant.micrograph.exclusion import Exclusion, parse_rectangle

    if not (crop_bottom_px or mask or rectangles):
        return None
    return Exclusion(crop_bottom_px, mask, tuple(parse_rectangle(text) for text in rectangles))
