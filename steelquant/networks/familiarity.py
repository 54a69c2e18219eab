"""What the fields that a network was trained on look like: part of its weight file's header."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

TEXTURE_BANDS = 5
"""Bands of a Laplacian pyramid: structure of about 1, 2, 4, 8 and 16 px."""

COLOUR_FIGURES = 4
"""Mean and spread of red and of blue over green."""


@dataclass(frozen=True)
class Spread:
    """Where figures lie, and how far from there is too far.

    Attributes
    ----------
    mean
        d values.
    covariance
        d rows of d values.
    limit
        Greatest distance of a training field, but for the strangest ones.
    """

    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    limit: float

    def distances(self, figures: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the Mahalanobis distance of ``(n, d)`` figures, over the root of d, ``(n,)``."""
        away = figures - np.array(self.mean)
        scaled = np.linalg.solve(np.array(self.covariance), away.T).T
        return np.sqrt(np.maximum((away * scaled).sum(axis=1), 0) / away.shape[1])


@dataclass(frozen=True)
class Familiarity:
    """What the training fields look like; see :class:`steelquant.segmentation.look.Look` for the figures.

    Attributes
    ----------
    fields
        Fields, or parts of them, that this was learnt from.
    texture, colour
        Of their blocks.
    sharpness, evenness, separation, confidence, brightest
        Least values of the training fields, but for the strangest ones.
    darkest
        The greatest, likewise.
    """

    fields: int
    texture: Spread
    colour: Spread
    sharpness: float
    evenness: float
    separation: float
    confidence: float
    darkest: float
    brightest: float


def parse_familiarity(content: Mapping[str, Any]) -> Familiarity:
    """Read a familiarity from JSON; ValueError, TypeError or KeyError where it is none."""
    return Familiarity(
        fields=int(content["fields"]),
        texture=_spread(content["texture"], TEXTURE_BANDS),
        colour=_spread(content["colour"], COLOUR_FIGURES),
        sharpness=_number(content["sharpness"]),
        evenness=_number(content["evenness"]),
        separation=_number(content["separation"]),
        confidence=_number(content["confidence"]),
        darkest=_number(content["darkest"]),
        brightest=_number(content["brightest"]),
    )


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("a figure of its familiarity is no number")
    return number


def _spread(content: Mapping[str, Any], size: int) -> Spread:
    mean = tuple(map(_number, content["mean"]))
    covariance = tuple(tuple(map(_number, row)) for row in content["covariance"])
    if len(mean) != size or len(covariance) != size or any(len(row) != size for row in covariance):
        raise ValueError(f"its familiarity does not have {size} figures")
    if not np.linalg.eigvalsh(np.array(covariance)).min() > 0:
        raise ValueError("a covariance of its familiarity is not positive")
    return Spread(mean, covariance, _number(content["limit"]))
