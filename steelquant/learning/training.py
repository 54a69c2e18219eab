"""From a data set to a weight file: the run, its folder, its resumption."""

from __future__ import annotations

import logging
import os
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import EarlyStopping
from torch import Tensor
from torch.utils.data import DataLoader

from steelquant import __version__
from steelquant.errors import FileError, UsageError
from steelquant.learning.callbacks import Recorder, Saver
from steelquant.learning.crops import DrawSampler, FixedCrops, TrainingDraws
from steelquant.learning.dataset import Dataset
from steelquant.learning.familiarity import record_familiarity
from steelquant.learning.history import Measurement
from steelquant.learning.module import SegmentationTask
from steelquant.learning.pixel_store import PixelStore, decode_to_store
from steelquant.learning.protocol import Protocol
from steelquant.learning.start import PICTURES, Start, start_segnet, starting_network
from steelquant.micrograph.documents import parse_json
from steelquant.micrograph.field import EXCLUDED
from steelquant.micrograph.files import write_json
from steelquant.networks.registry import ModelInfo, model_info
from steelquant.networks.segnet import SegNet
from steelquant.networks.weights import WeightsMetadata, weights_file_name, write_weights

Precision = Literal["16-mixed", "bf16-mixed", "32-true"]
"""Lightning's words for what networks are multiplied in."""


@dataclass(frozen=True)
class TrainingRun:
    """What a finished run leaves.

    Attributes
    ----------
    model
        The network.
    weights
        The weight file.
    rows
        The measurements, one an interval.
    protocol
        The settings it ran under.
    is_told_here
        Whether this is the process that writes and tells, of those that train together.
    """

    model: ModelInfo
    weights: Path
    rows: tuple[Measurement, ...]
    protocol: Protocol
    is_told_here: bool = True


def train(
    dataset: Dataset,
    model: str,
    protocol: Protocol,
    *,
    output: Path,
    start: Start | None = None,
    seed: int = 0,
    resume: bool = False,
    device: str = "auto",
    devices: int = 1,
    num_nodes: int = 1,
    workers: int | None = None,
    quiet: bool = False,
) -> TrainingRun:
    """Train a network and write its weights, history and curves into ``output/MODEL``.

    A run that was killed goes on from its last validation with ``resume`` and ends, on the CPU, with the
    same weights as an undisturbed one: what an iteration draws depends on its number and the seed alone.

    Where ``devices`` on each of ``num_nodes`` machines train together, each of them takes ``protocol.batch``
    other crops an iteration, and gradients are averaged. Lightning starts the processes of a machine;
    machines find each other by ``MASTER_ADDR``, ``MASTER_PORT`` and ``NODE_RANK``, or by Slurm's own
    variables, and share ``output``.

    Raises
    ------
    UsageError
        If the data set has nothing to train on, if the folder holds another run, or the device is not there.
    """
    info = model_info(model)
    start = start or Start()
    folder = Path(output) / weights_file_name(model).removesuffix(".safetensors")
    checkpoint = folder / "last.ckpt"
    crops = dataset.crops["training"]
    if not crops:
        raise UsageError(f"{dataset.root}: no training crops in it; prepare it from more images")
    if checkpoint.exists() and not resume:
        raise UsageError(f"{folder} already holds a run; go on with --resume, or choose another --output")
    protocol = replace(protocol, batch=min(protocol.batch, len(crops)))
    accelerator, chosen = _accelerator(device, devices)
    precision = _precision(accelerator, protocol)
    world = devices * num_nodes
    iterations = max(1, int(protocol.epochs * (len(crops) // (protocol.batch * world) or 1)))
    plan = {
        "model": model,
        "data": dataset.sha256,
        "protocol": asdict(protocol),
        "seed": seed,
        "devices": world,
        "precision": precision,
        "iterations": iterations,
        "start": {kind: str(path) if path else None for kind, path in asdict(start).items()},
        "version": __version__,
    }
    folder.mkdir(parents=True, exist_ok=True)
    _keep_plan(folder / "plan.json", plan, resuming=checkpoint.exists())

    seed_everything(seed, verbose=False)
    network, mean, std = starting_network(info, len(dataset.classes), start)
    store = decode_to_store(dataset.images, Path(output) / ".pixels")
    if protocol.logit_gain is not None and isinstance(network, SegNet):
        crops_seen = FixedCrops(store, crops, dataset.crop_px, PICTURES)
        start_segnet(network, protocol.logit_gain, start, crops_seen, mean, std)
    task = SegmentationTask(
        network,
        protocol,
        classes=len(dataset.classes),
        mean=mean,
        std=std,
        class_weights=_class_weights(store, dataset) if protocol.class_weights else None,
        iterations=iterations,
        seed=seed,
    )
    recorder = Recorder(
        folder,
        f"{info.title}, protocol {protocol.name}",
        batch=protocol.batch,
        crops=len(crops),
        iterations=iterations,
        quiet=quiet,
    )
    trainer = _trainer(
        folder,
        protocol,
        iterations,
        recorder,
        accelerator=accelerator,
        devices=chosen,
        num_nodes=num_nodes,
        precision=precision,
    )
    workers = _workers(trainer) if workers is None else workers
    loaders = _loaders(dataset, store, protocol, iterations, seed, trainer, workers)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        # SegNet's pooling windows do not overlap, so each place is written once: the same on every run.
        warnings.filterwarnings("ignore", message="max_unpool.* does not have a deterministic")
        try:
            last = checkpoint if checkpoint.exists() else None
            trainer.fit(task, *loaders, ckpt_path=last, weights_only=True)
        except SystemExit:  # with which Lightning answers Ctrl-C, as if training had failed
            if not trainer.interrupted:
                raise
    if trainer.interrupted:
        raise KeyboardInterrupt
    weights = folder / weights_file_name(model)
    if trainer.is_global_zero:
        write_weights(weights, task.network, _metadata(info, dataset, plan, recorder.rows, mean, std))
        record_familiarity(weights, dataset, device=device)
    return TrainingRun(info, weights, tuple(recorder.rows), protocol, trainer.is_global_zero)


def _keep_plan(path: Path, plan: dict[str, Any], *, resuming: bool) -> None:
    """Refuse to go on with a run under other settings: its curves would be of neither."""
    if resuming and path.exists():
        try:
            before = parse_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise FileError(path, "cannot be read; remove the run's folder and start anew") from None
        differing = [key for key in plan if before.get(key) != plan[key]]
        if differing:
            raise UsageError(
                f"{path.parent} was begun with another {', '.join(differing)}; resume it as it was begun, "
                "or choose another --output"
            )
    write_json(path, plan)


def _class_weights(store: PixelStore, dataset: Dataset) -> Tensor:
    """Median frequency over frequency, per class, over the training images (Eigen and Fergus 2015)."""
    counts = np.zeros(256, np.int64)
    for index in sorted({crop.image for crop in dataset.crops["training"]}):
        counts += np.bincount(store.labels(index).ravel(), minlength=256)
    counts[EXCLUDED] = 0
    frequency = counts[: len(dataset.classes)] / max(counts.sum(), 1)
    present = frequency > 0
    weights = np.where(present, np.median(frequency[present]) / np.where(present, frequency, 1), 1.0)
    return torch.tensor(weights, dtype=torch.float32)


def _trainer(
    folder: Path,
    protocol: Protocol,
    iterations: int,
    recorder: Recorder,
    *,
    accelerator: str,
    devices: int | list[int],
    num_nodes: int,
    precision: Precision,
) -> Trainer:
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    callbacks: list[Callback] = []
    if protocol.patience is not None:
        callbacks.append(
            EarlyStopping("val_loss", patience=protocol.patience, check_on_train_epoch_end=False)
        )
    return Trainer(
        accelerator=accelerator,
        devices=devices,
        num_nodes=num_nodes,
        precision=precision,
        max_epochs=-(-iterations // protocol.validate_every),
        num_sanity_val_steps=0,
        deterministic="warn",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=folder,
        callbacks=[*callbacks, recorder, Saver(folder / "last.ckpt")],
    )


def _accelerator(device: str, devices: int) -> tuple[str, int | list[int]]:
    """Translate ``--device`` and ``--devices`` into Lightning's words."""
    kind, _, number = device.partition(":")
    if kind == "auto":
        kind = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if kind == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: there is no CUDA device here; use --device cpu or auto")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise UsageError("--device mps: there is no Apple GPU here; use --device cpu or auto")
    if kind not in {"cpu", "cuda", "mps"} or (number and not (kind == "cuda" and number.isdecimal())):
        raise UsageError(f"--device takes auto, cpu, cuda, cuda:N or mps, not {device!r}")
    if number and int(number) >= torch.cuda.device_count():
        raise UsageError(f"--device {device}: there are only {torch.cuda.device_count()} CUDA devices")
    return kind, [int(number)] if number else devices


def _precision(accelerator: str, protocol: Protocol) -> Precision:
    """Choose what networks are multiplied in; their weights stay float32.

    Processors with bfloat16 products of their own train at twice the speed in them. The protocol ``paper``
    keeps to float32 there: it is for comparing.
    """
    if accelerator == "cuda":
        return "16-mixed"
    natively = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # nothing public tells
    if accelerator == "cpu" and protocol.name == "best" and natively is not None and natively():
        return "bf16-mixed"
    return "32-true"


def _workers(trainer: Trainer) -> int:
    """Beside a GPU all cores load; beside the CPU one is enough and more would steal from the network."""
    cores = os.cpu_count() or 1
    return 1 if trainer.accelerator.__class__.__name__ == "CPUAccelerator" else min(8, cores)


def _loaders(
    dataset: Dataset,
    store: PixelStore,
    protocol: Protocol,
    iterations: int,
    seed: int,
    trainer: Trainer,
    workers: int,
) -> tuple[DataLoader[Any], DataLoader[Any]]:
    world = trainer.world_size
    draws = TrainingDraws(
        store, dataset.crops["training"], dataset.crop_px, seed=seed, augment=protocol.augment
    )
    sampler = DrawSampler(
        lambda: trainer.global_step // protocol.validate_every,
        protocol.validate_every * protocol.batch * world,
        iterations * protocol.batch * world,
        rank=trainer.global_rank,
        world=world,
    )
    fixed = FixedCrops(store, dataset.crops["validation"], dataset.crop_px, protocol.validation_crops)
    shared: dict[str, Any] = {
        "batch_size": protocol.batch,
        "num_workers": workers,
        "persistent_workers": workers > 0,
        "pin_memory": trainer.accelerator.__class__.__name__ == "CUDAAccelerator",
    }
    return DataLoader(draws, sampler=sampler, **shared), DataLoader(fixed, **shared)


def _metadata(
    info: ModelInfo,
    dataset: Dataset,
    plan: dict[str, Any],
    rows: list[Measurement],
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
) -> WeightsMetadata:
    sizes = [image.pixel_size_um for image in dataset.images if image.pixel_size_um]
    done = rows[-1].iteration
    return WeightsMetadata(
        model=info.name,
        classes=dataset.classes,
        mean=mean,
        std=std,
        crop_px=dataset.crop_px,
        pixel_size_um=(min(sizes), max(sizes)) if sizes else None,
        training={
            "data": dataset.root.resolve().name,
            "data_sha256": dataset.sha256,
            "images": len(dataset.images),
            "split": dataset.split,
            "crops": {part: len(crops) for part, crops in dataset.crops.items()},
            "crops_seen": done * plan["protocol"]["batch"] * plan["devices"],
            "iterations": done,
            "seconds": round(rows[-1].seconds, 1),
            "protocol": plan["protocol"],
            "precision": plan["precision"],
            "seed": plan["seed"],
            "start": {k: Path(v).name if v else None for k, v in plan["start"].items()},
        },
        metrics={
            "validation crops": {k: v for k, v in asdict(rows[-1]).items() if k.startswith("validation")}
        },
        version=__version__,
        licence="MIT",
    )
