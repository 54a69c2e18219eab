"""A picture of many fields and their truth, to judge a synthetic set by eye."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from steelquant.learning.synthetic.dataset import field_paths
from steelquant.micrograph.files import write_bytes

CONTACT_SHEET_NAME = "contact-sheet.jpg"


def write_contact_sheet(output: Path, path: Path, *, count: int, edge_px: int = 384) -> None:
    """Write a JPEG with up to 48 of the fields: each whole, and its middle in full size with the truth.

    In the full-size view red lines run along the phases' borders and what is no steel is green.
    """
    cells = []
    for index in range(min(count, 48)):
        image, mask, _ = field_paths(output, index)
        cells.append(_cell(tifffile.imread(image), tifffile.imread(mask), edge_px))
    columns = max(1, min(4, round(len(cells) ** 0.5)))
    while len(cells) % columns:
        cells.append(np.full_like(cells[0], 255))
    rows = [np.hstack(cells[start : start + columns]) for start in range(0, len(cells), columns)]
    _, data = cv2.imencode(".jpg", np.vstack(rows)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    write_bytes(path, data.tobytes())


def _cell(pixels: NDArray[np.uint8], labels: NDArray[np.uint8], edge_px: int) -> NDArray[np.uint8]:
    height, width = labels.shape
    whole = np.full((edge_px, edge_px, 3), 255, np.uint8)
    scale = edge_px / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    whole[: size[1], : size[0]] = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    top, left = max(0, (height - edge_px) // 2), max(0, (width - edge_px) // 2)
    part = pixels[top : top + edge_px, left : left + edge_px].copy()
    truth = labels[top : top + edge_px, left : left + edge_px]
    border = (
        cv2.morphologyEx((truth == 1).astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8)) > 0
    )
    part[border] = (230, 20, 20)
    part[truth == 255] = part[truth == 255] // 2 + np.array([0, 90, 0], np.uint8)
    middle = np.full_like(whole, 255)
    middle[: part.shape[0], : part.shape[1]] = part
    return np.pad(np.hstack([whole, middle]), ((4, 4), (4, 4), (0, 0)), constant_values=255)
