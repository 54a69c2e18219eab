"""Trained networks as evaluation sees them: a picture in, labels and their confidence out.

Pictures go through the tiling of ``segment``. Probabilities of several networks, or of the eight symmetries
of a picture, are averaged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from steelquant.errors import UsageError
from steelquant.micrograph.field import PhaseClass
from steelquant.micrograph.files import sha256_of
from steelquant.networks.registry import MODELS, model_info
from steelquant.networks.weights import WeightsMetadata, find_weights, read_metadata
from steelquant.segmentation.engine import load_engine
from steelquant.segmentation.predict import Predictor, choose_tiling


@dataclass(frozen=True)
class WeightFile:
    """The weights behind a row of the tables."""

    path: Path
    sha256: str
    metadata: WeightsMetadata


class FieldLogits(Predictor):
    """The tiling of ``segment``, but all logits of a field at once."""

    def logits(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return ``(K, height, width)`` logits of ``(height, width, 3)`` uint8 RGB."""
        while True:
            try:
                return np.concatenate([strip.copy() for _, strip in self._field_strips(pixels)], axis=1)
            except MemoryError:
                self._back_off()


class NetworkSegmenter:
    """One network, or the mean of several, on a picture as it is or on its eight symmetries.

    Parameters
    ----------
    name, title
        For files and for tables.
    networks
        The networks; their classes agree.
    weights
        Where they come from.
    symmetries
        Whether to average over the picture's eight symmetries.
    """

    def __init__(
        self,
        name: str,
        title: str,
        networks: Sequence[FieldLogits],
        weights: Sequence[WeightFile],
        *,
        symmetries: bool = False,
    ) -> None:
        self.name = name
        self.title = title
        self.networks = tuple(networks)
        self.weights = tuple(weights)
        self.symmetries = symmetries

    def segment(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Label a picture and say how sure that is.

        Parameters
        ----------
        pixels
            ``(height, width, 3)`` uint8 RGB.

        Returns
        -------
        labels, confidence
            ``(height, width)``: labels, and the mean probability of each.
        """
        if len(self.networks) == 1 and not self.symmetries:
            logits = self.networks[0].logits(pixels)
            # From the logits themselves: equal to segment's mask also where rounding makes probabilities tie.
            return logits.argmax(axis=0).astype(np.uint8), _softmax(logits).max(axis=0)
        total: NDArray[np.float32] | None = None
        count = 0
        for logits in self._all_logits(pixels):
            probabilities = _softmax(logits)
            total = probabilities if total is None else total + probabilities
            count += 1
        assert total is not None
        return total.argmax(axis=0).astype(np.uint8), total.max(axis=0) / np.float32(count)

    def _all_logits(self, pixels: NDArray[np.uint8]) -> Iterator[NDArray[np.float32]]:
        for network in self.networks:
            if not self.symmetries:
                yield network.logits(pixels)
                continue
            for turns in range(4):
                turned = np.rot90(pixels, turns)
                for mirrored in (turned, turned[:, ::-1]):
                    logits = network.logits(np.ascontiguousarray(mirrored))
                    back = logits if mirrored is turned else logits[:, :, ::-1]
                    yield np.rot90(back, -turns, axes=(1, 2))


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    exponentials = np.exp(logits - logits.max(axis=0))
    return np.asarray(exponentials / exponentials.sum(axis=0), np.float32)


@dataclass(frozen=True)
class _Loaded:
    title: str
    network: FieldLogits
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
    loaded = {name: _load(name, weights, classes, scale, device, warn) for name in wanted}
    result = []
    for name in names:
        one = loaded[name]
        result.append(NetworkSegmenter(name, one.title, [one.network], [one.weights]))
        if symmetries:
            title = f"{one.title}, 8 symmetries"
            result.append(
                NetworkSegmenter(f"{name}+tta", title, [one.network], [one.weights], symmetries=True)
            )
    if ensemble:
        members = [loaded[name] for name in dict.fromkeys(ensemble)]
        title = f"mean of {', '.join(dict.fromkeys(ensemble))}"
        result.append(
            NetworkSegmenter("ensemble", title, [m.network for m in members], [m.weights for m in members])
        )
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
    scale: float,
    device: str,
    warn: Callable[[str], None],
) -> _Loaded:
    info = model_info(name)
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
    tiling = choose_tiling(info, engine.device, None, None, crop_px=metadata.crop_px)
    network = FieldLogits(engine, tiling, scale=scale, tell=warn)
    return _Loaded(info.title, network, WeightFile(path, sha256_of(path), metadata))


def _names(classes: Sequence[PhaseClass]) -> str:
    return ", ".join(phase.name for phase in classes)
