"""Which models can be used here, and what is known of their weights. Imports no torch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from steelquant.errors import FileError, UsageError
from steelquant.networks.registry import MODELS, ModelInfo, model_info
from steelquant.networks.weights import (
    ENVIRONMENT_VARIABLE,
    SEARCH_FOLDERS,
    WeightsMetadata,
    find_weights,
    read_metadata,
)


@dataclass(frozen=True)
class ModelStatus:
    """A model and its weights.

    Attributes
    ----------
    info
        What the network is.
    weights
        Its weight file; None where there is none.
    metadata
        What that file says of itself; None where it cannot be used.
    problem
        Why it cannot be used, one line; None where it can, or where there is none.
    """

    info: ModelInfo
    weights: Path | None = None
    metadata: WeightsMetadata | None = None
    problem: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as ``models --json`` prints it."""
        return {
            "model": self.info.name,
            "title": self.info.title,
            "description": self.info.description,
            "learnables": self.info.learnables,
            "weights": str(self.weights) if self.weights else None,
            "metadata": asdict(self.metadata) if self.metadata else None,
            "problem": self.problem,
        }


def list_models(weights: Path | None = None) -> list[ModelStatus]:
    """List the paper's models, then what else there are weights for.

    Parameters
    ----------
    weights
        A weight file or a folder of them, looked into instead of the usual places.

    Raises
    ------
    UsageError
        If ``weights`` does not exist.
    """
    if weights is not None and not weights.exists():
        raise UsageError(f"--weights names {weights}, but there is no such file or folder")
    listed = [_status(info, weights) for info in MODELS.values()]
    known = {status.weights for status in listed}
    others: dict[str, ModelStatus] = {}
    for path in _files(weights):
        if path in known:
            continue
        try:
            metadata = read_metadata(path)
        except FileError:
            continue  # a file that only looks like weights is nobody's model
        if metadata.model not in MODELS:
            others.setdefault(metadata.model, ModelStatus(model_info(metadata.model), path, metadata))
    return [*listed, *(others[name] for name in sorted(others))]


def _status(info: ModelInfo, weights: Path | None) -> ModelStatus:
    try:
        path = find_weights(info.name, weights)
    except UsageError:
        return ModelStatus(info)
    try:
        metadata = read_metadata(path)
    except FileError as error:
        return ModelStatus(info, path, problem=error.problem)
    if metadata.model != info.name:
        return ModelStatus(info)  # one file was named for all models, and it is another's
    return ModelStatus(info, path, metadata)


def _files(weights: Path | None) -> Iterator[Path]:
    stated = os.environ.get(ENVIRONMENT_VARIABLE)
    places = [weights] if weights else [Path(stated)] if stated else SEARCH_FOLDERS
    for place in places:
        if place.is_file():
            yield place
        elif place.is_dir():
            yield from sorted(place.glob("*.safetensors"))
