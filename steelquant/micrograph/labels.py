"""What the pixels of a mask mean, whoever made it; never guessed.

1. A mask of steelquant (its description says so) holds labels; 255 is excluded.
2. Colours of the class table, and the grey of excluded pixels, mean those classes.
3. Grey values 0 and 255, both present and nothing else, are a binary mask: 255 is pearlite.
4. Grey values, or palette indices, that are labels of the class table are those; 255 is excluded.

Grey values count as stored: an inverting look-up table of ImageJ changes what is drawn, not the foreground,
which is 255 either way; the same holds for arrays saved with tifffile. Where two readings contradict each
other, where the mask was blurred by JPEG or has transparent pixels, or where a value is no label, the file
is refused by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelquant.errors import FileError
from steelquant.micrograph.field import EXCLUDED, PhaseClass
from steelquant.micrograph.picture import Picture

EXCLUDED_COLOUR = (128, 128, 128)
"""Drawn for excluded pixels, and read as them from masks in colour."""

_WRITERS_OF_NUMBERS = ("ImageJ=", '{"shape":')
"""How ImageJ and tifffile begin their descriptions: there "white is zero" says nothing about the numbers."""

_INVERTED_RAMP = np.arange(255, -1, -1)


def own_labels(picture: Picture, classes: tuple[PhaseClass, ...], path: Path) -> NDArray[np.uint8]:
    """Read the labels of a mask that steelquant wrote with `classes`.

    Raises
    ------
    FileError
        It holds other values than its labels and 255.
    """
    values = _whole_numbers(picture, path)
    present = _distinct(values)
    return _apply(values, present, _labels_of(present, classes, path))


def foreign_labels(picture: Picture, classes: tuple[PhaseClass, ...], path: Path) -> NDArray[np.uint8]:
    """Read a mask made elsewhere by the rules at the head of this module.

    Parameters
    ----------
    picture
        The stored samples.
    classes
        Labels and colours that it may use.
    path
        The file, for messages.

    Returns
    -------
    ndarray of uint8, ``(height, width)``
        Labels of `classes`, 255 where excluded.

    Raises
    ------
    FileError
        It holds other values or colours, which are listed, or can be read in two ways.
    """
    if picture.lossy:
        raise FileError(path, "is compressed with loss, which blurs labels; save the mask as PNG or TIFF")
    if picture.transparent is not None and picture.transparent.any():
        raise FileError(
            path,
            "has transparent pixels, which may be ferrite or excluded; save the mask without transparency",
        )
    if picture.model == "rgb":
        return _from_colours(np.asarray(picture.samples), classes, path)
    if picture.palette is not None:
        return _from_palette(picture.samples.astype(np.uint16), picture.palette, classes, path)
    if picture.model != "grey":
        raise FileError(path, f"is in {picture.model.upper()}, as no mask is; save it as PNG or TIFF")
    if picture.min_is_white and not picture.description.startswith(_WRITERS_OF_NUMBERS):
        raise FileError(
            path,
            "stores white as zero, so that it is unclear which phase is which; "
            "save it as 8-bit grey with 0 ferrite and 255 pearlite",
        )
    values = _whole_numbers(picture, path)
    present = _distinct(values)
    return _apply(values, present, _read_grey(present, classes, path))


def is_binary(picture: Picture) -> bool:
    """Tell whether a mask made elsewhere holds the two values 0 and 255, by rule 3 ferrite and pearlite."""
    return _distinct(np.asarray(picture.samples)) == [0, EXCLUDED]


def _read_grey(present: list[int], classes: tuple[PhaseClass, ...], path: Path) -> list[int]:
    """Return the label of each grey value that is present: a binary mask of 0 and 255, or labels."""
    if present == [EXCLUDED]:
        raise FileError(
            path, "holds 255 only, which may mean all pearlite or all excluded; save pearlite as 1"
        )
    if present == [0, EXCLUDED]:
        if {item.label for item in classes} != {0, 1}:
            raise FileError(path, "holds 0 and 255 only, unclear with more than two classes; save labels")
        return [0, 1]
    return _labels_of(present, classes, path)


def _labels_of(present: list[int], classes: tuple[PhaseClass, ...], path: Path) -> list[int]:
    """Return the values themselves if each is a label."""
    known = {item.label for item in classes} | {EXCLUDED}
    unknown = [value for value in present if value not in known]
    if unknown:
        table = ", ".join(f"{item.label} {item.name}" for item in classes)
        raise FileError(
            path, f"holds unknown labels {_listed(unknown)}; known are {table}, {EXCLUDED} excluded"
        )
    return present


def _from_palette(
    indices: NDArray[Any], palette: NDArray[np.uint8], classes: tuple[PhaseClass, ...], path: Path
) -> NDArray[np.uint8]:
    """Read palette pictures: by colour if all are of the class table, else by index.

    A palette of greys can also be read by what it draws. If that makes sense too and says otherwise, as
    with a two-colour palette whose first entry is white, nobody can know which was meant; only ImageJ's
    inverted ramp is known to be counted by index.
    """
    used = _distinct(indices)
    colours = [tuple(colour) for colour in palette[used].tolist()]
    by_colour = _colour_labels(classes)
    if all(colour in by_colour for colour in colours):
        return _apply(indices, used, [by_colour[colour] for colour in colours])
    labels = _read_grey(used, classes, path)
    inverted_by_imagej = len(palette) == 256 and (palette == _INVERTED_RAMP[:, None]).all()
    if all(r == g == b for r, g, b in colours) and not inverted_by_imagej:
        drawn = [colour[0] for colour in colours]
        if set(drawn) <= {0, EXCLUDED} and [value // EXCLUDED for value in drawn] != labels:
            raise FileError(
                path,
                f"draws its values {_listed(used)} as grey {_listed(drawn)}, which may mean "
                "either phase; save it as 8-bit grey with 0 ferrite and 255 pearlite",
            )
    return _apply(indices, used, labels)


def _from_colours(samples: NDArray[Any], classes: tuple[PhaseClass, ...], path: Path) -> NDArray[np.uint8]:
    """Read pictures in colour: through the class table, or grey ones as grey values."""
    if samples.dtype != np.uint8:
        raise FileError(path, f"stores {samples.dtype} colours; save the mask with 8 bits per channel")
    red, green, blue = (samples[..., channel] for channel in range(3))
    labels = np.empty(red.shape, np.uint8)
    known = np.zeros(red.shape, np.bool_)
    for (r, g, b), label in _colour_labels(classes).items():
        here = (red == r) & (green == g) & (blue == b)
        labels[here] = label
        known |= here
    if known.all():
        return labels
    if (red == green).all() and (red == blue).all():
        present = _distinct(red)
        return _apply(red, present, _read_grey(present, classes, path))
    unknown = np.unique(samples[~known], axis=0).tolist()
    table = ", ".join(f"{_hex(item.colour)} {item.name}" for item in classes)
    raise FileError(
        path,
        f"holds unknown colours {_listed([_hex(colour) for colour in unknown])}; "
        f"known are {table}, {_hex(EXCLUDED_COLOUR)} excluded",
    )


def _whole_numbers(picture: Picture, path: Path) -> NDArray[Any]:
    """Return the stored numbers if all are whole."""
    values = np.asarray(picture.samples)
    if values.dtype.kind == "f" and not (np.isfinite(values).all() and (values == np.floor(values)).all()):
        raise FileError(path, "holds values that are no whole numbers; a mask holds labels")
    return values


def _apply(values: NDArray[Any], present: list[int], labels: list[int]) -> NDArray[np.uint8]:
    """Replace each of the values `present` by its label."""
    if present == labels:
        return values.astype(np.uint8, copy=False)
    result = np.empty(values.shape, np.uint8)
    for value, label in zip(present, labels, strict=True):
        result[values == value] = label
    return result


def _colour_labels(classes: tuple[PhaseClass, ...]) -> dict[tuple[int, ...], int]:
    table: dict[tuple[int, ...], int] = {EXCLUDED_COLOUR: EXCLUDED}
    return table | {item.colour: item.label for item in classes}


def _distinct(values: NDArray[Any]) -> list[int]:
    """Return the distinct values in order, fast for bytes."""
    if values.dtype == np.uint8:
        return [int(value) for value in np.flatnonzero(np.bincount(values.ravel(), minlength=256))]
    return [int(value) for value in np.unique(values)]


def _hex(colour: Sequence[int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _listed(values: Sequence[object]) -> str:
    """List values in a line, the first eight of them."""
    text = ", ".join(str(value) for value in values[:8])
    return text if len(values) <= 8 else f"{text} and {len(values) - 8} more"
