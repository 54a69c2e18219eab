"""Rows that slide under the tiles, and blocks that join to the field."""

from __future__ import annotations

import numpy as np
import pytest

from steelquant.segmentation.blending import PaddedRows, blend
from steelquant.segmentation.tiles import fit_grid


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (130, 7), (225, 500), (448, 224), (901, 230)])
@pytest.mark.parametrize("at_once", [1, 37, 10_000])
def test_padding_reflects_as_numpy_does(shape, at_once):
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    grid = fit_grid(*shape, tile_px=300, overlap_px=32, stride_px=16)
    expected = np.pad(
        pixels,
        ((0, grid.rows.length_px - shape[0]), (0, grid.columns.length_px - shape[1]), (0, 0)),
        mode="reflect",
    )
    asked = []

    def read(first, end):
        rows = pixels[first : min(end, first + at_once)]
        asked.extend(range(first, first + len(rows)))
        return rows

    padded = PaddedRows(read, grid)
    for top in grid.rows.origins_px:
        bottom = top + grid.rows.tile_px
        np.testing.assert_array_equal(padded.slide(top, bottom), expected[top:bottom])
    assert asked == list(range(shape[0]))


@pytest.mark.parametrize(("tile_px", "overlap_px"), [(256, 0), (256, 64), (240, 176), (3000, 64)])
@pytest.mark.parametrize("batch", [1, 3])
def test_blocks_cover_the_field_once_and_weigh_the_tiles_by_the_grid(tile_px, overlap_px, batch):
    """Against all tiles added up on a canvas of the whole field."""
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (701, 530, 3), np.uint8)
    grid = fit_grid(701, 530, tile_px=tile_px, overlap_px=overlap_px, stride_px=16, margin_px=8)
    height, width = grid.tile_shape
    logits = {place: rng.standard_normal((3, height, width)).astype(np.float32) for place in grid.tiles()}
    canvas = np.zeros((3, grid.rows.length_px, grid.columns.length_px))
    for (row, column), tile in logits.items():
        top, left = grid.rows.origins_px[row], grid.columns.origins_px[column]
        weight = np.outer(grid.rows.weights[row], grid.columns.weights[column])
        canvas[:, top : top + height, left : left + width] += tile * weight

    waiting = list(logits.values())

    def predict(tiles):
        assert len(tiles) <= batch
        return np.stack([waiting.pop(0) for _ in tiles]).copy()

    joined = np.full((3, 701, 530), np.nan)
    for top, left, part in blend(predict, lambda first, end: pixels[first:end], grid, batch):
        place = joined[:, top : top + part.shape[1], left : left + part.shape[2]]
        assert np.isnan(place).all()
        place[:] = part
    np.testing.assert_allclose(joined, canvas[:, :701, :530], atol=1e-5)
