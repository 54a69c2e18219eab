"""The loop over a set, the bootstrap and the size check, with methods whose answers are known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from steelquant.errors import UsageError
from steelquant.learning.comparison import mean_iou_of, paired_difference
from steelquant.learning.degradation import DEGRADATIONS
from steelquant.learning.evaluation import evaluate
from steelquant.learning.evaluation_checks import difference_table, robustness_table
from steelquant.learning.evaluation_set import open_set
from steelquant.learning.evaluation_tables import all_tables, table_4
from steelquant.learning.metrics import confusion_matrix, scores
from steelquant.learning.prepare import prepare
from steelquant.learning.size_distribution import check_sizes, region_areas, round_width
from steelquant.micrograph.field import EXCLUDED
from steelquant.micrograph.masks import write_mask

Labels = np.ndarray


class Fake:
    """A method that answers what a function of the pixels says."""

    def __init__(self, name: str, answer: Callable[[np.ndarray], Labels], confidence: float | None) -> None:
        self.name = name
        self.title = name.upper()
        self.answer = answer
        self.confidence = confidence

    def segment(self, pixels: np.ndarray) -> tuple[Labels, np.ndarray | None]:
        labels = self.answer(pixels).astype(np.uint8)
        if self.confidence is None:
            return labels, None
        return labels, np.full(labels.shape, self.confidence, np.float32)


PERFECT = Fake("perfect", lambda p: p[..., 0] < 128, 1.0)
NOTHING = Fake("nothing", lambda p: np.zeros(p.shape[:2]), 0.75)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four fields of 96×128 px whose truth can be read off the pixels; one strip is unlabelled."""
    random = np.random.default_rng(0)
    root = tmp_path / "set"
    (root / "images").mkdir(parents=True)
    for n in range(4):
        labels = np.zeros((96, 128), np.uint8)
        for _ in range(5):
            y, x = random.integers(5, 70), random.integers(5, 100)
            labels[y : y + random.integers(5, 20), x : x + random.integers(5, 20)] = 1
        pixels = np.where(labels == 1, 40, 220).astype(np.uint8)
        Image.fromarray(np.repeat(pixels[..., None], 3, axis=2)).save(root / "images" / f"f{n}.png")
        labels[:, 120:] = EXCLUDED
        write_mask(root / "masks" / f"f{n}.tif", labels, pixel_size_um=0.5)
    return root


def read_truth(folder: Path) -> list[np.ndarray]:
    from steelquant.learning.labelled import labelled_folder, read_labelled

    return [read_labelled(i, m)[2] for i, m in labelled_folder(folder)]


def test_known_answers_on_whole_fields(folder: Path) -> None:
    found = evaluate(open_set(folder, crops=False), [PERFECT, NOTHING])
    perfect, nothing = found.methods
    truth = read_truth(folder)

    assert found.fields == 4
    assert found.unlabelled == pytest.approx(8 / 128)
    assert perfect.scores.mean_iou == perfect.mean_bf == 1
    assert found.best is perfect
    pearlite = sum(int((t == 1).sum()) for t in truth)
    counted = sum(int((t != EXCLUDED).sum()) for t in truth)
    assert nothing.scores.pixels == counted
    assert nothing.scores.global_accuracy == pytest.approx(1 - pearlite / counted)
    shares = [-(t == 1).sum() / (t != EXCLUDED).sum() for t in truth]
    error = nothing.area_error(1)
    assert error.signed_mean == pytest.approx(np.mean(shares))
    assert error.mean_absolute == pytest.approx(-np.mean(shares))
    assert error.largest == pytest.approx(min(shares))
    assert error.worst == f"f{int(np.argmin(shares))}"
    # All pixels carry confidence 0.75, so the calibration error is their distance from the accuracy.
    assert nothing.reliability is not None
    assert nothing.reliability.expected_calibration_error == pytest.approx(
        abs(0.75 - nothing.scores.global_accuracy)
    )
    # Sizes are in µm², because every mask states its scale: 0.5 µm/px.
    areas = np.concatenate([region_areas(t, 1) for t in truth])
    assert perfect.sizes[1].unit == "µm²"
    assert perfect.sizes[1].true.mean == pytest.approx(areas.mean() / 4)
    assert perfect.sizes[1].relative_error("mean") == 0
    assert nothing.sizes[1].found.count == 0


def test_crops_of_a_dataset_are_its_test_crops(folder: Path, tmp_path: Path) -> None:
    dataset = prepare(folder / "images", folder / "masks", tmp_path / "data", crop_px=32).dataset

    found = evaluate(open_set(tmp_path / "data", crops=True), [PERFECT])

    images = dataset.images_on("test")
    samples = found.methods[0].samples
    assert found.fields == len(images) == 1
    assert len(samples) == len(dataset.crops["test"]) == 48
    assert {(s.height_px, s.width_px) for s in samples} == {(32, 32)}
    assert {s.name.rsplit(" ", 1)[1] for s in samples} == {"0°", "90°", "180°", "270°"}
    assert found.methods[0].scores.mean_iou == 1
    assert not found.methods[0].sizes
    assert found.methods[0].by_image().shape == (1, 2, 2)
    # Four turns of each crop: every labelled pixel of its 96×128 px counts four times.
    assert found.methods[0].scores.pixels == 4 * 96 * 120


def test_whole_fields_of_a_dataset_are_those_of_its_test_side(folder: Path, tmp_path: Path) -> None:
    dataset = prepare(folder / "images", folder / "masks", tmp_path / "data", crop_px=32).dataset

    found = evaluate(open_set(tmp_path / "data", crops=False), [PERFECT])

    test = dataset.images[dataset.images_on("test")[0]]
    assert [s.name for s in found.methods[0].samples] == [test.image.stem]
    assert "split by-image" in found.data.describe()


def test_a_random_split_is_only_judged_by_its_crops(folder: Path, tmp_path: Path) -> None:
    prepare(folder / "images", folder / "masks", tmp_path / "data", crop_px=32, split="random")

    with pytest.raises(UsageError, match="add --crops"):
        open_set(tmp_path / "data", crops=False)
    found = evaluate(open_set(tmp_path / "data", crops=True), [PERFECT])
    assert any("optimistic" in note for note in table_4(found).notes)


def test_an_empty_test_side_and_misplaced_classes_are_refused(folder: Path, tmp_path: Path) -> None:
    prepare(folder / "images", folder / "masks", tmp_path / "a", crop_px=32, fractions=(70, 30, 0))

    with pytest.raises(UsageError, match="its test side is empty"):
        open_set(tmp_path / "a", crops=False)
    with pytest.raises(UsageError, match="--classes is for folders"):
        open_set(tmp_path / "a", crops=True, classes="0=a,1=b")
    with pytest.raises(UsageError, match="leave --crops out"):
        evaluate(open_set(folder, crops=True), [PERFECT], robustness=True)


def test_a_broken_field_is_listed_and_the_rest_is_done(folder: Path, tmp_path: Path) -> None:
    prepare(folder / "images", folder / "masks", tmp_path / "data", crop_px=32, fractions=(25, 25, 50))
    (folder / "images" / "f1.png").write_bytes(b"no picture")
    write_mask(folder / "masks" / "f2.tif", np.full((96, 128), EXCLUDED, np.uint8), pixel_size_um=None)

    found = evaluate(open_set(folder, crops=False), [PERFECT])

    assert found.fields == 2
    assert [e.path.name for e in found.failures] == ["f1.png", "f2.tif"]
    assert "labels no pixel" in found.failures[1].problem
    for path in (folder / "images").iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(UsageError, match="no field could be used"):
        evaluate(open_set(folder, crops=False), [PERFECT])
    with pytest.raises(UsageError, match="no field could be used"):
        evaluate(open_set(tmp_path / "data", crops=False), [PERFECT])


def test_a_dataset_whose_files_changed_is_not_judged(folder: Path, tmp_path: Path) -> None:
    prepare(folder / "images", folder / "masks", tmp_path / "data", crop_px=32)
    for path in (folder / "images").iterdir():
        Image.new("RGB", (128, 96)).save(path)

    with pytest.raises(UsageError, match="has changed since the dataset was prepared"):
        evaluate(open_set(tmp_path / "data", crops=False), [PERFECT])


def test_robustness_judges_every_degraded_field(folder: Path) -> None:
    counted: list[tuple[int, ...]] = []

    def watch(pixels: np.ndarray) -> Labels:
        counted.append(pixels.shape[:2])
        return PERFECT.answer(pixels)

    watching = Fake("otsu", watch, None)

    found = evaluate(open_set(folder, crops=False), [PERFECT, watching], robustness=True)

    assert found.robustness is not None
    assert len(counted) == 4 * (1 + len(DEGRADATIONS))
    assert counted.count((48, 64)) == 4
    iou = dict(zip(found.robustness.names, found.robustness.mean_iou("perfect"), strict=True))
    assert iou["noise σ 10"] == 1
    # Bright light halved: ferrite falls below the method's fixed threshold of 128 over part of the field.
    assert iou["vignette 50 %"] < 0.9
    table: dict[Any, Any] = {row[0]: row[1:] for row in robustness_table(found).rows}
    assert table["mean of all degraded"][0] == pytest.approx(np.mean(list(iou.values())))
    assert table["  less Otsu's"] == (0, 0)
    assert table["largest cost"][0] == pytest.approx(1 - min(iou.values()))


def test_the_seed_decides_the_degraded_figures(folder: Path) -> None:
    def run(seed: int) -> tuple[float, ...]:
        found = evaluate(open_set(folder, crops=False), [PERFECT], robustness=True, seed=seed)
        assert found.robustness is not None
        return found.robustness.mean_iou("perfect")

    assert run(1) == run(1) != run(2)


def test_tables_of_an_evaluation(folder: Path) -> None:
    model = Fake("mobilenetv2", PERFECT.answer, 0.9)
    found = evaluate(open_set(folder, crops=False), [model, NOTHING])

    tables = {table.name: table for table in all_tables(found)}

    assert all(len(row) == len(t.columns) for t in tables.values() for row in t.rows)
    four = tables["Models"]
    assert [row[0] for row in four.rows] == ["MOBILENETV2", "  the paper's", "NOTHING"]
    assert four.rows[1][3] == 0.9521
    assert str(folder) in four.title
    assert "4 fields" in four.title
    assert any("unlabelled" in note for note in four.notes)
    best: Any = difference_table(found, only_best=True).rows[0]
    assert best[:2] == ("MOBILENETV2", "NOTHING")
    assert best[2] > 0
    assert len(tables["Images"].rows) == 8


def test_four_classes_are_judged_and_shown(tmp_path: Path) -> None:
    labels = (np.arange(64 * 64).reshape(64, 64) // 16 % 4).astype(np.uint8)
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
    Image.fromarray(labels * np.uint8(60)).save(tmp_path / "images" / "a.png")
    Image.fromarray(labels * np.uint8(85)).save(tmp_path / "labels" / "a.png")
    method = Fake("x", lambda p: p[..., 0] // 60, None)

    found = evaluate(open_set(tmp_path, crops=False, classes="0=a,85=b,170=c,255=d"), [method])

    assert found.methods[0].scores.pixels == 64 * 64
    assert found.methods[0].scores.class_iou == (1, 1, 1, 1)
    assert [row[1] for t in all_tables(found) if t.name == "Area fractions" for row in t.rows] == list("abcd")


def random_confusions(images: int, error: float, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    truth = random.integers(0, 2, (images, 400)).astype(np.uint8)
    wrong = random.random(truth.shape) < error
    return np.array(
        [confusion_matrix(t, t ^ w.astype(np.uint8), 2) for t, w in zip(truth, wrong, strict=True)]
    )


def test_mean_iou_of_many_equals_the_scores_of_each() -> None:
    many = random_confusions(20, 0.2, 0)
    many[3, 1] = many[3, :, 1] = 0

    np.testing.assert_allclose(mean_iou_of(many), [scores(c).mean_iou for c in many])


def test_the_bootstrap_equals_a_plain_loop() -> None:
    one, other = random_confusions(12, 0.10, 1), random_confusions(12, 0.13, 2)

    result = paired_difference(("a", one), ("b", other))

    random = np.random.default_rng(99)
    plain = []
    for _ in range(4000):
        drawn = random.integers(0, 12, 12)
        plain.append(scores(one[drawn].sum(axis=0)).mean_iou - scores(other[drawn].sum(axis=0)).mean_iou)
    expected = scores(one.sum(axis=0)).mean_iou - scores(other.sum(axis=0)).mean_iou
    assert result.mean_iou == pytest.approx(expected)
    low, high = np.quantile(plain, [0.025, 0.975])
    assert (result.low, result.high) == pytest.approx((low, high), abs=0.1 * (high - low))


def test_real_differences_are_told_from_none() -> None:
    one, worse = random_confusions(20, 0.05, 1), random_confusions(20, 0.2, 2)

    assert paired_difference(("a", one), ("b", worse)).is_real
    assert paired_difference(("b", worse), ("a", one)).high < 0
    same = paired_difference(("a", one), ("c", one))
    assert (same.mean_iou, same.low, same.high, same.is_real) == (0, 0, 0, False)
    single = paired_difference(("a", one[:1]), ("b", worse[:1]))
    assert np.isnan(single.low)
    assert not single.is_real


def test_pairing_makes_small_but_constant_differences_real() -> None:
    # Fields differ far more than the methods do; the same fields are drawn for both, so that cancels.
    base = np.array([[[1000 - n * 90, n * 90], [50, 950]] for n in range(1, 11)])
    better = base + np.array([[5, -5], [0, 0]])

    result = paired_difference(("better", better), ("base", base))

    assert 0 < result.low < result.mean_iou < result.high < 0.005


def test_region_areas_leave_out_specks_and_what_the_frame_cuts() -> None:
    labels = np.zeros((40, 40), np.uint8)
    labels[5:10, 5:10] = 1
    labels[10:13, 10:13] = 1  # touches the first by a corner: one region
    labels[20:22, 20:23] = 1  # 6 px, a speck
    labels[30:40, 30:35] = 1  # cut by the frame
    labels[25:35, 0:5] = 1

    assert region_areas(labels, 1).tolist() == [34]
    assert region_areas(np.zeros((5, 5), np.uint8), 1).size == 0


def test_size_check_by_hand() -> None:
    true, found = np.array([10.0, 20, 30, 40]), np.array([10.0, 20, 60])

    check = check_sizes(1, "px²", true, found)

    assert check.true.mean == 25
    assert check.relative_error("mean") == pytest.approx(0.2)
    assert check.relative_error("median") == pytest.approx(-0.2)
    assert check.found.standard_deviation == pytest.approx(np.std(found, ddof=1))
    assert check.bin_width == 2
    assert check.true_density.sum() * check.bin_width == pytest.approx(1)
    assert check.found_density.sum() * check.bin_width == pytest.approx(1)
    assert len(check.true_density) == len(check.found_density) == 30


@pytest.mark.parametrize(("width", "rounded"), [(1, 1), (1.1, 2), (0.03, 0.05), (70, 100), (500, 500)])
def test_bins_have_round_widths(width: float, rounded: float) -> None:
    assert round_width(width) == pytest.approx(rounded)


def test_sizes_of_nothing_are_no_error() -> None:
    check = check_sizes(0, "px²", np.array([]), np.array([]))

    assert check.true.count == 0
    assert np.isnan(check.relative_error("mean"))
