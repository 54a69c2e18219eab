"""Scores against MATLAB's worked numbers, brute force, and torchmetrics."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from steelquant.learning import metrics
from steelquant.micrograph.field import EXCLUDED


def test_scores_equal_matlabs_for_its_triangle_example() -> None:
    # MATLAB's documentation of evaluateSemanticSegmentation (triangleImages), normalised by nothing.
    result = metrics.scores(np.array([[4730, 0], [9601, 88069]]))

    assert result.pixels == 102_400
    assert result.global_accuracy == pytest.approx(0.90624, abs=5e-6)
    assert result.mean_accuracy == pytest.approx(0.95085, abs=5e-6)
    assert result.mean_iou == pytest.approx(0.61588, abs=5e-6)
    assert result.weighted_iou == pytest.approx(0.87529, abs=5e-6)
    assert result.class_iou == pytest.approx((0.33005, 0.90170), abs=5e-6)


def test_scores_of_an_all_background_prediction() -> None:
    truth = np.zeros((320, 320), np.uint8)
    truth.flat[:4730] = 1

    result = metrics.scores(metrics.confusion_matrix(truth, np.zeros_like(truth), 2))

    assert result.global_accuracy == pytest.approx(0.9538, abs=5e-5)
    assert result.mean_accuracy == 0.5
    assert result.mean_iou == pytest.approx(0.4769, abs=5e-5)
    assert result.weighted_iou == pytest.approx(0.9098, abs=5e-5)


def test_row_normalised_confusion_and_a_class_without_pixels() -> None:
    counts = np.array([[3, 1, 0], [0, 2, 2], [0, 0, 0]])

    shares = metrics.normalised_by_row(counts)
    result = metrics.scores(counts)

    np.testing.assert_allclose(shares[:2], [[0.75, 0.25, 0], [0, 0.5, 0.5]])
    assert np.isnan(shares[2]).all()
    assert np.isnan(result.class_accuracy[2])
    assert result.mean_accuracy == pytest.approx(0.625)
    assert result.class_iou == pytest.approx((3 / 4, 2 / 5, 0))


@pytest.mark.parametrize("classes", [2, 4])
def test_scores_equal_torchmetrics(classes: int) -> None:
    import torch
    from torchmetrics.functional import classification as peer

    random = np.random.default_rng(classes)
    truth = random.integers(0, classes, (3, 50, 40)).astype(np.uint8)
    predicted = np.where(random.random(truth.shape) < 0.7, truth, random.integers(0, classes, truth.shape))
    predicted = predicted.astype(np.uint8)
    truth[random.random(truth.shape) < 0.2] = EXCLUDED
    found, true = torch.from_numpy(predicted).long(), torch.from_numpy(truth).long()

    confusion = sum(metrics.confusion_matrix(t, p, classes) for t, p in zip(truth, predicted, strict=True))
    result = metrics.scores(np.asarray(confusion))

    options = {"num_classes": classes, "ignore_index": EXCLUDED}
    np.testing.assert_array_equal(confusion, peer.multiclass_confusion_matrix(found, true, **options).numpy())
    assert result.global_accuracy == pytest.approx(
        float(peer.multiclass_accuracy(found, true, average="micro", **options))
    )
    assert result.mean_accuracy == pytest.approx(
        float(peer.multiclass_accuracy(found, true, average="macro", **options))
    )
    iou = peer.multiclass_jaccard_index(found, true, average="none", **options).numpy()
    np.testing.assert_allclose(result.class_iou, iou, rtol=1e-6)
    weighted = float(peer.multiclass_jaccard_index(found, true, average="weighted", **options))
    assert result.weighted_iou == pytest.approx(weighted)


def test_confusion_refuses_labels_above_the_classes_and_other_shapes() -> None:
    truth = np.array([[0, 1, EXCLUDED]], np.uint8)

    with pytest.raises(ValueError, match="none of the 2 classes"):
        metrics.confusion_matrix(truth, np.array([[0, 2, 0]], np.uint8), 2)
    with pytest.raises(ValueError, match="shape"):
        metrics.confusion_matrix(truth, truth[:, :2], 2)
    assert metrics.confusion_matrix(truth, np.array([[0, 1, 7]], np.uint8), 2).sum() == 2


def brute_force_bf(truth: np.ndarray, predicted: np.ndarray, label: int, theta: float) -> float:
    """metrics.md word for word, pixel by pixel."""

    def edge(mask: np.ndarray) -> list[tuple[int, int]]:
        height, width = mask.shape
        return [
            (y, x)
            for y in range(height)
            for x in range(width)
            if mask[y, x]
            and any(
                not (0 <= v < height and 0 <= u < width) or not mask[v, u]
                for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1))
            )
        ]

    true, found = np.array(edge(truth == label)), np.array(edge(predicted == label))
    if not len(true) or not len(found):
        return float("nan")
    distance = np.hypot(*(found[:, None] - true[None]).transpose(2, 0, 1))
    precision, recall = (distance.min(axis=1) < theta).mean(), (distance.min(axis=0) < theta).mean()
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@pytest.mark.parametrize("theta", [None, 1.0, 2.0, 2.376, 5.0])
@pytest.mark.parametrize("seed", range(3))
def test_bf_score_equals_brute_force(theta: float | None, seed: int) -> None:
    import cv2

    random = np.random.default_rng(seed)
    smooth = [cv2.GaussianBlur(random.standard_normal((64, 64)), (0, 0), s) for s in (2.5, 2.0)]
    truth = (smooth[0] > 0).astype(np.uint8)
    predicted = (smooth[0] + 0.5 * smooth[1] > 0.02).astype(np.uint8)
    limit = 0.0075 * np.hypot(64, 64) if theta is None else theta

    result = metrics.bf_score(truth, predicted, 2, tolerance_px=theta)

    expected = [brute_force_bf(truth, predicted, label, limit) for label in range(2)]
    assert 0 < min(expected) < 1
    np.testing.assert_allclose(result, expected, rtol=1e-12)


def test_bf_score_of_shifted_squares_by_hand() -> None:
    # Two 3×3 squares, the second one pixel to the right, in the middle of 20×20: 8 border pixels each.
    # With θ = 1 only coincidence counts: the shared 2×3 block holds 4 pixels that are border in both.
    truth, predicted = np.zeros((2, 20, 20), np.uint8)
    truth[8:11, 8:11] = 1
    predicted[8:11, 9:12] = 1

    assert metrics.bf_score(truth, predicted, 2, tolerance_px=1.0)[1] == 0.5
    assert metrics.bf_score(truth, predicted, 2, tolerance_px=1.01)[1] == 1.0


def test_bf_score_is_nan_for_a_class_absent_from_one_side_and_zero_for_one_far_away() -> None:
    truth, predicted = np.zeros((2, 64, 64), np.uint8)
    truth[5:10, 5:10] = 1

    assert np.isnan(metrics.bf_score(truth, predicted, 3)[1:]).all()
    predicted[50:55, 50:55] = 1
    assert metrics.bf_score(truth, predicted, 2)[1] == 0


def test_bf_score_does_not_see_what_the_truth_excludes() -> None:
    random = np.random.default_rng(0)
    truth = np.zeros((40, 40), np.uint8)
    truth[10:30, 10:30] = 1
    truth[:, 20:] = EXCLUDED
    clean = np.where(truth == EXCLUDED, 0, truth).astype(np.uint8)
    noisy = np.where(truth == EXCLUDED, random.integers(0, 2, truth.shape), truth).astype(np.uint8)

    np.testing.assert_array_equal(metrics.bf_score(truth, clean, 2), [1, 1])
    np.testing.assert_array_equal(metrics.bf_score(truth, noisy, 2), [1, 1])


def test_area_fractions_count_only_what_is_asked() -> None:
    labels = np.array([[0, 1, 1, 2]], np.uint8)

    np.testing.assert_allclose(
        metrics.area_fractions(labels, np.array([[True, True, True, False]]), 3), [1 / 3, 2 / 3, 0]
    )
    assert np.isnan(metrics.area_fractions(labels, np.zeros((1, 4), bool), 3)).all()


def test_calibration_error_equals_torchmetrics() -> None:
    import torch
    from torchmetrics.functional.classification import multiclass_calibration_error

    random = np.random.default_rng(1)
    probabilities = random.dirichlet([1.0, 1.0, 0.5], size=(60, 50)).astype(np.float32)
    truth = random.integers(0, 3, (60, 50)).astype(np.uint8)
    truth[:5] = EXCLUDED
    predicted = probabilities.argmax(axis=-1).astype(np.uint8)

    halves = [
        metrics.reliability(truth[rows], predicted[rows], probabilities[rows].max(axis=-1))
        for rows in (slice(0, 30), slice(30, None))
    ]
    pooled = halves[0] + halves[1]

    expected = multiclass_calibration_error(
        torch.from_numpy(probabilities.reshape(-1, 3)),
        torch.from_numpy(truth.ravel()).long(),
        num_classes=3,
        n_bins=15,
        norm="l1",
        ignore_index=EXCLUDED,
    )
    assert pooled.counts.sum() == (truth != EXCLUDED).sum()
    assert pooled.expected_calibration_error == pytest.approx(float(expected), abs=1e-6)


def test_calibration_error_by_hand() -> None:
    # 4 pixels at confidence 0.9, half of them right: |0.5 - 0.9|; 4 at 0.6, three right: |0.75 - 0.6|.
    truth = np.array([1, 1, 0, 0, 1, 1, 1, 0], np.uint8)
    confidence = np.array([0.9] * 4 + [0.6] * 4, np.float32)

    result = metrics.reliability(truth, np.ones(8, np.uint8), confidence)

    assert result.expected_calibration_error == pytest.approx((0.4 + 0.15) / 2)


def test_nan_mean_of_nothing_is_nan_and_silent() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(metrics.nan_mean(np.array([np.nan])))
        assert np.isnan(metrics.scores(np.zeros((2, 2), np.int64)).mean_iou)
        assert metrics.nan_mean(np.array([np.nan, 2.0])) == 2.0
