"""``steelquant evaluate``: trained networks beside the paper's figures and a plain threshold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from steelquant.cli.console import console, print_error, print_warning

if TYPE_CHECKING:
    from steelquant.learning.tables import Table

_FILE_WIDTH = 200
"""Columns of a table that goes into a file or a pipe, so that its rows stay whole."""


def evaluate(
    data: Annotated[
        Path, typer.Argument(help="A dataset (its test side), or a folder with images/ and masks/.")
    ],
    model: Annotated[
        str,
        typer.Option(help="unet, segnet, resnet50, resnet18, mobilenetv2, several with commas, or all."),
    ],
    weights: Annotated[
        Path | None, typer.Option(help="Weight file, or a folder of them, instead of the shipped ones.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the results.")] = Path(
        "evaluation"
    ),
    crops: Annotated[
        bool, typer.Option("--crops", help="Judge by crops of the paper's size, not by whole fields.")
    ] = False,
    scale: Annotated[float, typer.Option(help="The networks see the fields resampled by this factor.")] = 1.0,
    robustness: Annotated[
        bool, typer.Option("--robustness", help="Judge by degraded fields too: light, focus, noise, …")
    ] = False,
    ensemble: Annotated[str, typer.Option(help="Models, with commas, whose mean is judged too.")] = "",
    tta: Annotated[
        bool, typer.Option("--tta", help="Judge every model averaged over the eight symmetries too.")
    ] = False,
    classes: Annotated[
        str | None,
        typer.Option(help="Class table of a folder: a file, or 0=ferrite,128=pearlite,… by stored value."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    seed: Annotated[int, typer.Option(help="Of the degradations and of the bootstrap.")] = 0,
    record: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Write the figures, under this name, into the weight files judged."
        ),
    ] = None,
) -> None:
    """Compare models on labelled micrographs; writes a workbook, pictures and evaluation.json."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from steelquant.learning.evaluation_run import EvaluationOptions, run_evaluation
    from steelquant.learning.evaluation_tables import closing_tables

    options = EvaluationOptions(
        data=data,
        models=model,
        weights=weights,
        output=output,
        crops=crops,
        scale=scale,
        robustness=robustness,
        ensemble=tuple(name.strip() for name in ensemble.split(",") if name.strip()),
        symmetries=tta,
        classes=classes,
        device=device,
        seed=seed,
        record=record,
    )
    screen = console(stderr=True)
    columns = (TextColumn("fields"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen, disable=not screen.is_terminal) as bar:
        task = bar.add_task("fields", total=None)
        found = run_evaluation(
            options,
            warn=print_warning,
            on_field=lambda done, total: bar.update(task, completed=done, total=total),
        )
    for table in closing_tables(found):
        _show(table)
    console().print(f"workbook, pictures and record: {output}")
    for failure in found.failures:
        print_error(str(failure))
    if found.failures:
        raise typer.Exit(1)


def _show(table: Table) -> None:
    from rich.table import Table as RichTable

    from steelquant.learning.tables import text_of

    screen = console()
    if not screen.is_terminal:
        screen.width = _FILE_WIDTH
    shown = RichTable(title=table.title)
    for number, heading in enumerate(table.columns):
        shown.add_column(heading, justify="right" if number else "left")
    for row in table.rows:
        shown.add_row(*map(text_of, row), style="dim" if str(row[0]).startswith("  ") else None)
    screen.print(shown)
    for note in table.notes:
        screen.print(note, style="dim")
    screen.print()
