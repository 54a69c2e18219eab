"""Otsu's threshold as the baseline, against scikit-image and on real fields."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from steelquant.learning.baseline import OtsuSegmenter, otsu
from steelquant.learning.metrics import confusion_matrix, scores


def test_dark_is_pearlite_whichever_covers_more() -> None:
    for columns in (20, 80):
        pixels = np.full((60, 100, 3), 230, np.uint8)
        pixels[:, :columns] = 60

        labels = otsu(pixels)

        expected = (np.arange(100) < columns).astype(np.uint8)
        np.testing.assert_array_equal(labels, np.tile(expected, (60, 1)))
        assert OtsuSegmenter().segment(pixels)[1] is None


def test_threshold_is_that_of_scikit_image() -> None:
    from scipy.ndimage import gaussian_filter
    from skimage.filters import threshold_otsu

    random = np.random.default_rng(0)
    dark = gaussian_filter(random.standard_normal((150, 200)), 6) > 0
    grey = np.where(dark, 90, 170) + random.normal(0, 20, dark.shape)
    pixels = np.clip(grey[..., None] + np.array([-9, 0, 9]), 0, 255).astype(np.uint8)

    blurred = gaussian_filter(pixels.mean(axis=2), 1.0, mode="mirror")
    expected = blurred <= threshold_otsu(np.round(blurred).astype(np.uint8))

    assert (otsu(pixels) == expected).mean() > 0.998


LOM = Path(__file__).resolve().parents[3] / "shared/data/lom_ferrite_pearlite"


@pytest.mark.skipif(not LOM.is_dir(), reason="the development micrographs are not here")
def test_real_fields_reach_the_known_figure() -> None:
    from steelquant.learning.labelled import labelled_folder, read_labelled

    total = np.zeros((2, 2), np.int64)
    for image, mask in labelled_folder(LOM):
        _, pixels, truth = read_labelled(image, mask)
        total += confusion_matrix(truth, otsu(pixels), 2)

    assert scores(total).mean_iou == pytest.approx(0.986, abs=5e-4)
