"""The grid and its weights, against brute force."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from steelquant.segmentation.tiles import MAX_OVERLAP, SMALLEST_TILE_PX, fit_grid

grids = st.builds(
    fit_grid,
    st.integers(1, 3000),
    st.integers(1, 3000),
    tile_px=st.integers(1, 1200),
    overlap_px=st.integers(0, 900),
    stride_px=st.sampled_from([1, 8, 16, 32]),
    margin_px=st.integers(0, 96),
)


@settings(max_examples=200, deadline=None)
@given(grids)
def test_every_pixel_is_covered_by_weights_that_add_up_to_one(grid):
    for axis, length in ((grid.rows, grid.height_px), (grid.columns, grid.width_px)):
        total = np.zeros(axis.length_px)
        for origin, weight in zip(axis.origins_px, axis.weights, strict=True):
            assert weight.shape == (axis.tile_px,)
            assert weight.min() >= 0
            total[origin : origin + axis.tile_px] += weight
        np.testing.assert_allclose(total, 1, atol=1e-6)
        assert axis.length_px >= length


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 3000),
    st.integers(SMALLEST_TILE_PX, 1200),
    st.floats(0, MAX_OVERLAP),
    st.sampled_from([1, 8, 16, 32]),
)
def test_the_grid_is_fitted_without_sliver(length, tile, overlap, stride):
    overlap_px = int(overlap * tile) // stride * stride
    axis = fit_grid(length, 1, tile_px=tile, overlap_px=overlap_px, stride_px=stride).rows
    origins = np.array(axis.origins_px)
    assert axis.tile_px <= max(tile, SMALLEST_TILE_PX)
    assert origins[0] == 0
    assert origins[-1] + axis.tile_px == axis.length_px
    assert not (origins % stride).any()
    assert axis.tile_px % stride == 0
    overlaps = axis.tile_px - np.diff(origins)
    if len(overlaps):
        assert overlaps.min() >= min(overlap_px, MAX_OVERLAP * (tile // stride * stride) - stride)
        assert overlaps.max() - overlaps.min() <= stride
        # One tile fewer of the largest size would not reach: no tile is there for a sliver.
        largest = tile // stride * stride
        fewer = len(origins) - 1
        assert fewer * largest - (fewer - 1) * overlap_px < axis.length_px


def test_a_full_size_field():
    grid = fit_grid(1542, 2080, tile_px=576, overlap_px=64, stride_px=16)
    assert grid.tile_shape == (560, 576)
    assert grid.rows.origins_px == (0, 496, 992)
    assert grid.columns.origins_px == (0, 496, 1008, 1504)
    assert len(list(grid.tiles())) == len(grid) == 12


def test_weights_inside_an_overlap_are_smooth_and_leave_the_margin_to_the_neighbour():
    axis = fit_grid(1000, 224, tile_px=576, overlap_px=144, stride_px=8, margin_px=32).rows
    left, right = axis.weights
    overlap = 576 - axis.origins_px[1]
    fall, rise = left[-overlap:], right[:overlap]
    np.testing.assert_allclose(fall, rise[::-1], atol=1e-6)
    assert not rise[:32].any()
    assert (rise[32:-32] > 0).all()
    assert (np.diff(rise) >= 0).all()
    assert np.diff(rise).max() < 2 / (overlap - 64)
    assert (left[: -overlap or None] == 1).all()


def test_a_field_smaller_than_a_tile_is_one_tile():
    grid = fit_grid(1, 100, tile_px=576, overlap_px=64, stride_px=16)
    assert grid.tile_shape == (224, 224)
    assert len(grid) == 1
