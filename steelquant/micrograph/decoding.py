"""Picture files of every kind to their stored samples: told apart by content, checked, hashed, decoded."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import io
import os
import stat
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

from steelquant.errors import FileError, SteelquantError
from steelquant.micrograph import raster, tiff
from steelquant.micrograph.files import is_folder, reason, sha256_of
from steelquant.micrograph.picture import Picture

_IN_MEMORY_BYTES = 64 * 2**20
"""Up to this size a file is read once, hashed and decoded from memory; further pages need no second hash."""

_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_RASTER_MAGIC = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG", b"BM": "BMP"}
_FOREIGN_MAGIC = {
    b"GIF8": "a GIF",
    b"RIFF": "a WebP or another RIFF file",
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a ZIP or Office file",
    b"ZISRAWFILE": "a Zeiss CZI file",
    b"\xda\xce\xbe\x0a": "a Nikon ND2 file",
    b"\x00\x00\x00\x0cjP  ": "a JPEG 2000 file",
    b"\xff\x4f\xff\x51": "a JPEG 2000 file",
    b"\xd0\xcf\x11\xe0": "an old Office or Zeiss ZVI file",
    b"\x89HDF": "an HDF5 file",
    b"<": "a text file",
    b"{": "a text file",
}
_MAGIC_BYTES = 16
_CONFUSED = (AttributeError, IndexError, KeyError, NameError, TypeError, ZeroDivisionError, struct.error)
"""Errors by which decoders stumble over nonsense; their texts would tell a user nothing."""

_Result = TypeVar("_Result")


def decode(path: Path, page: int = 0) -> Picture:
    """Decode one field of a picture file.

    Parameters
    ----------
    path
        TIFF, PNG, JPEG or BMP; the content decides, not the ending.
    page
        Zero-based index of the field among the full-size pages of a TIFF.

    Raises
    ------
    FileError
        It cannot be read, is no picture of these kinds, is damaged or cut off, or is too large.
    """

    def read(stream: BinaryIO, kind: str, size: int) -> Picture:
        if isinstance(stream, io.BytesIO):
            sha256 = hashlib.sha256(stream.getvalue()).hexdigest()
        else:
            status = os.fstat(stream.fileno())
            sha256 = _hash_of_stream(path, status.st_mtime_ns, status.st_size)
        if kind == "TIFF":
            return tiff.decode(stream, path, page, size, sha256)
        if page:
            raise FileError(path, f"has no page {page + 1}; a {kind} holds one picture")
        return raster.decode(stream, path, kind, size, sha256)

    return _with_file(path, read, in_memory=page == 0)


def count_pages(path: Path) -> int:
    """Count the fields of a picture file without decoding them.

    Raises
    ------
    FileError
        As `decode`, as far as the file's structure shows it.
    """

    def count(stream: BinaryIO, kind: str, size: int) -> int:
        return tiff.count_pages(stream, path) if kind == "TIFF" else 1

    return _with_file(path, count, in_memory=False)


def count_pages_in(stream: BinaryIO, path: Path) -> int:
    """Count the fields of a picture file that is open, wherever it lies; see `count_pages`.

    Raises
    ------
    FileError
        As `count_pages`.
    """
    with file_errors(path):
        kind = _sniff(path, stream.read(_MAGIC_BYTES))
        stream.seek(0)
        return tiff.count_pages(stream, path) if kind == "TIFF" else 1


def _with_file(path: Path, use: Callable[[BinaryIO, str, int], _Result], *, in_memory: bool) -> _Result:
    """Open and sniff a file and call ``use(stream, kind, size)``."""
    with file_errors(path), open_picture(path) as (stream, kind, size):
        if in_memory and size <= _IN_MEMORY_BYTES:
            return use(io.BytesIO(stream.read()), kind, size)
        return use(stream, kind, size)


@contextlib.contextmanager
def open_picture(path: Path) -> Iterator[tuple[BinaryIO, str, int]]:
    """Open a picture file; give it at its beginning, with its format as its content tells and its size."""
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise FileError(path, "is no ordinary file")  # opening a pipe would wait for ever
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        kind = _sniff(path, stream.read(_MAGIC_BYTES))
        stream.seek(0)
        yield stream, kind, size


@contextlib.contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Turn every failure to read a picture file into a `FileError`."""
    try:
        yield
    except SteelquantError:
        raise
    except OSError as error:
        if error.errno is not None:
            raise FileError(path, f"cannot be read: {_open_problem(path, error)}") from error
        raise FileError(path, f"is damaged or cut off ({_short(error)})") from error
    except MemoryError as error:
        raise FileError(path, "is too large for the memory of this machine") from error
    except Exception as error:
        # Decoders meet broken data with errors of every type; none of them may end a batch.
        detail = "" if isinstance(error, _CONFUSED) else f" ({_short(error)})"
        raise FileError(path, f"is damaged or of an unknown kind{detail}") from error


def _sniff(path: Path, start: bytes) -> str:
    """Tell the format by the first bytes."""
    if not start:
        raise FileError(path, "is empty (0 bytes)")
    if start.startswith(_TIFF_MAGIC):
        return "TIFF"
    for magic, kind in _RASTER_MAGIC.items():
        if start.startswith(magic):
            return kind
    what = next((f" but {name}" for magic, name in _FOREIGN_MAGIC.items() if start.startswith(magic)), "")
    raise FileError(path, f"is no TIFF, PNG, JPEG or BMP{what}; export it as TIFF")


def _open_problem(path: Path, error: OSError) -> str:
    """Say why a path does not open, as its user would."""
    if is_folder(path):
        return (
            "it is a folder, not a picture"
            if os.access(path, os.R_OK | os.X_OK)
            else "this folder may not be opened"
        )
    if error.errno == errno.ENOENT and path.is_symlink():
        return "it is a link to a file that is not there"
    return reason(error)


def _short(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else text[:157] + "..."


@functools.lru_cache(maxsize=16)
def _hash_of_stream(path: Path, _modified_ns: int, _size: int) -> str:
    """Hash a large or many-paged file once, not once per page."""
    return sha256_of(path)
