"""The features of each field as polygons, to look at and to correct: GeoJSON for QuPath, ROIs for Fiji.

Outlines run along pixel sides, so that nothing is lost on the way: read back, they are the same mask. A
rectangle named ``field`` frames the whole, for it tells how large the field is.
"""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from roifile import ROI_TYPE, ImagejRoi

from steelquant.micrograph.field import EXCLUDED, Mask, PhaseClass
from steelquant.micrograph.files import write_bytes
from steelquant.micrograph.labels import EXCLUDED_COLOUR
from steelquant.micrograph.outlines import Outline, trace_outlines
from steelquant.micrograph.regions import EXCLUDED_NAMES, FRAME
from steelquant.micrograph.rois import roi_names
from steelquant.stereology.corrections import read_field_mask
from steelquant.stereology.features import label_phase

if TYPE_CHECKING:
    from steelquant.stereology.quantify import Quantification

_EXCLUDED_CLASS = PhaseClass(EXCLUDED, EXCLUDED_NAMES[0], EXCLUDED_COLOUR)
_IDENTITIES = uuid.UUID("5c1f0a52-6a55-5d0c-9a5e-3d1c1f6f5b1e")
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
_MOVE, _LINE, _CLOSE = 0.0, 1.0, 4.0
_OPAQUE = 255


@dataclass(frozen=True, eq=False)
class Drawn:
    """A feature with its class; its number is the one in the report's table of features."""

    outline: Outline
    phase: PhaseClass


def write_rois(result: Quantification, folder: Path) -> list[Path]:
    """Write the features of every field as ``NAME.geojson`` and ``NAME.zip``.

    Parameters
    ----------
    result
        What was measured.
    folder
        Where to write; the same masks give the same bytes.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    FileError
        A mask cannot be read any more, or a file cannot be written.
    """
    written = []
    names = roi_names([field.source.name for field in result.fields])
    for field, name in zip(result.fields, names, strict=True):
        mask = read_field_mask(field.source)
        drawn = outlines_of(mask)
        for path, content in (
            (folder / f"{name}.geojson", geojson(mask, drawn)),
            (folder / f"{name}.zip", imagej_zip(mask, drawn)),
        ):
            write_bytes(path, content)
            written.append(path)
    return written


def outlines_of(mask: Mask) -> list[Drawn]:
    """Trace every feature of every class but the matrix, and the excluded regions."""
    found = []
    for phase in (*mask.classes[1:], _EXCLUDED_CLASS):
        of_phase = (mask.labels == phase.label).view(np.uint8)
        found += [Drawn(outline, phase) for outline in trace_outlines(label_phase(of_phase, 1))]
    return found


def geojson(mask: Mask, drawn: Sequence[Drawn]) -> bytes:
    """Return annotations for QuPath, with classes and their colours; the frame is locked."""
    height, width = mask.labels.shape
    matrix = mask.classes[0]
    frame = [[[0, 0], [width, 0], [width, height], [0, height], [0, 0]]]
    annotations = [_annotation(mask, FRAME, matrix, "Polygon", frame)]
    annotations[0]["properties"]["isLocked"] = True
    for item in drawn:
        polygons = [
            [[*(corners := ring.astype(int).tolist()), corners[0]] for ring in polygon]
            for polygon in item.outline.polygons
        ]
        name = f"{item.phase.name} {item.outline.label}"
        single = len(polygons) == 1
        kind, coordinates = ("Polygon", polygons[0]) if single else ("MultiPolygon", polygons)
        annotations.append(_annotation(mask, name, item.phase, kind, coordinates))
    lines = ",\n".join(json.dumps(item, ensure_ascii=False, separators=(",", ":")) for item in annotations)
    text = f'{{"type":"FeatureCollection","features":[\n{lines}\n]}}\n'
    return text.encode("utf-8", "backslashreplace")


def _annotation(mask: Mask, name: str, phase: PhaseClass, kind: str, coordinates: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(_IDENTITIES, f"{mask.sha256} {name}")),
        "geometry": {"type": kind, "coordinates": coordinates},
        "properties": {
            "objectType": "annotation",
            "name": name,
            "classification": {"name": phase.name, "color": list(phase.colour)},
        },
    }


def imagej_zip(mask: Mask, drawn: Sequence[Drawn]) -> bytes:
    """Return a zip for Fiji's ROI Manager; names and groups tell the classes."""
    height, width = mask.labels.shape
    digits = max(4, len(str(len(drawn))))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        frame = np.array([(0, 0), (width, 0), (width, height), (0, height)], dtype=np.float64)
        rois = [_roi(FRAME, mask.classes[0], ROI_TYPE.RECT, frame)]
        rois += [_feature_roi(item, digits) for item in drawn]
        for roi in rois:
            entry = zipfile.ZipInfo(f"{roi.name}.roi", _ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, roi.tobytes())
    return stream.getvalue()


def _feature_roi(item: Drawn, digits: int) -> ImagejRoi:
    """Make a traced polygon as ImageJ's wand does, or a composite where one line is not enough."""
    name = f"{item.phase.name}-{item.outline.label:0{digits}d}"
    rings = [ring for polygon in item.outline.polygons for ring in polygon]
    if len(rings) == 1:
        roi = _roi(name, item.phase, ROI_TYPE.TRACED, rings[0])
        roi.integer_coordinates = (rings[0] - rings[0].min(axis=0)).astype(np.int32)
        roi.n_coordinates = len(rings[0])
        return roi
    roi = _roi(name, item.phase, ROI_TYPE.RECT, np.concatenate(rings))
    path = [step for ring in rings for step in _path(ring)]
    roi.multi_coordinates = np.array(path, dtype=np.float32)
    roi.shape_roi_size = len(path)
    return roi


def _path(ring: np.ndarray) -> Iterator[float]:
    for index, (x, y) in enumerate(ring.tolist()):
        yield from (_LINE if index else _MOVE, x, y)
    yield _CLOSE


def _roi(name: str, phase: PhaseClass, kind: ROI_TYPE, points: np.ndarray) -> ImagejRoi:
    left, top = points.min(axis=0).astype(int).tolist()
    right, bottom = points.max(axis=0).astype(int).tolist()
    roi = ImagejRoi(
        roitype=kind, left=left, top=top, right=right, bottom=bottom, name=name, group=phase.label
    )
    roi.stroke_color = bytes((_OPAQUE, *phase.colour))
    return roi
