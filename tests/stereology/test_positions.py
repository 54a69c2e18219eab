"""The eight positions of a field, and the one in which it is looked at."""

from __future__ import annotations

import numpy as np
import pytest

from steelquant.stereology.positions import SYMMETRIES, first_position, put, put_back


def everywhere(picture):
    turned = [np.rot90(picture, quarters) for quarters in range(4)]
    return turned + [part[::-1] for part in turned]


@pytest.mark.parametrize("shape", [(5, 8), (6, 6), (7, 4, 3)])
def test_the_positions_are_all_eight_and_each_is_undone(shape):
    picture = np.arange(np.prod(shape)).reshape(shape)

    positions = [put(picture, k) for k in range(len(SYMMETRIES))]

    assert {part.tobytes() for part in positions} == {part.tobytes() for part in everywhere(picture)}
    for k, part in enumerate(positions):
        assert np.array_equal(put_back(part, k), picture)


@pytest.mark.parametrize("shape", [(5, 8), (6, 6), (7, 4, 3)])
def test_a_field_is_the_same_in_its_first_position_however_it_is_given(shape):
    picture = np.random.default_rng(1).integers(0, 3, shape).astype(np.uint8)

    first = [put(given, first_position(given)) for given in everywhere(picture)]

    assert all(np.array_equal(part, first[0]) for part in first)


def test_a_mask_decides_where_the_picture_is_the_same_in_all_positions():
    picture = np.full((6, 6, 3), 200, np.uint8)
    mask = np.random.default_rng(2).random((6, 6)) < 0.5

    first = [
        put(part, first_position(given, part))
        for given, part in zip(everywhere(picture), everywhere(mask), strict=True)
    ]

    assert all(np.array_equal(part, first[0]) for part in first)
    assert first_position(picture, np.ones_like(mask)) == 0
