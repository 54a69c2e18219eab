"""``steelquant train``: the paper's networks, or any, on a labelled set."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from steelquant.cli.console import console
from steelquant.errors import UsageError

if TYPE_CHECKING:
    from steelquant.learning.training import TrainingRun


class ProtocolName(StrEnum):
    """The two ways to train."""

    paper = "paper"
    best = "best"


def train(
    model: Annotated[
        str,
        typer.Option(help="unet, segnet, resnet50, resnet18, mobilenetv2, all, or smp:ARCHITECTURE:ENCODER."),
    ],
    data: Annotated[Path, typer.Option(help="A data set made by 'steelquant prepare'.")],
    protocol: Annotated[
        ProtocolName, typer.Option(help="The paper's settings, or what was found better.")
    ] = ProtocolName.paper,
    output: Annotated[Path, typer.Option(help="Folder of the runs; each model has its own in it.")] = Path(
        "runs"
    ),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with runs that were interrupted.")] = False,
    epochs: Annotated[
        float | None, typer.Option(help="Passes over the training crops; may be a fraction.")
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Crops an iteration.")] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Fine-tune this weight file of the same model.")
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(help="Start the encoder from a safetensors file, or 'imagenet' from the hub; else He."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of order, augmentation and initialisation.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    devices: Annotated[
        int, typer.Option(min=1, help="GPUs, or processes on the CPU, that train together on a machine.")
    ] = 1,
    num_nodes: Annotated[
        int, typer.Option(min=1, help="Machines that train together, each with as many --devices.")
    ] = 1,
    workers: Annotated[int | None, typer.Option(min=0, help="Processes that load crops.")] = None,
) -> None:
    """Train networks on a data set; writes weights, history.csv and curves.png into OUTPUT/MODEL."""
    from steelquant.learning.protocol import protocol_for
    from steelquant.networks.registry import MODELS, model_info

    names = list(MODELS) if model == "all" else [model]
    if len(names) > 1 and (weights or encoder):
        raise UsageError("--weights and --encoder belong to one model; name it with --model")
    protocols = {
        name: protocol_for(protocol.value, model_info(name), epochs=epochs, batch=batch) for name in names
    }

    from steelquant.learning.dataset import read_dataset
    from steelquant.learning.start import Start
    from steelquant.learning.training import train

    start = Start(weights, encoder)
    dataset = read_dataset(data)
    runs = [
        train(
            dataset,
            name,
            protocols[name],
            output=output,
            start=start,
            seed=seed,
            resume=resume,
            device=device,
            devices=devices,
            num_nodes=num_nodes,
            workers=workers,
        )
        for name in names
    ]
    if all(run.is_told_here for run in runs):
        _show(runs, dataset.split)


def _show(runs: list[TrainingRun], split: str) -> None:
    """Print the rows of the paper's Table 3, ours above the paper's."""
    from rich.table import Table

    from steelquant.learning.history import clock
    from steelquant.learning.paper_results import PAPER_TABLE_3

    table = Table(title=f"Training results (paper: Table 3; ours: split {split})")
    for heading in ("model", "train acc %", "train loss", "val acc %", "val loss", "iterations", "time"):
        table.add_column(heading, justify="left" if heading == "model" else "right")
    for run in runs:
        row = run.rows[-1]
        table.add_row(
            run.model.title,
            f"{100 * row.training_accuracy:.3f}",
            f"{row.training_loss:.3f}",
            f"{100 * row.validation_accuracy:.3f}",
            f"{row.validation_loss:.3f}",
            str(row.iteration),
            clock(row.seconds),
        )
        if paper := PAPER_TABLE_3.get(run.model.name):
            table.add_row("  the paper's", *(str(value) for value in paper), style="dim")
    screen = console()
    screen.print(table)
    for run in runs:
        screen.print(f"weights: {run.weights}")
