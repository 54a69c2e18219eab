"""A run of thousands of fields needs no more memory at its end than soon after its beginning."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

FIELDS = 2000
RUN = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from threshold_engine import ThresholdEngine
from steelquant.networks.weights import read_metadata
from steelquant.segmentation import pipeline, segment

pipeline.load_engine = lambda path, *_: (ThresholdEngine(), read_metadata(path))
ThresholdEngine.shapes = property(lambda self: [], lambda self, value: None)  # it would keep them all

def tell(progress):
    if progress.fields_done % 100 == 0:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        print(progress.fields_done, pages * os.sysconf("SC_PAGE_SIZE") / 2**20, flush=True)

run = segment(sys.argv[2], output=sys.argv[3], weights=sys.argv[4], probabilities=True, progress=tell)
sys.exit(len(run.failed))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the resident size is read from /proc")
def test_memory_of_two_thousand_fields(weights: Path, texture, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    tifffile.imwrite(images / "0.tif", texture(256, 320), photometric="rgb")
    for number in range(1, FIELDS):
        shutil.copy(images / "0.tif", images / f"{number}.tif")
    words = (Path(__file__).parents[1] / "segmentation", images, tmp_path / "out", weights)
    done = subprocess.run(
        [sys.executable, "-c", RUN, *map(str, words)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    fields, mebibytes = np.array([line.split() for line in done.stdout.splitlines()], float).T
    assert fields[-1] == FIELDS
    settled = mebibytes[fields >= 400]
    growth = settled[-5:].mean() - settled[:5].mean()
    print(f"{FIELDS} fields: {settled[:5].mean():.1f} MiB after 400, {settled[-5:].mean():.1f} at the end")
    # The record of each field, some 2 kB, is kept for segmentation.json and for the closing table.
    assert growth < 12
