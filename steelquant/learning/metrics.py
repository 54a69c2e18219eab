"""How well a segmentation agrees with the truth, as the paper's tool counts it.

The paper evaluated with MATLAB's ``evaluateSemanticSegmentation`` and ``bfscore``; these are their
definitions. Pixels that the truth leaves out (label 255) count nowhere. NumPy only: no torch.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from steelquant.micrograph.field import EXCLUDED

BF_TOLERANCE = 0.0075
"""MATLAB's default distance tolerance of the BF score, as a share of the image's diagonal."""


@dataclass(frozen=True)
class Scores:
    """What MATLAB prints of one confusion matrix; all are fractions, NaN where a class has no pixel.

    Attributes
    ----------
    pixels
        Pixels counted.
    global_accuracy
        Share of pixels predicted right.
    mean_accuracy, mean_iou
        Means over the classes, leaving out those that are NaN.
    weighted_iou
        IoU weighted by the true pixels of each class.
    class_accuracy, class_iou
        One per class, in the order of the labels.
    """

    pixels: int
    global_accuracy: float
    mean_accuracy: float
    mean_iou: float
    weighted_iou: float
    class_accuracy: tuple[float, ...]
    class_iou: tuple[float, ...]


def confusion_matrix(
    truth: NDArray[np.uint8], predicted: NDArray[np.uint8], classes: int
) -> NDArray[np.int64]:
    """Count pixels by true and predicted class.

    Parameters
    ----------
    truth, predicted
        Labels of equal shape; pixels whose truth is 255 do not count.
    classes
        Number of classes K.

    Returns
    -------
    ndarray
        ``(K, K)``; element (i, j) counts the pixels of true class i predicted as j.

    Raises
    ------
    ValueError
        If the shapes differ, or a counted pixel holds a label of K or above.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"truth has shape {truth.shape}, prediction {predicted.shape}")
    pairs = np.bincount(truth.ravel().astype(np.uint16) * 256 + predicted.ravel(), minlength=65536)
    table = pairs.reshape(256, 256)[:EXCLUDED]
    if table[classes:].any() or table[:, classes:].any():
        raise ValueError(f"a counted pixel holds a label that is none of the {classes} classes")
    return table[:classes, :classes].astype(np.int64)


def scores(confusion: NDArray[np.int64]) -> Scores:
    """Turn a confusion matrix, of one image or summed over a set, into MATLAB's figures.

    Parameters
    ----------
    confusion
        ``(K, K)`` counts, rows true, columns predicted.
    """
    counts = confusion.astype(np.float64)
    hits, true, total = np.diag(counts), counts.sum(axis=1), counts.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        accuracy = hits / true
        iou = hits / (true + counts.sum(axis=0) - hits)
        overall = hits.sum() / total
        weighted = np.nansum(true * iou) / total
    return Scores(
        pixels=int(confusion.sum()),
        global_accuracy=float(overall),
        mean_accuracy=nan_mean(accuracy),
        mean_iou=nan_mean(iou),
        weighted_iou=float(weighted),
        class_accuracy=tuple(map(float, accuracy)),
        class_iou=tuple(map(float, iou)),
    )


def normalised_by_row(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Divide each row by its sum, as Figure 10 of the paper; a class without pixels gives NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return confusion / confusion.sum(axis=1, keepdims=True)


def nan_mean(values: NDArray[np.float64]) -> float:
    """Mean of what is not NaN; NaN, without a warning, if nothing is left."""
    kept = values[~np.isnan(values)]
    return float(kept.mean()) if kept.size else float("nan")


def bf_score(
    truth: NDArray[np.uint8],
    predicted: NDArray[np.uint8],
    classes: int,
    *,
    tolerance_px: float | None = None,
) -> NDArray[np.float64]:
    """Boundary F1 of one image, per class (Csurka et al., BMVC 2013, as MATLAB's ``bfscore`` has it).

    A boundary pixel is a pixel of the class with a 4-neighbour outside it; the frame of the image is
    outside. It matches if its distance to the other boundary is strictly below the tolerance. What the
    truth excludes is excluded from the prediction as well; both then share the borders of those areas.

    Parameters
    ----------
    truth, predicted
        ``(height, width)`` labels.
    classes
        Number of classes K.
    tolerance_px
        θ; 0.0075 of the image's diagonal if not given, so that scores of images of different sizes
        do not compare.

    Returns
    -------
    ndarray
        ``(K,)``; NaN where the class is absent from truth or prediction. The image's score is their
        :func:`nan_mean`, the set's the mean of that over the images.
    """
    theta = BF_TOLERANCE * float(np.hypot(*truth.shape)) if tolerance_px is None else tolerance_px
    predicted = np.where(truth == EXCLUDED, np.uint8(EXCLUDED), predicted)
    result = np.full(classes, np.nan)
    for label in range(classes):
        true_edge, found_edge = _boundary(truth == label), _boundary(predicted == label)
        if not (true_edge.any() and found_edge.any()):
            continue
        precision = float((_distance_to(true_edge)[found_edge] < theta).mean())
        recall = float((_distance_to(found_edge)[true_edge] < theta).mean())
        both = precision + recall
        result[label] = 2 * precision * recall / both if both else 0.0
    return result


def _boundary(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner


def _distance_to(edge: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return each pixel's exact Euclidean distance to the nearest true pixel."""
    outside = (~edge).astype(np.uint8)
    return np.asarray(cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32)


def area_fractions(
    labels: NDArray[np.uint8], counted: NDArray[np.bool_], classes: int
) -> NDArray[np.float64]:
    """Return the areal fraction of each class among the counted pixels; NaN if none counts."""
    counts = np.bincount(labels[counted], minlength=256)[:classes].astype(np.float64)
    total = int(counted.sum())
    return counts / total if total else np.full(classes, np.nan)


@dataclass(frozen=True)
class Reliability:
    """Pixels by the confidence of their prediction, for the reliability plot.

    Attributes
    ----------
    counts
        ``(bins,)`` pixels whose confidence, the probability of the predicted class, fell in each of
        the equal bins of [0, 1].
    confidence
        ``(bins,)`` sum of their confidences.
    correct
        ``(bins,)`` how many of them were right.
    """

    counts: NDArray[np.int64]
    confidence: NDArray[np.float64]
    correct: NDArray[np.int64]

    def __add__(self, other: Reliability) -> Reliability:
        """Pool the pixels of two images."""
        return Reliability(
            self.counts + other.counts, self.confidence + other.confidence, self.correct + other.correct
        )

    @property
    def expected_calibration_error(self) -> float:
        """Mean distance of accuracy from confidence, weighted by pixels (Guo et al., ICML 2017)."""
        total = int(self.counts.sum())
        return float(np.abs(self.correct - self.confidence).sum() / total) if total else float("nan")


def reliability(
    truth: NDArray[np.uint8],
    predicted: NDArray[np.uint8],
    confidence: NDArray[np.float32],
    bins: int = 15,
) -> Reliability:
    """Bin the pixels of one image by the confidence of their prediction.

    Parameters
    ----------
    truth, predicted
        Labels; pixels whose truth is 255 do not count.
    confidence
        Probability of the predicted class per pixel, 0 to 1.
    bins
        Number of equal bins; a value on an edge belongs to the bin above.
    """
    counted = truth != EXCLUDED
    values = confidence[counted].astype(np.float64)
    right = (truth == predicted)[counted]
    index = np.clip((values * bins).astype(np.intp), 0, bins - 1)
    return Reliability(
        counts=np.bincount(index, minlength=bins).astype(np.int64),
        confidence=np.bincount(index, weights=values, minlength=bins).astype(np.float64),
        correct=np.bincount(index[right], minlength=bins).astype(np.int64),
    )
