"""What happens around the iterations: measuring, telling, saving after every interval."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from steelquant.learning.history import Measurement, clock, draw_curves, write_history
from steelquant.micrograph.files import atomic_write


class Recorder(Callback):
    """Measures each interval and writes history and curves into the run's folder.

    Its rows are part of every checkpoint, so that a resumed run's history is whole.
    """

    def __init__(
        self, folder: Path, title: str, *, batch: int, crops: int, iterations: int, quiet: bool
    ) -> None:
        self.folder = folder
        self.title = title
        self.batch = batch
        self.crops = crops
        self.iterations = iterations
        self.quiet = quiet
        self.rows: list[Measurement] = []

    def state_dict(self) -> dict[str, Any]:
        """Return the rows."""
        return {"rows": [asdict(row) for row in self.rows]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the rows of a checkpoint."""
        self.rows = [Measurement(**row) for row in state_dict["rows"]]

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the interval's clock."""
        self._started = time.perf_counter()
        self._loss = self._accuracy = 0.0
        self._batches = 0
        self._validating = 0.0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add the batch to the interval's means and tell the progress."""
        assert isinstance(outputs["loss"], Tensor)
        self._loss += float(outputs["loss"])
        self._accuracy += float(outputs["accuracy"])
        self._batches += 1
        if trainer.is_global_zero and not self.quiet and sys.stderr.isatty():
            speed = self._batches * self.batch * trainer.world_size / (time.perf_counter() - self._started)
            left = (self.iterations - trainer.global_step) * self.batch * trainer.world_size / speed
            sys.stderr.write(
                f"\r{self.title}: {trainer.global_step}/{self.iterations}  "
                f"loss {self._loss / self._batches:.4f}  "
                f"accuracy {100 * self._accuracy / self._batches:.2f} %  "
                f"{speed:.1f} images/s  {clock(left)} left "
            )
            sys.stderr.flush()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep validation out of the throughput."""
        self._validation_started = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep validation out of the throughput."""
        if not trainer.sanity_checking:
            self._validating += time.perf_counter() - self._validation_started

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add the interval's row."""
        elapsed = time.perf_counter() - self._started
        metrics = trainer.callback_metrics
        images = self._batches * self.batch * trainer.world_size
        own = torch.tensor([self._loss, self._accuracy], device=pl_module.device) / max(self._batches, 1)
        loss, accuracy = trainer.strategy.reduce(own).tolist()  # the mean over processes
        row = Measurement(
            iteration=trainer.global_step,
            epoch=trainer.global_step * self.batch * trainer.world_size / self.crops,
            training_loss=loss,
            training_accuracy=accuracy,
            validation_loss=float(metrics.get("val_loss", float("nan"))),
            validation_accuracy=float(metrics.get("val_accuracy", float("nan"))),
            validation_miou=float(metrics.get("val_miou", float("nan"))),
            images_per_second=images / max(elapsed - self._validating, 1e-9),
            seconds=(self.rows[-1].seconds if self.rows else 0.0) + elapsed,
        )
        self.rows.append(row)
        if not trainer.is_global_zero:
            return
        write_history(self.folder / "history.csv", self.rows)
        draw_curves(self.folder / "curves.png", self.rows, self.title)
        if not self.quiet:
            left = row.seconds / row.iteration * (self.iterations - row.iteration)
            if sys.stderr.isatty():
                sys.stderr.write("\r\x1b[2K")
            print(
                f"{self.title}: {row.iteration}/{self.iterations}  "
                f"loss {row.training_loss:.4f}  accuracy {100 * row.training_accuracy:.2f} %  "
                f"validation loss {row.validation_loss:.4f}  accuracy {100 * row.validation_accuracy:.2f} %  "
                f"mean IoU {row.validation_miou:.4f}  "
                f"{row.images_per_second:.1f} images/s  {clock(left)} left",
                file=sys.stderr,
                flush=True,
            )


class Saver(Callback):
    """Replaces ``last.ckpt`` after every interval, whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save; every process takes part, the first one writes."""
        if trainer.is_global_zero:
            with atomic_write(self.path) as temporary:
                trainer.save_checkpoint(temporary)
        else:
            trainer.save_checkpoint(self.path)
