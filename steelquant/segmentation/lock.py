"""One run at a time in an output folder; the operating system frees the lock when a run dies."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from steelquant.errors import FileError, UsageError
from steelquant.micrograph.files import reason
from steelquant.micrograph.unfinished import TEMPORARY_PREFIX

_NAME = f"{TEMPORARY_PREFIX}lock"
_TAKEN = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}


@contextlib.contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold a folder for this process.

    On file systems without locks (some network drives) it holds nothing and lets the run begin.

    Raises
    ------
    UsageError
        If another process holds it.
    FileError
        If the folder cannot be written.
    """
    path = folder / _NAME
    try:
        descriptor = _open_current(path)
    except BlockingIOError:
        raise UsageError(
            f"{folder}: another steelquant writes into this folder; wait for it or choose another --output"
        ) from None
    except OSError as error:
        raise FileError(folder, f"cannot be written: {reason(error)}") from None
    try:
        yield
    finally:
        if sys.platform == "win32":
            os.close(descriptor)
            with contextlib.suppress(OSError):
                path.unlink()
        else:
            with contextlib.suppress(OSError):
                path.unlink()
            os.close(descriptor)


def _open_current(path: Path) -> int:
    """Open and lock the file that bears the name now, not one that its owner has just removed."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(descriptor)
            if sys.platform == "win32" or os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _TAKEN:
            raise BlockingIOError(error.errno, "taken") from None
