"""Grains of fields and specimens: counts by their rules, the packed map, processes, memory, remarks."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
from analytic_structures import poisson_voronoi
from etched_fields import etched_field, write_etched

from steelquant.stereology import quantify
from steelquant.stereology.grain_measurement import PackedLabels, measure_grains
from steelquant.stereology.grain_size import number_from_density, number_from_intercept
from steelquant.stereology.intercepts import heyn
from steelquant.stereology.planimetry import planimetry


def test_packed_labels_come_back_as_they_were_and_small():
    labels, _ = poisson_voronoi(np.random.default_rng(0), 300, 400, 500)
    labels[40:60] = 0

    packed = PackedLabels.pack(labels)

    assert np.array_equal(packed.unpack(), labels)
    assert packed.unpack().dtype == np.int32
    assert len(packed.data) < labels.nbytes / 30


@pytest.fixture(scope="module")
def grains():
    pixels, mask, _ = etched_field(0)
    excluded = np.zeros(mask.shape, dtype=bool)
    excluded[-20:] = True
    return measure_grains(pixels, (mask == 0) & ~excluded, excluded=excluded, axis_deg=0), excluded


def test_counts_are_those_of_the_map_that_is_kept(grains):
    found, excluded = grains
    labels = found.labels.unpack()

    assert not labels[excluded].any()
    lines = heyn(labels, 1.0, excluded=excluded)
    assert found.lines.mean_intercept_px == lines.mean_intercept_um
    by_area = planimetry(labels, 1.0, excluded=excluded)
    for mine, theirs in (
        (found.jeffries, by_area.jeffries_rectangle),
        (found.saltykov, by_area.saltykov_rectangle),
        (found.whole, by_area.whole_grains),
    ):
        assert (mine.grains, mine.area_px) == (theirs.grains, theirs.area_um2)


def test_every_grain_of_the_map_is_a_feature(grains):
    found, excluded = grains
    labels = found.labels.unpack()

    areas = np.bincount(labels.ravel())
    assert found.features.label.tolist() == (np.flatnonzero(areas[1:]) + 1).tolist()
    assert found.features.area_px.tolist() == areas[1:][areas[1:] > 0].tolist()
    beside = np.unique(labels[~excluded][-labels.shape[1] :])  # the last row above the excluded strip
    touching = set(found.features.label[found.features.touches_excluded].tolist())
    assert touching == set(beside.tolist()) - {0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    fields = {f"f{number}": etched_field(number) for number in range(3)}
    return write_etched(tmp_path_factory.mktemp("grains"), fields)


def test_worker_processes_give_the_same_grains(folder):
    alone, together = (quantify(folder, output=None, workers=workers) for workers in (1, 2))

    assert together.specimens[0].estimates == alone.specimens[0].estimates
    for first, second in zip(alone.fields, together.fields, strict=True):
        assert first.grains.labels == second.grains.labels
        assert first.grains.search == second.grains.search


def test_what_is_kept_of_a_field_is_a_fraction_of_its_map(folder):
    (field, *_) = quantify(folder, output=None).fields

    assert len(pickle.dumps(field.grains.labels)) < field.width_px * field.height_px * 4 / 20


def test_the_specimen_joins_its_fields(folder):
    result = quantify(folder, output=None)
    (specimen,) = result.specimens

    grains, areas_um2 = specimen.grains, []
    for field in result.fields:
        areas_um2.extend(0.25 * field.grains.features.area_px)
    assert grains.grains == len(areas_um2)
    assert grains.area_mm2 == pytest.approx(sum(areas_um2) / 1e6)
    assert grains.largest.area_um2 == max(areas_um2)
    assert any(f"{grains.grains} grains in all; 500 are wanted" in remark for remark in grains.remarks)


def test_means_are_taken_of_what_is_measured_and_then_made_numbers(folder):
    result = quantify(folder, output=None)
    estimates = result.specimens[0].estimates

    intercepts = [0.5 * field.grains.lines.mean_intercept_px for field in result.fields]
    assert estimates["Grain size G (–)"].mean == pytest.approx(number_from_intercept(np.mean(intercepts)))
    half = estimates["Grain mean intercept (µm)"].ci95
    low, high = (number_from_intercept(np.mean(intercepts) + side * half) for side in (1, -1))
    assert estimates["Grain size G (–)"].bounds == pytest.approx((low, high))
    densities = [1e6 / (0.25 * field.grains.saltykov.mean_area_px2) for field in result.fields]
    assert estimates["Grain size G Saltykov (–)"].mean == pytest.approx(
        number_from_density(np.mean(densities))
    )


def test_coarse_grains_among_fine_ones_are_told(tmp_path):
    rng = np.random.default_rng(3)
    cells, _ = poisson_voronoi(rng, 400, 500, 260)
    rows, columns = np.mgrid[:400, :500]
    for number, (row, column) in enumerate(((120, 110), (270, 380)), start=1):
        cells[np.hypot(rows - row, columns - column) < 34] = cells.max() + number
    fields = {"f": etched_field(0, cells=cells, pearlite=0)}

    (specimen,) = quantify(write_etched(tmp_path, fields), output=None).specimens

    assert specimen.grains.largest.applies
    assert specimen.grains.largest.outliers == 2
    assert any(remark.startswith("as large as G") for remark in specimen.grains.remarks)


@pytest.mark.slow
def test_six_full_fields_are_measured_in_processes_and_bounded_memory(tmp_path):
    fields = {f"f{number}": etched_field(number, (1542, 2080), 2500) for number in range(6)}
    folder = write_etched(tmp_path, fields)
    del fields
    code = (
        "import resource, sys\n"
        "from steelquant.stereology import quantify\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "result = quantify(sys.argv[1], output=sys.argv[2], workers=2)\n"
        "assert all(field.grains.search.verdict == 'clear' for field in result.fields)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )

    # A process's peak begins with that of the one it came from: so from a small one.
    command = [sys.executable, "-c", code, str(folder), str(tmp_path / "report.xlsx")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    unit = 2**20 if sys.platform == "darwin" else 2**10
    kept_mib, worker_mib = (int(word) / unit for word in done.stdout.split())
    assert kept_mib < 200
    assert worker_mib < 1024
