"""Names on disk: natural order, names for results that no file system refuses, and our own files' marks."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from natsort import natsort_keygen, ns

MASK_MARK = "steelquant label mask 1"
"""Stands in the description of every mask that steelquant writes."""

PROBABILITY_MARK = "steelquant probability 1"
"""Stands in the description of every probability picture that steelquant writes."""

GRAINS_MARK = "steelquant grain labels 1"
"""Stands in the description of the grain labels that come with synthetic micrographs."""

OVERLAY_ENDING = ".overlay.png"
PROBABILITY_ENDING = ".probability.tif"

SNIFFED_BYTES = 4096
"""The description of every result stands within so many first bytes of its file."""

_NATURAL = natsort_keygen(alg=ns.IGNORECASE)
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])\s*(\.|$)")
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]')
_MAX_NAME_BYTES = 200
"""Leaves room for the longest ending of a result within the 255 bytes that file systems allow."""


def natural_key(path: Path) -> tuple[object, ...]:
    """Sort key of a path: its parts in natural order, the exact spelling between equals."""
    return (tuple(_NATURAL(part) for part in path.parts), str(path))


def is_own_output(path: Path) -> bool:
    """Tell whether a file is a mask, an overlay, a probability picture or grain labels of steelquant's."""
    if path.name.lower().endswith((OVERLAY_ENDING, PROBABILITY_ENDING)):
        return True
    try:
        if path.suffix.lower() not in (".tif", ".tiff") or not path.is_file():
            return False
        with path.open("rb") as stream:
            start = stream.read(SNIFFED_BYTES)
    except OSError:
        return False
    return holds_own_mark(start)


def holds_own_mark(start: bytes) -> bool:
    """Tell by the first bytes of a file whether it is a result of steelquant's."""
    return any(mark.encode() in start for mark in (MASK_MARK, PROBABILITY_MARK, GRAINS_MARK))


def full_path(path: Path) -> Path:
    """Return the full path without following links, so that two links to one file stay two."""
    return Path(os.path.normpath(path.absolute()))


def output_names(fields: Sequence[tuple[Path, int, int]], roots: Sequence[Path]) -> list[str]:
    """Name the results of each field so that none overwrites another's.

    A field is named as its file without the ending. Fields of different files that would share a name,
    even only by upper and lower case, keep their ending (``a.tif``, ``a.png``); if they still do, the
    sub-folder goes before (``left_a``, or ``left_a.tif``), and if even that is equal, a hash of the full
    path goes behind. Pages of a multi-page file get ``.p01``, ``.p02``. Characters that Windows forbids
    become ``_``, its reserved names get one in front, and names above 200 bytes are cut and get a hash.

    Parameters
    ----------
    fields
        File, zero-based page and number of pages of each field.
    roots
        The files and folders that were searched; sub-folders are named relative to them.

    Returns
    -------
    list of str
        One name per field, in the same order, fit for every file system, without an ending of its own.
    """
    pages = {path: max(1, count) for path, _, count in fields}
    spellings: tuple[Callable[[Path], str], ...] = (
        lambda path: path.stem,
        lambda path: path.name,
        lambda path: _with_folder(path, roots, path.stem),
        lambda path: _with_folder(path, roots, path.name),
        lambda path: f"{path.name}~{_digest(f'{full_path(path)} {path}')}",
    )
    chosen: dict[Path, list[str]] = {}
    taken: set[str] = set()
    pending = list(pages)
    for spelling in spellings:
        offered = {path: _page_names(_safe(spelling(path)), pages[path]) for path in pending}
        counts = Counter(_fold(name) for names in offered.values() for name in names)
        for path, names in offered.items():
            folded = {_fold(name) for name in names}
            if folded.isdisjoint(taken) and all(counts[name] == 1 for name in folded):
                chosen[path] = names
                taken |= folded
        pending = [path for path in pending if path not in chosen]
    return [chosen[path][page] for path, page, _ in fields]


def _page_names(name: str, pages: int) -> list[str]:
    """Return the names of all fields of a file."""
    if pages == 1:
        return [name]
    digits = max(2, len(str(pages)))
    return [f"{name}.p{page + 1:0{digits}d}" for page in range(pages)]


def _with_folder(path: Path, roots: Sequence[Path], name: str) -> str:
    """Put the folders below the searched root, or else the file's own folder, before its name."""
    folder = full_path(path).parent
    for root in roots:
        base = full_path(root)
        if folder != base and folder.is_relative_to(base):
            return "_".join((*folder.relative_to(base).parts, name))
    return f"{folder.name}_{name}"


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
