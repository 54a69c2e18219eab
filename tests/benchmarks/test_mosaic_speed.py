"""Very large fields: peak memory and time by area, from a BigTIFF on disk to mask and overlay on disk.

``pytest -m benchmark -s tests/benchmarks/test_mosaic_speed.py`` segments mosaics of 3 to 400 megapixels with
the shipped network, each in a process of its own, prints a table and writes ``benchmarks/mosaic.json``.
``MOSAIC_MP=100`` leaves out what is larger. The mosaics are seeded synthetic fields, turned, side by side;
they lie in the folder for temporary files of the test run, 1.2 GB for the largest.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import tifffile

from steelquant.errors import UsageError
from steelquant.learning.samples import SAMPLES
from steelquant.learning.synthetic.field import synthesize_field
from steelquant.micrograph.mosaic import STREAMED_FROM_PX
from steelquant.micrograph.provenance import machine
from steelquant.networks.weights import find_weights

RESULT = Path(__file__).resolve().parents[2] / "benchmarks" / "mosaic.json"
SIZES_PX = [
    (1542, 2080),
    (5_000, 5_000),
    (8_000, 8_125),
    (10_000, 10_000),
    (14_000, 14_000),
    (20_000, 20_000),
]
FIELD_PX, SMALLEST_PX = 1000, 1024
TARGET_BYTES, TARGET_SPREAD = 2 * 2**30, 1.25

# The peak of the process itself: what its parent needed before would count in getrusage.
RUN = """
import sys, time
from steelquant.segmentation import segment

start = time.process_time()
run = segment(sys.argv[1], output=sys.argv[2], device="cpu", overwrite=True)
assert not run.failed, run.failed
(line,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(line.split()[1], run.seconds, time.process_time() - start)
"""


def write_mosaic(path: Path, height_px: int, width_px: int) -> None:
    """Tile seeded synthetic fields, each turned by chance, to a BigTIFF, a row of fields at a time."""
    fields = [
        synthesize_field(sample.recipe, (11, place), FIELD_PX, FIELD_PX).pixels
        for place, sample in enumerate(SAMPLES[:6])
    ]
    generator = np.random.default_rng(11)
    mosaic = tifffile.memmap(
        path,
        shape=(height_px, width_px, 3),
        dtype=np.uint8,
        bigtiff=True,
        photometric="rgb",
        resolution=(20_000, 20_000),
        resolutionunit="CENTIMETER",
    )
    for top in range(0, height_px, FIELD_PX):
        for left in range(0, width_px, FIELD_PX):
            place = mosaic[top : top + FIELD_PX, left : left + FIELD_PX]
            field = np.rot90(fields[generator.integers(len(fields))], generator.integers(4))
            place[:] = field[: place.shape[0], : place.shape[1]]
        mosaic.flush()


def check_mask(path: Path, height_px: int, width_px: int) -> None:
    """Check size, deflate, and of what was streamed tiles and overviews; and that it holds two phases."""
    with tifffile.TiffFile(path) as tiff:
        levels = tiff.series[0].levels
        pages = [level.pages[0] for level in levels]
        assert pages[0].shape == (height_px, width_px)
        assert all(page.compression == tifffile.COMPRESSION.ADOBE_DEFLATE for page in pages)
        if height_px * width_px > STREAMED_FROM_PX:
            assert all(page.is_tiled for page in pages)
            assert all(page.is_reduced for page in pages[1:])
            halves = [(height_px >> level, width_px >> level) for level in range(len(pages))]
            assert [page.shape for page in pages] == halves
            assert max(pages[-1].shape) <= SMALLEST_PX < max(pages[-2].shape)
        labels = levels[-1].asarray()
    assert set(np.unique(labels)) <= {0, 1}
    assert 0.02 < float(np.mean(labels == 1)) < 0.98


@pytest.mark.benchmark
@pytest.mark.skipif(sys.platform != "linux", reason="other systems count memory otherwise")
def test_memory_and_time_by_area(tmp_path: Path) -> None:
    try:
        find_weights("mobilenetv2")
    except UsageError:
        pytest.skip("needs trained weights")
    rows = []
    for height, width in SIZES_PX:
        megapixels = height * width / 1e6
        if megapixels > float(os.environ.get("MOSAIC_MP", "400")):
            continue
        path, output = tmp_path / "mosaic.tif", tmp_path / "segmented"
        write_mosaic(path, height, width)
        start = time.perf_counter()
        command = [sys.executable, "-c", RUN, path, output]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        wall_s = time.perf_counter() - start
        peak_kib, run_s, processor_s = (float(text) for text in done.stdout.split()[-3:])
        check_mask(output / "mosaic.tif", height, width)
        rows.append(
            {
                "height_px": height,
                "width_px": width,
                "megapixels": round(megapixels, 1),
                "in_strips": height * width >= STREAMED_FROM_PX,
                "peak_mib": round(peak_kib / 1024),
                "wall_s": round(wall_s, 2),
                "run_s": round(run_s, 2),
                "processor_s": round(processor_s, 2),
                "wall_s_per_megapixel": round(run_s / megapixels, 4),
                "processor_s_per_megapixel": round(processor_s / megapixels, 4),
            }
        )
        path.unlink()
    result = {
        "rows": rows,
        "target_peak_mib": TARGET_BYTES // 2**20,
        "machine": machine(),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "versions": {name: version(name) for name in ("openvino", "tifffile", "numpy")},
        "load_average": os.getloadavg(),
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    lines = ["| px | megapixels | s | MP/s | processor s/MP | peak memory |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {row['width_px']} x {row['height_px']} | {row['megapixels']:.0f} | {row['run_s']:.0f} "
        f"| {row['megapixels'] / row['run_s']:.2f} | {row['processor_s_per_megapixel']:.2f} "
        f"| {row['peak_mib'] / 1024:.2f} GiB |"
        for row in rows
    ]
    print("\n" + "\n".join(lines) + "\n")
    assert all(row["peak_mib"] * 2**20 < TARGET_BYTES for row in rows)
    in_strips = [row["processor_s_per_megapixel"] for row in rows if row["in_strips"]]
    if len(in_strips) > 1:
        assert max(in_strips) / min(in_strips) < TARGET_SPREAD
