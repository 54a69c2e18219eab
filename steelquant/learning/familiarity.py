"""What a data set's fields look like to a trained network, for the header of its weight file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from steelquant.learning.dataset import Dataset
from steelquant.learning.labelled import read_labelled
from steelquant.learning.segmenter import NetworkSegmenter, load_segmenters
from steelquant.micrograph.field import EXCLUDED
from steelquant.networks.familiarity import Familiarity
from steelquant.networks.weights import read_metadata, read_weights, write_weights
from steelquant.segmentation.familiarity import learn_familiarity, learn_features
from steelquant.segmentation.look import Look, look_at

_MOST_FIELDS = 750
"""Half from the validation side, where there are as many. From 300 the limits came out so much tighter that
of 65 held-out synthetic fields 5 were told in place of 1, and of 11 good ones 1 in place of none."""

_VIEW_PX = 448
"""Larger fields are looked at in parts of about this size: there must be many to tell what is rare."""


def familiarity_of(
    segmenter: NetworkSegmenter, dataset: Dataset, *, on_field: Callable[[int, int], None] | None = None
) -> Familiarity | None:
    """Learn what the fields that a network was trained and validated on look like.

    Parameters
    ----------
    segmenter
        The network.
    dataset
        What it was trained on; at most 750 fields are looked at, spread evenly over each side of the split.
    on_field
        Called with the number of fields done and of all.

    Returns
    -------
    Familiarity or None
        None where the set is too small: fewer than 200 views of up to 448 px.

    Raises
    ------
    FileError
        If a field cannot be read.
    """
    training, validation = dataset.images_on("training"), dataset.images_on("validation")
    few = min(len(validation), max(_MOST_FIELDS // 2, _MOST_FIELDS - len(training)))
    sides = {
        "validation": _spread_out(validation, few),
        "training": _spread_out(training, _MOST_FIELDS - few),
    }
    looks: list[Look] = []
    confidences: list[float] = []
    seen: dict[str, list[NDArray[np.float32]]] = {side: [] for side in sides}
    fields = [(side, index) for side, indices in sides.items() for index in indices]
    for done, (side, index) in enumerate(fields, start=1):
        entry = dataset.images[index]
        _, pixels, truth = read_labelled(entry.image, entry.mask, entry.table)
        labels, confidence, deep = segmenter.look_into(pixels)
        labels[truth == EXCLUDED] = EXCLUDED
        blocks = deep.seen(labels)
        for view in _views(*labels.shape):
            look = look_at(pixels[view], labels[view])
            if look is not None:
                looks.append(look)
                confidences.append(float(confidence[view][labels[view] != EXCLUDED].mean()))
            if blocks is not None and (part := blocks.within(view, labels.shape)).size:
                seen[side].append(part)
        if on_field is not None:
            on_field(done, len(fields))
    familiarity = learn_familiarity(looks, confidences)
    if familiarity is None:
        return None
    return replace(familiarity, features=learn_features(seen["training"], seen["validation"]))


def _spread_out(indices: Sequence[int], most: int) -> list[int]:
    """Return at most so many of them, spread evenly."""
    if len(indices) <= most:
        return list(indices)
    return [indices[place] for place in np.linspace(0, len(indices) - 1, most).round().astype(int)]


def _views(height_px: int, width_px: int) -> list[tuple[slice, slice]]:
    """Cut a field into nearly equal parts of about `_VIEW_PX`."""
    rows, columns = (
        np.linspace(0, length, max(1, round(length / _VIEW_PX)) + 1).round().astype(int)
        for length in (height_px, width_px)
    )
    return [
        (slice(top, bottom), slice(left, right))
        for top, bottom in pairwise(rows)
        for left, right in pairwise(columns)
    ]


def record_familiarity(
    weights: Path,
    dataset: Dataset,
    *,
    device: str = "auto",
    on_field: Callable[[int, int], None] | None = None,
) -> Familiarity | None:
    """Write into a weight file what the fields that it was trained on look like; its tensors stay.

    ``steelquant train`` does so at its end; this is for weights that were trained before.

    Parameters
    ----------
    weights
        The weight file.
    dataset
        What it was trained on; see :func:`steelquant.learning.dataset.read_dataset`.
    device
        Where to run the network.
    on_field
        Called with the number of fields done and of all.

    Returns
    -------
    Familiarity or None
        None where the set is too small, see `familiarity_of`; then the file stays as it is.

    Raises
    ------
    FileError
        If the weights or a field cannot be read, or the weights not be written.
    UsageError
        If the device is not there.

    Examples
    --------
    >>> from pathlib import Path
    >>> from steelquant.learning.dataset import read_dataset
    >>> dataset = read_dataset(Path("runs/synthetic-3000-seed1"))  # doctest: +SKIP
    >>> record_familiarity(Path("weights/unet.safetensors"), dataset)  # doctest: +SKIP
    """
    model = read_metadata(weights).model
    (segmenter,) = load_segmenters(
        model, classes=dataset.classes, weights=weights, device=device, warn=lambda text: None
    )
    familiarity = familiarity_of(segmenter, dataset, on_field=on_field)
    if familiarity is not None:
        network, metadata = read_weights(weights)
        write_weights(weights, network, replace(metadata, familiarity=familiarity))
    return familiarity
