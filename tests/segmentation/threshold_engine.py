"""An engine whose answer is known without a network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class ThresholdEngine:
    """Dark is pearlite: the logit of class 1 is ``(128 - green) / 16``, that of class 0 is 0."""

    name = "threshold"
    version = "1"
    features = None

    def __init__(self, device: str = "cpu", most_px: float = float("inf")) -> None:
        self.device = device
        self.most_px = most_px
        self.shapes: list[tuple[int, ...]] = []

    def predict(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.shapes.append(tiles.shape)
        if np.prod(tiles.shape[:3]) > self.most_px:
            raise MemoryError("too much for this engine")
        logits = np.zeros((len(tiles), 2, *tiles.shape[1:3]), np.float32)
        logits[:, 1] = (128 - tiles[..., 1].astype(np.float32)) / 16
        return logits

    def on_cpu(self) -> ThresholdEngine | None:
        return None if self.device == "cpu" else ThresholdEngine()
