"""``steelquant demo``: six sample micrographs through the whole way, and where to look."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from steelquant.cli.console import console


def demo(
    output: Annotated[Path, typer.Option(help="Folder for samples/, segmented/ and report.xlsx.")] = Path(),
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
) -> None:
    """Make six sample micrographs, segment and quantify them, and say where to look.

    Given again, it keeps what is there.
    """
    from steelquant.cli.segment_view import progress_bar, show_run
    from steelquant.learning.samples import SAMPLES, Sample, write_samples
    from steelquant.networks.weights import find_weights
    from steelquant.segmentation import segment
    from steelquant.segmentation.options import DEFAULT_MODEL
    from steelquant.stereology import quantify

    samples, masks, report = output / "samples", output / "segmented", output / "report.xlsx"
    out, screen = console(), console(stderr=True)

    def announce(sample: Sample) -> None:
        screen.print(f"drawing {sample.name}: {sample.description}", markup=False)

    find_weights(DEFAULT_MODEL)  # said before a minute is spent on drawing
    paths = write_samples(samples, on_sample=announce)
    with progress_bar(is_shown=screen.is_terminal) as progress:
        run = segment(paths, output=masks, device=device, progress=progress)
    show_run(run, as_json=False, is_interrupted=False)
    if run.failed:
        raise typer.Exit(1)
    screen.print("measuring the masks")
    result = quantify([masks / field.mask for field in run.fields], output=report, specimen="{}", workers=0)
    for failure in result.failures:
        screen.print(str(failure), markup=False)
    out.print("Look at:")
    rows = (
        (samples, f"{len(SAMPLES)} micrographs of 2080x1542 px, 0.2 µm/px, drawn by steelquant synthesize"),
        (masks, "one mask and one overlay each: open the .overlay.png first"),
        (report, "the numbers, with units, confidence and provenance"),
    )
    for place, words in rows:
        out.print(f"  {place}  {words}", markup=False)
    out.print("Your own: steelquant segment FOLDER, then steelquant quantify")
    if result.failures:
        raise typer.Exit(1)
