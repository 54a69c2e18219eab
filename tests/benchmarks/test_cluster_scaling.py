"""Two workers of a Dask cluster against one, one thread each, from a folder of fields to masks on disk.

``pytest -m benchmark -s tests/benchmarks/test_cluster_scaling.py`` prints a table and writes
``benchmarks/cluster_scaling.json``: wall times of three rounds in turns, their ratio, and whether the masks
are those of a run without a cluster. A run over two fields goes before each, so that what workers import is
not counted; that each of them loads the network is. ``FIELDS`` and ``ROUNDS`` in the environment make it
shorter. It needs two idle cores.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import tifffile

from steelquant.errors import UsageError
from steelquant.learning.samples import SAMPLES
from steelquant.learning.synthetic.field import synthesize_field
from steelquant.micrograph.provenance import machine
from steelquant.networks.weights import find_weights
from steelquant.segmentation import segment

distributed = pytest.importorskip("distributed")

RESULT = Path(__file__).resolve().parents[2] / "benchmarks" / "cluster_scaling.json"
FIELDS, ROUNDS = int(os.environ.get("FIELDS", "24")), int(os.environ.get("ROUNDS", "3"))
HEIGHT, WIDTH = 1542, 2080
TARGET = 1.8


def masks(folder: Path) -> dict[str, bytes]:
    """Return the bytes of all masks of an output folder."""
    return {path.name: path.read_bytes() for path in folder.glob("*.tif")}


@pytest.mark.benchmark
def test_two_workers_against_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        find_weights("mobilenetv2")
    except UsageError:
        pytest.skip("needs trained weights")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    fields = tmp_path / "fields"
    fields.mkdir()
    for place in range(FIELDS):
        recipe = SAMPLES[place % len(SAMPLES)].recipe
        pixels = synthesize_field(recipe, (12, place), HEIGHT, WIDTH).pixels
        tifffile.imwrite(fields / f"field_{place:02}.tif", pixels, photometric="rgb")
    few = tmp_path / "few"
    few.mkdir()
    for path in sorted(fields.iterdir())[:2]:
        shutil.copy(path, few)
    home = segment(fields, output=tmp_path / "home", device="cpu")
    assert not home.failed
    wanted = masks(tmp_path / "home")
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for place in range(ROUNDS):
        for count in (1, 2) if place % 2 == 0 else (2, 1):
            output = tmp_path / f"workers_{count}_{place}"
            with distributed.LocalCluster(
                n_workers=count, threads_per_worker=1, dashboard_address=":0"
            ) as local:
                options: dict[str, Any] = {"device": "cpu", "scheduler": local.scheduler_address}
                segment(few, output=output / "few", **options)
                start = time.perf_counter()
                run = segment(fields, output=output / "all", **options)
                seconds[count].append(time.perf_counter() - start)
            assert not run.failed
            assert masks(output / "all") == wanted
    ratio = statistics.median(seconds[1]) / statistics.median(seconds[2])
    result = {
        "fields": FIELDS,
        "field_px": [HEIGHT, WIDTH],
        "seconds_without_cluster": round(home.seconds, 2),
        "seconds_one_worker": [round(value, 2) for value in seconds[1]],
        "seconds_two_workers": [round(value, 2) for value in seconds[2]],
        "ratio_of_medians": round(ratio, 3),
        "target_ratio": TARGET,
        "masks_equal_those_without_cluster": True,
        "machine": machine(),
        "versions": {name: version(name) for name in ("distributed", "openvino", "numpy")},
        "load_average": os.getloadavg() if hasattr(os, "getloadavg") else None,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(
        f"\n| {FIELDS} fields, medians of {ROUNDS} rounds | s |\n|---|---|"
        f"\n| without a cluster, one thread | {home.seconds:.1f} |"
        f"\n| one worker | {statistics.median(seconds[1]):.1f} |"
        f"\n| two workers | {statistics.median(seconds[2]):.1f} ({ratio:.2f} times as fast) |\n"
    )
    assert ratio >= TARGET
