"""The drawings that lie over a micrograph: phases, grain boundaries, and grains coloured by size."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from steelquant.micrograph.field import EXCLUDED, Mask
from steelquant.micrograph.overlay import BOUNDARY_COLOUR
from steelquant.reports.html.grain_colours import COLOURS, CUT_COLOUR
from steelquant.stereology.grain_maps import drawn

GRAIN_BOUNDARY_COLOUR = (205, 0, 128)
"""Not found in etched steel, in the tints of phases or in the colours of sizes."""

_MATRIX_ALPHA, _PHASE_ALPHA = 46, 112
_SIZE_ALPHA = 178
_EXCLUDED_ALPHA = 150
_EXCLUDED_COLOUR = (96, 96, 96)
_HATCH_COLOUR = (255, 255, 255)
_HATCH_PERIOD, _HATCH_WIDTH = 16, 2
_GRAIN_LINE_COLOUR = (16, 24, 32)
_LINE, _HATCH = 253, 254
"""Palette entries for lines and for the hatching of excluded pixels."""

_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


@dataclass(frozen=True, eq=False)
class Drawing:
    """A picture in few colours: ``(height, width)`` indices into ``(256, 4)`` RGBA colours, both uint8."""

    indices: NDArray[np.uint8]
    colours: NDArray[np.uint8]


def tinted_phases(labels: NDArray[np.uint8], mask: Mask) -> Drawing:
    """Return the phases as tints that let the micrograph shine through, and their outlines."""
    return _phases(labels, mask, _MATRIX_ALPHA, _PHASE_ALPHA, _EXCLUDED_ALPHA)


def solid_phases(labels: NDArray[np.uint8], mask: Mask) -> Drawing:
    """Return the mask alone in its colours."""
    return _phases(labels, mask, 255, 255, 255)


def _phases(
    labels: NDArray[np.uint8], mask: Mask, matrix_alpha: int, phase_alpha: int, excluded_alpha: int
) -> Drawing:
    colours = np.zeros((256, 4), dtype=np.uint8)
    for phase in mask.classes:
        alpha = matrix_alpha if phase is mask.classes[0] else phase_alpha
        colours[phase.label] = (*phase.colour, alpha)
    colours[EXCLUDED] = (*_EXCLUDED_COLOUR, excluded_alpha)
    colours[_HATCH] = (*_HATCH_COLOUR, excluded_alpha)
    colours[_LINE] = (*BOUNDARY_COLOUR, 255)
    indices = labels.copy()
    rows, columns = np.ogrid[: labels.shape[0], : labels.shape[1]]
    indices[(labels == EXCLUDED) & ((rows + columns) % _HATCH_PERIOD < _HATCH_WIDTH)] = _HATCH
    indices[labels != cv2.erode(labels, _CROSS)] = _LINE
    return Drawing(indices, colours)


def boundary_lines(grains: NDArray[np.int32]) -> Drawing:
    """Return lines where grains meet, one pixel wide, so that they hide nothing of what they follow.

    Parameters
    ----------
    grains
        ``(height, width)`` int32 label image, 0 outside grains.
    """
    colours = np.zeros((256, 4), dtype=np.uint8)
    colours[_LINE] = (*GRAIN_BOUNDARY_COLOUR, 255)
    return Drawing(np.where(drawn(grains), _LINE, 0).astype(np.uint8), colours)


def grain_sizes(grains: NDArray[np.int32], class_of: NDArray[np.uint8]) -> Drawing:
    """Return grains in the colours of their size, and dark lines where they meet.

    Parameters
    ----------
    grains
        ``(height, width)`` int32 label image, 0 outside grains.
    class_of
        ``(labels + 1,)`` uint8, the class of sizes of each label.
    """
    colours = np.zeros((256, 4), dtype=np.uint8)
    for number, colour in enumerate((*COLOURS, CUT_COLOUR), start=1):
        colours[number] = (*colour, _SIZE_ALPHA)
    colours[_LINE] = (*_GRAIN_LINE_COLOUR, 255)
    indices = np.where(grains > 0, class_of[grains] + 1, 0).astype(np.uint8)
    indices[drawn(grains)] = _LINE
    return Drawing(indices, colours)


def lossless(drawing: Drawing) -> str:
    """Return a drawing as a ``data:`` address."""
    return webp(drawing.colours[drawing.indices], lossless=True, exact=True, quality=50)


def webp(pixels: NDArray[np.uint8], **options: Any) -> str:
    """Return ``(height, width, 3 or 4)`` uint8 pixels as the ``data:`` address of a WebP picture."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "WEBP", method=4, **options)
    return f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
