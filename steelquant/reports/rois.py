"""The features and grains of each field as polygons: GeoJSON for QuPath, ROIs for Fiji.

Outlines of features run along pixel sides, so that nothing is lost on the way: read back, they are the same
mask, and corrected they take its place. A rectangle named ``field`` frames the whole, for it tells how large
the field is. Grains are there to look at, with their sizes, in files of their own; read back they are
passed over, for they are no phase.
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
from numpy.typing import NDArray
from roifile import ROI_TYPE, ImagejRoi

from steelquant.micrograph.field import EXCLUDED, Mask, PhaseClass
from steelquant.micrograph.files import write_bytes
from steelquant.micrograph.labels import EXCLUDED_COLOUR
from steelquant.micrograph.outlines import Outline, trace_outlines
from steelquant.micrograph.regions import EXCLUDED_NAMES, FRAME, GRAIN
from steelquant.micrograph.rois import roi_names
from steelquant.stereology.corrections import read_field_mask
from steelquant.stereology.features import label_phase

if TYPE_CHECKING:
    from steelquant.stereology.measurement import FieldResult
    from steelquant.stereology.quantify import Quantification

_GRAIN_CLASS = PhaseClass(0, GRAIN, (213, 94, 0))
_EXCLUDED_CLASS = PhaseClass(EXCLUDED, EXCLUDED_NAMES[0], EXCLUDED_COLOUR)
_IDENTITIES = uuid.UUID("5c1f0a52-6a55-5d0c-9a5e-3d1c1f6f5b1e")
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
_MOVE, _LINE, _CLOSE = 0.0, 1.0, 4.0
_OPAQUE = 255


@dataclass(frozen=True, eq=False)
class Drawn:
    """A feature with its class, or a grain; its number is the one in the report's table."""

    outline: Outline
    phase: PhaseClass


def write_rois(result: Quantification, folder: Path) -> list[Path]:
    """Write every field's features as ``NAME.geojson`` and ``NAME.zip``, its grains as ``NAME.grains.…``.

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
        contents = {f"{name}.geojson": geojson(mask, drawn), f"{name}.zip": imagej_zip(mask, drawn)}
        if field.grains is not None:
            grains = grains_of(field.grains.labels.unpack())
            contents[f"{name}.grains.geojson"] = grains_geojson(field, grains)
            contents[f"{name}.grains.zip"] = _zip(_numbered_rois(grains))
        else:
            for ending in ("geojson", "zip"):  # of an earlier run, which would pass for this one's
                (folder / f"{name}.grains.{ending}").unlink(missing_ok=True)
        for file_name, content in contents.items():
            write_bytes(folder / file_name, content)
            written.append(folder / file_name)
    return written


def outlines_of(mask: Mask) -> list[Drawn]:
    """Trace every feature of every class but the matrix, and the excluded regions."""
    found = []
    for phase in (*mask.classes[1:], _EXCLUDED_CLASS):
        of_phase = (mask.labels == phase.label).view(np.uint8)
        found += [Drawn(outline, phase) for outline in trace_outlines(label_phase(of_phase, 1))]
    return found


def grains_of(labels: NDArray[np.int32]) -> list[Drawn]:
    """Trace every grain of a ``(height, width)`` grain map."""
    return [Drawn(outline, _GRAIN_CLASS) for outline in trace_outlines(labels)]


def geojson(mask: Mask, drawn: Sequence[Drawn]) -> bytes:
    """Return annotations for QuPath, with classes and their colours; the frame is locked."""
    height, width = mask.labels.shape
    frame = [[[0, 0], [width, 0], [width, height], [0, height], [0, 0]]]
    annotations = [_object(mask.sha256, FRAME, mask.classes[0], "Polygon", frame)]
    annotations[0]["properties"]["isLocked"] = True
    return _collection([*annotations, *(_outlined(mask.sha256, item) for item in drawn)])


def grains_geojson(field: FieldResult, grains: Sequence[Drawn]) -> bytes:
    """Return detections for QuPath, whose table of measurements then shows the sizes."""
    assert field.grains is not None  # the caller looks
    found, size = field.grains.features, field.pixel_size_um
    unit, scale = ("px", 1.0) if size is None else ("µm", size)
    measures = {
        f"Area ({unit}²)": found.area_px * scale**2,
        f"Equivalent diameter ({unit})": found.equivalent_diameter_px * scale,
        f"Feret max ({unit})": found.feret_max_px * scale,
        "Aspect ratio (–)": found.aspect_ratio,
        "Orientation (°)": found.orientation_deg,
        "Cut (0 or 1)": found.cut.astype(float),
    }
    place_of = {label: place for place, label in enumerate(found.label.tolist())}
    objects = []
    for item in grains:
        detection = _outlined(field.mask_sha256, item)
        place = place_of[item.outline.label]
        detection["properties"] |= {
            "objectType": "detection",
            "measurements": {name: float(f"{values[place]:.6g}") for name, values in measures.items()},
        }
        objects.append(detection)
    return _collection(objects)


def _collection(objects: Sequence[dict[str, Any]]) -> bytes:
    lines = ",\n".join(json.dumps(item, ensure_ascii=False, separators=(",", ":")) for item in objects)
    text = f'{{"type":"FeatureCollection","features":[\n{lines}\n]}}\n'
    return text.encode("utf-8", "backslashreplace")


def _outlined(identity: str, item: Drawn) -> dict[str, Any]:
    polygons = [
        [[*(corners := ring.astype(int).tolist()), corners[0]] for ring in polygon]
        for polygon in item.outline.polygons
    ]
    name = f"{item.phase.name} {item.outline.label}"
    kind, coordinates = ("Polygon", polygons[0]) if len(polygons) == 1 else ("MultiPolygon", polygons)
    return _object(identity, name, item.phase, kind, coordinates)


def _object(identity: str, name: str, phase: PhaseClass, kind: str, coordinates: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(_IDENTITIES, f"{identity} {name}")),
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
    frame = np.array([(0, 0), (width, 0), (width, height), (0, height)], dtype=np.float64)
    return _zip([_roi(FRAME, mask.classes[0], ROI_TYPE.RECT, frame), *_numbered_rois(drawn)])


def _numbered_rois(drawn: Sequence[Drawn]) -> list[ImagejRoi]:
    digits = max(4, len(str(len(drawn))))
    return [_feature_roi(item, digits) for item in drawn]


def _zip(rois: Sequence[ImagejRoi]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
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
