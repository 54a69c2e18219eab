"""Files behind URLs, through fsspec: ``s3://``, ``gs://``, ``https://`` and what else it knows."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

from steelquant.errors import FileError, SteelquantError, UsageError
from steelquant.locations import is_url, spelled
from steelquant.micrograph.decoding import count_pages_in
from steelquant.micrograph.discovery import is_micrograph_name
from steelquant.micrograph.files import sha256_of
from steelquant.micrograph.naming import SNIFFED_BYTES, holds_own_mark, natural_key

_LOOKERS = 8
"""Files looked into at once: over a network waiting is most of it."""


def list_micrographs(place: Path, *, recursive: bool) -> list[tuple[Path, int]]:
    """List the pictures behind a URL in natural order, each with its number of fields.

    Parameters
    ----------
    place
        The URL of a file, or of a folder whose micrographs are meant; results of steelquant are passed over.
    recursive
        Search sub-folders too.

    Raises
    ------
    UsageError
        There are none, or the storage cannot be reached.
    """
    files, root = open_url(place)
    try:
        names = [""] if files.isfile(root) else files.find(root, maxdepth=None if recursive else 1)
    except Exception as error:
        raise UsageError(f"{spelled(place)}: the storage answers: {error}") from error
    inner = [PurePosixPath(name).relative_to(root) for name in names if name]
    paths = [place / path for path in inner if is_micrograph_name(path)] if inner else [place]
    with ThreadPoolExecutor(_LOOKERS) as lookers:
        counts = lookers.map(_count_pages, paths)
        found = [(path, count) for path, count in zip(paths, counts, strict=True) if count]
    if not found:
        raise UsageError(f"{spelled(place)}: no micrographs found (TIFF, PNG, JPEG or BMP)")
    return sorted(found, key=lambda entry: natural_key(entry[0]))


def _count_pages(path: Path) -> int:
    """Count the fields of a file, 0 for a result of steelquant; one that cannot be opened fails later."""
    try:
        files, root = open_url(path)
        with storage_errors(path), files.open(root, "rb") as stream:
            if holds_own_mark(stream.read(SNIFFED_BYTES)):
                return 0
            stream.seek(0)
            return count_pages_in(stream, path)
    except FileError:
        return 1


def sha256_at(path: Path) -> str:
    """Return the hash of a file's bytes, wherever it lies.

    Raises
    ------
    FileError
        It cannot be read.
    """
    if not is_url(path):
        return sha256_of(path)
    with storage_errors(path):
        files, root = open_url(path)
        with files.open(root, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()


def open_url(path: Path) -> tuple[Any, str]:
    """Return fsspec's file system for a URL, and the path in it.

    Raises
    ------
    UsageError
        If fsspec, or what it needs for this kind of storage, is not installed.
    """
    try:
        from fsspec.core import url_to_fs

        files, root = url_to_fs(spelled(path))
    except (ImportError, ValueError) as error:
        raise UsageError(f"{spelled(path)}: {error}") from error
    return files, root.rstrip("/")


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the errors of any storage into a `FileError` about ``path``."""
    try:
        yield
    except SteelquantError:
        raise
    except FileNotFoundError as error:
        raise FileError(path, "the storage has no such file") from error
    except Exception as error:
        raise FileError(path, f"the storage answers: {error}") from error
