"""Same in, same out: two runs, one thread or two, PyTorch or OpenVINO, with the shipped network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from steelquant.learning.synthetic.field import synthesize_field
from steelquant.learning.synthetic.recipe import Recipe
from steelquant.micrograph.masks import read_mask

FIELDS = 4
_TIMES = {"started_utc", "finished_utc", "seconds"}


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fields")
    for place in range(FIELDS):
        field = synthesize_field(Recipe(), (11, place), 448, 512)
        resolution = (10_000 / field.pixel_size_um,) * 2
        path = folder / f"field_{place}.tif"
        tifffile.imwrite(
            path, field.pixels, photometric="rgb", resolution=resolution, resolutionunit="CENTIMETER"
        )
    return folder


def _run(fields: Path, place: Path, threads: int, *words: str) -> Path:
    """Segment and quantify in a new process that has so many threads, from a folder of its own."""
    place.mkdir()
    environment = {
        name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    }
    steelquant = [sys.executable, "-m", "steelquant"]
    for command in (["segment", str(fields), *words], ["quantify"]):
        done = subprocess.run(
            [*steelquant, *command],
            cwd=place,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    return place


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(item) for key, item in value.items() if key not in _TIMES}
    return [_timeless(item) for item in value] if isinstance(value, list) else value


def _labels(place: Path) -> NDArray[np.uint8]:
    return np.concatenate([read_mask(place / "segmented" / f"field_{n}.tif").labels for n in range(FIELDS)])


@pytest.fixture(scope="module")
def one_thread(fields: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _run(fields, tmp_path_factory.mktemp("one") / "run", 1)


def test_two_runs_give_the_same_bytes(fields: Path, one_thread: Path, tmp_path: Path) -> None:
    again = _run(fields, tmp_path / "again", 1)
    compared = [
        *one_thread.glob("segmented/*.tif"),
        *one_thread.glob("segmented/*.png"),
        *one_thread.glob("*.csv"),
    ]
    assert len(compared) > 2 * FIELDS + 5
    for path in [*compared, one_thread / "report.json"]:
        assert path.read_bytes() == (again / path.relative_to(one_thread)).read_bytes(), path.name
    records = [
        json.loads((place / "segmented/segmentation.json").read_text()) for place in (one_thread, again)
    ]
    assert _timeless(records[0]) == _timeless(records[1])


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_one_thread_and_two_give_the_same_masks(fields: Path, engine: str, tmp_path: Path) -> None:
    one, two = (_labels(_run(fields, tmp_path / str(n), n, "--engine", engine)) for n in (1, 2))
    equal = float((one == two).mean())
    print(f"{engine}, one thread and two: {equal:.6%} of {one.size} pixels are equal")
    assert equal >= 0.9999


@pytest.mark.slow
def test_pytorch_and_openvino_give_the_same_masks(fields: Path, tmp_path: Path) -> None:
    of = {name: _labels(_run(fields, tmp_path / name, 1, "--engine", name)) for name in ("openvino", "torch")}
    equal = float((of["openvino"] == of["torch"]).mean())
    print(f"OpenVINO and PyTorch: {equal:.6%} of {of['torch'].size} pixels are equal")
    assert equal >= 0.999
