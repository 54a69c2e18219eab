"""How measurements look on the terminal: a bar while they go, a table of specimens at their end."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from steelquant.cli.console import console, print_warning

if TYPE_CHECKING:
    from rich.table import Table

    from steelquant.stereology import Quantification
    from steelquant.stereology.summary import SpecimenResult

_CARBON, _GRAIN_SIZE = "Carbon (wt%)", "Grain size G (–)"
_MOST_WARNED_FIELDS = 5


@contextlib.contextmanager
def progress_bar(*, is_shown: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Show a bar of fields on stderr; give what reports to it."""
    if not is_shown:
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("fields"), TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task("quantify", total=None)

        def report(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield report


def show_results(result: Quantification, output: Path, further: Sequence[Path], *, as_json: bool) -> None:
    """Print specimens and where reports are, or one JSON document and nothing else, to stdout.

    ``further`` is what was written besides the files of ``output``.
    """
    if as_json:
        from steelquant.reports import report_files
        from steelquant.reports.plain import specimen_json

        document = {
            "files": [str(path) for path in (*report_files(output), *further)] if result.fields else [],
            "specimens": [specimen_json(specimen) for specimen in result.specimens],
            "failures": [{"mask": str(error.path), "problem": error.problem} for error in result.failures],
            "warnings": list(result.warnings),
        }
        print(json.dumps(document, indent=2))
        return
    for warning in result.warnings:
        print_warning(warning)
    if not result.fields:
        return
    out = console()
    out.print(_table(result))
    for line in _remarks(result):
        out.print(line, markup=False, style="dim", highlight=False)
    failed = f"; {_count(len(result.failures), 'mask')} failed" if result.failures else ""
    written = ", ".join(map(str, (output, *further)))
    out.print(f"{_count(len(result.fields), 'field')} measured{failed}; report in {written}", markup=False)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _table(result: Quantification) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    main = result.quantities[0].name
    has_carbon = any(quantity.name == _CARBON for quantity in result.quantities)
    has_grains = any(specimen.grains is not None for specimen in result.specimens)
    has_verdict = any(specimen.verdict is not None for specimen in result.specimens)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("specimen", overflow="fold", min_width=len("specimen"))
    table.add_column("n", justify="right", no_wrap=True)
    table.add_column(f"{main.split(' (')[0].lower()} %", justify="right", no_wrap=True)
    table.add_column("%RA", justify="right", no_wrap=True)
    if has_carbon:
        table.add_column("carbon wt%", justify="right", no_wrap=True)
    if has_grains:
        table.add_column("grain size G", justify="right", no_wrap=True)
    if has_verdict:
        table.add_column("verdict", no_wrap=True)
    for specimen in result.specimens:
        estimates = specimen.estimates
        accuracy = estimates[main].relative_accuracy_percent
        row = [str(len(specimen.fields)), _with_interval(specimen, main, 2)]
        row.append("–" if accuracy is None else f"{accuracy:.1f}")
        if has_carbon:
            row.append(_with_interval(specimen, _CARBON, 3))
        if has_grains:
            row.append(_with_interval(specimen, _GRAIN_SIZE, 1))
        if has_verdict:
            row.append(str(specimen.verdict or ""))
        table.add_row(Text(specimen.name), *row)
    return table


def _with_interval(specimen: SpecimenResult, quantity: str, digits: int) -> str:
    found = specimen.estimates[quantity]
    if found.mean is None:
        return "–"
    interval = "" if found.ci95 is None else f" ± {found.ci95:.{digits}f}"
    return f"{found.mean:.{digits}f}{interval}"


def _remarks(result: Quantification) -> Iterator[str]:
    """Yield each remark once, with the specimens that it concerns, and what single fields warn of."""
    concerned: dict[str, list[str]] = {}
    for specimen in result.specimens:
        found = list(specimen.remarks)
        if specimen.grains is not None:
            found += [f"grain size: {remark}" for remark in specimen.grains.remarks]
        elif _GRAIN_SIZE in specimen.estimates:
            found.append(f"no grain size: {specimen.estimates[_GRAIN_SIZE].reason}")
        for remark in found:
            concerned.setdefault(remark, []).append(specimen.name)
    for remark, names in concerned.items():
        is_all = len(names) == len(result.specimens) > 1
        yield f"{'all specimens' if is_all else ', '.join(names)}: {remark}"
    warned = [field for field in result.fields if field.warnings]
    for field in warned[:_MOST_WARNED_FIELDS]:
        yield f"{field.source.name}: {'; '.join(field.warnings)}"
    if len(warned) > _MOST_WARNED_FIELDS:
        yield f"{len(warned) - _MOST_WARNED_FIELDS} more fields with warnings, see the report"
