"""Masks corrected in QuPath or Fiji come back into the report in place of the masks that they correct."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from segmented_folder import squares, write_segmented

from steelquant.errors import UsageError
from steelquant.micrograph.masks import write_mask
from steelquant.reports.rois import write_rois
from steelquant.stereology import Quantification, quantify


def exported(tmp_path: Path) -> tuple[Path, Path, Quantification]:
    folder = write_segmented(tmp_path / "segmented", {"a": squares(0.25), "b": squares(0.36)})
    result = quantify(folder, output=None)
    write_rois(result, tmp_path / "rois")
    return folder, tmp_path / "rois", result


def erase_first_feature(path: Path) -> int:
    """Delete the first pearlite annotation, as a user would; return its area in px."""
    document = json.loads(path.read_text(encoding="utf-8"))
    ring = np.array(document["features"].pop(1)["geometry"]["coordinates"][0])
    path.write_text(json.dumps(document["features"]), encoding="utf-8")  # a bare list, as QuPath can write
    return int(np.ptp(ring[:, 0]) * np.ptp(ring[:, 1]))


def test_a_corrected_field_takes_the_place_and_the_history_of_its_mask(tmp_path: Path) -> None:
    folder, rois, before = exported(tmp_path)
    erased = erase_first_feature(rois / "a.geojson")

    after = quantify([folder, rois / "a.geojson"], output=None)

    assert [field.source.name for field in after.fields] == ["a", "b"]
    corrected, other = after.fields
    was = before.fields[0].phases["pearlite"].area_fraction
    assert corrected.phases["pearlite"].area_fraction == pytest.approx(was - erased / (120 * 160))
    assert corrected.pixel_size_um == 0.5
    assert corrected.source.image_sha256 == "a" * 64
    assert corrected.source.mask_path == rois / "a.geojson"
    assert any("changed after segmentation" in text for text in corrected.warnings)
    assert not other.warnings


@pytest.mark.parametrize("ending", [".geojson", ".zip"])
def test_regions_that_change_nothing_are_the_mask_itself(tmp_path: Path, ending: str) -> None:
    folder, rois, before = exported(tmp_path)

    after = quantify([folder, rois / f"a{ending}"], output=None).fields[0]

    assert after.source.mask_path == folder / "a.tif"
    assert after.mask_sha256 == before.fields[0].mask_sha256
    assert not after.warnings


def test_regions_find_the_mask_beside_them(tmp_path: Path) -> None:
    folder, rois, _ = exported(tmp_path)
    moved = (rois / "b.geojson").replace(folder / "b.geojson")
    erase_first_feature(moved)

    (field,) = quantify(moved, output=None).fields

    assert field.source.name == "b"
    assert field.source.model == "mobilenetv2"


def test_regions_alone_are_a_field_without_scale(tmp_path: Path) -> None:
    _, rois, before = exported(tmp_path)

    (field,) = quantify(rois / "a.zip", output=None).fields
    (scaled,) = quantify(rois / "a.zip", output=None, pixel_size_um=0.5).fields

    assert field.phases["pearlite"].area_fraction == before.fields[0].phases["pearlite"].area_fraction
    assert field.pixel_size_um is None
    assert scaled.pixel_size_um == 0.5


def test_two_corrections_of_one_field_and_one_of_two_fields_are_refused(tmp_path: Path) -> None:
    folder, rois, _ = exported(tmp_path)
    with pytest.raises(UsageError, match="correct the same field"):
        quantify([folder, rois / "a.geojson", rois / "a.zip"], output=None)
    other = tmp_path / "other"
    other.mkdir()
    write_mask(other / "a.tif", squares(0.25), pixel_size_um=None)
    with pytest.raises(UsageError, match="could correct"):
        quantify([folder, other, rois / "a.geojson"], output=None)


def test_the_same_masks_give_the_same_files(tmp_path: Path) -> None:
    _, rois, result = exported(tmp_path)
    again = write_rois(result, tmp_path / "again")
    assert [path.name for path in again] == ["a.geojson", "a.zip", "b.geojson", "b.zip"]
    for path in again:
        assert path.read_bytes() == (rois / path.name).read_bytes()
