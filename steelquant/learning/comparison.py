"""Which differences between models are real: a paired bootstrap over images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 10_000


@dataclass(frozen=True)
class Difference:
    """Mean IoU of one method less that of another, on the same images.

    Attributes
    ----------
    first, second
        Names of the methods.
    mean_iou
        Difference over the whole set.
    low, high
        95 % confidence interval; NaN with fewer than two images.
    """

    first: str
    second: str
    mean_iou: float
    low: float
    high: float

    @property
    def is_real(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low > 0 or self.high < 0


def mean_iou_of(confusions: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean IoU of each of ``(…, K, K)`` confusion matrices, leaving out absent classes."""
    hits = np.diagonal(confusions, axis1=-2, axis2=-1)
    union = confusions.sum(axis=-1) + confusions.sum(axis=-2) - hits
    present = union > 0
    iou = np.divide(hits, union, out=np.zeros_like(hits, dtype=np.float64), where=present)
    with np.errstate(invalid="ignore"):
        return np.asarray(iou.sum(axis=-1) / present.sum(axis=-1), np.float64)


def paired_difference(
    first: tuple[str, NDArray[np.int64]], second: tuple[str, NDArray[np.int64]], *, seed: int = 0
) -> Difference:
    """Compare two methods on the same images.

    Images, not pixels or crops, are drawn with replacement, the same for both methods, because pixels of
    one image are wrong together. The interval is the percentile interval of Efron and Tibshirani (1993).

    Parameters
    ----------
    first, second
        Name of the method and its ``(images, K, K)`` confusion matrices in the same order.
    seed
        Of the draws.
    """
    (first_name, one), (second_name, other) = first, second
    images = len(one)
    counts = np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), size=DRAWS)

    def drawn(confusions: NDArray[np.int64]) -> NDArray[np.float64]:
        flat = counts @ confusions.reshape(images, -1).astype(np.float64)
        return mean_iou_of(flat.reshape(DRAWS, *confusions.shape[1:]))

    whole = float(mean_iou_of(one.sum(axis=0)) - mean_iou_of(other.sum(axis=0)))
    if images > 1:
        low, high = np.quantile(drawn(one) - drawn(other), [0.025, 0.975])
    else:
        low = high = np.nan
    return Difference(first_name, second_name, whole, float(low), float(high))
