"""One network under training: loss, optimiser, and what an iteration measures."""

from __future__ import annotations

import math
from typing import Any

import segmentation_models_pytorch as smp
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics.classification import MulticlassConfusionMatrix

from steelquant.learning.protocol import Protocol
from steelquant.micrograph.field import EXCLUDED

_WARM_UP = 0.05


class SegmentationTask(LightningModule):
    """A network with its loss and optimiser.

    Parameters
    ----------
    network
        Takes normalised RGB, returns logits.
    protocol
        See :class:`steelquant.learning.protocol.Protocol`.
    classes
        Number of classes K.
    mean, std
        Normalisation of RGB values 0–255.
    class_weights
        ``(K,)``, of the cross-entropy; None weighs all alike.
    iterations
        Length of the run, for the schedule.
    seed
        Of dropout; set anew at each interval so that a resumed run draws the same numbers.
    """

    mean: Tensor
    std: Tensor
    class_weights: Tensor | None

    def __init__(
        self,
        network: nn.Module,
        protocol: Protocol,
        *,
        classes: int,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        class_weights: Tensor | None,
        iterations: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)
        self.protocol = protocol
        self.iterations = iterations
        self.seed = seed
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)
        self.register_buffer("class_weights", class_weights, persistent=False)
        self.dice = smp.losses.DiceLoss("multiclass", ignore_index=EXCLUDED) if protocol.dice else None
        self.confusion = MulticlassConfusionMatrix(classes, ignore_index=EXCLUDED)

    def forward(self, crops: Tensor) -> Tensor:
        """Return logits ``(n, K, h, w)`` of uint8 RGB crops ``(n, 3, h, w)``."""
        image = ((crops.float() - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        return self.network(image)

    def on_train_epoch_start(self) -> None:
        """Draw dropout from seed, interval and process, so that a resumed run equals an undisturbed one."""
        torch.manual_seed(self.seed * 1_000_003 + self.current_epoch + 500_009 * self.global_rank)

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> dict[str, Tensor]:
        """Return the loss, and the pixel accuracy of the batch."""
        crops, labels = batch
        logits = self(crops)
        counted = labels != EXCLUDED
        loss = self._loss(logits.float(), labels, counted)
        with torch.no_grad():
            right = ((logits.argmax(1) == labels) & counted).sum() / counted.sum().clamp(min=1)
        return {"loss": loss, "accuracy": right}

    def _loss(self, logits: Tensor, labels: Tensor, counted: Tensor) -> Tensor:
        weights = self.class_weights
        loss = functional.cross_entropy(logits, labels, weights, ignore_index=EXCLUDED, reduction="sum")
        # A batch without a single counted pixel must give 0, not 0/0.
        divisor = (
            counted.sum() if weights is None else weights[labels.clamp(max=len(weights) - 1)][counted].sum()
        )
        loss = loss / divisor.clamp(min=1)
        if self.dice is not None:
            loss = loss + self.protocol.dice * self.dice(logits, labels)
        return loss

    def on_validation_epoch_start(self) -> None:
        """Empty the sums."""
        self.confusion.reset()
        self._loss_sum = torch.zeros((), device=self.device)
        self._batches = 0

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        """Add a batch to the confusion matrix and the loss."""
        crops, labels = batch
        logits = self(crops)
        self._loss_sum += self._loss(logits.float(), labels, labels != EXCLUDED)
        self._batches += 1
        self.confusion.update(logits.argmax(1), labels)

    def on_validation_epoch_end(self) -> None:
        """Log ``val_loss``, ``val_accuracy`` and ``val_miou`` over all crops."""
        matrix = self.confusion.compute().double()
        hits = matrix.diagonal()
        union = matrix.sum(0) + matrix.sum(1) - hits
        self.log("val_loss", self._loss_sum / max(self._batches, 1), sync_dist=True)
        self.log("val_accuracy", (hits.sum() / matrix.sum().clamp(min=1)).float())
        self.log("val_miou", (hits / union)[union > 0].mean().float())

    def configure_optimizers(self) -> Any:
        """Adam as the paper's, or AdamW under a cosine."""
        rate, decay = self.protocol.learning_rate, self.protocol.weight_decay
        parameters = [p for p in self.network.parameters() if p.requires_grad]
        if not self.protocol.cosine:
            return torch.optim.Adam(parameters, lr=rate, weight_decay=decay)
        optimiser = torch.optim.AdamW(parameters, lr=rate, weight_decay=decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, self._cosine)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _cosine(self, iteration: int) -> float:
        warm = max(1, round(_WARM_UP * self.iterations))
        if iteration < warm:
            return (iteration + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (iteration - warm) / max(1, self.iterations - warm)))
