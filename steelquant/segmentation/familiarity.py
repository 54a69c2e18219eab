"""Is this the kind of field that the network was trained on? Learnt from training fields, told in words.

Each figure of a field has a limit that the strangest 0.2 % of the training fields pass, 1 % for the
separation of the phases: of the synthetic fields beyond that limit the shipped MobileNetV2 reached a mean IoU
of 0.69, of all of them 0.88. So few, because every limit may be passed by a good field, and there are nine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelquant.micrograph.field import PhaseClass
from steelquant.networks.familiarity import Familiarity, FeatureSpread, Spread, log_features
from steelquant.segmentation.look import Look

FEWEST_FIELDS = 200
"""Of fewer training fields no rare figure can be told."""

_STRANGEST = 0.002
_STRANGEST_SEPARATION = 0.01
_MOST_DARK = 0.1

_FEWEST_SEEN = 100
_DIRECTIONS = 16
"""Directions in which features have a variance of their own. Fewer tell less; more take up chance."""

_LEAST_SCALE = 1e-3


def learn_familiarity(looks: Sequence[Look], confidences: Sequence[float]) -> Familiarity | None:
    """Learn what training fields look like.

    Parameters
    ----------
    looks, confidences
        Of each field what it looks like, and the mean probability of the labels that the network gave it.

    Returns
    -------
    Familiarity or None
        None where there are fewer than 200 fields, or none with several phases.
    """
    textures, colours = [look.texture for look in looks], [look.colour for look in looks]
    evenness = [_darkest_tenth(look) for look in looks if look.evenness.size]
    sharpness = [look.sharpness for look in looks if look.sharpness is not None]
    separations = [look.separation for look in looks if look.separation is not None]
    if len(looks) < FEWEST_FIELDS or not (evenness and sharpness and separations):
        return None
    return Familiarity(
        fields=len(looks),
        texture=_learn_spread(textures),
        colour=_learn_spread(colours),
        sharpness=_quantile(sharpness, _STRANGEST),
        evenness=_quantile(evenness, _STRANGEST),
        separation=_quantile(separations, _STRANGEST_SEPARATION),
        confidence=_quantile(confidences, _STRANGEST),
        darkest=_quantile([look.darkest for look in looks], 1 - _STRANGEST),
        brightest=_quantile([look.brightest for look in looks], _STRANGEST),
    )


def _learn_spread(figures: Sequence[NDArray[np.float64]]) -> Spread:
    together = np.concatenate(figures)
    # Where all training fields are grey, colours have no spread of their own.
    covariance = np.cov(together.T) + 1e-4 * np.eye(together.shape[1])
    spread = Spread(
        tuple(together.mean(axis=0).tolist()), tuple(tuple(row) for row in covariance.tolist()), np.inf
    )
    typical = [float(np.median(spread.distances(blocks))) for blocks in figures]
    return Spread(spread.mean, spread.covariance, _quantile(typical, 1 - _STRANGEST))


def learn_features(
    training: Sequence[NDArray[np.float32]], validation: Sequence[NDArray[np.float32]]
) -> FeatureSpread | None:
    """Learn where a network's features of training fields lie, and from validation fields how far is far.

    Parameters
    ----------
    training, validation
        Of each field ``(n, channels)``: what the network saw in its blocks. The limit is that of validation
        fields, on which the network was not trained, or of training fields where that is farther.

    Returns
    -------
    FeatureSpread or None
        None where there are fewer than 100 fields of either kind.
    """
    if min(len(training), len(validation)) < _FEWEST_SEEN:
        return None
    logs = log_features(np.concatenate(training))
    mean = logs.mean(axis=0)
    # A channel that is always silent must not be infinitely strange once it speaks.
    scale = np.maximum(logs.std(axis=0), _LEAST_SCALE)
    _, lengths, directions = np.linalg.svd((logs - mean) / scale, full_matrices=False)
    variances = np.square(lengths) / len(logs)
    count = min(_DIRECTIONS, len(variances) - 1)
    spread = FeatureSpread(
        mean=_short(mean),
        scale=_short(scale),
        directions=tuple(_short(row) for row in directions[:count]),
        variances=_short(np.maximum(variances[:count], _LEAST_SCALE)),
        rest=max(float(variances[count:].sum() / (logs.shape[1] - count)), _LEAST_SCALE),
        limit=np.inf,
    )
    limits = [
        _quantile([float(np.median(spread.distances(blocks))) for blocks in fields], 1 - _STRANGEST)
        for fields in (training, validation)
    ]
    return replace(spread, limit=max(limits))


def _short(values: NDArray[np.float64]) -> tuple[float, ...]:
    """Return numbers of five digits: there are thousands of them in a weight file's header."""
    return tuple(float(f"{value:.5g}") for value in values)


def _darkest_tenth(look: Look) -> float:
    """Return the evenness below which a tenth of the blocks lie."""
    return float(np.quantile(look.evenness, _MOST_DARK, method="lower"))


def _quantile(values: Sequence[float], share: float) -> float:
    return float(np.quantile(values, share))


def doubts(
    look: Look,
    confidence: float,
    familiarity: Familiarity,
    classes: Sequence[PhaseClass],
    features: NDArray[np.float32] | None = None,
) -> list[str]:
    """Say in what a field is not like the training fields; one sentence each, none where it is.

    Parameters
    ----------
    look, confidence
        What the field looks like, and the mean probability of its labels.
    familiarity
        What the training fields look like.
    classes
        The names of its labels.
    features
        ``(n, channels)``: what the network saw in its blocks, where that is known.
    """
    matrix, other = classes[0].name, " and ".join(phase.name for phase in classes[1:])
    found = [
        *_unlike("texture", look.texture, familiarity.texture),
        *_unlike("colour", look.colour, familiarity.colour),
    ]
    if features is not None and familiarity.features is not None:
        found += _unlike("what the network sees in it", features, familiarity.features)
    if look.sharpness is not None and 0 < look.sharpness < familiarity.sharpness:
        found.append(
            f"it looks blurred: from {other} to {matrix} it takes {1 / look.sharpness:.0f} px, "
            f"in the training fields at most {1 / familiarity.sharpness:.0f}"
        )
    if look.evenness.size and _darkest_tenth(look) < familiarity.evenness:
        share = np.mean(look.evenness < familiarity.evenness)
        found.append(
            f"{share:.0%} of it is much darker than its {matrix} elsewhere: resin, a mount, "
            "an eyepiece's rim or uneven light; exclude what is no steel"
        )
    if look.brightest < familiarity.brightest:
        found.append(
            f"it is under-exposed: its brightest parts are {255 * look.brightest:.0f} of 255, "
            f"those of the training fields at least {255 * familiarity.brightest:.0f}"
        )
    if look.darkest > familiarity.darkest:
        found.append(
            f"it is over-exposed: its darkest parts are {255 * look.darkest:.0f} of 255, "
            f"those of the training fields at most {255 * familiarity.darkest:.0f}"
        )
    if look.separation is not None and look.separation < familiarity.separation:
        found.append(
            f"what is labelled {matrix} and {other} hardly differs in brightness ({look.separation:.1f} "
            f"standard deviations, in training fields at least {familiarity.separation:.1f}): "
            "this may be no such steel"
        )
    if confidence < familiarity.confidence:
        found.append(unsure(confidence))
    return found


def unsure(confidence: float) -> str:
    """Say that the network is unsure."""
    return f"the prediction is unsure over much of the field (mean probability {confidence:.2f})"


def _unlike(what: str, figures: NDArray[Any], spread: Spread | FeatureSpread) -> list[str]:
    distances = spread.distances(figures)
    if np.median(distances) <= spread.limit:
        return []
    return [f"{np.mean(distances > spread.limit):.0%} of it is unlike the training fields in {what}"]
