"""What a plain threshold reaches: the figure that every network has to beat."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from steelquant.micrograph.field import EXCLUDED, FERRITE, PEARLITE

BASELINE_NAME = "otsu"
BASELINE_TITLE = "Otsu threshold"


def otsu(pixels: NDArray[np.uint8], excluded: NDArray[np.bool_] | None = None) -> NDArray[np.uint8]:
    """Label a field by Otsu's threshold of its grey values, the mean of RGB, after a Gaussian blur of 1 px.

    What is darker than the threshold is pearlite, always: under Nital it etches dark. No lighting is
    corrected and nothing is cleaned, so that the figure is that of the method every program offers.

    Parameters
    ----------
    pixels
        ``(height, width, 3)`` uint8 RGB.
    excluded
        ``(height, width)`` bool: neither in the histogram nor labelled. None: every pixel counts.

    Returns
    -------
    ndarray
        ``(height, width)`` labels.

    References
    ----------
    N. Otsu, IEEE Trans. Syst. Man Cybern. 9 (1979) 62–66.
    """
    mean = cv2.transform(pixels, np.full((1, 3), 1 / 3))
    grey = np.asarray(cv2.GaussianBlur(mean, (0, 0), sigmaX=1.0), np.uint8)
    counted = grey if excluded is None else grey[~excluded]
    labels = np.full(grey.shape, EXCLUDED, np.uint8)
    if not counted.size:
        return labels
    threshold, _ = cv2.threshold(counted.reshape(-1, 1), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    labels[:] = np.where(grey > threshold, FERRITE.label, PEARLITE.label)
    if excluded is not None:
        labels[excluded] = EXCLUDED
    return labels
