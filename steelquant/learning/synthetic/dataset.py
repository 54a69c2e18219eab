"""A folder of synthetic micrographs with masks and grain labels, made in parallel and resumable."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from steelquant import __version__
from steelquant.errors import FileError, UsageError
from steelquant.learning.synthetic.field import SyntheticField, synthesize_field
from steelquant.learning.synthetic.recipe import Recipe, recipe_yaml
from steelquant.micrograph.documents import parse_yaml
from steelquant.micrograph.files import atomic_write, write_bytes
from steelquant.micrograph.masks import scale_tags, write_mask
from steelquant.micrograph.naming import GRAINS_MARK
from steelquant.processes import worker_processes

RECIPE_NAME = "recipe.yaml"
SMALLEST_PX = 64
LARGEST_PX = 20_000


@dataclass(frozen=True)
class _Task:
    """One field to be made; small enough to be sent to another process."""

    recipe: Recipe
    seed: int
    index: int
    height: int
    width: int
    output: Path


def field_name(index: int) -> str:
    """Return the name, without ending, of the field with this index."""
    return f"field_{index:05d}"


def field_paths(output: Path, index: int) -> tuple[Path, Path, Path]:
    """Return where the image, the mask and the grain labels of one field lie."""
    name = f"{field_name(index)}.tif"
    return output / "images" / name, output / "masks" / name, output / "grains" / name


def make_dataset(
    recipe: Recipe,
    output: Path,
    *,
    count: int,
    width: int,
    height: int,
    seed: int = 0,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Make `count` fields in ``images``, ``masks`` and ``grains`` below `output`.

    Field number i is a function of recipe, seed, i, size and version alone: neither the count nor the
    workers change it. An interrupted run goes on where it stopped, and a larger count adds fields.

    Parameters
    ----------
    workers
        Processes; None for one a core.
    progress
        Called with the number of finished fields and `count`.

    Returns
    -------
    int
        How many fields were made now; the others were already there.

    Raises
    ------
    UsageError
        A wrong number, or an output folder with other content.
    """
    if count < 1:
        raise UsageError(f"--count must be at least 1, not {count}")
    if seed < 0:
        raise UsageError(f"--seed must be 0 or more, not {seed}")
    if not all(SMALLEST_PX <= size <= LARGEST_PX for size in (width, height)):
        raise UsageError(
            f"--size must be {SMALLEST_PX} to {LARGEST_PX} pixels wide and high, not {width}x{height}"
        )
    if workers is not None and workers < 1:
        raise UsageError(f"--workers must be at least 1, not {workers}")
    _claim(output, recipe, seed, width, height)
    missing = [i for i in range(count) if not all(path.exists() for path in field_paths(output, i))]
    tasks = [_Task(recipe, seed, index, height, width, output) for index in missing]
    done = count - len(missing)
    if progress is not None:
        progress(done, count)
    for _ in _run(tasks, workers or os.cpu_count() or 1):
        done += 1
        if progress is not None:
            progress(done, count)
    return len(missing)


def _claim(output: Path, recipe: Recipe, seed: int, width: int, height: int) -> None:
    """Write the recipe, or check that the folder's content was made with the same one."""
    made_with = {"version": __version__, "seed": seed, "width": width, "height": height}
    text = recipe_yaml(recipe, made_with)
    path = output / RECIPE_NAME
    if output.exists() and not output.is_dir():
        raise FileError(output, "is a file; name a folder with --output")
    if path.exists():
        try:
            before = parse_yaml(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise FileError(path, f"cannot be understood ({error}); choose another --output") from None
        if before != parse_yaml(text):
            raise UsageError(
                f"{output} holds a set made with another recipe, seed, size or version; name another folder"
            )
        return
    if output.is_dir() and any(output.iterdir()):
        raise UsageError(f"{output} is not empty and holds no {RECIPE_NAME}; choose another --output")
    write_bytes(path, text.encode())


def _run(tasks: list[_Task], workers: int) -> Iterable[None]:
    if workers == 1 or len(tasks) < 2:
        for task in tasks:
            _make(task)
            yield
        return
    with worker_processes(min(workers, len(tasks))) as pool:
        for future in as_completed([pool.submit(_make, task) for task in tasks]):
            future.result()
            yield


def _make(task: _Task) -> None:
    field = synthesize_field(task.recipe, (task.seed, task.index), task.height, task.width)
    image, mask, grains = field_paths(task.output, task.index)
    write_grains(grains, field)
    write_mask(mask, field.labels, pixel_size_um=field.pixel_size_um)
    # The image comes last: where it stands, the field is whole.
    description = json.dumps({"steelquant": __version__, "seed": [task.seed, task.index], **field.parameters})
    _write_tiff(image, field.pixels, field.pixel_size_um, description)


def write_grains(path: Path, field: SyntheticField) -> None:
    """Write the ferrite grain labels as a TIFF of 16 bits, or 32 where there are more than 65,535."""
    dtype = np.uint16 if int(field.grains.max()) <= np.iinfo(np.uint16).max else np.int32
    _write_tiff(path, field.grains.astype(dtype), field.pixel_size_um, GRAINS_MARK)


def _write_tiff(path: Path, data: NDArray[Any], pixel_size_um: float, description: str | None = None) -> None:
    with atomic_write(path) as temporary:
        tifffile.imwrite(
            temporary,
            data,
            photometric="rgb" if data.ndim == 3 else "minisblack",
            compression="lzw" if data.ndim == 3 else "zlib",
            predictor=data.ndim == 3,
            **scale_tags(pixel_size_um),
            description=description,
            metadata=None,
        )
