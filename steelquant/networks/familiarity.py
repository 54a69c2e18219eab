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

BLOCK_PX = 224
"""Edge of a block as the network sees it: the crops of the paper."""


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
class FeatureSpread:
    """Where the features of a network lie, and how far from there is too far.

    A Gaussian with few directions of its own and one variance for all others (probabilistic principal
    components, Tipping and Bishop 1999) of the logarithms of features, each scaled to variance 1.

    Attributes
    ----------
    mean, scale
        Of log(1 + feature): c values each.
    directions
        d rows of c values, orthonormal.
    variances
        Along each direction: d values.
    rest
        Variance along every other direction.
    limit
        Greatest distance of a training or validation field, but for the strangest ones.
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    directions: tuple[tuple[float, ...], ...]
    variances: tuple[float, ...]
    rest: float
    limit: float

    def distances(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the Mahalanobis distance of ``(n, c)`` features, over the root of c, ``(n,)``."""
        away = (log_features(features) - np.array(self.mean)) / np.array(self.scale)
        along = away @ np.array(self.directions).T
        beside = np.square(away).sum(axis=1) - np.square(along).sum(axis=1)
        squares = np.square(along) @ (1 / np.array(self.variances)) + np.maximum(beside, 0) / self.rest
        return np.asarray(np.sqrt(squares / away.shape[1]), np.float64)


def log_features(features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return log(1 + feature); features have passed a ReLU, their largest are rare and far out."""
    return np.log1p(np.maximum(features, 0).astype(np.float64))


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
    features
        What the network sees in them; None for networks whose features are not known, and for older files.
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
    features: FeatureSpread | None = None


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
        features=None if content.get("features") is None else _feature_spread(content["features"]),
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


def _feature_spread(content: Mapping[str, Any]) -> FeatureSpread:
    mean, scale, variances = (tuple(map(_number, content[key])) for key in ("mean", "scale", "variances"))
    directions = tuple(tuple(map(_number, row)) for row in content["directions"])
    rest = _number(content["rest"])
    if len(scale) != len(mean) or any(len(row) != len(mean) for row in directions):
        raise ValueError("the features of its familiarity do not fit each other")
    if not directions or len(variances) != len(directions):
        raise ValueError("the directions of its familiarity have no variances")
    if not min(*scale, *variances, rest) > 0:
        raise ValueError("a variance of its familiarity is not positive")
    return FeatureSpread(mean, scale, directions, variances, rest, _number(content["limit"]))
