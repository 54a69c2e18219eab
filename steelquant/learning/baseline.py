"""What a plain threshold reaches: the figure that every network has to beat."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from steelquant.micrograph.field import FERRITE, PEARLITE


def otsu(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Label a field by Otsu's threshold of its grey values, the mean of RGB, after a Gaussian blur of 1 px.

    What is darker than the threshold is pearlite, always: under Nital it etches dark. No lighting is
    corrected and nothing is cleaned, so that the figure is that of the method every program offers.

    Parameters
    ----------
    pixels
        ``(height, width, 3)`` uint8 RGB.

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
    threshold, _ = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return np.where(grey > threshold, FERRITE.label, PEARLITE.label).astype(np.uint8)


class OtsuSegmenter:
    """The baseline as a row beside the models."""

    name = "otsu"
    title = "Otsu threshold"

    def segment(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], None]:
        """Return labels; a threshold has no probabilities."""
        return otsu(pixels), None
