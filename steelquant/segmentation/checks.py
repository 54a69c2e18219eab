"""Is this a field the network can be trusted with? One sentence for each doubt."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from steelquant.micrograph.field import Micrograph
from steelquant.networks.weights import WeightsMetadata
from steelquant.segmentation.familiarity import doubts, unsure
from steelquant.segmentation.look import Look
from steelquant.segmentation.predict import Prediction

LEAST_CONFIDENCE = 0.85
"""Below this mean probability a prediction counts as unsure, where weights know no limit of their own."""

MOST_CLIPPED = 0.1
"""Above this share of pure black or pure white pixels a picture counts as clipped."""

_SAMPLE_STEP_PX = 4


def field_warnings(
    micrograph: Micrograph,
    prediction: Prediction,
    look: Look | None,
    area_fractions: dict[str, float],
    metadata: WeightsMetadata,
    scale: float,
) -> tuple[str, ...]:
    """Return what a user should know before trusting a field's mask.

    Parameters
    ----------
    micrograph, prediction
        The field and what the network says of it.
    look
        What it looks like; None for small fields.
    area_fractions
        By class name, over the counted pixels.
    metadata
        What the weights were trained on.
    scale
        The network saw the field resampled by this factor.
    """
    warnings = list(micrograph.warnings)
    size_um = micrograph.calibration.pixel_size_um
    if size_um is None:
        warnings.append(f"no scale ({micrograph.calibration.source})")
    elif metadata.pixel_size_um is not None:
        low, high = metadata.pixel_size_um
        if not low <= size_um / scale <= high:
            warnings.append(
                f"{size_um / scale:.3g} µm/px is outside the {low:.3g}–{high:.3g} of the training fields"
            )
    sole = [name for name, fraction in area_fractions.items() if fraction == 1]
    if sole:
        warnings.append(f"all {sole[0]}")
    if prediction.confidence is None:
        warnings.append("every pixel is excluded")
    elif metadata.familiarity is not None and look is not None:
        seen = prediction.deep.seen(prediction.labels)
        features = None if seen is None else seen.features
        warnings += doubts(look, prediction.confidence, metadata.familiarity, metadata.classes, features)
    elif prediction.confidence < LEAST_CONFIDENCE:
        warnings.append(unsure(prediction.confidence))
    warnings += _clipping(micrograph.pixels, micrograph.excluded)
    return tuple(warnings)


def _clipping(pixels: NDArray[np.uint8], excluded: NDArray[np.bool_] | None) -> list[str]:
    """Name the clipped ends; every fourth pixel each way is enough for a share."""
    sparse = slice(None, None, _SAMPLE_STEP_PX)
    red, green, blue = (pixels[sparse, sparse, channel] for channel in range(3))
    counted = np.ones(red.shape, np.bool_) if excluded is None else ~excluded[sparse, sparse]
    total = np.count_nonzero(counted)
    if total == 0:
        return []
    black = (red | green | blue) == 0
    white = (red & green & blue) == 255
    shares = {
        word: np.count_nonzero(where & counted) / total
        for where, word in ((black, "black"), (white, "white"))
    }
    return [
        f"the picture is clipped: {share:.0%} is pure {word}"
        for word, share in shares.items()
        if share > MOST_CLIPPED
    ]
