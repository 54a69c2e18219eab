"""Which files are micrographs, in which order, and under which names their results stand."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from natsort import natsort_keygen, ns

from steelquant.errors import UsageError
from steelquant.micrograph.masks import is_own_output

ENDINGS = frozenset(
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
"""Endings by which a folder's pictures are known; a file named outright may have any."""

_NATURAL = natsort_keygen(alg=ns.IGNORECASE)
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])(\.|$)")
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]')
_MAX_NAME_BYTES = 200


def find_micrographs(inputs: Sequence[Path], *, recursive: bool = False) -> list[Path]:
    """List the picture files among files and folders.

    Folders are searched in natural order (``field_2`` before ``field_10``). Hidden files and steelquant's
    own masks, overlays and probability pictures are passed over. Dangling links, folders with a picture's
    ending (without `recursive`) and folders that may not be read (with it) are listed, so that reading
    them fails by name and not in silence. A name with ``*`` or ``?`` that is no file is a pattern, for
    shells that do not expand it.

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
        candidates = list(_in_folder(entry, recursive, set())) if entry.is_dir() else [entry]
        for path in candidates:
            found.setdefault(os.path.normcase(_absolute(path)), path)
    if not found:
        raise UsageError(_nothing_found(inputs, recursive))
    return list(found.values())


def natural_key(path: Path) -> tuple[object, ...]:
    """Sort key of a path: its parts in natural order, the exact spelling between equals."""
    return (*(_NATURAL(part) for part in path.parts), str(path))


def output_names(fields: Sequence[tuple[Path, int, int]], roots: Sequence[Path]) -> list[str]:
    """Name the results of each field so that none overwrites another's.

    A field is named as its file without the ending. Fields of different files that would share a name,
    even only by upper and lower case, keep their ending (``a.tif``, ``a.png``); if they still do, the
    sub-folder goes before it (``left_a``), and if even that is equal, a hash of the full path goes behind.
    Pages of a multi-page file get ``.p01``, ``.p02``. Characters that Windows forbids become ``_``, its
    reserved names get one in front, and names above 200 bytes are cut and get a hash.

    Parameters
    ----------
    fields
        File, zero-based page and number of pages of each field.
    roots
        The folders that were searched; sub-folders are named relative to them.

    Returns
    -------
    list of str
        One name per field, in the same order, fit for every file system, without an ending of its own.
    """
    files = list(dict.fromkeys(path for path, _, _ in fields))
    chosen: dict[Path, str] = {}
    pending = files
    for spelling in (_stem, _with_ending, lambda path: _with_folder(path, roots), _with_hash):
        names = {path: _safe(spelling(path)) for path in pending}
        counts = Counter(_fold(name) for name in names.values())
        taken = {_fold(name) for name in chosen.values()}
        settled = {
            path: name
            for path, name in names.items()
            if counts[_fold(name)] == 1 and _fold(name) not in taken
        }
        chosen |= settled
        pending = [path for path in pending if path not in settled]
    return [
        chosen[path] if pages == 1 else f"{chosen[path]}.p{page + 1:0{max(2, len(str(pages)))}d}"
        for path, page, pages in fields
    ]


def _stem(path: Path) -> str:
    return path.stem


def _with_ending(path: Path) -> str:
    return path.name


def _with_folder(path: Path, roots: Sequence[Path]) -> str:
    folder = _absolute(path).parent
    for root in roots:
        base = _absolute(root)
        if folder.is_relative_to(base):
            inner = folder.relative_to(base)
            return "_".join((*(inner.parts or (base.name,)), path.name))
    return f"{folder.name}_{path.name}"


def _with_hash(path: Path) -> str:
    return f"{path.name}~{_digest(str(_absolute(path)))}"


def _absolute(path: Path) -> Path:
    """Return the full path without following links, so that two links to one file stay two."""
    return Path(os.path.normpath(path.absolute()))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _fold(name: str) -> str:
    """Fold what Windows and macOS do not tell apart: case and the composition of accents."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _safe(name: str) -> str:
    """Make a name that every file system takes."""
    safe = _FORBIDDEN.sub("_", unicodedata.normalize("NFC", name)).strip(" ").rstrip(". ") or "_"
    if _RESERVED.match(safe) or safe.startswith((".", "-", "~$")):
        safe = f"_{safe}"
    encoded = safe.encode("utf-8")
    if len(encoded) > _MAX_NAME_BYTES:
        kept = encoded[: _MAX_NAME_BYTES - 9].decode("utf-8", "ignore").rstrip(". ")
        safe = f"{kept}~{_digest(name)}"
    return safe


def _expand(inputs: Sequence[Path]) -> Iterator[Path]:
    """Yield the inputs, patterns expanded; a missing one is a wrong command."""
    for entry in inputs:
        if os.path.lexists(entry):
            yield entry
            continue
        matches = glob.glob(str(entry)) if glob.has_magic(str(entry)) else []  # noqa: PTH207 - the pattern may be absolute
        if not matches:
            raise UsageError(f"{entry}: no such file or folder")
        yield from sorted((Path(match) for match in matches), key=natural_key)


def _in_folder(folder: Path, recursive: bool, ancestors: set[tuple[int, int]]) -> Iterator[Path]:
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
        if _hidden(entry):
            continue
        if entry.is_dir() and recursive:
            folders.append(entry)
        elif entry.suffix.lower() in ENDINGS and (entry.is_dir() or not is_own_output(entry)):
            yield entry
    for inner in folders:
        yield from _in_folder(inner, recursive, ancestors | {identity})


def _hidden(path: Path) -> bool:
    """Tell whether a file is hidden by its name or, on Windows, by its attribute."""
    if path.name.startswith((".", "~$")):
        return True
    try:
        attributes = getattr(path.lstat(), "st_file_attributes", 0)
    except OSError:
        return False
    return bool(attributes & getattr(stat, "FILE_ATTRIBUTE_HIDDEN", 2))


def _nothing_found(inputs: Sequence[Path], recursive: bool) -> str:
    """Say why nothing was found and what to do."""
    where = ", ".join(str(path) for path in inputs) or "no input"
    message = f"{where}: no micrographs found (TIFF, PNG, JPEG or BMP)"
    if not recursive:
        inner = sum(len(list(_in_folder(path, True, set()))) for path in inputs if path.is_dir())
        if inner:
            return f"{message}, but {inner} in sub-folders; add --recursive"
    if any(is_own_output(path) for folder in inputs if folder.is_dir() for path in folder.iterdir()):
        return f"{message}; it holds results of steelquant, not micrographs"
    return message
