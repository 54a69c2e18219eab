"""The commands: each module reads its options, calls one function and shows the result.

Nothing heavy is imported here or at the top of a command's module, so that ``--help`` answers at once.
"""

from __future__ import annotations

import contextlib
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from steelquant import __version__
from steelquant.cli.console import print_error
from steelquant.cli.demo import demo
from steelquant.cli.doctor import doctor
from steelquant.cli.evaluate import evaluate
from steelquant.cli.interruption import EXIT_CODE, MESSAGE, end_within_a_second, leave
from steelquant.cli.models import models
from steelquant.cli.prepare import prepare
from steelquant.cli.quantify import quantify
from steelquant.cli.segment import segment
from steelquant.cli.synthesize import synthesize
from steelquant.cli.train import train
from steelquant.errors import SteelquantError


class _OneLineErrors(TyperGroup):
    """Tells a user's mistake in one line on stderr and leaves with the error's exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except SteelquantError as error:
            print_error(str(error))
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            print_error(MESSAGE)
            raise typer.Exit(EXIT_CODE) from None


app = typer.Typer(
    name="steelquant",
    cls=_OneLineErrors,
    help="Quantitative metallography in batches: micrographs to masks, masks to numbers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"steelquant {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and leave."),
    ] = False,
) -> None:
    pass


app.command()(segment)
app.command()(quantify)
app.command()(models)
app.command()(doctor)
app.command()(demo)
app.command()(synthesize)
app.command()(prepare)
app.command()(train)
app.command()(evaluate)


def main() -> None:
    """Run the command line."""
    end_within_a_second()
    try:
        app()
    except SystemExit as end:
        if end.code != EXIT_CODE:
            raise
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        leave()
