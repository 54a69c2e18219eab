"""Masks corrected by hand in QuPath or Fiji, read back as label masks."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from steelquant.errors import FileError
from steelquant.micrograph.calibration import GivenScale, calibrate
from steelquant.micrograph.field import STEEL_CLASSES, Mask, PhaseClass
from steelquant.micrograph.files import reason
from steelquant.micrograph.geojson import parse_geojson
from steelquant.micrograph.naming import safe_name
from steelquant.micrograph.regions import labels_of_regions

_IMAGEJ_ENDINGS = (".zip", ".roi")
_ENDINGS = (".geojson", *_IMAGEJ_ENDINGS)


def is_roi_file(path: Path) -> bool:
    """Tell by its ending whether a file holds regions: GeoJSON, or ImageJ's ROIs."""
    return path.suffix.lower() in _ENDINGS


def read_rois(
    path: Path,
    *,
    original: Mask | None = None,
    pixel_size_um: float | GivenScale | None = None,
    classes: tuple[PhaseClass, ...] = STEEL_CLASSES,
) -> Mask:
    """Read regions as a mask; see `steelquant.micrograph.regions` for what they mean.

    Parameters
    ----------
    path
        GeoJSON of QuPath, or ImageJ's ``.roi`` or a zip of them.
    original
        The mask that the regions correct, which gives size, scale and classes.
    pixel_size_um
        The user's own scale in µm per pixel; regions alone state none.
    classes
        What the regions may be where there is no `original`; the first is the matrix.

    Returns
    -------
    Mask
        The labels, with the hash of the file of regions.

    Raises
    ------
    FileError
        It cannot be read, a region has no known class, or nothing tells the field's size.
    UsageError
        `pixel_size_um` is not a finite positive number.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileError(path, f"cannot be read: {reason(error)}") from error
    if path.suffix.lower() in _IMAGEJ_ENDINGS:
        from steelquant.micrograph.imagej import parse_imagej

        regions = parse_imagej(content, path)
    else:
        regions = parse_geojson(content, path)
    sha256 = hashlib.sha256(content).hexdigest()
    if original is not None:
        labels = labels_of_regions(regions, original.classes, path, original.labels.shape)
        return replace(original, path=path, labels=labels, sha256=sha256)
    labels = labels_of_regions(regions, classes, path)
    return Mask(path, labels, calibrate([], pixel_size_um), sha256, classes)


def roi_names(fields: Sequence[str]) -> list[str]:
    """Name the region files of fields, without ending: the fields' names, made fit for every file system."""
    safe = [safe_name(name) for name in fields]
    counts = Counter(name.casefold() for name in safe)
    return [
        f"{name}~{hashlib.sha256(field.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
        if counts[name.casefold()] > 1
        else name
        for name, field in zip(safe, fields, strict=True)
    ]
