"""Methods judged on the same pictures: the loop over the fields of a set."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from steelquant.errors import FileError, UsageError
from steelquant.learning.comparison import paired_difference
from steelquant.learning.degradation import DEGRADATIONS
from steelquant.learning.evaluation_results import Evaluation, MethodResult, Robustness, SampleResult
from steelquant.learning.evaluation_set import EvaluationSet, Sample
from steelquant.learning.metrics import (
    Reliability,
    area_fractions,
    bf_score,
    confusion_matrix,
    reliability,
)
from steelquant.learning.size_distribution import check_sizes, masked_by, region_areas
from steelquant.micrograph.field import EXCLUDED


class Method(Protocol):
    """Anything that labels a picture; ``name`` is for files, ``title`` for tables."""

    name: str
    title: str

    def segment(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.float32] | None]:
        """Label ``(height, width, 3)`` uint8 RGB.

        Returns
        -------
        labels, confidence
            ``(height, width)`` labels and the probability of each; None where the method has none.
        """
        ...


class _Tally:
    """What one method has done so far."""

    def __init__(self, method: Method, classes: int) -> None:
        self.method = method
        self.samples: list[SampleResult] = []
        self.reliability: Reliability | None = None
        self.areas: list[list[NDArray[np.float64]]] = [[] for _ in range(classes)]
        self.degraded = [np.zeros((classes, classes), np.int64) for _ in DEGRADATIONS]


def evaluate(
    data: EvaluationSet,
    methods: Sequence[Method],
    *,
    robustness: bool = False,
    seed: int = 0,
    on_sample: Callable[[Sample, Sequence[NDArray[np.uint8]]], None] | None = None,
    on_field: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Judge methods on a set.

    Parameters
    ----------
    data
        What to judge by; whole fields for ``robustness``.
    methods
        What to judge.
    robustness
        Judge every field under every degradation too.
    seed
        Of what is random in the degradations and in the bootstrap.
    on_sample
        Called with each sample and the labels that the methods gave it, for pictures.
    on_field
        Called with the fields done and their total.

    Raises
    ------
    UsageError
        If no field can be used, or crops shall be degraded.
    """
    if robustness and data.crops is not None:
        raise UsageError("--robustness degrades whole fields; leave --crops out")
    classes = len(data.classes)
    tallies = [_Tally(method, classes) for method in methods]
    true_areas: list[list[NDArray[np.float64]]] = [[] for _ in range(classes)]
    failures: list[FileError] = []
    scales: list[float | None] = []
    sizes: dict[tuple[int, int], None] = {}
    excluded = counted = 0
    digest = hashlib.sha256()
    for index, field, samples in data.read(failures.append):
        scales.append(field.pixel_size_um)
        digest.update(f"{field.image_sha256}{field.mask_sha256}".encode())
        for sample in samples:
            labels = [_judge(tally, sample, classes) for tally in tallies]
            sizes[sample.truth.shape[0], sample.truth.shape[1]] = None
            excluded += int((sample.truth == EXCLUDED).sum())
            counted += sample.truth.size
            if data.crops is None:
                _measure_regions(sample.truth, true_areas)
                for tally, found in zip(tallies, labels, strict=True):
                    _measure_regions(masked_by(sample.truth, found), tally.areas)
            if robustness:
                _degrade(tallies, sample, classes, (seed, index))
            if on_sample is not None:
                on_sample(sample, labels)
        if on_field is not None:
            on_field(index + 1, len(data.pairs))
    if not scales:
        told = f": {failures[0]}" if failures else ""
        raise UsageError(f"{data.source}: no field could be used{told}")
    results = tuple(_result(tally, true_areas, scales) for tally in tallies)
    return Evaluation(
        data=data,
        data_sha256=digest.hexdigest(),
        fields=len(scales),
        sizes_px=tuple(sizes),
        unlabelled=excluded / counted,
        methods=results,
        differences=tuple(
            paired_difference((a.name, a.by_image()), (b.name, b.by_image()), seed=seed)
            for a, b in combinations(results, 2)
        ),
        robustness=_robustness(tallies) if robustness else None,
        failures=tuple(failures),
    )


def _judge(tally: _Tally, sample: Sample, classes: int) -> NDArray[np.uint8]:
    """Segment a sample, note how well, and return the labels."""
    start = time.perf_counter()
    labels, confidence = tally.method.segment(sample.pixels)
    seconds = time.perf_counter() - start
    truth = sample.truth
    tally.samples.append(
        SampleResult(
            sample.name,
            sample.image,
            truth.shape[0],
            truth.shape[1],
            confusion=confusion_matrix(truth, labels, classes),
            bf=bf_score(truth, labels, classes),
            true_fractions=area_fractions(truth, truth != EXCLUDED, classes),
            found_fractions=area_fractions(labels, truth != EXCLUDED, classes),
            seconds=seconds,
        )
    )
    if confidence is not None:
        here = reliability(truth, labels, confidence)
        tally.reliability = here if tally.reliability is None else tally.reliability + here
    return labels


def _measure_regions(labels: NDArray[np.uint8], areas: list[list[NDArray[np.float64]]]) -> None:
    for label, of_class in enumerate(areas):
        of_class.append(region_areas(labels, label).astype(np.float64))


def _degrade(tallies: Sequence[_Tally], sample: Sample, classes: int, seed: tuple[int, int]) -> None:
    for number, degradation in enumerate(DEGRADATIONS):
        pixels, truth = degradation.apply(sample.pixels, sample.truth, seed)
        for tally in tallies:
            labels, _ = tally.method.segment(pixels)
            tally.degraded[number] += confusion_matrix(truth, labels, classes)


def _result(
    tally: _Tally, true_areas: list[list[NDArray[np.float64]]], scales: Sequence[float | None]
) -> MethodResult:
    known = [scale**2 for scale in scales if scale is not None]
    factors, unit = (known, "µm²") if len(known) == len(scales) else ([1.0] * len(scales), "px²")

    def pooled(per_field: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        return np.concatenate([areas * factor for areas, factor in zip(per_field, factors, strict=True)])

    sizes = tuple(
        check_sizes(label, unit, pooled(true), pooled(found))
        for label, (true, found) in enumerate(zip(true_areas, tally.areas, strict=True))
        if true
    )
    return MethodResult(tally.method.name, tally.method.title, tuple(tally.samples), tally.reliability, sizes)


def _robustness(tallies: Sequence[_Tally]) -> Robustness:
    return Robustness(
        tuple(d.name for d in DEGRADATIONS), {t.method.name: tuple(t.degraded) for t in tallies}
    )
