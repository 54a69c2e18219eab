import json
import math
from pathlib import Path

import numpy as np
import pytest

from steelquant.stereology.grain_size import (
    area_of_number,
    density_of_number,
    intercept_of_number,
    iso_number,
    number_from_area,
    number_from_density,
    number_from_intercept,
    number_from_replicates,
    shortfalls,
)
from steelquant.stereology.statistics import estimate

ORACLE = json.loads((Path(__file__).parents[1] / "oracles" / "grain_size.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("row", ORACLE["table"]["rows"], ids=lambda row: f"G{row['number']}")
def test_the_equations_give_the_standards_table_in_both_directions(row):
    assert number_from_intercept(row["mean_intercept_um"]) == pytest.approx(row["number"], abs=2e-3)
    assert number_from_density(row["grains_per_mm2"]) == pytest.approx(row["number"], abs=2e-3)
    assert number_from_area(row["mean_area_um2"]) == pytest.approx(row["number"], abs=2e-3)
    assert intercept_of_number(row["number"]) == pytest.approx(row["mean_intercept_um"], rel=1e-3)
    assert density_of_number(row["number"]) == pytest.approx(row["grains_per_mm2"], rel=1e-3)
    assert area_of_number(row["number"]) == pytest.approx(row["mean_area_um2"], rel=1.5e-3)


def test_seven_lines_of_the_textbook():
    worked = ORACLE["seven_lines"]
    length_mm = worked["line_mm"] * len(worked["hits"]) / worked["magnification"]
    mean_mm = length_mm / sum(worked["hits"])
    assert mean_mm == pytest.approx(worked["mean_intercept_mm"], abs=5e-8)
    assert number_from_intercept(1e3 * mean_mm) == pytest.approx(worked["number"], abs=5e-4)


@pytest.mark.parametrize("row", ORACLE["counts_on_micrographs"]["rows"])
def test_counts_on_micrographs(row):
    on_specimen_mm2 = row["area_mm2_on_picture"] / row["magnification"] ** 2
    # 2.954 is rounded from 2.95419, which is why the textbooks' fourth digit differs.
    assert number_from_density(row["count"] / on_specimen_mm2) == pytest.approx(row["number"], abs=1e-3)


@pytest.mark.parametrize("scale", [0.1, 1.0, 37.0])
def test_doubling_the_scale_lowers_the_number_by_two(scale):
    assert number_from_intercept(scale) - number_from_intercept(2 * scale) == pytest.approx(2, abs=1e-6)
    assert number_from_area(scale) - number_from_area(4 * scale) == pytest.approx(2, abs=1e-6)
    assert number_from_density(4 * scale) - number_from_density(scale) == pytest.approx(2, abs=1e-6)


def test_iso_643_defines_eight_grains_per_mm2_as_zero():
    assert iso_number(8) == 0
    assert iso_number(8 * 2**9) == 9
    assert number_from_density(500) - iso_number(500) == pytest.approx(0.046, abs=5e-4)


@pytest.mark.parametrize(
    "function", [number_from_intercept, number_from_area, number_from_density, iso_number]
)
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_what_is_not_a_size_is_refused(function, value):
    with pytest.raises(ValueError, match="greater than 0"):
        function(value)


def test_the_specimens_number_is_that_of_the_mean_intercept():
    intercepts = [18.0, 20.0, 22.0, 19.0, 21.0]
    result = number_from_replicates(intercepts, number_from_intercept)
    assert result.mean == pytest.approx(number_from_intercept(20.0))
    # t(0.975, 4) = 2.776, s = 1.5811
    half = 2.776445 * 1.581139 / math.sqrt(5)
    assert result.bounds == pytest.approx(
        (number_from_intercept(20 + half), number_from_intercept(20 - half)), abs=1e-5
    )
    assert result.relative_accuracy_percent == pytest.approx(100 * half / 20, abs=1e-4)
    assert result.ci95 == pytest.approx((result.bounds[1] - result.bounds[0]) / 2)


def test_an_interval_down_to_nothing_is_not_a_number():
    result = number_from_replicates([5.0, 60.0], number_from_intercept)
    assert result.bounds is None
    assert result.ci95 is None
    assert "more fields" in result.reason


def test_one_field_and_no_field_say_so():
    assert number_from_replicates([20.0], number_from_intercept).reason
    assert number_from_replicates([20.0], number_from_intercept).mean == pytest.approx(8.0, abs=2e-3)
    assert number_from_replicates([None], number_from_intercept).mean is None


def test_what_misses_the_standards_aim_is_named():
    wide = estimate([1.0, 2.0, 3.0])
    flags = shortfalls([30, 60, 70], wide)
    assert len(flags) == 4
    assert flags[0].startswith("1 of 3 fields")
    assert flags[1].startswith("160 grains")
    assert flags[2].startswith("3 fields")
    close = estimate(list(np.linspace(9.9, 10.1, 6)))
    assert shortfalls([120] * 6, close) == ()
