"""Files on disk: hashed, and written whole or not at all."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import json
import math
import os
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from steelquant.errors import FileError
from steelquant.micrograph.unfinished import remove_abandoned_since, unfinished_beside

_REPLACE_ATTEMPTS = 6
_REASONS = {
    errno.ENOSPC: "the disk is full; free some space and run again",
    errno.EDQUOT: "the disk quota is used up; free some space and run again",
    errno.EACCES: "no permission; change its permissions or use another place",
    errno.EPERM: "no permission; change its permissions or use another place",
    errno.EROFS: "the disk is read-only; choose another folder",
    errno.EIO: "the disk reported an input/output error; check the disk or the network drive",
    errno.ENOENT: "no such file or folder",
    errno.ENOTDIR: "a part of its path is a file, not a folder",
    errno.EISDIR: "it is a folder, not a file",
    errno.ENAMETOOLONG: "its name is too long for this disk",
    errno.ELOOP: "it is a link that leads back to itself",
    errno.EMFILE: "too many files are open in this process",
    errno.ENODEV: "the drive is not there",
    errno.ESTALE: "the network drive lost the file",
}


def reason(error: OSError) -> str:
    """Say in plain words what an ``OSError`` means for the user."""
    if error.errno in _REASONS:
        return _REASONS[error.errno]
    return error.strerror or str(error) or type(error).__name__


def is_folder(path: Path) -> bool:
    """Tell whether `path` is a folder; what cannot be looked at is none, where ``Path.is_dir`` may raise."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits.

    Raises
    ------
    FileError
        The file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise FileError(path, f"cannot be read: {reason(error)}") from error


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` that becomes `path`, whole, when the block ends well.

    The temporary file keeps the ending of `path` (some writers choose the format by it); what killed
    processes left unfinished in the folder goes. It is flushed
    to the disk before it takes its name, so that after a crash or a power cut either the old or the new
    content stands there. When the block fails, the temporary file goes and `path` stays as it was.

    Parameters
    ----------
    path
        The file to write; missing parent folders are made.

    Yields
    ------
    Path
        Where to write.

    Raises
    ------
    FileError
        The folder cannot be made or written, the disk is full, or another program holds `path` open.
    """
    with unfinished_beside(path) as temporary:
        try:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except FileExistsError:
                raise FileError(path, f"cannot be written: {path.parent} is a file, not a folder") from None
            remove_abandoned_since(path.parent.absolute())
            yield temporary
            _flush(temporary)
            _replace(temporary, path)
            _flush_folder(path.parent)
        except OSError as error:
            if error.filename is not None and Path(os.fsdecode(error.filename)) not in (
                temporary,
                path,
                *path.parents,
            ):
                raise
            raise FileError(path, f"cannot be written: {reason(error)}") from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically.

    Raises
    ------
    FileError
        As `atomic_write`.
    """
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, content: Any) -> None:
    """Write `content` to `path` atomically as indented UTF-8 JSON, keys in the order given.

    Paths become text, NumPy numbers become numbers, dataclasses become objects, and numbers that are
    not finite become null, because JSON has no word for them.

    Raises
    ------
    FileError
        As `atomic_write`.
    """
    text = json.dumps(_plain(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    # File names on Linux may hold bytes that are no UTF-8; the escape of such a byte is also JSON's own.
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def _plain(value: Any) -> Any:
    """Return `value` in the types that the json module knows."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, Path):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    return value


def _flush(path: Path) -> None:
    """Have the operating system put a finished file on the disk."""
    with path.open("rb+") as stream:
        try:
            os.fsync(stream.fileno())
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network drives know no flushing
                raise


def _replace(temporary: Path, path: Path) -> None:
    """Rename over `path`; on Windows wait a moment for scanners and viewers that hold it open."""
    for attempt in range(_REPLACE_ATTEMPTS):
        try:
            temporary.replace(path)
            return
        except PermissionError as error:
            if is_folder(path):
                raise FileError(path, "cannot be written: a folder has this name") from error
            if os.name != "nt":
                raise
            if attempt == _REPLACE_ATTEMPTS - 1:
                raise FileError(
                    path, "cannot be written: another program has it open (Excel, a viewer?); close it there"
                ) from error
            time.sleep(0.05 * 2**attempt)


def _flush_folder(folder: Path) -> None:
    """Put the new name on the disk too; Windows and some network drives cannot, and need not."""
    if os.name == "nt":
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
