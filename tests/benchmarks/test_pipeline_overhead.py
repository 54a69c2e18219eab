"""What a field costs beside the network: reading, blending, labels, overlay, hashes, records.

``pytest -m benchmark tests/benchmarks/test_pipeline_overhead.py`` writes
``benchmarks/pipeline_overhead.json``: processor time per 3.2-megapixel field of one core with an engine that
does nothing, as a whole and by stage, for raw and LZW files; and with the shipped network on this processor,
the share of the run that the network alone would not have taken.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from steelquant.errors import UsageError
from steelquant.learning.samples import SAMPLES
from steelquant.learning.synthetic.field import synthesize_field
from steelquant.micrograph.provenance import machine
from steelquant.micrograph.reading import read_micrograph
from steelquant.networks.registry import model_info
from steelquant.networks.weights import find_weights
from steelquant.segmentation import pipeline, segment
from steelquant.segmentation.engine import load_engine
from steelquant.segmentation.job import prepare
from steelquant.segmentation.options import SegmentOptions
from steelquant.segmentation.predict import Predictor
from steelquant.segmentation.stages import read_field, write_field
from steelquant.segmentation.tiling import choose_tiling

RESULT = Path(__file__).resolve().parents[2] / "benchmarks" / "pipeline_overhead.json"
FIELDS, ROUNDS, NETWORK_FIELDS = 12, 5, 3
HEIGHT, WIDTH = 1542, 2080
TARGET_MS, TARGET_SHARE = 40, 0.05


class NoNetwork:
    """Gives the logits of the first tile of each shape again and again; they are those of a real field."""

    name, version, device, features = "none", "1", "cpu", None

    def __init__(self) -> None:
        self._logits: dict[tuple[int, ...], NDArray[np.float32]] = {}

    def predict(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        if tiles.shape not in self._logits:
            logits = np.zeros((len(tiles), 2, *tiles.shape[1:3]), np.float32)
            logits[:, 1] = (110 - tiles[..., 1].astype(np.float32)) / 16
            self._logits[tiles.shape] = logits
        return self._logits[tiles.shape]

    def on_cpu(self) -> None:
        return None


def write_fields(folder: Path, **options: Any) -> Path:
    """Write seeded synthetic fields."""
    folder.mkdir()
    for place in range(FIELDS):
        pixels = synthesize_field(SAMPLES[place % len(SAMPLES)].recipe, (9, place), HEIGHT, WIDTH).pixels
        tifffile.imwrite(
            folder / f"field_{place:02}.tif",
            pixels,
            photometric="rgb",
            resolution=(20_000, 20_000),
            resolutionunit="CENTIMETER",
            **options,
        )
    return folder


def milliseconds(action: Callable[[], object], clock: Callable[[], float] = time.thread_time) -> float:
    start = clock()
    action()
    return (clock() - start) * 1000


def by_stage(folder: Path, weights: Path, output: Path) -> dict[str, float]:
    """Median processor milliseconds of one field by stage, one after the other in one thread."""
    job = prepare(_options(folder, weights, output))
    predictor = Predictor(
        NoNetwork(), choose_tiling(model_info("mobilenetv2"), "cpu", None, None), tell=print
    )
    times: dict[str, list[float]] = {"read": [], "blend": [], "write": []}
    for field in job.fields:
        kept: dict[str, Any] = {}
        times["read"].append(milliseconds(lambda f=field, k=kept: k.update(read=read_field(job, f))))
        read = kept["read"]
        pixels = read.content.pixels
        predictor.predict(pixels, None)
        times["blend"].append(milliseconds(lambda p=pixels, k=kept: k.update(p=predictor.predict(p, None))))
        times["write"].append(
            milliseconds(lambda r=read, k=kept: write_field(job, r.field, r.content, k["p"]))
        )
    return {stage: round(statistics.median(values), 2) for stage, values in times.items()}


def _options(folder: Path, weights: Path, output: Path) -> SegmentOptions:
    return SegmentOptions(
        inputs=(folder,),
        model=None,
        output=output,
        weights=weights,
        device="cpu",
        engine="auto",
        tile=None,
        overlap=None,
        scale=1,
        pixel_size_um=None,
        recursive=False,
        exclusion=None,
        probabilities=False,
        ensemble=(),
        symmetries=False,
        overwrite=True,
        scheduler=None,
    )


@pytest.mark.benchmark
def test_what_is_not_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        weights = find_weights("mobilenetv2")
    except UsageError:
        pytest.skip("needs trained weights")
    folders = {"raw": write_fields(tmp_path / "raw")}
    folders["lzw"] = write_fields(tmp_path / "lzw", compression="lzw", rowsperstrip=16)
    result: dict[str, Any] = {"fields": FIELDS, "field_px": [HEIGHT, WIDTH], "machine": machine()}
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "load_engine", lambda *_: (NoNetwork(), None))
        for kind, folder in folders.items():
            processor, wall = [], []
            for _ in range(ROUNDS):
                start, start_wall = time.process_time(), time.perf_counter()
                run = segment(folder, output=tmp_path / "none", weights=weights, overwrite=True)
                processor.append((time.process_time() - start) / FIELDS * 1000)
                wall.append((time.perf_counter() - start_wall) / FIELDS * 1000)
                assert not run.failed
            result[kind] = {
                "processor_ms_per_field_median": round(statistics.median(processor), 1),
                "processor_ms_per_field_least": round(min(processor), 1),
                "wall_ms_per_field_median": round(statistics.median(wall), 1),
                "processor_ms_by_stage": by_stage(folder, weights, tmp_path / "stages"),
            }
    result["decoding_lzw_alone_ms"] = round(
        statistics.median(
            milliseconds(lambda path=path: tifffile.imread(path, maxworkers=1))
            for path in sorted(folders["lzw"].iterdir())
        ),
        1,
    )
    result["network"] = with_network(folders["raw"], weights, tmp_path)
    result |= {
        "target_processor_ms": TARGET_MS,
        "target_share": TARGET_SHARE,
        "versions": {name: version(name) for name in ("numpy", "opencv-python-headless", "imagecodecs")},
        "load_average": os.getloadavg() if hasattr(os, "getloadavg") else None,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def with_network(folder: Path, weights: Path, output: Path) -> dict[str, Any]:
    """Compare runs over some fields with the network alone on their pixels, in turns."""
    few = output / "few"
    few.mkdir()
    for path in sorted(folder.iterdir())[:NETWORK_FIELDS]:
        (few / path.name).write_bytes(path.read_bytes())
    engine, metadata = load_engine(weights, "cpu")
    tiling = choose_tiling(model_info(metadata.model), "cpu", None, None, crop_px=metadata.crop_px)
    tiles = []
    for path in sorted(few.iterdir()):
        pixels = read_micrograph(path).pixels
        grid = tiling.grid(*pixels.shape[:2])
        assert len(grid) == 1
        below, right = grid.rows.length_px - HEIGHT, grid.columns.length_px - WIDTH
        tiles.append(np.pad(pixels, ((0, below), (0, right), (0, 0)), mode="reflect")[None])
    engine.predict(tiles[0])
    alone, runs = [], []
    for _ in range(3):
        alone.append(sum(milliseconds(lambda t=t: engine.predict(t), time.perf_counter) for t in tiles))
        run = segment(few, output=output / "network", weights=weights, device="cpu", overwrite=True)
        runs.append(run.seconds * 1000)
    share = 1 - statistics.median(alone) / statistics.median(runs)
    return {
        "engine": engine.name,
        "network_alone_ms_per_field": round(statistics.median(alone) / NETWORK_FIELDS, 1),
        "run_ms_per_field": round(statistics.median(runs) / NETWORK_FIELDS, 1),
        "share_not_network": round(share, 4),
    }
