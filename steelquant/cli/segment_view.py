"""How a segmentation run looks on the terminal: a bar while it goes, a table at its end."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from steelquant.cli.console import console, print_warning

if TYPE_CHECKING:
    from rich.table import Table

    from steelquant.segmentation import FieldResult, Progress, SegmentationRun


@contextlib.contextmanager
def progress_bar(*, is_shown: bool) -> Iterator[Callable[[Progress], None] | None]:
    """Show a bar with fields and megapixels per second on stderr; give what reports to it."""
    if not is_shown:
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("images"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[name]}", markup=False),
    )
    with RichProgress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task("segment", total=None, rate="", name="")

        def report(progress: Progress) -> None:
            rate = f"{progress.megapixels / progress.seconds:.2f} MP/s" if progress.megapixels else ""
            bar.update(
                task,
                completed=progress.fields_done,
                total=progress.fields_total,
                rate=rate,
                name=progress.result.name,
            )

        yield report


def show_run(run: SegmentationRun, *, as_json: bool, is_interrupted: bool) -> None:
    """Print the closing table and the total, or one JSON document and nothing else, to stdout."""
    if as_json:
        print(json.dumps({**run.to_json(), "interrupted": is_interrupted}, indent=2))
        return
    for warning in run.warnings:
        print_warning(warning)
    out = console()
    out.print(_table(run))
    out.print(_total(run), markup=False)
    if is_interrupted:
        out.print(f"interrupted after {len(run.fields)} of {run.total} images; the same command goes on")


def _table(run: SegmentationRun) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    phases = list(dict.fromkeys(name for result in run.fields for name in result.area_fractions))[1:]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("image", overflow="fold")
    for phase in phases or ["pearlite"]:
        table.add_column(f"{phase} %", justify="right", no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    table.add_column("warnings", overflow="fold")
    for result in run.fields:
        shares = [_percent(result, phase) for phase in phases or ["pearlite"]]
        seconds = "kept" if result.is_kept else f"{result.seconds:.1f}"
        if result.status == "failed":
            shares, seconds = ["failed", *[""] * (len(shares) - 1)], ""
        notes = [result.error] if result.error else result.all_warnings()
        table.add_row(Text(result.name), *shares, seconds, Text("; ".join(notes)))
    return table


def _percent(result: FieldResult, phase: str) -> str:
    value = result.area_fractions.get(phase, float("nan"))
    return f"{100 * value:.1f}" if value == value else "–"


def _total(run: SegmentationRun) -> str:
    kept = sum(result.is_kept for result in run.fields)
    done = len(run.fields) - len(run.failed) - kept
    parts = [f"{done} segmented by {run.model} on {run.device}" if done else "nothing new to segment"]
    if done:
        parts.append(f"{run.megapixels:.1f} MP in {run.seconds:.1f} s, {run.megapixels_per_second:.2f} MP/s")
    if kept:
        parts.append(f"{kept} kept from an earlier run")
    if run.failed:
        parts.append(f"{len(run.failed)} failed")
    return f"{'; '.join(parts)}; results in {run.output}"
