"""``steelquant prepare``: images and masks into a dataset of crops."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from steelquant.cli.console import console
from steelquant.errors import UsageError

if TYPE_CHECKING:
    from steelquant.learning.prepare import Prepared


def prepare(
    images: Annotated[Path, typer.Argument(help="Folder of micrographs.")],
    masks: Annotated[Path, typer.Argument(help="Folder of their masks, under the same names.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the dataset.")],
    split: Annotated[
        str, typer.Option(help="by-image: no image on two sides. random: the paper's, optimistic.")
    ] = "by-image",
    group: Annotated[
        str | None,
        typer.Option(help="Regular expression; images in whose names it finds the same stay together."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the split.")] = 0,
    crop: Annotated[int, typer.Option(help="Edge of the crops in px.")] = 224,
    fractions: Annotated[
        str, typer.Option(help="Training/validation/test in percent; 80/20/0 leaves no test.")
    ] = "70/20/10",
    classes: Annotated[
        str | None,
        typer.Option(help="Class table: a YAML or JSON file, or 0=ferrite,128=pearlite,… by stored value."),
    ] = None,
    export: Annotated[
        bool, typer.Option("--export", help="Write the crops as files too, into OUTPUT/crops.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another dataset in the same folder.")
    ] = False,
) -> None:
    """Cut labelled micrographs into crops, turned four ways, for training, validation and test."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from steelquant.learning.prepare import prepare as run

    shares = _fractions(fractions)
    screen = console(stderr=True)
    columns = (TextColumn("images read"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen, disable=not screen.is_terminal) as bar:
        task = bar.add_task("images", total=None)
        prepared = run(
            images,
            masks,
            output,
            split=split,
            group=group,
            seed=seed,
            crop_px=crop,
            fractions=shares,
            classes=classes,
            export=export,
            overwrite=overwrite,
            on_read=lambda done, total: bar.update(task, completed=done, total=total),
        )
    _show(prepared)


def _fractions(text: str) -> tuple[float, float, float]:
    try:
        training, validation, test = (float(part) for part in text.split("/"))
    except ValueError:
        raise UsageError(f"--fractions {text!r} is not three numbers such as 70/20/10") from None
    return training, validation, test


def _show(prepared: Prepared) -> None:
    from rich.table import Table

    dataset = prepared.dataset
    table = Table(title=f"{dataset.root}: crops of {dataset.crop_px}² px, split {dataset.split}")
    for heading in ("side", "images", "groups", "crops"):
        table.add_column(heading, justify="left" if heading == "side" else "right")
    for side, crops in dataset.crops.items():
        images = dataset.images_on(side)
        groups = {dataset.images[index].group for index in images}
        table.add_row(side, str(len(images)), str(len(groups)), str(len(crops)))
    total = sum(len(crops) for crops in dataset.crops.values())
    groups = {image.group for image in dataset.images}
    table.add_section()
    table.add_row("all", str(len(dataset.images)), str(len(groups)), str(total))
    screen = console()
    screen.print(table)
    screen.print(f"classes: {', '.join(f'{c.label} {c.name}' for c in dataset.classes)}")
    if prepared.unlabelled_crops:
        screen.print(f"{prepared.unlabelled_crops} crop positions without a labelled pixel were left out")
    if dataset.split == "random":
        screen.print("turned twins and neighbours stand on both sides: figures of this split are optimistic")
    screen.print(f"manifest: {dataset.root / 'dataset.json'}")
