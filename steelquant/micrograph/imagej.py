"""Regions from ImageJ's ROI files, single or zipped, as Fiji's ROI Manager saves them."""

from __future__ import annotations

import io
import logging
import zipfile
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from roifile import ROI_SUBTYPE, ROI_TYPE, ImagejRoi

from steelquant.errors import FileError
from steelquant.micrograph.outlines import Ring
from steelquant.micrograph.regions import Region

_MOST_BYTES = 256 * 2**20
"""Of all ROIs of a zip, unpacked: a small file can declare, and hold, far more than memory."""
_DAMAGED = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError, OSError)
_AREAS = (ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED, ROI_TYPE.RECT, ROI_TYPE.OVAL)
_NO_AREAS = (ROI_SUBTYPE.TEXT, ROI_SUBTYPE.ARROW, ROI_SUBTYPE.IMAGE)
_FEWEST_CORNERS = 3
_OVAL_CORNERS = 256
_CURVE_STEPS = np.linspace(0, 1, 17)[1:, None]
_MOVE, _LINE, _QUADRATIC, _CUBIC, _CLOSE = range(5)
_NUMBERS = {_MOVE: 2, _LINE: 2, _QUADRATIC: 4, _CUBIC: 6, _CLOSE: 0}


def parse_imagej(content: bytes, path: Path) -> list[Region]:
    """Read the areas of a ``.roi`` file or of a zip of them.

    Parameters
    ----------
    content
        The file's bytes.
    path
        The file, for messages.

    Raises
    ------
    FileError
        It is damaged or no such file, or holds something else than areas.
    """
    logging.getLogger("roifile").setLevel(logging.ERROR)  # it warns of kinds that are refused here by name
    if content[:4] == b"Iout":
        return [_region(content, path.stem, path)]
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = [entry for entry in archive.infolist() if entry.filename.lower().endswith(".roi")]
            if not entries:
                raise FileError(path, "holds no ROIs; save them in Fiji's ROI Manager with More › Save")
            if sum(entry.file_size for entry in entries) > _MOST_BYTES:
                raise FileError(path, "holds ROIs that are too large to be any")
            return [_region(archive.read(entry), Path(entry.filename).stem, path) for entry in entries]
    except _DAMAGED as error:
        raise FileError(path, f"is no zip of ImageJ ROIs, or a damaged one: {error}") from None


def _region(content: bytes, entry: str, path: Path) -> Region:
    try:
        roi = ImagejRoi.frombytes(content)
        name = roi.name or entry
        if roi.roitype not in _AREAS or roi.subtype in _NO_AREAS:
            raise FileError(path, f"the ROI {name} is a {_kind(roi)}, which has no area; delete it")
        rings = tuple(ring for ring in _rings(roi) if len(ring) >= _FEWEST_CORNERS)
        finite = all(np.isfinite(ring).all() for ring in rings)
    except FileError:
        raise
    except Exception as error:  # roifile meets broken data with errors of every type
        raise FileError(path, f"the ROI {entry} is damaged ({error})") from None
    if not rings or not finite:
        raise FileError(path, f"the ROI {name} is empty or damaged; delete it")
    return Region(rings, "", name, int(roi.group), f"the ROI {name}")


def _kind(roi: ImagejRoi) -> str:
    named = roi.subtype if roi.subtype in _NO_AREAS else roi.roitype
    return str(named.name).lower()


def _rings(roi: ImagejRoi) -> Iterator[Ring]:
    if roi.composite and roi.multi_coordinates is not None:
        yield from _path(roi.multi_coordinates.astype(np.float64))
    elif roi.roitype in (ROI_TYPE.RECT, ROI_TYPE.OVAL):
        left, top, right, bottom = (float(v) for v in (roi.left, roi.top, roi.right, roi.bottom))
        if roi.subpixelrect:
            left, top = roi.xd, roi.yd
            right, bottom = left + roi.widthd, top + roi.heightd
        if roi.roitype == ROI_TYPE.RECT:
            yield np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
        else:
            angle = np.linspace(0, 2 * np.pi, _OVAL_CORNERS, endpoint=False)
            x = (left + right + (right - left) * np.cos(angle)) / 2
            yield np.column_stack([x, (top + bottom + (bottom - top) * np.sin(angle)) / 2])
    else:
        yield np.asarray(roi.coordinates(), dtype=np.float64)


def _path(path: NDArray[np.float64]) -> Iterator[Ring]:
    """Yield the closed lines of a composite ROI, curves broken into short straight sides."""
    ring: list[NDArray[np.float64]] = []
    at = 0
    while at < len(path):
        operation = int(path[at])
        numbers = _NUMBERS[operation]
        points = path[at + 1 : at + 1 + numbers].reshape(-1, 2)
        at += 1 + numbers
        if operation == _MOVE and ring:
            yield np.concatenate(ring)
            ring = []
        if operation in (_MOVE, _LINE):
            ring.append(points)
        elif operation in (_QUADRATIC, _CUBIC):
            ring.append(_curve(np.concatenate([ring[-1][-1:], points])))
    if ring:
        yield np.concatenate(ring)


def _curve(control: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points on a Bézier curve by de Casteljau's construction, without its first one."""
    points = [np.broadcast_to(point, (len(_CURVE_STEPS), 2)) for point in control]
    while len(points) > 1:
        points = [a + (b - a) * _CURVE_STEPS for a, b in pairwise(points)]
    return np.asarray(points[0])
