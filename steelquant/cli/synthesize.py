"""``steelquant synthesize``: synthetic micrographs with exact masks and grain labels."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from steelquant.cli.console import console
from steelquant.errors import UsageError


def synthesize(
    count: Annotated[int, typer.Option("--count", "-n", help="How many fields.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for images, masks and grains.")],
    size: Annotated[str, typer.Option(help="Width x height in pixels.")] = "2080x1542",
    seed: Annotated[int, typer.Option(help="The same seed makes the same fields.")] = 0,
    recipe: Annotated[
        Path | None,
        typer.Option(help="YAML with parameter ranges; recipe.yaml of any set documents the keys."),
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; by default one a core.")] = None,
    contact_sheet: Annotated[
        Path | None,
        typer.Option(help="Where to put the overview picture instead of OUTPUT/contact-sheet.jpg."),
    ] = None,
) -> None:
    """Make synthetic micrographs of ferrite and pearlite with a label for every pixel.

    An interrupted run goes on where it stopped when the same command is given again.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from steelquant.learning.synthetic.contact_sheet import CONTACT_SHEET_NAME, write_contact_sheet
    from steelquant.learning.synthetic.dataset import make_dataset
    from steelquant.learning.synthetic.recipe import Recipe, read_recipe

    width, height = _size(size)
    ranges = read_recipe(recipe) if recipe is not None else Recipe()
    screen = console(stderr=True)
    columns = (TextColumn("fields"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen, disable=not screen.is_terminal) as bar:
        task = bar.add_task("fields", total=count)
        made = make_dataset(
            ranges, output, count=count, width=width, height=height, seed=seed, workers=workers,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip
    sheet = contact_sheet or output / CONTACT_SHEET_NAME
    write_contact_sheet(output, sheet, count=count)
    there = f", {count - made} were already there" if made < count else ""
    console().print(f"{made} fields of {width}x{height} made in {output}{there}; overview in {sheet}")


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)\s*[x×X]\s*(\d+)", text.strip())
    if match is None:
        raise UsageError(f"--size must be width x height such as 2080x1542, not {text!r}")
    return int(match[1]), int(match[2])
