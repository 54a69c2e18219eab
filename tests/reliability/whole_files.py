"""Can a file be read to its end?"""

from __future__ import annotations

import csv
import json
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import cv2
import openpyxl
import tifffile


def is_whole(path: Path) -> bool:
    """Tell whether a file can be read to its end, by its ending; a broken one may also raise."""
    if path.suffix == ".xlsx":
        openpyxl.load_workbook(path)
    elif path.suffix == ".zip":
        return zipfile.ZipFile(path).testzip() is None
    elif path.suffix in {".json", ".geojson"}:
        json.loads(path.read_text(encoding="utf-8"))
    elif path.suffix == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return len({len(row) for row in csv.reader(stream)}) == 1
    elif path.suffix == ".html":
        HTMLParser().feed(path.read_text(encoding="utf-8"))
        return path.read_bytes().rstrip().endswith(b"</html>")
    elif path.suffix == ".tif":
        return bool(tifffile.imread(path).size)
    elif path.suffix in {".png", ".jpg"}:
        return cv2.imread(str(path), cv2.IMREAD_UNCHANGED) is not None
    elif path.suffix == ".yaml":
        return path.read_bytes().endswith(b"\n")
    else:
        return False
    return True
