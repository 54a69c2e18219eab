"""Masks corrected by hand as regions in QuPath or Fiji take the place of the masks that they correct."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from steelquant.errors import UsageError
from steelquant.micrograph.calibration import GivenScale
from steelquant.micrograph.field import Mask
from steelquant.micrograph.masks import read_mask
from steelquant.micrograph.rois import is_roi_file, read_rois, roi_names
from steelquant.stereology.sources import FieldSource, Run, find_sources


def find_corrected_sources(masks: Sequence[Path]) -> tuple[list[FieldSource], list[Run], list[str]]:
    """Find the history of each mask, as `find_sources` does, files of regions among the masks.

    A file of regions stands for the mask of its name that is given too or lies beside it, and takes over
    its history. One without such a mask is a field of its own, which must tell its size.

    Raises
    ------
    UsageError
        Two files of regions correct one field, or one could correct several.
    """
    corrections = [path for path in masks if is_roi_file(path)]
    beside = [mask for path in corrections if (mask := path.with_suffix(".tif")).is_file()]
    plain = dict.fromkeys([*(path for path in masks if not is_roi_file(path)), *beside])
    sources, runs, warnings = find_sources(list(plain))
    names = roi_names([source.name for source in sources])
    alone = []
    corrected: dict[int, Path] = {}
    for path in corrections:
        fitting = _fitting(path, names, sources)
        if not fitting:
            alone.append(FieldSource(path.stem, path, path.absolute().parent.name))
            continue
        if len(fitting) > 1:
            both = " and ".join(str(sources[index].mask_path) for index in fitting[:2])
            raise UsageError(f"{path}: could correct {both}; give them in two reports")
        if fitting[0] in corrected:
            raise UsageError(f"{corrected[fitting[0]]} and {path} correct the same field; give one of them")
        corrected[fitting[0]] = path
    for index, path in corrected.items():
        source = sources[index]
        sources[index] = replace(source, mask_path=path, original_path=source.mask_path)
    return [*sources, *alone], runs, warnings


def _fitting(path: Path, names: Sequence[str], sources: Sequence[FieldSource]) -> list[int]:
    """Return the places of the masks that a file of regions may correct."""
    wanted = path.stem.casefold()
    exact = [index for index, name in enumerate(names) if name.casefold() == wanted]
    return exact or [n for n, source in enumerate(sources) if source.mask_path.stem.casefold() == wanted]


def read_field_mask(source: FieldSource, *, pixel_size_um: float | GivenScale | None = None) -> Mask:
    """Read the mask of a field, or the regions that take its place.

    Regions that change no pixel are not used: the mask itself is returned, with its own path and hash.

    Raises
    ------
    FileError
        It cannot be read.
    UsageError
        `pixel_size_um` is not a finite positive number.
    """
    if not is_roi_file(source.mask_path):
        return read_mask(source.mask_path, pixel_size_um=pixel_size_um)
    if source.original_path is None:
        return read_rois(source.mask_path, pixel_size_um=pixel_size_um)
    original = read_mask(source.original_path, pixel_size_um=pixel_size_um)
    corrected = read_rois(source.mask_path, original=original, pixel_size_um=pixel_size_um)
    return original if np.array_equal(corrected.labels, original.labels) else corrected
