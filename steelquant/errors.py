"""The errors that a user can cause, each told in one line; anything else that escapes is a bug.

The command line prints ``str(error)`` and leaves with ``error.exit_code``: 2 where the command was
wrong, 1 where a file was.
"""

from __future__ import annotations

from pathlib import Path

from steelquant.locations import spelled


class SteelquantError(Exception):
    """Base of all errors that are told to the user in one line, without a traceback."""

    exit_code = 1


class UsageError(SteelquantError):
    """The command itself cannot be carried out: a wrong option, an empty folder, a missing model."""

    exit_code = 2


class FileError(SteelquantError):
    """One file cannot be used; the rest of a batch goes on.

    Parameters
    ----------
    path
        The file, as the user named it.
    problem
        What is wrong and what to do about it, without the file's name.
    """

    def __init__(self, path: Path | str, problem: str) -> None:
        self.path = Path(path)
        self.problem = " ".join(problem.split())
        super().__init__(f"{spelled(self.path)}: {self.problem}")

    def __reduce__(self) -> tuple[type[FileError], tuple[Path, str]]:
        """Pickle by the two arguments, so that the error crosses process borders whole."""
        return type(self), (self.path, self.problem)
