"""``steelquant models``: which networks there are, and how good their weights are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from steelquant.cli.console import console

if TYPE_CHECKING:
    from steelquant.networks.weights import WeightsMetadata
    from steelquant.segmentation.models import ModelStatus


def models(
    weights: Annotated[
        Path | None,
        typer.Option(help="Weight file, or a folder of them.", show_default="the shipped ones"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """List the models: parameters, weights, training data, measured accuracy, licence."""
    from steelquant.segmentation.models import list_models

    statuses = list_models(weights)
    if as_json:
        print(json.dumps([status.to_json() for status in statuses], indent=2))
    else:
        out = console()
        for status in statuses:
            count = f"{status.info.learnables:,} parameters" if status.info.learnables else ""
            out.print(f"[bold]{status.info.name:<13}[/bold]{status.info.title:<27}{count}")
            for label, text in _lines(status):
                out.print(f"  {label:<11}{text}", markup=False)
            out.print()
    if any(status.problem for status in statuses):
        raise typer.Exit(1)


def _lines(status: ModelStatus) -> Iterator[tuple[str, str]]:
    yield "network", status.info.description
    if status.weights is None:
        yield "weights", f"none; steelquant train --model {status.info.name} makes them"
        return
    size_mb = status.weights.stat().st_size / 1e6
    yield "weights", f"{status.weights} ({size_mb:.1f} MB)"
    if status.metadata is None:
        yield "problem", str(status.problem)
        return
    yield "trained on", _training(status.metadata)
    known = status.metadata.familiarity
    if known is None:
        yield "warns", "not of fields unlike its training fields, which it does not know"
    else:
        yield "warns", f"of fields unlike its training fields, learnt from {known.fields} of them"
    for name, figures in status.metadata.metrics.items():
        yield "accuracy", f"{name}: {_figures(figures)}"
    if not status.metadata.metrics:
        yield "accuracy", "not measured"
    yield "licence", status.metadata.licence or "not stated"


def _training(metadata: WeightsMetadata) -> str:
    """Say what the weights have seen, as far as their header tells."""
    facts = metadata.training
    parts = [str(facts["data"])] if facts.get("data") else []
    if facts.get("images"):
        parts.append(f"{facts['images']:,} images")
    if facts.get("crops_seen"):
        parts.append(f"{facts['crops_seen']:,} crops of {metadata.crop_px} px")
    if facts.get("split"):
        parts.append(f"split {facts['split']}")
    if metadata.pixel_size_um:
        low, high = metadata.pixel_size_um
        parts.append(f"{low:.3g}–{high:.3g} µm/px")
    return ", ".join(parts) or "not stated"


def _figures(figures: Any) -> str:
    if not isinstance(figures, dict):
        return str(figures)
    return ", ".join(
        f"{key.replace('_', ' ')} {f'{value:.4f}' if isinstance(value, float) else value}"
        for key, value in figures.items()
    )
