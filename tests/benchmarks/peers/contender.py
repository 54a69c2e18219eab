"""One contender over some fields, from files to masks on disk, in a process of its own.

``python -m peers.contender TASK`` takes a JSON document and prints one on its last line.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

START = time.perf_counter()
WINDOW_PX = 224
"""Of MONAI's sliding window: the crops of the paper."""

BATCH = 4
"""Windows at a time: on the processor neither 1 nor 8 is faster."""

Task = dict[str, Any]
Result = dict[str, Any]


def ours(task: Task) -> Result:
    """Run ``steelquant segment`` as a user does, overlay, hashes and record included."""
    from steelquant.segmentation import segment
    from steelquant.segmentation.pipeline import Pipeline

    ready: list[float] = []
    make_ready = Pipeline.make_ready

    def watched(pipeline: Pipeline) -> None:
        make_ready(pipeline)
        ready.extend([time.perf_counter(), time.process_time()])

    Pipeline.make_ready = watched
    run = segment(
        task["fields"],
        model=task["model"],
        weights=task["weights"],
        output=task["output"],
        device="cpu",
        engine=task["engine"],
        tile=task.get("tile", "auto"),
        overlap=task.get("overlap", "auto"),
        probabilities=task.get("probabilities", False),
        symmetries=task.get("symmetries", False),
    )
    assert not run.failed
    return {
        "seconds": run.seconds,
        "processor_seconds": time.process_time() - ready[1],
        "ready_seconds": ready[0] - START,
        "stages": dict(run.stage_seconds),
    }


def peer(task: Task) -> Result:
    """Read, predict and write field after field; only masks are written."""
    import numpy as np
    import tifffile
    import torch

    from steelquant.micrograph.masks import write_mask
    from steelquant.networks.registry import MODELS
    from steelquant.networks.weights import read_metadata

    output = Path(task["output"])
    output.mkdir(parents=True)
    metadata = read_metadata(Path(task["weights"]))
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (metadata.mean, metadata.std))
    stride = MODELS[task["model"]].stride_px
    predict = PREDICTORS[task["way"]](task)
    stages = dict.fromkeys(("read", "network", "write"), 0.0)
    ready, ready_processor = time.perf_counter(), time.process_time()
    with torch.inference_mode():
        for path in map(Path, task["fields"]):
            times = [time.perf_counter()]
            pixels = tifffile.imread(path)
            height, width = pixels.shape[:2]
            beyond = ((0, -height % stride), (0, -width % stride), (0, 0))
            image = torch.from_numpy(np.pad(pixels, beyond, mode="reflect")).permute(2, 0, 1)[None]
            times.append(time.perf_counter())
            logits = predict((image.float() - mean) / std)
            labels = logits[0, :, :height, :width].argmax(dim=0).to(torch.uint8).numpy()
            times.append(time.perf_counter())
            write_mask(output / path.name, labels, pixel_size_um=None)
            times.append(time.perf_counter())
            for stage, start, end in zip(stages, times, times[1:], strict=False):
                stages[stage] += end - start
    seconds = time.perf_counter() - ready
    return {
        "seconds": seconds,
        "processor_seconds": time.process_time() - ready_processor,
        "ready_seconds": ready - START,
        "stages": stages,
    }


def matrix(task: Task) -> Result:
    """Measure a float32 matrix product, 10⁹ operations a second."""
    import torch

    size, repeats = 2048, 10
    left, right = torch.rand(size, size), torch.rand(size, size)
    left @ right
    rates, processor = [], time.process_time()
    for _ in range(repeats):
        start = time.perf_counter()
        left @ right
        rates.append(2 * size**3 / 1e9 / (time.perf_counter() - start))
    processor_rate = repeats * 2 * size**3 / 1e9 / (time.process_time() - processor)
    return {"gflops": statistics.median(rates), "gflop_per_processor_second": processor_rate}


def _network(task: Task) -> Any:
    from peers import material

    return getattr(material, task["network"])(Path(task["weights"]))


def _monai(task: Task) -> Callable[[Any], Any]:
    from monai.inferers import sliding_window_inference

    network = _network(task)
    whole = task.get("whole", False)

    def predict(image: Any) -> Any:
        window = tuple(image.shape[2:]) if whole else (WINDOW_PX, WINDOW_PX)
        return sliding_window_inference(
            image, window, BATCH, network, overlap=task["overlap"], mode=task["mode"]
        )

    return predict


def _torch(task: Task) -> Callable[[Any], Any]:
    import torch

    from steelquant.segmentation.folding import fold_batch_norms

    network = _network(task)
    if task.get("folded"):
        network = fold_batch_norms(network)
    if not task.get("channels_last"):
        return network
    network = network.to(memory_format=torch.channels_last)
    return lambda image: network(image.contiguous(memory_format=torch.channels_last))


def _onnx(task: Task) -> Callable[[Any], Any]:
    """Export for the fields' size, as our own engine compiles for it."""
    import onnxruntime
    import torch

    from peers.material import HEIGHT_PX, WIDTH_PX
    from steelquant.networks.registry import MODELS
    from steelquant.segmentation.folding import fold_batch_norms

    stride = MODELS[task["model"]].stride_px
    size = (-(-HEIGHT_PX // stride) * stride, -(-WIDTH_PX // stride) * stride)
    path = Path(task["output"]) / "network.onnx"
    network = fold_batch_norms(_network(task))
    torch.onnx.export(network, (torch.zeros(1, 3, *size),), path, dynamo=False, input_names=["image"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = task["threads"]
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda image: torch.from_numpy(session.run(None, {"image": image.numpy()})[0])


PREDICTORS = {"monai": _monai, "torch": _torch, "onnx": _onnx}
KINDS = {"ours": ours, "peer": peer, "matrix": matrix}


def peak_mib() -> int:
    """Return the most memory that this process held."""
    if sys.platform == "linux":  # where getrusage also counts what the parent held when it began this process
        status = Path("/proc/self/status").read_text()
        return round(int(status.split("VmHWM:")[1].split()[0]) / 2**10)
    if sys.platform == "win32":
        import psutil

        return round(psutil.Process().memory_info().peak_wset / 2**20)
    import resource

    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


if __name__ == "__main__":
    task = json.loads(sys.argv[1])
    result = KINDS[task["kind"]](task)
    print(json.dumps({**result, "peak_mib": peak_mib()}))
