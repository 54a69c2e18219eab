"""Six sample micrographs of the project's own: synthetic, calibrated, the same for everyone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from steelquant.learning.synthetic import Recipe, synthesize_field
from steelquant.micrograph.files import atomic_write
from steelquant.micrograph.masks import scale_tags

WIDTH_PX, HEIGHT_PX = 2080, 1542
PIXEL_SIZE_UM = 0.2
_SEED = 1045
_LIGHT_LOSS = 0.45

_SOUND = Recipe(
    pure_ferrite=0,
    pure_pearlite=0,
    random=0,
    clustered=0,
    banded=0,
    network=0.1,
    films=0,
    plates=0,
    islands=0.5,
    pearlite_grey=(0.2, 0.4),
    boundary_depth=(0.25, 0.5),
    boundary_hidden=(0, 0.1),
    exposure=(0.85, 0.9),
    pixel_size_um=(PIXEL_SIZE_UM, PIXEL_SIZE_UM),
    degraded=0,
    mounted_edge=0,
    info_bar=0,
    scale_bar=0,
    letter=0,
    eyepiece=0,
    wide_crack=0,
)
"""A well prepared field without surroundings; each sample changes a few entries."""


@dataclass(frozen=True)
class Sample:
    """A sample micrograph.

    Attributes
    ----------
    name
        Of its file, without ending.
    description
        What it shows, a few words.
    recipe
        What it is drawn from.
    is_unevenly_lit
        Whether its light falls off from left to right.
    """

    name: str
    description: str
    recipe: Recipe
    is_unevenly_lit: bool = False


def _recipe(pearlite_fraction: float, grain_diameter_px: float) -> Recipe:
    return replace(
        _SOUND,
        pearlite_fraction=(pearlite_fraction, pearlite_fraction),
        grain_diameter_px=(grain_diameter_px, grain_diameter_px),
    )


SAMPLES: tuple[Sample, ...] = (
    Sample(
        "1_low_carbon",
        "about 0.1 % C, annealed",
        replace(_recipe(0.12, 70), random=1, network=0, colour=0),
    ),
    Sample(
        "2_medium_carbon",
        "about 0.3 % C, normalised",
        replace(_recipe(0.4, 60), clustered=1, network=0, colour=1),
    ),
    Sample(
        "3_high_pearlite",
        "about 0.6 % C, ferrite network",
        replace(_recipe(0.8, 110), films=1, colour=1),
    ),
    Sample(
        "4_banded",
        "hot-rolled, banded",
        replace(_recipe(0.35, 45), banded=1, network=0, colour=0),
    ),
    Sample(
        "5_uneven_light",
        "about 0.45 % C, unevenly lit",
        replace(_recipe(0.55, 70), random=1, network=0, colour=1),
        is_unevenly_lit=True,
    ),
    Sample(
        "6_widmanstatten",
        "overheated, Widmanstätten plates",
        replace(_recipe(0.7, 140), films=1, plates=1, colour=0),
    ),
)


def write_samples(
    folder: Path,
    *,
    width_px: int = WIDTH_PX,
    height_px: int = HEIGHT_PX,
    on_sample: Callable[[Sample], None] | None = None,
) -> list[Path]:
    """Write the sample micrographs that are not there yet.

    Parameters
    ----------
    folder
        Where to write ``NAME.tif``: RGB, LZW, with its scale in the resolution tags.
    width_px, height_px
        Their size.
    on_sample
        Called before each that is made.

    Returns
    -------
    list of Path
        All six, in order.

    Raises
    ------
    FileError
        If the folder cannot be written.
    """
    paths = []
    for place, sample in enumerate(SAMPLES):
        path = folder / f"{sample.name}.tif"
        paths.append(path)
        if path.exists():
            continue
        if on_sample is not None:
            on_sample(sample)
        pixels = synthesize_field(sample.recipe, (_SEED, place), height_px, width_px).pixels
        _write(path, _shade(pixels) if sample.is_unevenly_lit else pixels, sample.description)
    return paths


def _shade(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Take light away towards the right and a little towards the bottom."""
    height, width = pixels.shape[:2]
    across = np.linspace(0, 1, width, dtype=np.float32)[None, :, None]
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    return (pixels * (1 - _LIGHT_LOSS * (0.8 * across + 0.2 * down))).astype(np.uint8)


def _write(path: Path, pixels: NDArray[np.uint8], description: str) -> None:
    with atomic_write(path) as temporary:
        tifffile.imwrite(
            temporary,
            pixels,
            photometric="rgb",
            compression="lzw",
            predictor=True,
            **scale_tags(PIXEL_SIZE_UM),
            description=f"Synthetic sample micrograph of steelquant: {description}".encode(),
            metadata=None,
        )
