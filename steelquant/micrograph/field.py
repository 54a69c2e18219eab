"""What a field is: its pixels, its scale and what does not count; and the mask made from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

EXCLUDED = 255
"""Label of pixels that belong to no phase: info bars, scale bars, resin, unlabelled strips."""


@dataclass(frozen=True)
class PhaseClass:
    """One class of a segmentation: its label in the mask, its name and its overlay colour (RGB)."""

    label: int
    name: str
    colour: tuple[int, int, int]


FERRITE = PhaseClass(0, "ferrite", (240, 228, 66))
PEARLITE = PhaseClass(1, "pearlite", (0, 114, 178))
STEEL_CLASSES: tuple[PhaseClass, ...] = (FERRITE, PEARLITE)
"""The two phases of the paper, in the colours of Okabe and Ito that the colour-blind can tell apart."""


@dataclass(frozen=True)
class Calibration:
    """The scale of a field and where it came from.

    Attributes
    ----------
    pixel_size_um
        Edge of a pixel in µm, or None where nothing trustworthy states it.
    source
        What stated it, in words for the report: ``"command line"``, ``"Olympus SIS tag 33560"``;
        for an uncalibrated field the reason, such as ``"72 dpi is a screen density, not a scale"``.
    warnings
        Conflicts between sources, unequal x and y, values outside 0.005–50 µm/px; one sentence each.
    """

    pixel_size_um: float | None
    source: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Micrograph:
    """One field as the networks and the report need it.

    Attributes
    ----------
    path
        The file it was read from.
    page
        Zero-based index of the field in a multi-page file.
    pixels
        ``(height, width, 3)`` uint8 RGB, grey fields repeated, 16-bit ones scaled to 8 bits.
    excluded
        ``(height, width)`` bool, true where a pixel must not count; None where all count.
    calibration
        The scale.
    sha256
        Hash of the file's bytes.
    warnings
        What was done to the pixels that a user should know, one sentence each.
    """

    path: Path
    page: int
    pixels: NDArray[np.uint8]
    excluded: NDArray[np.bool_] | None
    calibration: Calibration
    sha256: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mask:
    """A labelled field.

    Attributes
    ----------
    path
        The file it was read from.
    labels
        ``(height, width)`` uint8: 0 ferrite, 1 pearlite, … , 255 excluded.
    calibration
        The scale stated in the mask's own file.
    sha256
        Hash of the file's bytes.
    classes
        The classes that the labels may name.
    notes
        How its pixels were understood where that is not plain, one sentence each.
    """

    path: Path
    labels: NDArray[np.uint8]
    calibration: Calibration
    sha256: str
    classes: tuple[PhaseClass, ...] = STEEL_CLASSES
    notes: tuple[str, ...] = ()
