"""From masks on disk to specimens: history, scale, failures, limits, processes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import stats
from segmented_folder import squares, write_segmented

from steelquant.errors import FileError, UsageError
from steelquant.micrograph.field import Calibration
from steelquant.micrograph.files import sha256_of
from steelquant.micrograph.masks import write_mask
from steelquant.segmentation.results import FieldResult as SegmentedField
from steelquant.stereology import quantify
from steelquant.stereology.specimens import Verdict


@pytest.fixture
def folder(tmp_path):
    masks = {f"f{i}": squares(fraction) for i, fraction in enumerate((0.2, 0.25, 0.3), start=1)}
    return write_segmented(tmp_path / "segmented", masks)


def measure(*masks, **options):
    return quantify(list(masks), output=None, **options)


def edit_record(folder, change):
    path = folder / "segmentation.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def test_the_numbers_of_a_known_field(tmp_path):
    write_mask(tmp_path / "f.tif", squares(0.25), pixel_size_um=0.5)  # 10-px squares every 20 px, 48 of them

    result = measure(tmp_path / "f.tif")

    (specimen,) = result.specimens
    means = {name: found.mean for name, found in specimen.estimates.items()}
    assert means["Pearlite (%)"] == pytest.approx(25)
    assert means["Ferrite (%)"] == pytest.approx(75)
    assert means["Pearlite N_A (1/mm²)"] == pytest.approx(48 / (120 * 160 * 0.25e-6))
    assert means["Pearlite N_L (1/mm)"] == pytest.approx(50)  # half the lines meet one per 10 µm
    assert means["Pearlite mean intercept (µm)"] == pytest.approx(10 * 0.5 * 2 / 2)
    assert means["Pearlite mean free path (µm)"] == pytest.approx(30 * 0.5)
    assert means["Pearlite mean area (µm²)"] == pytest.approx(100 * 0.25)
    assert means["Pearlite mean diameter (µm)"] == pytest.approx(np.sqrt(400 / np.pi) * 0.5)
    assert means["Carbon (wt%)"] == pytest.approx(0.2065)


def test_fields_of_one_folder_are_one_specimen_with_interval(folder):
    result = measure(folder)

    (specimen,) = result.specimens
    fractions = [100 * field.phases["pearlite"].area_fraction for field in result.fields]
    assert specimen.name == "lot 7"
    assert specimen.estimates["Pearlite (%)"].n == 3
    assert specimen.estimates["Pearlite (%)"].mean == pytest.approx(np.mean(fractions))
    s = np.std(fractions, ddof=1)
    assert specimen.estimates["Pearlite (%)"].ci95 == pytest.approx(4.302653 * s / np.sqrt(3), rel=1e-6)
    assert any("3 of at least 5 fields" in remark for remark in specimen.remarks)
    # CI = t·s/√n is at most a tenth of the mean from the least n on that is told.
    needed = specimen.fields_needed
    assert stats.t.ppf(0.975, needed - 1) * s / np.sqrt(needed) <= 0.1 * np.mean(fractions)
    assert stats.t.ppf(0.975, needed - 2) * s / np.sqrt(needed - 1) > 0.1 * np.mean(fractions)
    told = f"about {needed - 3} more fields would reach it, {needed} in all"
    assert any(told in remark for remark in specimen.remarks)


def test_doubling_the_pixel_size_scales_lengths_by_two_and_areas_by_four(folder):
    (once,), (twice,) = (measure(folder, pixel_size_um=size).specimens for size in (0.5, 1.0))

    factors = {
        "Pearlite (%)": 1,
        "Pearlite N_A (1/mm²)": 1 / 4,
        "Pearlite N_L (1/mm)": 1 / 2,
        "Pearlite mean intercept (µm)": 2,
        "Pearlite mean free path (µm)": 2,
        "Pearlite mean area (µm²)": 4,
        "Pearlite mean diameter (µm)": 2,
        "Carbon (wt%)": 1,
    }
    for name, factor in factors.items():
        assert twice.estimates[name].mean == pytest.approx(factor * once.estimates[name].mean), name


def test_two_halves_agree_with_the_whole(tmp_path):
    whole = squares(0.3, (200, 400))
    for name, labels in (("whole", whole), ("left", whole[:, :200]), ("right", whole[:, 200:])):
        write_mask(tmp_path / name / f"{name}.tif", labels, pixel_size_um=0.5)

    whole_field, left, right = measure(*(tmp_path / name for name in ("whole", "left", "right"))).fields

    phases = [field.phases["pearlite"] for field in (whole_field, left, right)]
    assert phases[1].area_px + phases[2].area_px == phases[0].area_px
    assert phases[1].feature_count + phases[2].feature_count == phases[0].feature_count


def test_a_single_field_has_the_interval_of_its_blocks(tmp_path):
    rng = np.random.default_rng(0)
    mask = np.kron(rng.random((60, 80)) < 0.3, np.ones((5, 5))).astype(np.uint8)
    write_mask(tmp_path / "f.tif", mask, pixel_size_um=0.5)

    (specimen,) = measure(tmp_path).specimens

    pearlite, carbon = specimen.estimates["Pearlite (%)"], specimen.estimates["Carbon (wt%)"]
    assert pearlite.n == 1
    assert pearlite.standard_deviation is None
    assert pearlite.low < 30 < pearlite.high
    assert "blocks" in pearlite.reason
    assert carbon.ci95 == pytest.approx(0.738 * pearlite.ci95 / 100)


def test_a_single_field_is_told_how_many_a_point_count_is_planned_with(tmp_path):
    rng = np.random.default_rng(0)
    mask = np.kron(rng.random((24, 32)) < 0.2, np.ones((12, 12))).astype(np.uint8)
    write_mask(tmp_path / "f.tif", mask, pixel_size_um=0.5)

    (specimen,) = measure(tmp_path).specimens

    # 4/0.1² · (100 − V_V)/(V_V · P_T), of 10 x 13 points
    share = 100 * mask.mean()
    planned = np.ceil(400 * (100 - share) / (share * 130))
    assert specimen.estimates["Pearlite (%)"].relative_accuracy_percent > 10
    assert any(f": E562 plans {planned:.0f} fields of 130 points" in remark for remark in specimen.remarks)


def test_without_a_scale_lengths_are_empty_with_the_reason(tmp_path):
    write_segmented(tmp_path / "s", {"f1": squares(0.2), "f2": squares(0.3)}, pixel_size_um=None)

    (specimen,) = measure(tmp_path / "s").specimens

    assert specimen.estimates["Pearlite (%)"].mean is not None
    for name in ("Pearlite N_A (1/mm²)", "Pearlite mean intercept (µm)", "Pearlite mean diameter (µm)"):
        assert specimen.estimates[name].mean is None
        assert specimen.estimates[name].reason == "not calibrated: no scale in the file"
    assert any("not calibrated" in remark for remark in specimen.remarks)


def test_the_scale_and_its_source_come_from_the_segmentation(folder):
    assert {field.calibration.source for field in measure(folder).fields} == {"Olympus SIS tag 33560"}


def test_a_scale_given_by_the_user_wins(folder):
    field = measure(folder, pixel_size_um=0.25).fields[0]

    assert field.pixel_size_um == 0.25
    assert any("0.25" in warning for warning in field.warnings)  # it contradicts the file's 0.5


def test_a_mask_corrected_by_hand_is_measured_and_told(folder):
    write_mask(folder / "f2.tif", np.zeros((120, 160), dtype=np.uint8), pixel_size_um=0.5)

    fields = {field.source.name: field for field in measure(folder).fields}

    assert fields["f2"].phases["pearlite"].area_px == 0
    assert any("changed after segmentation" in warning for warning in fields["f2"].warnings)
    assert fields["f1"].warnings == ()


def test_a_corrected_mask_saved_without_scale_keeps_its_micrographs(folder):
    Image.fromarray(squares(0.25) * 255).save(folder / "f2.tif")

    field = next(field for field in measure(folder).fields if field.source.name == "f2")

    assert field.pixel_size_um == 0.5
    assert field.phases["pearlite"].area_fraction == pytest.approx(0.25)


def test_a_mask_whose_size_was_changed_has_lost_its_scale(folder):
    Image.fromarray(squares(0.25, (60, 80)) * 255).save(folder / "f2.tif")

    field = next(field for field in measure(folder).fields if field.source.name == "f2")

    assert field.pixel_size_um is None
    assert any("size was changed" in warning for warning in field.warnings)


def test_masks_made_elsewhere_are_measured(tmp_path):
    other = tmp_path / "by hand"
    other.mkdir()
    Image.fromarray(squares(0.25) * 255).save(other / "grey.png")
    Image.fromarray(squares(0.25)).save(other / "labels.bmp")

    result = measure(other)

    assert [field.phases["pearlite"].area_fraction for field in result.fields] == [0.25, 0.25]
    assert result.specimens[0].name == "by hand"
    assert all(field.source.model is None for field in result.fields)


def test_each_field_names_the_weights_of_its_own_run(folder):
    def change(record):
        record["earlier_runs"] = [
            {"run": "r0", "parameters": {}, "versions": {}, "weights": {"model": "unet", "sha256": "d" * 64}}
        ]
        record["fields"][0]["run"] = "r0"

    edit_record(folder, change)

    fields = measure(folder).fields

    assert [(field.source.model, field.source.weights_sha256[0]) for field in fields[:2]] == [
        ("unet", "d"),
        ("mobilenetv2", "c"),
    ]


def test_bad_masks_fail_alone(folder):
    (folder / "broken.tif").write_bytes(b"not a picture")
    write_mask(folder / "resin.tif", np.full((20, 20), 255, dtype=np.uint8), pixel_size_um=0.5)

    result = measure(folder)

    assert len(result.fields) == 3
    assert sorted(error.path.name for error in result.failures) == ["broken.tif", "resin.tif"]
    assert any("excluded" in error.problem for error in result.failures)


def test_a_damaged_record_does_not_stop_the_masks(folder):
    (folder / "segmentation.json").write_text('{"fields": [{"name": ')

    result = measure(folder)

    assert len(result.fields) == 3
    assert any("damaged" in warning for warning in result.warnings)


def test_failed_and_missing_fields_of_the_segmentation_are_told(folder):
    (folder / "f3.tif").unlink()
    edit_record(folder, lambda record: record["fields"][1].update(status="failed", error="unreadable"))

    result = measure(folder)

    assert [field.source.name for field in result.fields] == ["f1", "f2"]
    assert any("failed in segment" in warning and "f2" in warning for warning in result.warnings)
    assert any("f3.tif" in warning for warning in result.warnings)


def test_fields_of_one_name_in_two_folders_stay_apart(tmp_path):
    for name in ("a", "b"):
        write_segmented(tmp_path / name, {"f1": squares(0.2)}, image_folder=f"lot {name}")

    result = measure(tmp_path / "a", tmp_path / "b")

    assert [field.source.name for field in result.fields] == ["lot a/f1", "lot b/f1"]
    assert [specimen.name for specimen in result.specimens] == ["lot a", "lot b"]


def test_excluded_pixels_never_count(tmp_path):
    mask = squares(0.25)
    barred = np.vstack([mask, np.full((40, 160), 255, dtype=np.uint8)])
    write_mask(tmp_path / "f.tif", barred, pixel_size_um=0.5)

    (field,) = measure(tmp_path).fields

    assert field.phases["pearlite"].area_fraction == 0.25
    assert field.excluded_px == 40 * 160
    assert field.counted_area_mm2 == pytest.approx(120 * 160 * 0.25e-6)


def test_the_sensitivity_to_the_threshold_comes_from_the_probability(tmp_path):
    write_segmented(tmp_path / "s", {"f1": squares(0.25)}, probabilities=True)

    (field,) = measure(tmp_path / "s").fields

    assert field.sensitivity == (0.25, 0.25, 0.25)


def test_a_corrected_mask_has_no_sensitivity(tmp_path):
    write_segmented(tmp_path / "s", {"f1": squares(0.25)}, probabilities=True)
    write_mask(tmp_path / "s" / "f1.tif", squares(0.4), pixel_size_um=0.5)

    (field,) = measure(tmp_path / "s").fields

    assert field.sensitivity is None


def test_limits_are_judged_by_the_quantitys_short_name(folder, tmp_path):
    limits = tmp_path / "limits.csv"
    limits.write_text(
        "specimen,quantity,minimum,maximum\n*,pearlite,0,60\nlot 7,CARBON,0.5,\nlot 9,pearlite,0,1\n"
    )

    result = measure(folder, limits=limits)

    verdicts = {j.limit.quantity: j.verdict for j in result.specimens[0].judgements}
    assert verdicts == {"Pearlite (%)": Verdict.PASS, "Carbon (wt%)": Verdict.FAIL}
    assert result.specimens[0].verdict is Verdict.FAIL
    assert any("lot 9" in warning for warning in result.warnings)


def test_a_limit_on_an_unknown_quantity_lists_the_known_ones(folder, tmp_path):
    limits = tmp_path / "limits.csv"
    limits.write_text("specimen,quantity,minimum,maximum\n*,bainite,0,60\n")

    with pytest.raises(FileError, match=r"bainite.*Pearlite \(%\)"):
        measure(folder, limits=limits)


def test_specimens_are_compared(tmp_path):
    low = {f"A_{i}": squares(0.16 + 0.01 * i) for i in range(4)}
    high = {f"B_{i}": squares(0.49 + 0.01 * i) for i in range(4)}
    write_segmented(tmp_path / "s", low | high)

    result = measure(tmp_path / "s", specimen="{}_*")

    pearlite = next(c for c in result.comparisons if c.quantity == "Pearlite (%)")
    assert (pearlite.first, pearlite.second) == ("A", "B")
    assert pearlite.result.difference + pearlite.result.ci95 < 0
    assert pearlite.p_holm < 0.001


def test_worker_processes_give_the_same_numbers(tmp_path):
    write_segmented(tmp_path / "s", {f"f{i}": squares(0.1 + 0.05 * i) for i in range(6)})
    (tmp_path / "s" / "broken.tif").write_bytes(b"")

    alone, together = measure(tmp_path / "s"), measure(tmp_path / "s", workers=2)

    assert [str(error) for error in together.failures] == [str(error) for error in alone.failures]
    assert together.specimens[0].estimates == alone.specimens[0].estimates


def test_progress_counts_every_mask(folder):
    (folder / "broken.tif").write_bytes(b"")
    seen = []

    measure(folder, on_field=lambda done, total: seen.append((done, total)))

    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_specks_are_left_out_of_the_count_but_not_of_the_fraction(tmp_path):
    mask = squares(0.25)
    mask[0, 0] = 1
    write_mask(tmp_path / "f.tif", mask, pixel_size_um=0.5)

    every, large = measure(tmp_path).fields[0], measure(tmp_path, smallest_feature_px=5).fields[0]

    assert (every.features["pearlite"].count, large.features["pearlite"].count) == (49, 48)
    assert every.phases["pearlite"].area_px == large.phases["pearlite"].area_px == 4801


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"smallest_feature_px": 0}, "at least 1 px"),
        ({"specimen": "*("}, "--specimen"),
        ({"pixel_size_um": -1.0}, "pixel"),
    ],
)
def test_options_that_make_no_sense_are_usage_errors(folder, options, problem):
    with pytest.raises(UsageError, match=problem):
        measure(folder, **options)


def test_nothing_found_is_a_usage_error(tmp_path):
    (tmp_path / "empty").mkdir()

    for place in ("empty", "missing"):
        with pytest.raises(UsageError, match=place):
            measure(tmp_path / place)


def test_a_report_that_is_no_excel_file_is_refused_before_the_work(folder):
    with pytest.raises(UsageError, match=r"\.xlsx"):
        quantify([folder], output="report.pdf")


def test_the_record_that_segment_writes_is_understood(tmp_path):
    labels = squares(0.25)
    write_mask(tmp_path / "f1.tif", labels, pixel_size_um=0.5)
    done = SegmentedField(
        name="f1",
        status="done",
        error=None,
        path=Path("/data/lot 7/f1.tif"),
        page=2,
        run="r1",
        sha256="a" * 64,
        height_px=120,
        width_px=160,
        calibration=Calibration(0.5, "Zeiss LSM tag 34412", ("x and y differ",)),
        mask_sha256=sha256_of(tmp_path / "f1.tif"),
        warnings=("16 bits were scaled to 8",),
    )
    failed = replace(done, name="f2", status="failed", error="unreadable", calibration=None, mask_sha256=None)
    weights = {"model": "resnet18", "file": "w", "sha256": "e" * 64}
    record = {"run": "r1", "weights": weights, "fields": [done.to_json(), failed.to_json()]}
    (tmp_path / "segmentation.json").write_text(json.dumps(record))

    result = measure(tmp_path)

    (field,) = result.fields
    assert field.source.image_path == Path("/data/lot 7/f1.tif")
    assert (field.source.image_page, field.source.folder, field.source.model) == (2, "lot 7", "resnet18")
    assert field.calibration.source == "Zeiss LSM tag 34412"
    assert set(field.warnings) == {"16 bits were scaled to 8", "x and y differ"}
    assert any("f2" in warning for warning in result.warnings)
    assert len(result.runs) == 1


def test_fields_of_different_scale_in_one_specimen_are_told(tmp_path):
    for name, size_um in (("a_1", 0.5), ("a_2", 0.25), ("b_1", 0.5), ("b_2", 0.5)):
        write_mask(tmp_path / f"{name}.tif", squares(0.2), pixel_size_um=size_um)
    mixed, alike = measure(tmp_path, specimen="{}_*").specimens
    words = "fields of different µm/px are averaged"
    assert words in mixed.remarks
    assert words not in alike.remarks
