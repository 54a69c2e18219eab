"""Class tables: which value or colour in somebody's masks means which class.

Without a table masks are read by the conventions of :func:`steelquant.micrograph.masks.read_mask`
(0 ferrite, 1 pearlite, 255 excluded, and their usual spellings). A table is needed where a set has other
classes, or where 255 is a class and not "excluded".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelquant.errors import FileError, UsageError
from steelquant.micrograph.decoding import decode
from steelquant.micrograph.documents import parse_json, parse_yaml, shown
from steelquant.micrograph.field import EXCLUDED, PhaseClass

TABLE_NAMES = ("classes.yaml", "classes.yml", "classes.json")
"""A file of this name in a folder of labelled images is that folder's table."""

PALETTE = (
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (230, 159, 0),
    (120, 120, 120),
)
"""Colours of classes whose table names none: Okabe and Ito's, which the colour-blind can tell apart."""

StoredValue = int | tuple[int, int, int]
"""How a class stands in a mask file: a grey value (or palette index), or an RGB colour."""


@dataclass(frozen=True)
class ClassTable:
    """The classes of a labelled set and how its masks spell them.

    Attributes
    ----------
    classes
        In the order of their labels 0, 1, …
    stored
        For each class the grey value or the RGB colour in the mask files; all of one kind.
    ignored
        Stored values of pixels that shall not count.
    """

    classes: tuple[PhaseClass, ...]
    stored: tuple[StoredValue, ...]
    ignored: tuple[StoredValue, ...] = ()

    def labels_of(self, path: Path) -> NDArray[np.uint8]:
        """Read a mask file and turn its stored values into labels.

        Returns
        -------
        ndarray
            ``(height, width)``; 255 where the stored value is one of ``ignored``.

        Raises
        ------
        FileError
            If the file cannot be read, or holds a value that the table does not name.
        """
        stored = _stored_pixels(path)
        in_colour = isinstance(self.stored[0], tuple)
        if in_colour and stored.ndim == 2:
            stored = np.repeat(stored[..., None], 3, axis=2)
        if not in_colour and stored.ndim == 3:
            if not (np.ptp(stored, axis=2) == 0).all():
                raise FileError(path, "is in colour, but its class table names grey values; name RGB colours")
            stored = stored[..., 0]
        codes = stored if stored.ndim == 2 else _codes(stored)
        labels = np.full(codes.shape, EXCLUDED, np.uint8)
        known = np.zeros(codes.shape, bool)
        for label, value in [*enumerate(self.stored), *((EXCLUDED, value) for value in self.ignored)]:
            here = codes == (value if isinstance(value, int) else int(_codes(np.array(value))))
            labels[here], known = label, known | here
        if not known.all():
            first = stored[~known][0].tolist()
            raise FileError(
                path,
                f"{int((~known).sum())} pixels hold values that the class table does not name, such as "
                f"{first}; add them to its classes or to its ignored values",
            )
        return labels

    def to_json(self) -> dict[str, Any]:
        """Return the table as it stands in a file."""
        return {
            "classes": [
                {"name": c.name, "colour": list(c.colour), "value": value}
                for c, value in zip(self.classes, self.stored, strict=True)
            ],
            "ignored": list(self.ignored),
        }


def _codes(colours: NDArray[Any]) -> NDArray[np.int64]:
    return colours.astype(np.int64) @ np.array([65536, 256, 1])


def _stored_pixels(path: Path) -> NDArray[Any]:
    """Return a mask file's own values: ``(h, w)`` grey values or palette indices, or ``(h, w, 3)`` RGB."""
    picture = decode(path)
    if picture.lossy:
        raise FileError(path, "is compressed with loss, which blurs labels; save the mask as PNG or TIFF")
    if picture.model not in ("grey", "rgb") and picture.palette is None:
        raise FileError(
            path, f"is a {picture.model.upper()} picture, which no mask is; save it as PNG or TIFF"
        )
    samples = np.asarray(picture.samples)
    return samples.astype(np.uint8) if samples.dtype == bool else samples


def find_table(stated: str | Path | None, beside: Sequence[Path]) -> ClassTable | None:
    """Return the class table that holds for a labelled set.

    Parameters
    ----------
    stated
        What the user stated: a YAML or JSON file, or the table itself as ``VALUE=NAME,VALUE=NAME``.
    beside
        Folders in which ``classes.yaml`` (or ``.yml``, ``.json``) is the table, if none is stated.

    Returns
    -------
    ClassTable or None
        None if there is no table: then the masks follow the usual conventions.

    Raises
    ------
    UsageError, FileError
        If the stated table does not exist or means nothing.
    """
    if stated is not None and "=" in str(stated) and not Path(stated).exists():
        return _from_text(str(stated))
    if stated is not None:
        if not Path(stated).is_file():
            raise UsageError(
                f"--classes: there is no file {stated}; name one, or write VALUE=NAME,VALUE=NAME"
            )
        return read_table(Path(stated))
    for folder in beside:
        for name in TABLE_NAMES:
            if (folder / name).is_file():
                return read_table(folder / name)
    return None


def _from_text(text: str) -> ClassTable:
    entries = [part.partition("=") for part in text.split(",")]
    if not all(value.strip().isdigit() and name.strip() for value, _, name in entries):
        raise UsageError(f"--classes {text!r} is not VALUE=NAME,VALUE=NAME such as 0=ferrite,128=pearlite")
    values = [{"value": int(value), "name": name.strip()} for value, _, name in entries]
    try:
        return parse_table({"classes": values})
    except ValueError as error:
        raise UsageError(f"--classes {text!r}: {error}") from None


def read_table(path: Path) -> ClassTable:
    """Read a class table from YAML or JSON.

    The file holds ``classes``, a list of ``{value, name, colour}`` in the order of the labels (``value`` a
    grey value or an RGB triple, ``colour`` optional), and optionally ``ignored``, a list of values.

    Raises
    ------
    FileError
        If it cannot be read or understood.
    """
    try:
        text = path.read_text(encoding="utf-8")
        return parse_table(parse_json(text) if path.suffix.lower() == ".json" else parse_yaml(text))
    except (OSError, ValueError) as error:
        raise FileError(
            path, f"is no class table ({error}); it lists classes, each with a value and a name"
        ) from None


def parse_table(content: Any) -> ClassTable:
    """Build a table from what a file holds; :class:`ValueError` says what is wrong with it."""
    if not isinstance(content, Mapping) or not isinstance(content.get("classes"), Sequence):
        raise ValueError("there is no list 'classes'")
    classes: list[PhaseClass] = []
    stored: list[StoredValue] = []
    for label, entry in enumerate(content["classes"]):
        if not isinstance(entry, Mapping) or "value" not in entry or not str(entry.get("name", "")).strip():
            raise ValueError(f"class {label} lacks its value or its name")
        stored.append(_stored_value(entry["value"]))
        colour = _stored_value(entry.get("colour", PALETTE[label % len(PALETTE)]))
        if isinstance(colour, int):
            raise ValueError(f"the colour of class {label} is not three numbers")
        classes.append(PhaseClass(label, str(entry["name"]).strip(), colour))
    ignored = tuple(_stored_value(value) for value in content.get("ignored", ()))
    if not 2 <= len(classes) < EXCLUDED:
        raise ValueError(f"{len(classes)} classes; at least 2 are needed")
    if len({type(value) for value in (*stored, *ignored)}) > 1:
        raise ValueError("values must be all grey values or all RGB colours")
    if len(set(stored) | set(ignored)) < len(stored) + len(ignored):
        raise ValueError("a value stands there twice")
    if len({c.name for c in classes}) < len(classes):
        raise ValueError("a name stands there twice")
    return ClassTable(tuple(classes), tuple(stored), ignored)


def _stored_value(value: Any) -> StoredValue:
    if isinstance(value, int) and 0 <= value <= 65535:
        return value
    if isinstance(value, Sequence) and len(value) == 3 and all(isinstance(v, int) for v in value):
        red, green, blue = value
        if all(0 <= v <= 255 for v in value):
            return red, green, blue
    raise ValueError(f"{shown(value)} is neither a grey value nor three numbers 0–255")
