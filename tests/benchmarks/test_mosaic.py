"""Mosaics from 3 to 400 megapixels: time in proportion to area, memory that does not grow with height.

``pytest -m benchmark tests/benchmarks/test_mosaic.py`` writes ``benchmarks/mosaic.json``;
``STEELQUANT_MOSAIC_MP=100`` leaves out what is larger.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from peers.material import HEIGHT_PX, WIDTH_PX

from steelquant.learning.samples import SAMPLES
from steelquant.learning.synthetic.field import synthesize_field
from steelquant.micrograph.provenance import machine

RESULT = Path(__file__).resolve().parents[2] / "benchmarks" / "mosaic.json"
SIZES_PX = ((1542, 2080), (5_000, 5_000), (10_000, 10_000), (20_000, 20_000))
TILE_PX = 512
PEAK_MIB = 2048
PROPORTIONAL = 1.3
"""Seconds per megapixel of the largest against those of 25 MP, where starting no longer counts."""

_RUN = """
import json, sys
from steelquant.segmentation import segment
run = segment(sys.argv[1], output=sys.argv[2], device="cpu")
assert not run.failed, run.fields[0].error
memory = dict(line.split(":", 1) for line in open("/proc/self/status"))["VmHWM"]
print(json.dumps({"seconds": run.seconds, "peak_mib": round(int(memory.split()[0]) / 1024)}))
"""


def write_mosaic(path: Path, height_px: int, width_px: int, sheet: NDArray[np.uint8]) -> None:
    """Write a tiled BigTIFF that repeats a sheet; never more than a tile of it is in memory."""

    def tiles() -> Iterator[NDArray[np.uint8]]:
        for top in range(0, height_px, TILE_PX):
            rows = np.arange(top, top + TILE_PX) % sheet.shape[0]
            for left in range(0, width_px, TILE_PX):
                columns = np.arange(left, left + TILE_PX) % sheet.shape[1]
                yield sheet[rows[:, None], columns]

    tifffile.imwrite(
        path,
        tiles(),
        shape=(height_px, width_px, 3),
        dtype=np.uint8,
        tile=(TILE_PX, TILE_PX),
        photometric="rgb",
        compression="lzw",
        bigtiff=True,
    )


@pytest.mark.benchmark
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from /proc")
def test_mosaics_take_time_by_area_and_bounded_memory(tmp_path: Path) -> None:
    halves = [synthesize_field(SAMPLES[n].recipe, (7, n), HEIGHT_PX, WIDTH_PX).pixels for n in range(2)]
    sheet = np.concatenate(halves, axis=1)
    most_mp = float(os.environ.get("STEELQUANT_MOSAIC_MP", "inf"))
    rows = []
    for height_px, width_px in SIZES_PX:
        area_mp = height_px * width_px / 1e6
        if area_mp > most_mp:
            continue
        path = tmp_path / f"mosaic_{height_px}.tif"
        write_mosaic(path, height_px, width_px, sheet)
        done = subprocess.run(
            [sys.executable, "-c", _RUN, str(path), str(tmp_path / f"out_{height_px}")],
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        row = {"height_px": height_px, "width_px": width_px, "megapixels": round(area_mp, 1)}
        row |= json.loads(done.stdout.splitlines()[-1])
        rows.append(row | {"seconds_per_mp": round(row["seconds"] / area_mp, 4)})
        print(rows[-1], flush=True)
        path.unlink()
    result = {
        "machine": machine(),
        "versions": {name: version(name) for name in ("steelquant", "openvino", "numpy", "tifffile")},
        "mosaics": rows,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2), encoding="utf-8")
    assert all(row["peak_mib"] < PEAK_MIB for row in rows)
    assert rows[-1]["seconds_per_mp"] <= PROPORTIONAL * rows[1]["seconds_per_mp"]
