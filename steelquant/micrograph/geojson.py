"""Regions from GeoJSON, as QuPath exports its annotations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from steelquant.errors import FileError
from steelquant.micrograph.documents import MALFORMED, parse_json
from steelquant.micrograph.outlines import Ring
from steelquant.micrograph.regions import Region

_FEWEST_CORNERS = 3
_LONGEST_NAME = 200


def parse_geojson(content: bytes, path: Path) -> list[Region]:
    """Read the areas of a GeoJSON file.

    Parameters
    ----------
    content
        A FeatureCollection, a list of Features or one Feature, of Polygons and MultiPolygons in px.
    path
        The file, for messages.

    Raises
    ------
    FileError
        It is no GeoJSON, or holds something else than areas.
    """
    try:
        document = parse_json(content.decode("utf-8-sig"))
    except ValueError as error:
        raise FileError(path, f"is no GeoJSON: {error}") from None
    features = document
    if isinstance(document, dict):
        features = document.get("features") if document.get("type") == "FeatureCollection" else [document]
    if not isinstance(features, list):
        raise FileError(path, "is no GeoJSON: it has no list of features")
    return [_region(feature, number, path) for number, feature in enumerate(features, start=1)]


def _region(feature: Any, number: int, path: Path) -> Region:
    try:
        properties = feature.get("properties") or {}
        name = str(properties.get("name") or "")[:_LONGEST_NAME]
        where = f"annotation {number}" + (f" ({name})" if name else "")
        class_name = str((properties.get("classification") or {}).get("name") or "")[:_LONGEST_NAME]
        geometry = feature["geometry"]
        kind, coordinates = geometry["type"], geometry.get("coordinates")
    except MALFORMED:
        raise FileError(path, f"annotation {number} is no GeoJSON Feature") from None
    if kind not in ("Polygon", "MultiPolygon"):
        raise FileError(path, f"{where} is a {str(kind)[:_LONGEST_NAME]}, which has no area; delete it")
    try:
        rings = tuple(_rings([coordinates] if kind == "Polygon" else coordinates))
    except MALFORMED:
        raise FileError(path, f"{where} has damaged coordinates") from None
    if not rings:
        raise FileError(path, f"{where} is empty; delete it")
    return Region(rings, class_name, name, 0, where)


def _rings(polygons: Any) -> Iterator[Ring]:
    for polygon in polygons:
        for line in polygon:
            ring = np.array([(float(point[0]), float(point[1])) for point in line])
            if not np.isfinite(ring).all():
                raise ValueError("not finite")
            if len(ring) > 1 and (ring[0] == ring[-1]).all():
                ring = ring[:-1]
            if len(ring) < _FEWEST_CORNERS:
                raise ValueError("too few corners")
            yield ring
