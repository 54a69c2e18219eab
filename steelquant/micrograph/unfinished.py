"""Unfinished files: how they are named, which are in work here, and which a dead process left behind.

A name tells the machine and the process that write, so that a later run in the same folder removes what was
left by a process that is dead, and nothing that another one is still writing.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import re
import secrets
import sys
import time
from collections.abc import Iterator
from pathlib import Path

TEMPORARY_PREFIX = ".steelquant-"
"""Names of unfinished files begin so: hidden, short (long names stay legal) and never taken for an output."""

_NAME = re.compile(re.escape(TEMPORARY_PREFIX) + r"(?:([0-9a-f]{8})-(\d+)-)?[0-9a-f]{12}\.part(?:\..*)?")
_FORGOTTEN_S = 24 * 3600
"""What a process on another machine has not touched for this long it will not finish."""

_in_work: set[Path] = set()

_of_others: dict[Path, list[tuple[Path, int]]] = {}
"""By folder what other processes here were writing when it was looked through, and their numbers."""


@contextlib.contextmanager
def unfinished_beside(path: Path) -> Iterator[Path]:
    """Give a name for an unfinished file beside `path`, with its ending; what bears it at the end goes."""
    name = f"{TEMPORARY_PREFIX}{_machine()}-{os.getpid()}-{secrets.token_hex(6)}.part{path.suffix[:16]}"
    temporary = path.parent / name
    _in_work.add(temporary)
    try:
        yield temporary
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        _in_work.discard(temporary)


def remove_own() -> None:
    """Remove what this process has not finished: it is about to end without waiting for its threads."""
    for temporary in list(_in_work):
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def remove_abandoned(folder: Path) -> None:
    """Remove what dead processes left unfinished in a folder.

    Of processes on other machines, or in other containers, only files that nobody touched for a day go.
    """
    living: list[tuple[Path, int]] = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if (name := _NAME.fullmatch(entry.name)) is None:
                continue
            machine, process = name.groups()
            if _is_abandoned(entry, machine, process):
                with contextlib.suppress(OSError):
                    Path(entry).unlink()
            elif machine == _machine() and process is not None and int(process) != os.getpid():
                living.append((Path(entry), int(process)))
    _of_others[folder] = living


def remove_abandoned_since(folder: Path) -> None:
    """Look through a folder at the first call; later only at what others were writing then.

    It is asked for before every file, and a killed process may take a moment to die.
    """
    if folder not in _of_others:
        remove_abandoned(folder)
        return
    living = []
    for temporary, process in _of_others[folder]:
        if _is_alive(process):
            living.append((temporary, process))
        else:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
    _of_others[folder] = living


def _is_abandoned(entry: os.DirEntry[str], machine: str | None, process: str | None) -> bool:
    if process is not None and machine == _machine():
        return not _is_alive(int(process))
    try:
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > _FORGOTTEN_S
    except OSError:
        return False


@functools.cache
def _machine() -> str:
    """Return eight digits for where a process number means a process: this machine, or this container."""
    try:
        container = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        container = ""
    return hashlib.sha256(f"{platform.node()} {container}".encode()).hexdigest()[:8]


def _is_alive(process: int) -> bool:
    """Tell whether a process of this number runs; where that cannot be told, it does."""
    if sys.platform == "win32":
        import ctypes

        may_ask, still_active, no_such_process = 0x1000, 259, 87
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.OpenProcess.restype = ctypes.c_void_p
        handle = kernel.OpenProcess(may_ask, False, process)
        if not handle:
            return ctypes.get_last_error() != no_such_process
        code = ctypes.c_ulong(still_active)
        kernel.GetExitCodeProcess(ctypes.c_void_p(handle), ctypes.byref(code))
        kernel.CloseHandle(ctypes.c_void_p(handle))
        return code.value == still_active
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    try:  # One that has ended, but which nobody has asked about yet, keeps its number.
        status = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True
    return status.rpartition(")")[2].split()[0] != "Z"
