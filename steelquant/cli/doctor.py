"""``steelquant doctor``: what this machine offers, how fast the networks run on it, what would help."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from steelquant.cli.console import console

if TYPE_CHECKING:
    from steelquant.segmentation.doctor import Diagnosis


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Examine this machine: devices, engines and their speed, weights, and what would make it faster."""
    from steelquant.segmentation.doctor import diagnose

    diagnosis = diagnose()
    if as_json:
        print(json.dumps(diagnosis.to_json(), indent=2))
    else:
        out = console()
        for label, text in _lines(diagnosis):
            out.print(f"[bold]{label:<10}[/bold]", end="")
            out.print(text, markup=False)
    if not diagnosis.works:
        raise typer.Exit(1)


def _lines(diagnosis: Diagnosis) -> Iterator[tuple[str, str]]:
    from steelquant.segmentation.doctor import MODEL, WORK_GFLOP_PER_MP

    machine = diagnosis.machine
    memory = f", {machine['memory_gib']} GiB of memory" if machine["memory_gib"] else ""
    yield "machine", f"{machine['processor']}, {machine['cores']} cores{memory}; {machine['system']}"
    yield "versions", ", ".join(f"{name} {version}" for name, version in diagnosis.versions.items())
    yield "devices", f"{', '.join(diagnosis.devices)}; --device auto takes {diagnosis.device}"
    rate = f"{diagnosis.matrix_gflops:.0f} GFLOP/s in float32 on the processor"
    yield "matrices", f"{rate}, which allows {MODEL} {diagnosis.matrix_gflops / WORK_GFLOP_PER_MP:.2f} MP/s"
    for engine in diagnosis.engines:
        if engine.problem is not None:
            yield "engine", f"{engine.name} on {engine.device} cannot be used: {engine.problem}"
            continue
        speed = f"{engine.megapixels_per_second:.2f} MP/s with {MODEL}, ready in {engine.load_seconds:.1f} s"
        yield "engine", f"{engine.name} {engine.version} on {engine.device}: {speed}"
    for status in diagnosis.models:
        if status.problem is not None:
            yield "weights", f"{status.info.name}: {status.weights} cannot be used: {status.problem}"
        elif status.weights is not None:
            yield "weights", f"{status.info.name}: {status.weights}"
    if not any(status.weights for status in diagnosis.models):
        yield "weights", "none; steelquant train makes them"
    yield "cache", str(diagnosis.cache)
    for sentence in diagnosis.advice:
        yield "faster", sentence
