"""Trained networks as evaluation sees them: a picture in, labels and their confidence out.

Pictures go through the tiling of ``segment``. Probabilities of several networks, or of the eight symmetries
of a picture, are averaged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from steelquant.errors import UsageError
from steelquant.micrograph.field import PhaseClass
from steelquant.micrograph.files import sha256_of
from steelquant.networks.registry import MODELS, model_info
from steelquant.networks.weights import find_weights, read_metadata
from steelquant.segmentation.averaging import MeanEngine, combine, combined_tiling, softmax
from steelquant.segmentation.deep_look import DeepSample
from steelquant.segmentation.engine import Engine, load_engine
from steelquant.segmentation.job import WeightFile
from steelquant.segmentation.predict import Predictor


class NetworkSegmenter:
    """One network, or the mean of several, on a picture as it is or on its eight symmetries.

    Parameters
    ----------
    name, title
        For files and for tables.
    predictor
        Gives the logits.
    weights
        Where they come from.
    """

    def __init__(self, name: str, title: str, predictor: Predictor, weights: Sequence[WeightFile]) -> None:
        self.name = name
        self.title = title
        self.predictor = predictor
        self.weights = tuple(weights)

    @property
    def is_averaged(self) -> bool:
        """Whether several networks or orientations were averaged."""
        return isinstance(self.predictor.engine, MeanEngine)

    def segment(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Label a picture and say how sure that is.

        Parameters
        ----------
        pixels
            ``(height, width, 3)`` uint8 RGB.

        Returns
        -------
        labels, confidence
            ``(height, width)``: labels, and the probability of each.
        """
        labels, confidence, _ = self.look_into(pixels)
        return labels, confidence

    def look_into(
        self, pixels: NDArray[np.uint8]
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], DeepSample]:
        """Label a picture, say how sure that is, and what the network saw in it; see :meth:`segment`."""
        logits, deep = self.predictor.look_into(pixels)
        return logits.argmax(axis=0).astype(np.uint8), softmax(logits[None])[0].max(axis=0), deep


@dataclass(frozen=True)
class _Loaded:
    title: str
    engine: Engine
    weights: WeightFile


def load_segmenters(
    models: str,
    *,
    classes: tuple[PhaseClass, ...],
    weights: Path | None = None,
    ensemble: Sequence[str] = (),
    symmetries: bool = False,
    scale: float = 1.0,
    device: str = "auto",
    warn: Callable[[str], None],
) -> list[NetworkSegmenter]:
    """Load what an evaluation compares.

    Parameters
    ----------
    models
        Names separated by commas, or ``all``: those of the paper's five for which there are weights.
    classes
        Classes of the data, which the weights' must equal in number.
    weights
        Weight file, or a folder of them.
    ensemble
        Names of models whose mean is judged too; empty for none.
    symmetries
        Judge every model a second time, averaged over the eight symmetries.
    scale, device
        As ``segment``'s.
    warn
        Called with a sentence for what a user should know.

    Returns
    -------
    list of NetworkSegmenter
        The models in the order named, each followed by itself with symmetries, then the ensemble.

    Raises
    ------
    UsageError, FileError
        If weights are missing, cannot be read, or belong to another model or other classes.
    """
    names = [name.strip() for name in models.split(",") if name.strip()]
    if names == ["all"]:
        names = _available(weights, warn)
    if not names:
        raise UsageError("--model is empty; name models, or all")
    wanted = list(dict.fromkeys([*names, *ensemble]))
    if weights is not None and weights.is_file() and len(wanted) > 1:
        raise UsageError(f"--weights {weights} is one file for {len(wanted)} models; name their folder")
    loaded = {name: _load(name, weights, classes, device, warn) for name in wanted}

    def combined(name: str, title: str, members: Sequence[_Loaded], symmetries: bool) -> NetworkSegmenter:
        engine = combine([member.engine for member in members], symmetries=symmetries)
        tiling = combined_tiling([member.weights.metadata for member in members], engine.device)
        predictor = Predictor(engine, tiling, scale=scale, tell=warn)
        return NetworkSegmenter(name, title, predictor, [member.weights for member in members])

    result = []
    for name in names:
        one = loaded[name]
        result.append(combined(name, one.title, [one], False))
        if symmetries:
            result.append(combined(f"{name}+tta", f"{one.title}, 8 symmetries", [one], True))
    if ensemble:
        members = [loaded[name] for name in dict.fromkeys(ensemble)]
        result.append(combined("ensemble", f"mean of {', '.join(dict.fromkeys(ensemble))}", members, False))
    return result


def _available(weights: Path | None, warn: Callable[[str], None]) -> list[str]:
    found = []
    for name in MODELS:
        try:
            find_weights(name, weights)
        except UsageError as error:
            warn(f"{name} is left out: {error}")
        else:
            found.append(name)
    if not found:
        where = weights if weights is not None else "the package or its checkout"
        raise UsageError(f"--model all: there are no weights of any model in {where}; train some first")
    return found


def _load(
    name: str,
    weights: Path | None,
    classes: tuple[PhaseClass, ...],
    device: str,
    warn: Callable[[str], None],
) -> _Loaded:
    path = find_weights(name, weights)
    metadata = read_metadata(path)
    if metadata.model != name:
        raise UsageError(f"{path} holds weights of {metadata.model!r}, not of {name!r}")
    if len(metadata.classes) != len(classes):
        raise UsageError(
            f"{path} knows {len(metadata.classes)} classes ({_names(metadata.classes)}), "
            f"the data has {len(classes)} ({_names(classes)})"
        )
    if _names(metadata.classes) != _names(classes):
        warn(f"{path.name} calls its classes {_names(metadata.classes)}, the data {_names(classes)}")
    engine, metadata = load_engine(path, device)
    return _Loaded(model_info(name).title, engine, WeightFile(path, sha256_of(path), metadata))


def _names(classes: Sequence[PhaseClass]) -> str:
    return ", ".join(phase.name for phase in classes)
