"""Masks on disk: label TIFFs that Fiji and QuPath read with their scale, and masks made elsewhere.

What a foreign mask means is decided by these rules, in this order, and never guessed:

1. A mask of steelquant (its OME description says so) holds labels; 255 is excluded.
2. Colours of the class table, and its grey for excluded pixels, mean those classes.
3. Grey values 0 and 255, both present and nothing else, are a binary mask: 255 is pearlite.
4. Grey values, or palette indices, that are labels of the class table are those; 255 is excluded.

Values count as stored: an inverting look-up table of ImageJ changes the display, not the foreground, which is
255 either way. Where two rules contradict each other, or a value is no label, the file is refused by name.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from natsort import natsort_keygen, ns
from numpy.typing import NDArray

from steelquant.errors import FileError, UsageError
from steelquant.micrograph.calibration import calibrate
from steelquant.micrograph.decoding import count_pages, decode
from steelquant.micrograph.field import EXCLUDED, STEEL_CLASSES, Mask, PhaseClass
from steelquant.micrograph.files import atomic_write
from steelquant.micrograph.picture import Picture

EXCLUDED_COLOUR = (128, 128, 128)
"""Drawn for excluded pixels, and read as them from masks in colour."""

OVERLAY_ENDING = ".overlay.png"
PROBABILITY_ENDING = ".probability.tif"

_MASK_CREATOR = "steelquant label mask 1"
_PROBABILITY_CREATOR = "steelquant probability 1"
_ENDINGS = frozenset((".tif", ".tiff", ".png", ".bmp"))
_SNIFFED_BYTES = 4096


def write_mask(
    path: Path,
    labels: NDArray[np.uint8],
    *,
    pixel_size_um: float | None,
    classes: tuple[PhaseClass, ...] = STEEL_CLASSES,
) -> None:
    """Write a label TIFF: uint8, deflate, with a colour map, its classes and, where known, its scale.

    The scale stands in the resolution tags in pixels per centimetre and in an OME description in µm, so that
    Fiji, QuPath and tifffile show the same. Equal labels give equal bytes.

    Parameters
    ----------
    path
        The file to write.
    labels
        ``(height, width)`` uint8, the classes' labels and 255 for excluded pixels.
    pixel_size_um
        Edge of a pixel in µm, or None for no scale.
    classes
        Names and colours of the labels.

    Raises
    ------
    FileError
        The file cannot be written.
    """
    colormap = np.zeros((3, 256), np.uint16)
    for label, colour in [(EXCLUDED, EXCLUDED_COLOUR), *((item.label, item.colour) for item in classes)]:
        colormap[:, label] = np.array(colour, np.uint16) * 257
    table = [{"label": item.label, "name": item.name, "colour": list(item.colour)} for item in classes]
    description = _description(
        _MASK_CREATOR, labels.shape, pixel_size_um, {"classes": table, "excluded": EXCLUDED}
    )
    _write_tiff(path, labels, description, pixel_size_um, photometric="palette", colormap=colormap)


def write_probability(path: Path, prob_uint8: NDArray[np.uint8], *, pixel_size_um: float | None) -> None:
    """Write the pearlite probability as a grey TIFF, 0 = surely not, 255 = surely pearlite.

    Parameters
    ----------
    path
        The file to write.
    prob_uint8
        ``(height, width)`` uint8.
    pixel_size_um
        Edge of a pixel in µm, or None for no scale.

    Raises
    ------
    FileError
        The file cannot be written.
    """
    description = _description(_PROBABILITY_CREATOR, prob_uint8.shape, pixel_size_um, {"scale": "255 = 1"})
    _write_tiff(path, prob_uint8, description, pixel_size_um, photometric="minisblack")


def read_probability(path: Path) -> NDArray[np.uint8]:
    """Read what `write_probability` wrote.

    Raises
    ------
    FileError
        It cannot be read or is no probability picture of steelquant.
    """
    picture = decode(path)
    if _PROBABILITY_CREATOR not in picture.description:
        raise FileError(path, "is no probability picture of steelquant")
    return picture.samples.astype(np.uint8, copy=False)


def read_mask(
    path: Path, *, pixel_size_um: float | None = None, classes: tuple[PhaseClass, ...] = STEEL_CLASSES
) -> Mask:
    """Read a mask, steelquant's own or one made elsewhere.

    Parameters
    ----------
    path
        TIFF, PNG or BMP: labels, 0/255, palette or class colours, by the rules at the head of this module.
    pixel_size_um
        The user's own scale in µm per pixel; it wins over what the file states.
    classes
        The class table for masks made elsewhere; steelquant's own masks carry theirs.

    Raises
    ------
    FileError
        It cannot be read, or a value is no label or no colour of the table.
    UsageError
        `pixel_size_um` is not a finite positive number.
    """
    if count_pages(path) > 1:
        raise FileError(path, "holds several pages; a mask is one picture per file")
    picture = decode(path)
    calibration = calibrate(picture.statements, pixel_size_um)
    if _PROBABILITY_CREATOR in picture.description:
        raise FileError(path, "is a probability picture, not a mask")
    if _MASK_CREATOR in picture.description:
        classes = _own_classes(picture.description, path)
        labels = _as_labels(_stored_values(picture, path), classes, path)
    else:
        labels = _foreign_labels(picture, classes, path)
    return Mask(path, labels, calibration, picture.sha256, classes)


def find_masks(inputs: Sequence[Path]) -> list[Path]:
    """List the mask files among files and folders, in natural order.

    Overlays, probability pictures and hidden files of folders are passed over.

    Raises
    ------
    UsageError
        An input does not exist, or nothing was found.
    """
    found: dict[Path, None] = {}
    key = natsort_keygen(alg=ns.IGNORECASE)
    for entry in inputs:
        if entry.is_dir():
            for path in sorted(entry.iterdir(), key=lambda item: (key(item.name), item.name)):
                name = path.name.lower()
                if (
                    path.suffix.lower() in _ENDINGS
                    and not name.startswith(".")
                    and not name.endswith((OVERLAY_ENDING, PROBABILITY_ENDING))
                ):
                    found[path] = None
        elif entry.exists() or entry.is_symlink():
            found[entry] = None
        else:
            raise UsageError(
                f"{entry}: no such file or folder; run `steelquant segment` first or name your masks"
            )
    if not found:
        where = ", ".join(str(path) for path in inputs) or "no input"
        raise UsageError(f"{where}: no masks found (TIFF, PNG or BMP); run `steelquant segment` first")
    return list(found)


def is_own_output(path: Path) -> bool:
    """Tell whether a file is a mask, an overlay or a probability picture that steelquant wrote."""
    name = path.name.lower()
    if name.endswith((OVERLAY_ENDING, PROBABILITY_ENDING)):
        return True
    if path.suffix.lower() not in (".tif", ".tiff"):
        return False
    try:
        with path.open("rb") as stream:
            start = stream.read(_SNIFFED_BYTES)
    except OSError:
        return False
    return _MASK_CREATOR.encode() in start or _PROBABILITY_CREATOR.encode() in start


def _description(
    creator: str, shape: tuple[int, ...], pixel_size_um: float | None, facts: dict[str, Any]
) -> bytes:
    """Write the OME description: sizes, scale in OME's default unit µm, and `facts` as JSON."""
    scale = (
        ""
        if pixel_size_um is None
        else f' PhysicalSizeX="{pixel_size_um!r}" PhysicalSizeY="{pixel_size_um!r}"'
    )
    note = html.escape(json.dumps(facts, ensure_ascii=False), quote=False)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" Creator="{creator}">'
        f'<Image ID="Image:0"><Description>{note}</Description>'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="{shape[1]}" SizeY="{shape[0]}" '
        f'SizeC="1" SizeZ="1" SizeT="1"{scale}><Channel ID="Channel:0:0" SamplesPerPixel="1"/>'
        "<TiffData/></Pixels></Image></OME>"
    ).encode()


def _write_tiff(
    path: Path, samples: NDArray[np.uint8], description: bytes, pixel_size_um: float | None, **options: Any
) -> None:
    """Write one compressed page with its scale."""
    if pixel_size_um is not None:
        per_centimetre = 10000.0 / pixel_size_um
        options |= {"resolution": (per_centimetre, per_centimetre), "resolutionunit": "CENTIMETER"}
    with atomic_write(path) as temporary:
        tifffile.imwrite(
            temporary,
            np.ascontiguousarray(samples),
            compression="zlib",
            compressionargs={"level": 6},
            rowsperstrip=256,
            description=description,
            metadata=None,
            software="steelquant",
            **options,
        )


def _own_classes(description: str, path: Path) -> tuple[PhaseClass, ...]:
    """Read the class table that a mask of steelquant carries."""
    match = re.search(r"<Description>(.*?)</Description>", description, re.DOTALL)
    try:
        table = json.loads(html.unescape(match.group(1) if match else ""))["classes"]
        return tuple(
            PhaseClass(int(row["label"]), str(row["name"]), (int(r), int(g), int(b)))
            for row in table
            for r, g, b in [row["colour"]]
        )
    except (ValueError, KeyError, TypeError) as error:
        raise FileError(
            path, "is a mask of steelquant whose class table is damaged; segment again"
        ) from error


def _foreign_labels(picture: Picture, classes: tuple[PhaseClass, ...], path: Path) -> NDArray[np.uint8]:
    """Read a mask made elsewhere by the rules at the head of this module."""
    if picture.lossy:
        raise FileError(path, "is compressed with loss, which blurs labels; save the mask as PNG or TIFF")
    if picture.model == "rgb":
        labels = _from_colours(np.asarray(picture.samples), classes, path)
    elif picture.palette is not None:
        labels = _from_palette(picture, classes, path)
    elif picture.model == "grey":
        if picture.min_is_white and not picture.description.startswith("ImageJ="):
            raise FileError(
                path,
                "stores white as zero, so it is unclear which phase is which; "
                "save it as 8-bit grey with 0 ferrite and 255 pearlite",
            )
        labels = _from_grey(_stored_values(picture, path), classes, path)
    else:
        raise FileError(
            path, f"is a {picture.model.upper()} picture, which no mask is; save it as PNG or TIFF"
        )
    if picture.transparent is not None and picture.transparent.any():
        labels = np.where(picture.transparent, np.uint8(EXCLUDED), labels)
    return labels


def _stored_values(picture: Picture, path: Path) -> NDArray[Any]:
    """Return the stored numbers if they are whole and not negative."""
    values = np.asarray(picture.samples)
    if values.dtype.kind == "b":
        return values.astype(np.uint8)
    if values.dtype.kind == "f" and not (np.isfinite(values) & (values == np.floor(values))).all():
        raise FileError(path, "holds values that are no whole numbers; a mask holds labels")
    return values


def _as_labels(values: NDArray[Any], classes: tuple[PhaseClass, ...], path: Path) -> NDArray[np.uint8]:
    """Return `values` as labels if each is one."""
    known = {item.label for item in classes} | {EXCLUDED}
    unknown = [value for value in _distinct(values) if value not in known]
    if unknown:
        table = ", ".join(f"{item.label} {item.name}" for item in classes)
        raise FileError(
            path, f"holds unknown labels {_listed(unknown)}; known are {table}, {EXCLUDED} excluded"
        )
    return values.astype(np.uint8, copy=False)


def _from_grey(values: NDArray[Any], classes: tuple[PhaseClass, ...], path: Path) -> NDArray[np.uint8]:
    """Read grey values: a binary mask of 0 and 255, or labels."""
    present = _distinct(values)
    if present == [EXCLUDED]:
        raise FileError(
            path,
            "holds 255 only, which may mean all pearlite or all excluded; save pearlite as 1 or as 0 and 255",
        )
    if present == [0, EXCLUDED]:
        if {item.label for item in classes} != {0, 1}:
            raise FileError(
                path, "holds only 0 and 255, which is unclear with more than two classes; save labels"
            )
        return (values == EXCLUDED).astype(np.uint8)
    return _as_labels(values, classes, path)


def _from_palette(picture: Picture, classes: tuple[PhaseClass, ...], path: Path) -> NDArray[np.uint8]:
    """Read palette pictures: by colour if all are of the table, else by index."""
    indices = np.asarray(picture.samples)
    assert picture.palette is not None
    used = _distinct(indices)
    colours = picture.palette[used]
    by_colour = _colour_labels(classes)
    if all(tuple(colour) in by_colour for colour in colours.tolist()):
        table = np.full(len(picture.palette), EXCLUDED, np.uint8)
        for index, colour in zip(used, colours.tolist(), strict=True):
            table[index] = by_colour[tuple(colour)]
        return table[indices]
    return _from_grey(indices, classes, path)


def _from_colours(samples: NDArray[Any], classes: tuple[PhaseClass, ...], path: Path) -> NDArray[np.uint8]:
    """Read pictures in colour: grey ones as grey values, others through the class table."""
    if samples.dtype != np.uint8:
        raise FileError(path, f"stores {samples.dtype} colours; save the mask with 8 bits per channel")
    first = samples[..., 0]
    if (first == samples[..., 1]).all() and (first == samples[..., 2]).all():
        return _from_grey(first, classes, path)
    code = (
        (samples[..., 0].astype(np.uint32) << 16) | (samples[..., 1].astype(np.uint32) << 8) | samples[..., 2]
    )
    by_colour = _colour_labels(classes)
    labels = np.empty(code.shape, np.uint8)
    known = np.zeros(code.shape, np.bool_)
    for (r, g, b), label in by_colour.items():
        here = code == (r << 16 | g << 8 | b)
        labels[here] = label
        known |= here
    if not known.all():
        unknown = np.unique(code[~known]).tolist()
        table = ", ".join(f"{_hex(_packed(item.colour))} {item.name}" for item in classes)
        raise FileError(
            path,
            f"holds unknown colours {_listed([_hex(value) for value in unknown])}; "
            f"known are {table}, {_hex(_packed(EXCLUDED_COLOUR))} excluded",
        )
    return labels


def _colour_labels(classes: tuple[PhaseClass, ...]) -> dict[tuple[int, ...], int]:
    table: dict[tuple[int, ...], int] = {EXCLUDED_COLOUR: EXCLUDED}
    return table | {item.colour: item.label for item in classes}


def _distinct(values: NDArray[Any]) -> list[int]:
    """Return the distinct values in order, fast for bytes."""
    if values.dtype == np.uint8:
        return [int(value) for value in np.flatnonzero(np.bincount(values.ravel(), minlength=256))]
    return [int(value) for value in np.unique(values)]


def _packed(colour: tuple[int, int, int]) -> int:
    return colour[0] << 16 | colour[1] << 8 | colour[2]


def _hex(colour: int) -> str:
    return f"#{colour:06x}"


def _listed(values: Sequence[object]) -> str:
    """List values in a line, the first eight of them."""
    text = ", ".join(str(value) for value in values[:8])
    return text if len(values) <= 8 else f"{text} and {len(values) - 8} more"
