"""Which files are micrographs or masks, and in which order."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

from steelquant.errors import FileError, UsageError
from steelquant.micrograph.files import is_folder, reason
from steelquant.micrograph.naming import (
    OVERLAY_ENDING,
    PROBABILITY_ENDING,
    full_path,
    is_own_output,
    natural_key,
    output_names,
)

__all__ = ["find_masks", "find_micrographs", "output_names"]

_PICTURE_ENDINGS = frozenset(
    (
        ".tif",
        ".tiff",
        ".btf",
        ".tf2",
        ".tf8",
        ".lsm",
        ".png",
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".bmp",
        ".dib",
    )
)
_HIDDEN_STARTS = (".", "~$")
_MASK_ENDINGS = frozenset((".tif", ".tiff", ".png", ".bmp"))


def find_micrographs(inputs: Sequence[Path], *, recursive: bool = False) -> list[Path]:
    """List the picture files among files and folders.

    Folders are searched in natural order (``field_2`` before ``field_10``). Hidden files and steelquant's
    own masks, overlays and probability pictures are passed over. Dangling links, folders with a picture's
    ending (without `recursive`) and folders that may not be read are listed, so that reading them fails by
    name and not in silence. A name with ``*`` or ``?`` that is no file is a pattern, for shells that do
    not expand it.

    Parameters
    ----------
    inputs
        Files, which are taken whatever their ending, and folders.
    recursive
        Search sub-folders too.

    Returns
    -------
    list of Path
        Each file once, in the order of `inputs`.

    Raises
    ------
    UsageError
        An input does not exist, or nothing was found.
    """
    found: dict[str, Path] = {}
    for entry in _expand(inputs):
        for path in _pictures(entry, recursive, frozenset()) if is_folder(entry) else (entry,):
            found.setdefault(os.path.normcase(full_path(path)), path)
    if not found:
        raise UsageError(_nothing_found(inputs, recursive))
    return list(found.values())


def is_micrograph_name(path: PurePath) -> bool:
    """Tell by its name whether a file in a folder would be taken for a micrograph."""
    name = path.name.lower()
    return (
        path.suffix.lower() in _PICTURE_ENDINGS
        and not name.startswith(_HIDDEN_STARTS)
        and not name.endswith((OVERLAY_ENDING, PROBABILITY_ENDING))
    )


def find_masks(inputs: Sequence[Path]) -> list[Path]:
    """List the mask files among files and folders, in natural order.

    Of folders the TIFF, PNG and BMP files are taken; overlays, probability pictures and hidden files are
    passed over.

    Raises
    ------
    UsageError
        An input does not exist, or nothing was found.
    FileError
        A folder cannot be read.
    """
    found: dict[str, Path] = {}
    for entry in _expand(inputs):
        for path in _masks(entry) if is_folder(entry) else (entry,):
            found.setdefault(os.path.normcase(full_path(path)), path)
    if not found:
        where = ", ".join(str(path) for path in inputs) or "no input"
        raise UsageError(f"{where}: no masks found (TIFF, PNG or BMP); run `steelquant segment` first")
    return list(found.values())


def _expand(inputs: Sequence[Path]) -> Iterator[Path]:
    """Yield the inputs, patterns expanded; a missing one is a wrong command."""
    for entry in inputs:
        if os.path.lexists(entry):
            yield entry
            continue
        pattern = str(entry)
        matches = glob.glob(pattern) if glob.has_magic(pattern) else []  # noqa: PTH207 - may be absolute
        if not matches:
            raise UsageError(f"{entry}: no such file or folder")
        yield from sorted((Path(match) for match in matches), key=natural_key)


def _pictures(folder: Path, recursive: bool, ancestors: frozenset[tuple[int, int]]) -> Iterator[Path]:
    """Yield the pictures of a folder and, if asked, of its sub-folders, in natural order."""
    try:
        status = folder.stat()
        entries = sorted(folder.iterdir(), key=natural_key)
    except OSError:
        yield folder
        return
    identity = (status.st_dev, status.st_ino)
    if identity in ancestors:
        return  # a link that leads back up
    folders = []
    for entry in entries:
        if _is_hidden(entry):
            continue
        if recursive and is_folder(entry):
            folders.append(entry)
        elif entry.suffix.lower() in _PICTURE_ENDINGS and not is_own_output(entry):
            yield entry
    for inner in folders:
        yield from _pictures(inner, recursive, ancestors | {identity})


def _masks(folder: Path) -> Iterator[Path]:
    """Yield the masks of a folder in natural order."""
    try:
        entries = sorted(folder.iterdir(), key=natural_key)
    except OSError as error:
        raise FileError(folder, f"cannot be read: {reason(error)}") from error
    for path in entries:
        if path.suffix.lower() not in _MASK_ENDINGS or _is_hidden(path):
            continue
        if not path.name.lower().endswith((OVERLAY_ENDING, PROBABILITY_ENDING)):
            yield path


def _is_hidden(path: Path) -> bool:
    """Tell whether a file is hidden by its name or, on Windows, by its attribute."""
    if path.name.startswith(_HIDDEN_STARTS):
        return True
    try:
        attributes = getattr(path.lstat(), "st_file_attributes", 0)
    except OSError:
        return False
    return bool(attributes & stat.FILE_ATTRIBUTE_HIDDEN)


def _nothing_found(inputs: Sequence[Path], recursive: bool) -> str:
    """Say why nothing was found and what to do."""
    folders = [path for path in inputs if is_folder(path)]
    where = ", ".join(str(path) for path in inputs) or "no input"
    message = f"{where}: no micrographs found (TIFF, PNG, JPEG or BMP)"
    inner = 0 if recursive else sum(1 for folder in folders for _ in _pictures(folder, True, frozenset()))
    if inner:
        return f"{message}, but {inner} in sub-folders; add --recursive"
    if any(is_own_output(path) for folder in folders for path in folder.iterdir()):
        return f"{message}; it holds results of steelquant, not micrographs"
    return message
