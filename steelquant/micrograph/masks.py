"""Masks on disk: label TIFFs that Fiji and QuPath read with their scale, and masks made elsewhere."""

from __future__ import annotations

import html
import json
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from steelquant.errors import FileError
from steelquant.micrograph.calibration import GivenScale, calibrate
from steelquant.micrograph.decoding import count_pages, decode
from steelquant.micrograph.deflate import deflate
from steelquant.micrograph.discovery import find_masks
from steelquant.micrograph.documents import MALFORMED, parse_json
from steelquant.micrograph.field import EXCLUDED, STEEL_CLASSES, Mask, PhaseClass
from steelquant.micrograph.files import atomic_write
from steelquant.micrograph.labels import EXCLUDED_COLOUR, foreign_labels, is_binary, own_labels
from steelquant.micrograph.naming import MASK_MARK, PROBABILITY_MARK
from steelquant.micrograph.pyramid import PyramidWriter

__all__ = [
    "find_masks",
    "mask_pyramid",
    "probability_pyramid",
    "read_mask",
    "read_probability",
    "write_mask",
    "write_probability",
]

_CENTIMETRE_UM = 10000.0
_STRIP_ROWS = 256
_PROBABILITY_FACTS = {"phase": "pearlite", "certain": 255}


def write_mask(
    path: Path,
    labels: NDArray[np.uint8],
    *,
    pixel_size_um: float | None,
    classes: tuple[PhaseClass, ...] = STEEL_CLASSES,
) -> dict[int, int]:
    """Write a label TIFF: uint8, deflate, with a colour map, its classes and, where known, its scale.

    The scale stands in the resolution tags in pixels per centimetre and in an OME description in µm, so that
    Fiji, QuPath and tifffile show the same; without a scale neither states one. The same labels give the
    same bytes on one machine.

    Parameters
    ----------
    path
        The file to write.
    labels
        ``(height, width)`` uint8: the classes' labels, and 255 for excluded pixels.
    pixel_size_um
        Edge of a pixel in µm, or None for no scale.
    classes
        Names and colours of the labels; read back by `read_mask`.

    Returns
    -------
    dict
        The number of pixels of each label.

    Raises
    ------
    FileError
        The file cannot be written.
    ValueError
        `labels` holds values that `classes` does not name.
    """
    named = sorted({EXCLUDED, *(item.label for item in classes)})
    highest = labels.max(initial=0)  # most fields have no excluded pixel to look for
    counts = {label: int(np.count_nonzero(labels == label)) if label <= highest else 0 for label in named}
    if sum(counts.values()) != labels.size:
        raise ValueError("the labels hold values that the classes do not name")
    description = _describe_mask(labels.shape, pixel_size_um, classes)
    _write(path, labels, description, pixel_size_um, photometric="palette", colormap=_colormap(classes))
    return counts


def mask_pyramid(
    path: Path,
    height_px: int,
    width_px: int,
    *,
    pixel_size_um: float | None,
    classes: tuple[PhaseClass, ...] = STEEL_CLASSES,
) -> PyramidWriter:
    """Begin a label TIFF for a field beyond memory; but for tiles and reduced pictures as `write_mask`."""
    return PyramidWriter(
        path,
        height_px,
        width_px,
        mean=False,
        description=_describe_mask((height_px, width_px), pixel_size_um, classes),
        resolution=scale_tags(pixel_size_um),
        photometric="palette",
        colormap=_colormap(classes),
    )


def read_mask(
    path: Path,
    *,
    pixel_size_um: float | GivenScale | None = None,
    classes: tuple[PhaseClass, ...] = STEEL_CLASSES,
) -> Mask:
    """Read a mask, steelquant's own or one made elsewhere.

    Parameters
    ----------
    path
        TIFF, PNG or BMP with labels, 0/255, a palette or class colours, by the rules of
        `steelquant.micrograph.labels`.
    pixel_size_um
        The user's own scale in µm per pixel; it wins over what the file states.
    classes
        The class table of masks made elsewhere; steelquant's own masks carry theirs.

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
    if PROBABILITY_MARK in picture.description:
        raise FileError(path, "is a probability picture of steelquant, not a mask")
    notes: tuple[str, ...] = ()
    if MASK_MARK in picture.description:
        classes = _own_classes(picture.description, path)
        labels = own_labels(picture, classes, path)
    else:
        labels = foreign_labels(picture, classes, path)
        if is_binary(picture):
            notes = ("the mask's two values 0 and 255 were read as ferrite and pearlite",)
    return Mask(path, labels, calibration, picture.sha256, classes, notes)


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
    description = _describe(PROBABILITY_MARK, prob_uint8.shape, pixel_size_um, _PROBABILITY_FACTS)
    _write(path, prob_uint8, description, pixel_size_um, photometric="minisblack", predictor=True)


def probability_pyramid(
    path: Path, height_px: int, width_px: int, *, pixel_size_um: float | None
) -> PyramidWriter:
    """Begin a probability TIFF for a field beyond memory; otherwise as `write_probability`."""
    return PyramidWriter(
        path,
        height_px,
        width_px,
        mean=True,
        description=_describe(PROBABILITY_MARK, (height_px, width_px), pixel_size_um, _PROBABILITY_FACTS),
        resolution=scale_tags(pixel_size_um),
        photometric="minisblack",
        predictor=True,
    )


def read_probability(path: Path) -> NDArray[np.uint8]:
    """Read what `write_probability` wrote: ``(height, width)`` uint8, 255 = surely pearlite.

    Raises
    ------
    FileError
        It cannot be read or is no probability picture of steelquant.
    """
    picture = decode(path)
    if PROBABILITY_MARK not in picture.description or picture.samples.dtype != np.uint8:
        raise FileError(path, "is no probability picture of steelquant")
    return picture.samples.astype(np.uint8, copy=False)


def _describe_mask(
    shape: tuple[int, ...], pixel_size_um: float | None, classes: tuple[PhaseClass, ...]
) -> bytes:
    table = [{"label": item.label, "name": item.name, "colour": list(item.colour)} for item in classes]
    return _describe(MASK_MARK, shape, pixel_size_um, {"classes": table, "excluded": EXCLUDED})


def _colormap(classes: tuple[PhaseClass, ...]) -> NDArray[np.uint16]:
    colormap = np.zeros((3, 256), np.uint16)
    for label, colour in [(EXCLUDED, EXCLUDED_COLOUR), *((item.label, item.colour) for item in classes)]:
        colormap[:, label] = np.array(colour, np.uint16) * 257
    return colormap


def scale_tags(pixel_size_um: float | None) -> dict[str, Any]:
    """Return the scale as tifffile takes it; nothing where it is not known.

    TIFF keeps two numbers of 32 bits, whose ratio it is. Older tifffile rounds both of an arbitrary number
    alike, which costs up to 6 ppm; the nearest ratio that fits costs less than 0.001 ppm.
    """
    if pixel_size_um is None:
        return {}
    exact = Fraction(_CENTIMETRE_UM / pixel_size_um)
    nearest = exact.limit_denominator(max(1, int((2**32 - 1) / max(exact, Fraction(1)))))
    return {"resolution": (nearest.as_integer_ratio(),) * 2, "resolutionunit": "CENTIMETER"}


def _describe(mark: str, shape: tuple[int, ...], pixel_size_um: float | None, facts: dict[str, Any]) -> bytes:
    """Write the OME description: sizes, scale in OME's default unit µm, and `facts` as JSON."""
    scale = ""
    if pixel_size_um is not None:
        size = repr(float(pixel_size_um))
        scale = f' PhysicalSizeX="{size}" PhysicalSizeY="{size}"'
    note = html.escape(json.dumps(facts), quote=False)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" Creator="{mark}">'
        f'<Image ID="Image:0"><Description>{note}</Description>'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="{shape[1]}" SizeY="{shape[0]}" '
        f'SizeC="1" SizeZ="1" SizeT="1"{scale}><Channel ID="Channel:0:0" SamplesPerPixel="1"/>'
        "<TiffData/></Pixels></Image></OME>"
    ).encode()


def _write(
    path: Path, samples: NDArray[np.uint8], description: bytes, pixel_size_um: float | None, **options: Any
) -> None:
    """Write one compressed page with its scale."""
    if "predictor" in options:
        samples = np.diff(samples, axis=1, prepend=np.uint8(0))
    samples = np.ascontiguousarray(samples)
    tops = range(0, len(samples), _STRIP_ROWS)
    with atomic_write(path) as temporary:
        tifffile.imwrite(
            temporary,
            (deflate(samples[top : top + _STRIP_ROWS]) for top in tops),
            shape=samples.shape,
            dtype=samples.dtype,
            compression="zlib",
            rowsperstrip=_STRIP_ROWS,
            description=description,
            metadata=None,
            software="steelquant",
            **scale_tags(pixel_size_um),
            **options,
        )


def _own_classes(description: str, path: Path) -> tuple[PhaseClass, ...]:
    """Read the class table that a mask of steelquant carries."""
    match = re.search(r"<Description>(.*?)</Description>", description, re.DOTALL)
    try:
        rows = parse_json(html.unescape(match[1] if match else ""))["classes"]
        table = []
        for row in rows:
            red, green, blue = (int(part) for part in row["colour"])
            table.append(PhaseClass(int(row["label"]), str(row["name"]), (red, green, blue)))
        return tuple(table)
    except MALFORMED as error:
        raise FileError(
            path, "is a mask of steelquant whose class table is damaged; segment again"
        ) from error
