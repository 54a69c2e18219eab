"""From logits to what is written: labels, probabilities of pearlite, and how sure the network is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steelquant.micrograph.field import EXCLUDED
from steelquant.segmentation.blending import Block

PROBABILITY_LABEL = 1
"""The class whose probability is written: pearlite."""

_CONFIDENCE_STEP_PX = 4
"""Confidence is averaged over every fourth pixel each way: the decoders work at stride 4."""


@dataclass
class Strip:
    """Full rows of a field, labelled.

    Attributes
    ----------
    top_px
        The first row.
    labels
        ``(rows, width)`` uint8, the label of the largest logit, 255 where excluded.
    probability
        ``(rows, width)`` uint8, 255 = surely pearlite; None unless asked for.
    certainty
        Probabilities of the chosen class at every fourth pixel each way, where it counts, added up.
    counted
        Number of these pixels.
    """

    top_px: int
    labels: NDArray[np.uint8]
    probability: NDArray[np.uint8] | None
    certainty: float = 0.0
    counted: int = 0


def label_strips(
    blocks: Iterable[Block],
    width_px: int,
    read_excluded: Callable[[int, int], NDArray[np.bool_] | None],
    *,
    probabilities: bool,
) -> Iterator[Strip]:
    """Put blocks that come row by row together to strips.

    Parameters
    ----------
    blocks
        Those of one row have one height and cover the width once.
    width_px
        The field's width.
    read_excluded
        Gives ``(rows, width)`` bool from the first to before the second row, true where a pixel must not
        count; None where all count.
    probabilities
        Whether to keep the probability of pearlite.
    """
    strip: Strip | None = None
    outside: NDArray[np.bool_] | None = None
    for top, left, logits in blocks:
        if strip is None or strip.top_px != top:
            if strip is not None:
                yield _finished(strip, outside)
            shape = logits.shape[1], width_px
            probability = np.empty(shape, np.uint8) if probabilities else None
            strip = Strip(top, np.empty(shape, np.uint8), probability)
            outside = read_excluded(top, top + shape[0])
        columns = slice(left, left + logits.shape[2])
        _choose(logits, strip.labels[:, columns])
        if strip.probability is not None:
            strip.probability[:, columns] = _as_bytes(_probability(logits, logits[PROBABILITY_LABEL]))
        sparse = _on_grid(top), _on_grid(left)
        sample = np.ascontiguousarray(logits[:, *sparse])
        certainty = _probability(sample, sample.max(axis=0))
        if outside is not None:
            certainty = certainty[~outside[:, columns][sparse]]
        strip.certainty += float(certainty.sum(dtype=np.float64))
        strip.counted += certainty.size
    if strip is not None:
        yield _finished(strip, outside)


def _finished(strip: Strip, outside: NDArray[np.bool_] | None) -> Strip:
    if outside is not None:
        strip.labels[outside] = EXCLUDED
    return strip


def _on_grid(first: int) -> slice:
    """Every fourth place of the field, counted from a block's first."""
    return slice(-first % _CONFIDENCE_STEP_PX, None, _CONFIDENCE_STEP_PX)


def _choose(logits: NDArray[np.float32], labels: NDArray[np.uint8]) -> None:
    """Write the label of the largest logit, the lower label where two are equal."""
    if len(logits) == 2:
        np.greater(logits[1], logits[0], out=labels.view(np.bool_))
    else:
        labels[:] = logits.argmax(axis=0)


def _probability(logits: NDArray[np.float32], of: NDArray[np.float32]) -> NDArray[np.float32]:
    """Softmax of one logit among ``(K, …)``; with two classes the sigmoid of their difference."""
    with np.errstate(over="ignore"):  # exp's infinity means a probability of 0
        total = np.exp(logits[0] - of)
        for logit in logits[1:]:
            total += np.exp(logit - of)
    return np.asarray(1 / total, np.float32)


def _as_bytes(probability: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Scale 0 … 1 to 0 … 255; one half goes down, so that 128 and above is the label that was chosen."""
    return np.ceil(probability * 255 - 0.5).astype(np.uint8)
