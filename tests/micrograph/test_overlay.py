from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from steelquant.micrograph import png
from steelquant.micrograph.field import STEEL_CLASSES
from steelquant.micrograph.overlay import BOUNDARY_COLOUR, draw_overlay, overlay_palette, write_overlay


def draw(pixels: NDArray[np.uint8], labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return overlay_palette()[draw_overlay(pixels, labels)]


def test_the_picture_has_the_fields_size_and_other_programs_read_it(
    tmp_path: Path, rgb: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> None:
    write_overlay(tmp_path / "a.overlay.png", rgb, labels)
    with Image.open(tmp_path / "a.overlay.png") as image:
        image.load()
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), draw(rgb, labels))
    assert image.size == (83, 61)


def test_png_of_any_shape_is_what_pillow_reads(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    palette = rng.integers(0, 256, (256, 3), np.uint8)
    for shape in ((1, 1), (1, 50), (50, 1), (33, 47)):
        indices = rng.integers(0, 256, shape, np.uint8)
        (tmp_path / "a.png").write_bytes(png.encode(indices, palette))
        with Image.open(tmp_path / "a.png") as image:
            np.testing.assert_array_equal(np.asarray(image), indices)
            np.testing.assert_array_equal(np.asarray(image.convert("RGB")), palette[indices])


def test_each_phase_is_drawn_towards_its_colour_and_keeps_its_structure(
    grey: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> None:
    rgb = np.repeat(grey[..., None], 3, axis=2)
    drawn = draw(rgb, labels).astype(float)
    edge = (drawn == BOUNDARY_COLOUR).all(axis=2)
    for item in STEEL_CLASSES:
        inside = (labels == item.label) & ~edge
        before = np.abs(rgb[inside] - np.array(item.colour, float)).sum(axis=1)
        after = np.abs(drawn[inside] - np.array(item.colour)).sum(axis=1)
        assert (after <= before + 6).all()  # a step of the grey levels
        assert np.corrcoef(rgb[inside][:, 1], drawn[inside][:, 1])[0, 1] > 0.99


def test_a_line_runs_along_every_boundary_and_nowhere_else(
    rgb: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> None:
    edge = (draw(rgb, labels) == BOUNDARY_COLOUR).all(axis=2)
    expected = np.zeros(labels.shape, bool)
    for shift, axis in ((1, 0), (-1, 0), (1, 1), (-1, 1)):
        neighbour = np.roll(labels, shift, axis)
        differs = neighbour < labels
        border: list[slice | int] = [slice(None), slice(None)]
        border[axis] = 0 if shift == 1 else -1
        differs[tuple(border)] = False
        expected |= differs
    np.testing.assert_array_equal(edge, expected)


def test_excluded_pixels_are_grey(rgb: NDArray[np.uint8], labels: NDArray[np.uint8]) -> None:
    drawn = draw(rgb, labels)
    outside = (labels == 255) & ~(drawn == BOUNDARY_COLOUR).all(axis=2)
    assert (np.ptp(drawn[outside].astype(int), axis=1) == 0).all()
    assert (drawn[outside] == 255).all(axis=1).any()  # the hatching
    assert not (drawn[outside] == 255).all()


def test_large_fields_get_wider_lines(rgb: NDArray[np.uint8]) -> None:
    labels = np.zeros((1300, 1300), np.uint8)
    labels[:, 600:] = 1
    drawn = draw(np.full((1300, 1300, 3), 99, np.uint8), labels)
    assert ((drawn == BOUNDARY_COLOUR).all(axis=2).sum(axis=1) == 2).all()


def test_the_micrograph_itself_is_left_alone(rgb: NDArray[np.uint8], labels: NDArray[np.uint8]) -> None:
    before = rgb.copy()
    draw(rgb, labels)
    np.testing.assert_array_equal(rgb, before)
