"""What a field costs beside the network: reading, blending, labels, overlay, hashes, records.

``pytest -m benchmark -s tests/benchmarks/test_pipeline_overhead.py`` prints a table and writes
``benchmarks/pipeline_overhead.json``, for raw and LZW files of 3.2 megapixels:

- processor time of a run a field, where the network's answers are at hand (those of the shipped network, so
  that labels, files and pictures are what users get), as a whole and by stage: on one core, where the limit
  holds, and on all, where the cores wait for each other's memory. LZW's decoder takes what it takes; the
  limit holds without it.
- their share in the processor time of a run with the network, and in its wall time how much longer the run
  takes than the network alone.

``FIELDS`` and ``ROUNDS`` in the environment make it shorter. Processor time holds beside other programs, but
for the memory that they slow down; wall time needs an idle machine.
"""

from __future__ import annotations

import hashlib
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
from steelquant.micrograph.masks import write_mask
from steelquant.micrograph.overlay import write_overlay
from steelquant.micrograph.provenance import machine
from steelquant.networks.registry import model_info
from steelquant.networks.weights import find_weights
from steelquant.segmentation import pipeline, segment
from steelquant.segmentation.engine import Engine, load_engine
from steelquant.segmentation.job import prepare
from steelquant.segmentation.look import look_at
from steelquant.segmentation.options import SegmentOptions
from steelquant.segmentation.predict import Predictor
from steelquant.segmentation.results import SegmentationRun
from steelquant.segmentation.stages import read_field, write_field
from steelquant.segmentation.tiling import choose_tiling

RESULT = Path(__file__).resolve().parents[2] / "benchmarks" / "pipeline_overhead.json"
FIELDS, ROUNDS = int(os.environ.get("FIELDS", "12")), int(os.environ.get("ROUNDS", "5"))
NETWORK_ROUNDS = 3
HEIGHT, WIDTH = 1542, 2080
TARGET_MS, TARGET_SHARE = 40, 0.05
PACKAGES = ("numpy", "opencv-python-headless", "imagecodecs", "isal", "tifffile", "openvino")


class Watched:
    """The network, its time and its answers."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.name, self.version, self.device = engine.name, engine.version, engine.device
        self.answers: dict[bytes, tuple[NDArray[np.float32], Any]] = {}
        self.features: Any = None
        self.seconds = 0.0

    def predict(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        start = time.perf_counter()
        logits = self.engine.predict(tiles)
        self.seconds += time.perf_counter() - start
        self.features = getattr(self.engine, "features", None)
        self.answers.setdefault(_key(tiles), (logits, self.features))
        return logits

    def on_cpu(self) -> None:
        return None


class Remembered:
    """Gives the answers that the network gave, in no time."""

    def __init__(self, watched: Watched) -> None:
        self.name, self.version, self.device = watched.name, watched.version, watched.device
        self.answers = watched.answers
        self.features: Any = None

    def predict(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        logits, self.features = self.answers[_key(tiles)]
        return logits

    def on_cpu(self) -> None:
        return None


def _key(tiles: NDArray[np.uint8]) -> bytes:
    """Tell tiles apart by some of their pixels."""
    return tiles[:, ::97, ::89].tobytes()


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


def packed(folder: Path, raw: Path) -> Path:
    """Write the same fields packed as cameras' programs do it."""
    folder.mkdir()
    for path in sorted(raw.iterdir()):
        with tifffile.TiffFile(path) as tiff:
            tifffile.imwrite(
                folder / path.name,
                tiff.asarray(),
                photometric="rgb",
                resolution=(20_000, 20_000),
                resolutionunit="CENTIMETER",
                compression="lzw",
                rowsperstrip=16,
            )
    return folder


def milliseconds(action: Callable[[], object], clock: Callable[[], float] = time.thread_time) -> float:
    start = clock()
    action()
    return (clock() - start) * 1000


def by_stage(folder: Path, weights: Path, output: Path, engine: Remembered) -> dict[str, float]:
    """Median processor milliseconds of one field by stage, one after the other in one thread."""
    job = prepare(_options(folder, weights, output))
    predictor = Predictor(engine, choose_tiling(model_info("mobilenetv2"), "cpu", None, None), tell=print)
    times: dict[str, list[float]] = {}

    def note(stage: str, action: Callable[[], object]) -> Any:
        kept: list[Any] = []
        times.setdefault(stage, []).append(milliseconds(lambda: kept.append(action())))
        return kept[0]

    output.mkdir(exist_ok=True)
    for _ in range(3):
        for field in job.fields:
            content = field.path.read_bytes()
            note("read: hash", lambda c=content: hashlib.sha256(c).digest())
            read = note("read", lambda f=field: read_field(job, f))
            pixels = read.content.pixels
            prediction = note("blend", lambda p=pixels: predictor.predict(p, None))
            labels = prediction.labels
            note("write: mask", lambda x=labels: write_mask(output / "m.tif", x, pixel_size_um=0.5))
            note("write: overlay", lambda p=pixels, x=labels: write_overlay(output / "o.png", p, x))
            note("write: familiarity", lambda p=pixels, x=labels: look_at(p, x))
            note("write", lambda r=read, p=prediction: write_field(job, r.field, r.content, p))
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
    folders["lzw"] = packed(tmp_path / "lzw", folders["raw"])
    loaded, metadata = load_engine(weights, "cpu")
    network = Watched(loaded)
    remembered = Remembered(network)

    def run(
        kind: str, engine: Watched | Remembered, number: int | str
    ) -> tuple[SegmentationRun, float, float]:
        """Segment into a new folder; also return processor and wall seconds."""
        with monkeypatch.context() as patch:
            patch.setattr(pipeline, "load_engine", lambda *_: (engine, metadata))
            output = tmp_path / f"{kind}_{engine.__class__.__name__}_{number}"
            start, start_wall = time.process_time(), time.perf_counter()
            done = segment(folders[kind], output=output, weights=weights, device="cpu")
            assert not done.failed
            return done, time.process_time() - start, time.perf_counter() - start_wall

    def per_field(seconds: list[float]) -> float:
        return round(statistics.median(seconds) / FIELDS * 1000, 1)

    def on_one_core(kind: str, number: int) -> tuple[SegmentationRun, float, float]:
        """Segment with the network's answers at hand on one core, where the system can bind threads to it."""
        if not hasattr(os, "sched_setaffinity"):
            return run(kind, remembered, f"one_{number}")
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {max(cores)})  # threads that begin now inherit it
        try:
            return run(kind, remembered, f"one_{number}")
        finally:
            os.sched_setaffinity(0, cores)

    run("raw", network, -1)  # learns the answers, warms the network up
    decoding = per_field(
        [
            sum(
                milliseconds(lambda path=path: tifffile.imread(path, maxworkers=1)) / 1000
                for path in sorted(folders["lzw"].iterdir())
            )
            for _ in range(3)
        ]
    )
    kinds: dict[str, dict[str, Any]] = {}
    for kind in folders:
        alone = [on_one_core(kind, number) for number in range(ROUNDS)]
        beside = [run(kind, remembered, number) for number in range(ROUNDS)]
        whole, network_share = [], []
        for number in range(NETWORK_ROUNDS):
            network.seconds = 0.0
            whole.append(run(kind, network, number))
            network_share.append(network.seconds / whole[-1][0].seconds)
        itself_ms = per_field([processor for _, processor, _ in beside])
        alone_ms = per_field([processor for _, processor, _ in alone])
        with_network_ms = per_field([processor for _, processor, _ in whole])
        kinds[kind] = {
            "processor_ms_a_field_on_one_core": alone_ms,
            "the_same_without_lzw": round(alone_ms - (decoding if kind == "lzw" else 0), 1),
            "processor_ms_a_field": itself_ms,
            "processor_ms_a_field_by_round": [round(p / FIELDS * 1000, 1) for _, p, _ in beside],
            "wall_ms_a_field": per_field([wall for *_, wall in beside]),
            "processor_ms_a_field_with_network": with_network_ms,
            "share_of_processor_time": round(itself_ms / with_network_ms, 4),
            "share_of_wall_time_not_in_network": round(1 - statistics.median(network_share), 4),
            "processor_ms_by_stage": by_stage(folders[kind], weights, tmp_path / "stages", remembered),
        }
    result = {
        "fields": FIELDS,
        "rounds": ROUNDS,
        "field_px": [HEIGHT, WIDTH],
        "engine": network.name,
        **kinds,
        "decoding_lzw_alone_ms": decoding,
        "target_processor_ms": TARGET_MS,
        "target_share": TARGET_SHARE,
        "machine": machine(),
        "versions": {
            name: version(name) for name in ("numpy", "opencv-python-headless", "imagecodecs", "isal")
        },
        "load_average": os.getloadavg() if hasattr(os, "getloadavg") else None,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"\n{markdown(kinds, decoding)}\n")
    for figures in kinds.values():
        assert figures["share_of_processor_time"] <= TARGET_SHARE
        assert figures["the_same_without_lzw"] <= TARGET_MS


def markdown(kinds: dict[str, dict[str, Any]], decoding_ms: float) -> str:
    """Return the README's table."""
    lines = [
        "| beside the network, processor time a field of 3.2 megapixels | " + " | ".join(kinds) + " |",
        "|---|" + "---|" * len(kinds),
    ]
    rows = {
        "on one core": lambda k: f"{k['processor_ms_a_field_on_one_core']:.0f} ms",
        f"without LZW's decoder ({decoding_ms:.0f} ms)": lambda k: f"{k['the_same_without_lzw']:.0f} ms",
        "on all cores": lambda k: f"{k['processor_ms_a_field']:.0f} ms",
        "wall time on all cores": lambda k: f"{k['wall_ms_a_field']:.0f} ms",
        "share of a run's processor time": lambda k: f"{k['share_of_processor_time']:.1%}",
        "share of a run's wall time outside the network": (
            lambda k: f"{k['share_of_wall_time_not_in_network']:.1%}"
        ),
    }
    for stage in next(iter(kinds.values()))["processor_ms_by_stage"]:
        rows[stage] = lambda k, stage=stage: f"{k['processor_ms_by_stage'][stage]:.1f} ms"
    table = (f"| {name} | {' | '.join(map(cell, kinds.values()))} |" for name, cell in rows.items())
    return "\n".join([*lines, *table])
