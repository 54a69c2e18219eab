"""Masks to polygons and back, and regions as QuPath and Fiji save them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageDraw
from roifile import ROI_OPTIONS, ROI_TYPE, ImagejRoi
from scipy import ndimage

from steelquant.errors import FileError
from steelquant.micrograph.field import Calibration, Mask
from steelquant.micrograph.outlines import paint, trace_outlines
from steelquant.micrograph.rois import read_rois, roi_names
from steelquant.reports.rois import geojson, imagej_zip, outlines_of

FRAME = [[0, 0], [40, 0], [40, 30], [0, 30], [0, 0]]


def a_mask(labels: np.ndarray) -> Mask:
    return Mask(Path("f.tif"), labels, Calibration(0.5, "command line"), "a" * 64)


def hand_drawn(seed: int, shape: tuple[int, int] = (90, 120)) -> np.ndarray:
    """Features with holes, islands in the holes, features that meet at corners, and an excluded strip."""
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.random(shape), 1.5)
    labels = (field > np.quantile(field, 0.5)).astype(np.uint8)
    labels[::7, ::5] = 1
    labels[-9:, 20:] = 255
    labels[10:14, 10:14] = 255
    return labels


def annotation(ring: list[list[float]], class_name: str | None, **properties: object) -> dict[str, object]:
    classification = {} if class_name is None else {"classification": {"name": class_name}}
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"objectType": "annotation", **classification, **properties},
    }


def write_geojson(path: Path, *annotations: object) -> Path:
    path.write_text(json.dumps({"type": "FeatureCollection", "features": annotations}), encoding="utf-8")
    return path


@settings(max_examples=150, deadline=None)
@given(arrays(np.int32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 3)))
def test_every_small_label_image_survives_as_outlines(label_image: np.ndarray) -> None:
    outlines = trace_outlines(label_image)

    canvas = np.zeros(label_image.shape, np.uint8)
    paint(
        canvas,
        [[r for polygon in item.polygons for r in polygon] for item in outlines],
        [o.label for o in outlines],
    )
    assert np.array_equal(canvas, label_image)
    for item in outlines:
        _, count = ndimage.label(label_image == item.label)
        assert len(item.polygons) == count
        for polygon in item.polygons:
            for ring in polygon:
                assert len(np.unique(ring, axis=0)) == len(ring), (
                    "a ring that meets itself is no valid geometry"
                )


def test_outlines_name_outer_rings_first_and_holes_after() -> None:
    ring_of_pixels = np.ones((5, 5), np.int32)
    ring_of_pixels[1:4, 1:4] = 0

    (outline,) = trace_outlines(ring_of_pixels)

    ((outer, hole),) = outline.polygons
    assert (np.ptp(outer, axis=0) == 5).all()
    assert (np.ptp(hole, axis=0) == 3).all()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_mask_comes_back_from_geojson_and_roi_zip_pixel_by_pixel(tmp_path: Path, seed: int) -> None:
    mask = a_mask(hand_drawn(seed))
    drawn = outlines_of(mask)
    for name, content in (("f.geojson", geojson(mask, drawn)), ("f.zip", imagej_zip(mask, drawn))):
        path = tmp_path / name
        path.write_bytes(content)

        assert np.array_equal(read_rois(path).labels, mask.labels), name
        assert np.array_equal(read_rois(path, original=mask).labels, mask.labels), name


@pytest.mark.parametrize("label", [0, 1, 255])
def test_uniform_masks_come_back(tmp_path: Path, label: int) -> None:
    mask = a_mask(np.full((30, 40), label, np.uint8))
    (tmp_path / "f.geojson").write_bytes(geojson(mask, outlines_of(mask)))
    (tmp_path / "f.zip").write_bytes(imagej_zip(mask, outlines_of(mask)))

    assert (read_rois(tmp_path / "f.geojson").labels == mask.labels).all()
    assert (read_rois(tmp_path / "f.zip").labels == mask.labels).all()


def test_geojson_is_what_qupath_reads() -> None:
    labels = np.zeros((30, 40), np.uint8)
    labels[5:10, 8:20] = 1
    labels[6:8, 10:12] = 0

    frame, feature = json.loads(geojson(a_mask(labels), outlines_of(a_mask(labels))))["features"]

    assert frame["properties"]["isLocked"] is True
    assert frame["properties"]["classification"]["name"] == "ferrite"
    assert feature["geometry"]["type"] == "Polygon"
    outer, hole = feature["geometry"]["coordinates"]
    assert outer[0] == outer[-1]
    assert sorted(map(tuple, outer[1:])) == [(8, 5), (8, 10), (20, 5), (20, 10)]
    assert sorted(map(tuple, hole[1:])) == [(10, 6), (10, 8), (12, 6), (12, 8)]
    assert feature["properties"] == {
        "objectType": "annotation",
        "name": "pearlite 1",
        "classification": {"name": "pearlite", "color": [0, 114, 178]},
    }
    assert len(feature["id"]) == 36


def test_roi_zip_has_wand_outlines_and_composites_for_holes(tmp_path: Path) -> None:
    labels = np.zeros((30, 40), np.uint8)
    labels[2:4, 2:6] = 1
    labels[10:20, 10:20] = 1
    labels[12:14, 12:14] = 0
    path = tmp_path / "f.zip"
    path.write_bytes(imagej_zip(a_mask(labels), outlines_of(a_mask(labels))))

    frame, plain, holed = ImagejRoi.fromfile(path)

    assert (frame.name, frame.roitype, frame.right, frame.bottom) == ("field", ROI_TYPE.RECT, 40, 30)
    assert (plain.name, plain.roitype, plain.group) == ("pearlite-0001", ROI_TYPE.TRACED, 1)
    assert (plain.left, plain.top, plain.right, plain.bottom) == (2, 2, 6, 4)
    assert sorted(map(tuple, plain.coordinates().tolist())) == [(2, 2), (2, 4), (6, 2), (6, 4)]
    assert holed.composite
    assert [len(ring) for ring in holed.coordinates(multi=True)] == [5, 5]
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["field.roi", "pearlite-0001.roi", "pearlite-0002.roi"]


def test_grains_among_the_regions_are_passed_over(tmp_path: Path) -> None:
    square = [[10, 10], [20, 10], [20, 20], [10, 20], [10, 10]]
    larger = [[5, 5], [30, 5], [30, 25], [5, 25], [5, 5]]
    grains = [annotation(square, "grain", name="grain 12"), annotation(square, None, name="grain-0012")]
    path = write_geojson(
        tmp_path / "f.geojson", annotation(FRAME, "ferrite"), annotation(larger, "pearlite"), *grains
    )

    labels = read_rois(path).labels

    assert labels.sum() == 25 * 20

    alone = write_geojson(tmp_path / "g.geojson", *grains)
    with pytest.raises(FileError, match="holds grains, which are no phases"):
        read_rois(alone)
    for name in ("grain boundary film", "grainy"):
        other = write_geojson(tmp_path / "h.geojson", annotation(FRAME, "ferrite"), annotation(square, name))
        with pytest.raises(FileError, match="which is not known"):
            read_rois(other)


def test_areas_are_filled_by_pixel_centres_as_pillow_does_for_a_hand_drawn_outline(tmp_path: Path) -> None:
    # Pillow fills by pixel centres too, but counts its own outline in; away from it both must agree.
    line = [[3.2, 4.1], [33.7, 8.4], [20.3, 26.8], [9.9, 18.2], [3.2, 4.1]]
    path = write_geojson(tmp_path / "f.geojson", annotation(FRAME, "ferrite"), annotation(line, "Pearlite"))

    labels = read_rois(path).labels

    scale = 64
    fine = Image.new("L", (40 * scale, 30 * scale))
    ImageDraw.Draw(fine).polygon([(x * scale, y * scale) for x, y in line], fill=1)
    centres = np.asarray(fine)[scale // 2 :: scale, scale // 2 :: scale]
    assert np.count_nonzero(labels != centres) <= 2
    assert np.count_nonzero(labels) > 300


def test_smaller_regions_count_over_larger_and_excluded_over_all(tmp_path: Path) -> None:
    def box(left: int, top: int, right: int, bottom: int) -> list[list[float]]:
        return [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]

    path = write_geojson(
        tmp_path / "f.geojson",
        annotation(box(4, 4, 6, 6), "pearlite"),
        annotation(box(2, 2, 10, 10), "ferrite"),
        annotation(box(0, 0, 20, 20), "Pearlite"),
        annotation(FRAME, None, name="field"),
        annotation(box(15, 0, 40, 12), "Ignore*"),
    )

    labels = read_rois(path).labels

    assert labels.shape == (30, 40)
    assert labels[5, 5] == 1
    assert labels[3, 3] == 0
    assert labels[12, 12] == 1
    assert labels[5, 18] == 255
    assert labels[25, 25] == 0


def test_fiji_regions_of_all_kinds(tmp_path: Path) -> None:
    oval = ImagejRoi(roitype=ROI_TYPE.OVAL, left=2, top=2, right=22, bottom=22, name="pearlite")
    box = ImagejRoi(roitype=ROI_TYPE.RECT, left=30, top=0, right=40, bottom=5, name="0003-0035", group=255)
    hand = ImagejRoi.frompoints(np.array([(25.0, 20.0), (35.0, 20.0), (35.0, 28.0), (25.0, 28.0)]), name="x")
    hand.group = 1
    assert hand.options & ROI_OPTIONS.SUB_PIXEL_RESOLUTION
    path = tmp_path / "f.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number, roi in enumerate((oval, box, hand)):
            archive.writestr(f"{number}.roi", roi.tobytes())

    labels = read_rois(path, original=a_mask(np.zeros((30, 40), np.uint8))).labels

    rows, columns = np.mgrid[:30, :40] + 0.5
    assert np.array_equal(labels[:, :24] == 1, ((columns - 12) ** 2 + (rows - 12) ** 2 < 100)[:, :24])
    assert (labels[:5, 30:] == 255).all()
    assert np.count_nonzero(labels == 255) == 50
    assert (labels[20:28, 25:35] == 1).all()


def test_curved_paths_of_fiji_are_followed(tmp_path: Path) -> None:
    # A circle of radius 10 about (15, 15) from four cubic arcs, as Java draws it; its area is 314.2.
    k = 10 * 0.5522847
    arcs = [(25, 15 + k, 15 + k, 25, 15, 25), (15 - k, 25, 5, 15 + k, 5, 15)]
    arcs += [(5, 15 - k, 15 - k, 5, 15, 5), (15 + k, 5, 25, 15 - k, 25, 15)]
    path = [0, 25, 15, *(value for arc in arcs for value in (3, *arc)), 4]
    roi = ImagejRoi(roitype=ROI_TYPE.RECT, left=5, top=5, right=25, bottom=25, name="pearlite brush")
    roi.multi_coordinates, roi.shape_roi_size = np.array(path, np.float32), len(path)
    (tmp_path / "f.roi").write_bytes(roi.tobytes())

    labels = read_rois(tmp_path / "f.roi", original=a_mask(np.zeros((30, 40), np.uint8))).labels

    assert np.count_nonzero(labels) == pytest.approx(314.2, abs=4)


def test_regions_are_refused_by_name_rather_than_guessed(tmp_path: Path) -> None:
    square = [[0, 0], [5, 0], [5, 5], [0, 0]]
    for drawn, expected in (
        (
            [annotation(FRAME, "ferrite"), annotation(square, None)],
            "annotation 2 has no class; make it one of",
        ),
        ([annotation(FRAME, "ferrite"), annotation(square, "Perlite")], "'Perlite', which is not known"),
        ([annotation(square, "pearlite")], "how large the field is"),
        ([{"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}}], "is a Point"),
        ([annotation([[0, 0], [1, "x"], [2, 2]], "pearlite")], "damaged coordinates"),
        (["nonsense"], "no GeoJSON Feature"),
    ):
        with pytest.raises(FileError, match=expected):
            read_rois(write_geojson(tmp_path / "f.geojson", *drawn))
    for name, content in (
        ("f.geojson", b"{"),
        ("f.geojson", b'{"a": 1}'),
        ("f.zip", b"PK"),
        ("f.roi", b"Iout"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FileError):
            read_rois(tmp_path / name)
    line = ImagejRoi(roitype=ROI_TYPE.LINE, name="scale")
    (tmp_path / "f.roi").write_bytes(line.tobytes())
    with pytest.raises(FileError, match="the ROI scale is a line, which has no area"):
        read_rois(tmp_path / "f.roi")


def test_regions_of_another_field_are_refused(tmp_path: Path) -> None:
    path = write_geojson(tmp_path / "f.geojson", annotation(FRAME, "ferrite"))
    with pytest.raises(FileError, match="field of 40×30 px, but the mask of that name has 50×30 px"):
        read_rois(path, original=a_mask(np.zeros((30, 50), np.uint8)))


def test_field_names_become_file_names_that_stay_apart() -> None:
    names = roi_names(["a", "lot 1/b", "lot 1_b", 'x<"y">', "scan.p02"])
    assert names[0] == "a"
    assert names[3:] == ["x__y__", "scan.p02"]
    assert len({name.casefold() for name in names}) == 5
