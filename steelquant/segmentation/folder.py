"""The output folder of a run: on a disk, or anywhere that fsspec reaches."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import Protocol

from steelquant.errors import FileError
from steelquant.locations import is_url
from steelquant.micrograph.files import reason, sha256_of, write_bytes
from steelquant.micrograph.unfinished import remove_abandoned
from steelquant.segmentation.lock import folder_lock
from steelquant.segmentation.urls import open_url, storage_errors

RECORD_NAME = "segmentation.json"


class OutputFolder(Protocol):
    """What a run asks of its output folder; names are those of files in it.

    Attributes
    ----------
    path
        The folder, for messages.
    """

    path: Path

    def has_record(self) -> bool:
        """Tell whether an earlier run left its record here."""
        ...

    def make(self) -> None:
        """Make the folder if it is not there."""
        ...

    def lock(self) -> contextlib.AbstractContextManager[None]:
        """Hold the folder for this run."""
        ...

    def remove_leftovers(self) -> None:
        """Remove unfinished files of a run that was killed."""
        ...

    def read(self, name: str) -> bytes | None:
        """Return a file's content, None where there is none."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all."""
        ...

    def is_taken(self, name: str) -> bool:
        """Tell whether anything has this name."""
        ...

    def is_file(self, name: str) -> bool:
        """Tell whether there is a file of this name."""
        ...

    def sha256(self, name: str) -> str:
        """Return the hash of a file's bytes."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file."""
        ...


class LocalFolder:
    """An output folder on a disk or a network drive; see :class:`OutputFolder`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def has_record(self) -> bool:
        """Tell whether an earlier run left its record here."""
        try:
            return (self.path / RECORD_NAME).exists()
        except OSError as error:
            raise self._not_made(error) from error

    def make(self) -> None:
        """Make the folder if it is not there."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._not_made(error) from error

    def lock(self) -> contextlib.AbstractContextManager[None]:
        """Hold the folder for this run."""
        return folder_lock(self.path)

    def remove_leftovers(self) -> None:
        """Remove unfinished files of a run that was killed."""
        remove_abandoned(self.path)

    def read(self, name: str) -> bytes | None:
        """Return a file's content, None where there is none."""
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            problem = f"cannot be read: {reason(error)}; choose another --output"
            raise FileError(self.path / name, problem) from None

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all."""
        write_bytes(self.path / name, content)

    def is_taken(self, name: str) -> bool:
        """Tell whether anything has this name."""
        path = self.path / name
        return path.exists() or path.is_symlink()

    def is_file(self, name: str) -> bool:
        """Tell whether there is a file of this name."""
        return (self.path / name).is_file()

    def sha256(self, name: str) -> str:
        """Return the hash of a file's bytes."""
        return sha256_of(self.path / name)

    def remove(self, name: str) -> None:
        """Remove a file."""
        try:
            (self.path / name).unlink()
        except OSError as error:
            raise FileError(self.path / name, f"cannot be removed: {reason(error)}") from error

    def _not_made(self, error: OSError) -> FileError:
        return FileError(self.path, f"this output folder cannot be made: {reason(error)}")


class RemoteFolder:
    """An output folder behind a URL, where nothing can be locked; see :class:`OutputFolder`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files, self._root = open_url(path)

    def has_record(self) -> bool:
        """Tell whether an earlier run left its record here."""
        return self.is_file(RECORD_NAME)

    def make(self) -> None:
        """Make the folder, where the storage knows folders."""
        with storage_errors(self.path):
            self._files.makedirs(self._root, exist_ok=True)

    def lock(self) -> contextlib.AbstractContextManager[None]:
        """Hold nothing: there are no locks here."""
        return contextlib.nullcontext()

    def remove_leftovers(self) -> None:
        """Do nothing: files are sent whole."""

    def read(self, name: str) -> bytes | None:
        """Return a file's content, None where there is none."""
        with storage_errors(self.path / name):
            place = self._at(name)
            return bytes(self._files.cat_file(place)) if self._files.exists(place) else None

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all."""
        with storage_errors(self.path / name):
            self._files.pipe_file(self._at(name), content)

    def is_taken(self, name: str) -> bool:
        """Tell whether anything has this name."""
        with storage_errors(self.path / name):
            return bool(self._files.exists(self._at(name)))

    def is_file(self, name: str) -> bool:
        """Tell whether there is a file of this name."""
        with storage_errors(self.path / name):
            return bool(self._files.isfile(self._at(name)))

    def sha256(self, name: str) -> str:
        """Return the hash of a file's bytes."""
        with storage_errors(self.path / name), self._files.open(self._at(name), "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def remove(self, name: str) -> None:
        """Remove a file."""
        with storage_errors(self.path / name):
            self._files.rm_file(self._at(name))

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"


def output_folder(path: Path) -> OutputFolder:
    """Return the folder behind a path or a URL."""
    return RemoteFolder(path) if is_url(path) else LocalFolder(path)
