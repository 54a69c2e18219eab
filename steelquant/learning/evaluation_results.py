"""What an evaluation found: per sample, per method, and of all methods together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steelquant.errors import FileError
from steelquant.learning.comparison import Difference
from steelquant.learning.evaluation_set import EvaluationSet
from steelquant.learning.metrics import Reliability, Scores, nan_mean, scores
from steelquant.learning.size_distribution import SizeCheck


@dataclass(frozen=True)
class SampleResult:
    """One method on one field or crop.

    Attributes
    ----------
    name, image, height_px, width_px
        The sample, the number of its field, its size.
    confusion
        ``(K, K)`` pixels, rows true.
    bf
        ``(K,)`` boundary F1.
    true_fractions, found_fractions
        ``(K,)`` areal fractions of the counted pixels.
    seconds
        Prediction alone.
    """

    name: str
    image: int
    height_px: int
    width_px: int
    confusion: NDArray[np.int64]
    bf: NDArray[np.float64]
    true_fractions: NDArray[np.float64]
    found_fractions: NDArray[np.float64]
    seconds: float


@dataclass(frozen=True)
class AreaError:
    """Error of a phase's areal fraction, found less true, over the samples: what a metallographer feels.

    Attributes
    ----------
    signed_mean, mean_absolute, largest
        As fractions; ``largest`` keeps its sign.
    worst
        Name of the sample with the largest.
    """

    signed_mean: float
    mean_absolute: float
    largest: float
    worst: str


@dataclass(frozen=True)
class MethodResult:
    """One method on the whole set.

    Attributes
    ----------
    name, title
        For files and tables.
    samples
        One per field or crop.
    reliability
        Its pixels by confidence; None where it states none.
    sizes
        The check of region sizes, one per class; empty for crops, which cut most regions.
    """

    name: str
    title: str
    samples: tuple[SampleResult, ...]
    reliability: Reliability | None
    sizes: tuple[SizeCheck, ...]

    @property
    def confusion(self) -> NDArray[np.int64]:
        """``(K, K)`` pixels of the whole set."""
        return np.sum([s.confusion for s in self.samples], axis=0)

    @property
    def scores(self) -> Scores:
        """The figures of the whole set."""
        return scores(self.confusion)

    @property
    def mean_bf(self) -> float:
        """Mean over the samples of each one's mean BF score."""
        return nan_mean(np.array([nan_mean(s.bf) for s in self.samples]))

    @property
    def seconds(self) -> float:
        """Prediction of all samples."""
        return sum(s.seconds for s in self.samples)

    def by_image(self) -> NDArray[np.int64]:
        """``(images, K, K)`` pixels of each field, its crops together."""
        images = sorted({s.image for s in self.samples})
        return np.array(
            [np.sum([s.confusion for s in self.samples if s.image == i], axis=0) for i in images], np.int64
        )

    def area_error(self, label: int) -> AreaError:
        """Error of one class's areal fraction."""
        errors = np.array([s.found_fractions[label] - s.true_fractions[label] for s in self.samples])
        worst = int(np.abs(errors).argmax())
        return AreaError(
            float(errors.mean()), float(np.abs(errors).mean()), float(errors[worst]), self.samples[worst].name
        )


@dataclass(frozen=True)
class Robustness:
    """Confusion matrices of the whole set under every degradation, by the methods' names."""

    names: tuple[str, ...]
    confusions: dict[str, tuple[NDArray[np.int64], ...]]

    def mean_iou(self, method: str) -> tuple[float, ...]:
        """Mean IoU under each degradation."""
        return tuple(scores(c).mean_iou for c in self.confusions[method])


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes
    ----------
    data
        The set it was made on.
    data_sha256
        Hash of the bytes of the images and masks that were judged by.
    fields
        Fields that could be read.
    sizes_px
        The sizes (height, width) of the samples, each once.
    unlabelled
        Share of the samples' pixels that the truth leaves out.
    methods
        One per method, in the order given.
    differences
        Of every pair of methods.
    robustness
        None unless asked for.
    failures
        Fields that could not be used.
    """

    data: EvaluationSet
    data_sha256: str
    fields: int
    sizes_px: tuple[tuple[int, int], ...]
    unlabelled: float
    methods: tuple[MethodResult, ...]
    differences: tuple[Difference, ...]
    robustness: Robustness | None
    failures: tuple[FileError, ...]

    @property
    def best(self) -> MethodResult:
        """The method of the largest mean IoU."""
        return max(self.methods, key=lambda m: m.scores.mean_iou)
