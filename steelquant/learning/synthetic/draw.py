"""Drawing parameters from ranges."""

from __future__ import annotations

import numpy as np

from steelquant.learning.synthetic.recipe import Range


class Draw:
    """Draws from ranges with one generator."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def uniform(self, span: Range) -> float:
        """Return a value from the range, all alike."""
        return float(self.rng.uniform(*span))

    def log(self, span: Range) -> float:
        """Return a value from the range, every doubling alike."""
        return float(np.exp(self.rng.uniform(np.log(max(span[0], 1e-4)), np.log(max(span[1], 1e-4)))))

    def happens(self, share: float) -> bool:
        """Return true with the given probability."""
        return bool(self.rng.random() < share)
