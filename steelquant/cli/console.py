"""What all commands share on the terminal: one error line, one console."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def console(*, stderr: bool = False) -> Console:
    """Return a Rich console; it writes plain text where the output is no terminal."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=True)


def print_error(message: str) -> None:
    """Print one line to stderr, unwrapped, so that scripts can read it."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)


def print_warning(message: str) -> None:
    """Print one line to stderr, unwrapped, so that scripts can read it."""
    print(f"warning: {' '.join(message.split())}", file=sys.stderr)
